"""Operators that make and remove buckets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import NoSuchBucket
from airflow_provider_ossresume.hooks.reporting import task_instance
from airflow_provider_ossresume.operators._base import OSSOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.buckets import BucketAcl, Redundancy
    from airflow_provider_ossresume.model.arguments import Flag
    from airflow_provider_ossresume.model.object_options import StorageClass

log = logging.getLogger(__name__)


class OSSCreateBucketOperator(OSSOperator):
    """Make a bucket in the connection's region and return its ``oss://`` URI; one that is there stays as it is.

    :param bucket_name: by default the connection's (templated)
    :param acl: ``private`` by default, ``public-read`` or ``public-read-write`` (templated)
    :param storage_class: of its objects; ``Standard`` by default (templated)
    :param redundancy: ``LRS`` by default, or ``ZRS``: in one zone of the region, or in several (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = ("bucket_name", "acl", "storage_class", "redundancy", "region", "oss_conn_id")
    ui_color = "#e4f1dd"

    def __init__(
        self,
        *,
        bucket_name: str | None = None,
        acl: BucketAcl | None = None,
        storage_class: StorageClass | None = None,
        redundancy: Redundancy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.acl = acl
        self.storage_class = storage_class
        self.redundancy = redundancy

    def _work(self, context: Any) -> str:
        self.hook.create_bucket(
            self.bucket_name, acl=self.acl, storage_class=self.storage_class, redundancy=self.redundancy
        )
        return f"oss://{self.hook.prefix(None, self.bucket_name).bucket}"


class OSSDeleteBucketOperator(OSSOperator):
    """Remove a bucket that is empty, or with ``force_delete`` a bucket and all that it holds, for good.

    Only the bucket that is named is removed: its plain name, never the connection's. One that holds objects or
    unfinished uploads fails the task without ``force_delete``; the message has their numbers. A bucket that is not
    there fails the task, but for a retry, whose earlier try has perhaps removed it. One that keeps versions has to be
    empty.

    :param bucket_name: the bucket (templated)
    :param force_delete: delete its objects and unfinished uploads first (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = ("bucket_name", "force_delete", "region", "oss_conn_id")
    ui_color = "#f7d4cf"

    def __init__(self, *, bucket_name: str | None = None, force_delete: Flag = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.force_delete = force_delete

    def _work(self, context: Any) -> None:
        try:
            self.hook.delete_bucket(self.bucket_name, self.force_delete, watch=self._watch)
        except NoSuchBucket as error:
            if getattr(task_instance(context), "try_number", 1) == 1:
                raise
            log.info("Nothing to delete. An earlier try has probably deleted the bucket: %s", error)
