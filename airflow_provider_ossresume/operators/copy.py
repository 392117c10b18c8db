"""The operator that copies an object; a retried task goes on from its last finished part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import refuse_empty
from airflow_provider_ossresume.model.copy_options import CopyOptions
from airflow_provider_ossresume.model.object_names import resolve_target
from airflow_provider_ossresume.operators._transfer import ObjectMakingOperator
from airflow_provider_ossresume.operators.lineage import Dataset, dataset_of

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.copy_options import Directive
    from airflow_provider_ossresume.model.copying import CopyMode
    from airflow_provider_ossresume.transfer.options import OnChange
    from airflow_provider_ossresume.transfer.result import TransferResult

_COPY_OPTIONS = tuple(CopyOptions.__annotations__)


class OSSCopyObjectOperator(ObjectMakingOperator):
    """Copy an object of any size; a retry, on this worker or another one, copies only the parts that are missing.

    OSS copies within a region, and no byte passes the worker: by one request where OSS takes that, else part by part.
    Each request names the source's ETag, and its version where it has one, so that a copy is never of two contents. Its
    CRC-64 is compared with the source's.

    Returns the copy's ``oss://`` URI, and pushes the XCom ``report``: source, size, etag, crc64, parts, parts_kept,
    parts_sent, bytes (through the worker), seconds, tries and more.

    :param source: the key of the object to copy, or its ``oss://bucket/key`` URL (templated)
    :param target: the key of the copy, or its URL (templated)
    :param source_bucket_name: the source's bucket; by default the URL's, else the connection's (templated)
    :param bucket_name: the same of the copy (templated)
    :param source_version_id: which version of the source; by default the current one (templated)
    :param copy_mode: ``server``, or ``stream``: the worker reads the source and writes the copy, for two regions or two
        accounts (templated)
    :param source_conn_id: the connection that reads the source; by default ``oss_conn_id`` (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept; see
        :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator` (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields; ``part_size`` is 64 MiB by default, from 8 GiB on 128 MiB and from 64 GiB on 256 MiB (templated)
    :param if_exists: when the target exists: ``overwrite`` it, ``skip``, ``skip_if_same`` (CRC-64, metadata, tags and
        ACL), or ``fail``, which OSS itself guards (templated)
    :param skip_as: how the task ends when ``if_exists`` let the copy be skipped: as a ``success``, or ``skipped``
        (templated)
    :param event_if_skipped: a skipped copy that ends as a success causes the events of the outlets too (templated)
    :param on_kill_action: when Airflow stops the task: ``keep`` what is done for the next try, or ``abort`` the upload
        and delete the checkpoint (templated)
    :param on_final_failure: the same, when the task fails and no retry is left (templated)
    :param object_changed: when the source changes under the copy: ``restart`` once, or ``fail`` (templated)
    :param metadata_directive: ``copy`` the source's metadata, content type, encoding, disposition, language, cache
        control and expiry, or ``replace`` them by what is given here (templated)
    :param tagging_directive: ``copy`` the source's tags, or ``replace`` them by ``tags`` (templated)
    :param content_type: of the copy; it and the next seven go with a directive ``replace`` (templated)
    :param content_encoding: see the same (templated)
    :param content_disposition: see the same (templated)
    :param content_language: see the same (templated)
    :param cache_control: see the same (templated)
    :param expires: see the same (templated)
    :param metadata: see the same (templated)
    :param tags: with ``tagging_directive="replace"``; none removes them all (templated)
    :param storage_class: as for an upload, or ``copy`` the source's; the bucket's by default (templated)
    :param acl: as for an upload, or ``copy`` the source's; the bucket's by default (templated)
    :param server_side_encryption: as for an upload, or ``copy`` the source's; as the bucket is configured by default
        (templated)
    :param sse_kms_key_id: the key, with ``KMS`` (templated)
    :param sse_data_encryption: ``SM4``, with ``KMS`` (templated)
    :param headers: further headers, as OSS names them, for what has no argument (templated)
    :param request_payer: ``requester``, when who asks pays, not the bucket's owner (templated)
    :param traffic_limit: bits per second that OSS allows each request, 819,200 to 838,860,800 (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose row holds the checkpoint (templated)
    :param show_progress: keep up the task's entry ``ossresume-progress`` (templated)
    """

    template_fields: Sequence[str] = (
        "source",
        "target",
        "source_bucket_name",
        "bucket_name",
        "source_version_id",
        "copy_mode",
        "source_conn_id",
        "region",
        "oss_conn_id",
        "show_progress",
        "checkpoint",
        "transfer_config",
        "if_exists",
        "skip_as",
        "event_if_skipped",
        "on_kill_action",
        "on_final_failure",
        "object_changed",
        *_COPY_OPTIONS,
        "xcom_holder_task_id",
    )
    ui_color = "#e9dcf7"

    def __init__(
        self,
        *,
        source: str,
        target: str,
        source_bucket_name: str | None = None,
        source_version_id: str | None = None,
        copy_mode: CopyMode = "server",
        source_conn_id: str | None = None,
        object_changed: OnChange = "restart",
        metadata_directive: Directive | None = None,
        tagging_directive: Directive | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.source_bucket_name = source_bucket_name
        self.source_version_id = source_version_id
        self.copy_mode = copy_mode
        self.source_conn_id = source_conn_id
        self.object_changed = object_changed
        self.metadata_directive = metadata_directive
        self.tagging_directive = tagging_directive

    def _transfer(self, context: Any) -> TransferResult:
        return self.hook.copy_object(
            self.source,
            self.target,
            source_bucket_name=self.source_bucket_name,
            dest_bucket_name=self.bucket_name,
            source_version_id=self.source_version_id,
            source_hook=self._source_hook(),
            copy_mode=self.copy_mode,
            checkpoint=self.checkpoint,
            if_exists=self.if_exists,
            object_changed=self.object_changed,
            xcom_holder_task_id=self.xcom_holder_task_id,
            show_progress=self.show_progress,
            context=context,
            watch=self._watch,
            drop_when=self._drop_when,
            **{name: getattr(self, name) for name in _COPY_OPTIONS},
        )

    def _source_hook(self) -> OSSResumeHook | None:
        if self.source_conn_id is None:
            return None
        refuse_empty("source_conn_id", self.source_conn_id, instead="leave it out to use oss_conn_id")
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: keeps requests out of DAG parsing

        return OSSResumeHook(self.source_conn_id, transfer_config=self.transfer_config)

    @property
    def _object_name(self) -> str:
        return self.target

    def _other_end(self) -> list[Dataset]:
        try:
            return dataset_of(resolve_target(self.source, self.source_bucket_name))
        except ArgumentError:
            return []
