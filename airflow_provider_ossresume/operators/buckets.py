"""Operators that create and delete buckets."""

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
    """Create a bucket in the connection's region and return its ``oss://`` URI. An existing bucket is not changed.

    :param bucket_name: the bucket. Default: the connection's bucket (templated)
    :param acl: ``private`` (default), ``public-read`` or ``public-read-write`` (templated)
    :param storage_class: the storage class of its objects. Default: ``Standard`` (templated)
    :param redundancy: ``LRS`` (default) stores objects in one zone of the region, ``ZRS`` in several (templated)
    :param region: overrides the connection's region (templated)
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
    """Delete an empty bucket. With ``force_delete``, delete a bucket and everything in it, permanently.

    You must name the bucket: the connection's bucket is never used, and a URL is an error. If the bucket holds objects
    or unfinished uploads and ``force_delete`` is not set, the task fails, and the message says how many there are. A
    bucket with versions must be empty. A bucket that does not exist fails the task. In a retry that is a success,
    because an earlier try may have deleted the bucket.

    :param bucket_name: the name of the bucket (templated)
    :param force_delete: delete the objects and unfinished uploads in the bucket first (templated)
    :param region: overrides the connection's region (templated)
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
