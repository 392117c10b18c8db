"""The operator that copies an object. A retried task resumes from the parts that are finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import refuse_empty
from airflow_provider_ossresume.model.copy_options import CopyOptions
from airflow_provider_ossresume.model.object_names import resolve_target
from airflow_provider_ossresume.operators._transfer import TRANSFER_FIELDS, ObjectWritingOperator
from airflow_provider_ossresume.operators.lineage import Dataset, dataset_of

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.copy_options import Directive
    from airflow_provider_ossresume.model.copying import CopyMode
    from airflow_provider_ossresume.transfer.options import OnChange
    from airflow_provider_ossresume.transfer.result import TransferResult

_COPY_OPTIONS = tuple(CopyOptions.__annotations__)


class OSSCopyObjectOperator(ObjectWritingOperator):
    """Copy an object of any size. A retry copies only the missing parts, on this worker or on another one.

    Within a region OSS makes the copy itself, so no bytes go through the worker. It uses one request if OSS allows it,
    else it copies part by part. Each request names the source's ETag, and its version if it has one, so a copy never
    mixes old and new bytes. The copy's CRC-64 is compared with the source's.

    Returns the copy's ``oss://`` URI. Pushes the XCom ``report``, with source, size, etag, crc64, parts, parts_kept,
    parts_sent, bytes (through the worker), seconds, tries and more.

    :param source: the key of the object to copy, or its ``oss://bucket/key`` URL (templated)
    :param target: the key of the copy, or its URL (templated)
    :param source_bucket_name: the source's bucket. Default: the bucket of the URL, else of the connection (templated)
    :param bucket_name: the copy's bucket. Default: the bucket of the URL, else of the connection (templated)
    :param source_version_id: the version of the source. Default: the current one (templated)
    :param copy_mode: ``server`` lets OSS copy. ``stream`` reads the source and writes the copy with this worker, for
        two regions or two accounts (templated)
    :param source_conn_id: the connection that reads the source. Default: ``oss_conn_id`` (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept; see
        :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator` (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields. The default ``part_size`` is 64 MiB, from 8 GiB on 128 MiB, from 64 GiB on 256 MiB (templated)
    :param if_exists: what to do if the target exists: ``overwrite`` it, ``skip`` the copy, ``skip_if_same`` (same
        CRC-64, metadata, tags and ACL), or ``fail``. With ``fail``, OSS itself refuses to overwrite (templated)
    :param skip_as: how the task ends if ``if_exists`` skips the copy: as a ``success``, or as ``skipped`` (templated)
    :param event_if_skipped: emit the events of the outlets even if the copy was skipped (templated)
    :param on_kill_action: what to do if Airflow stops the task: ``keep`` the finished parts for the next try, or
        ``abort`` the upload and delete the checkpoint (templated)
    :param on_final_failure: the same choice, for a task that fails and has no retry left (templated)
    :param object_changed: what to do if the source changes during the copy: ``restart`` once, or ``fail`` (templated)
    :param metadata_directive: ``copy`` the source's metadata, content type, encoding, disposition, language, cache
        control and expiry, or ``replace`` them with the arguments below (templated)
    :param tagging_directive: ``copy`` the source's tags, or ``replace`` them with ``tags`` (templated)
    :param content_type: the copy's content type, with ``metadata_directive="replace"`` (templated)
    :param content_encoding: the same for the content encoding (templated)
    :param content_disposition: the same for the content disposition (templated)
    :param content_language: the same for the content language (templated)
    :param cache_control: the same for the cache control (templated)
    :param expires: the same for the expiry (templated)
    :param metadata: the same for the metadata (templated)
    :param tags: the copy's tags, with ``tagging_directive="replace"``; without them the copy has no tags (templated)
    :param storage_class: as for an upload, or ``copy`` the source's. Default: the bucket's (templated)
    :param acl: as for an upload, or ``copy`` the source's. Default: the bucket's (templated)
    :param server_side_encryption: as for an upload, or ``copy`` the source's. Default: the bucket's (templated)
    :param sse_kms_key_id: the ID of the KMS key, with ``KMS`` (templated)
    :param sse_data_encryption: ``SM4``, with ``KMS`` (templated)
    :param headers: other OSS headers, for options that have no argument (templated)
    :param request_payer: ``requester`` if the requester pays instead of the bucket's owner (templated)
    :param traffic_limit: OSS's limit for each request, 819,200 to 838,860,800 bits per second (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose XCom holds the checkpoint (templated)
    :param show_progress: update the task's entry ``ossresume-progress`` (templated)
    """

    template_fields: Sequence[str] = (
        "source",
        "target",
        "source_bucket_name",
        "source_version_id",
        "copy_mode",
        "source_conn_id",
        *TRANSFER_FIELDS,
        "object_changed",
        *_COPY_OPTIONS,
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
            object_changed=self.object_changed,
            **self._transfer_arguments(context),
            **{name: getattr(self, name) for name in _COPY_OPTIONS},
        )

    def _source_hook(self) -> OSSResumeHook | None:
        if self.source_conn_id is None:
            return None
        refuse_empty("source_conn_id", self.source_conn_id, instead="remove it to use oss_conn_id")
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: DAG parsing must not import `requests`

        return OSSResumeHook(self.source_conn_id, transfer_config=self.transfer_config)

    @property
    def _object_name(self) -> str:
        return self.target

    def _other_end(self) -> list[Dataset]:
        try:
            return dataset_of(resolve_target(self.source, self.source_bucket_name))
        except ArgumentError:
            return []
