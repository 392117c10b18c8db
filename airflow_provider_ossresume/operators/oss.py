"""Operators that upload and download files part by part; a retried task goes on from its last finished part."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.model.arguments import Flag, parse_mode
from airflow_provider_ossresume.operators._object_options import OBJECT_OPTIONS
from airflow_provider_ossresume.operators._transfer import ObjectMakingOperator, TransferOperator
from airflow_provider_ossresume.transfer.paths import printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.options import Fingerprint, OnChange
    from airflow_provider_ossresume.transfer.result import TransferResult

log = logging.getLogger(__name__)


class OSSResumableUploadOperator(ObjectMakingOperator):
    """Upload a local file to OSS; a retry, on this worker or another one, sends only what is missing.

    Returns the object's ``oss://`` URI, and pushes the XCom ``report``: size, etag, crc64, parts, parts_kept,
    parts_sent, bytes, seconds, tries and more.

    :param file: the local file (templated)
    :param key: the object's key, or an ``oss://bucket/key`` URL (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's, such as ``cn-hangzhou`` (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept: ``auto`` (the task state store on Airflow 3.3, else a Variable),
        ``task_state``, ``variable``, ``xcom``, ``file``, ``file:FOLDER``, ``memory``, ``configured``, or a store object
        (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields (templated)
    :param if_exists: when the object exists: ``overwrite`` it, ``skip``, ``skip_if_same`` (size and CRC-64), or
        ``fail``, which OSS itself guards (templated)
    :param skip_as: how the task ends when ``if_exists`` let the transfer be skipped: as a ``success``, or ``skipped``
        (templated)
    :param event_if_skipped: a skipped transfer that ends as a success causes the events of the outlets too (templated)
    :param on_kill_action: when Airflow stops the task: ``keep`` what is done for the next try, or ``abort`` the upload
        and delete the checkpoint (templated)
    :param on_final_failure: the same, when the task fails and no retry is left (templated)
    :param source_changed: when the file changes under the upload: ``restart`` once, or ``fail`` (templated)
    :param fingerprint: how a retry knows that a part which OSS has is the file's: by its ``content``, which is read
        again, or by the file's ``stat`` (inode, size, mtime and ctime are those of when it was sent) (templated)
    :param content_type: of the object; guessed from the key by default (templated)
    :param content_encoding: such as ``gzip``; OSS gives it back with each download, as the next three (templated)
    :param content_disposition: such as ``attachment; filename="a.csv"`` (templated)
    :param content_language: such as ``zh-CN`` (templated)
    :param cache_control: such as ``no-cache`` (templated)
    :param expires: until when caches may keep it: a time with its zone, in ISO 8601 or as HTTP writes it (templated)
    :param metadata: the object's ``x-oss-meta-*`` headers, without that prefix; 8 KiB in all (templated)
    :param tags: up to 10; keys of 1 to 128 and values of up to 256 letters, digits, spaces and ``+ - = . _ : /``
        (templated)
    :param storage_class: ``Standard``, ``IA``, ``Archive``, ``ColdArchive`` or ``DeepColdArchive``; the bucket's by
        default (templated)
    :param acl: ``default`` (the bucket's), ``private``, ``public-read`` or ``public-read-write`` (templated)
    :param server_side_encryption: ``AES256``, ``KMS`` or ``SM4``; as the bucket is configured by default (templated)
    :param sse_kms_key_id: the key, with ``KMS`` (templated)
    :param sse_data_encryption: ``SM4``, with ``KMS``: what the data are encrypted with, in place of AES256 (templated)
    :param headers: further headers, as OSS names them, for what has no argument (templated)
    :param request_payer: ``requester``, when who asks pays, not the bucket's owner (templated)
    :param traffic_limit: bits per second that OSS allows each request, 819,200 to 838,860,800; parts in flight at
        once have as much each (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose row holds the checkpoint; by default found
        by itself (templated)
    :param show_progress: keep up the task's entry ``ossresume-progress``, in the task state store on Airflow 3.3, else
        as an XCom (templated)
    """

    template_fields: Sequence[str] = (
        "file",
        "key",
        "bucket_name",
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
        "source_changed",
        "fingerprint",
        *OBJECT_OPTIONS,
        "xcom_holder_task_id",
    )
    ui_color = "#ffe2c8"

    def __init__(
        self,
        *,
        file: str,
        key: str,
        source_changed: OnChange = "restart",
        fingerprint: Fingerprint = "content",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.key = key
        self.source_changed = source_changed
        self.fingerprint = fingerprint

    def _transfer(self, context: Any) -> TransferResult:
        return self.hook.upload_file(
            self.file,
            self.key,
            self.bucket_name,
            checkpoint=self.checkpoint,
            if_exists=self.if_exists,
            source_changed=self.source_changed,
            fingerprint=self.fingerprint,
            xcom_holder_task_id=self.xcom_holder_task_id,
            show_progress=self.show_progress,
            context=context,
            watch=self._watch,
            drop_when=self._drop_when,
            **{name: getattr(self, name) for name in OBJECT_OPTIONS},
        )


class OSSResumableDownloadOperator(TransferOperator):
    """Download an object to a local file; a retry that finds its part file fetches only what is missing.

    The file appears under its name at once and whole. Returns its path, and pushes the XCom ``report``: size, etag,
    crc64, parts, parts_kept, parts_sent (fetched), bytes, seconds, tries and more.

    :param key: the object's key, or an ``oss://bucket/key`` URL (templated)
    :param file: the local file (templated); a shared folder lets a retry on another worker go on too
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept; see :class:`OSSResumableUploadOperator` (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields (templated)
    :param if_exists: when the file exists: ``overwrite`` it, ``skip``, ``skip_if_same`` (size and CRC-64), or ``fail``
        (templated)
    :param skip_as: how the task ends when ``if_exists`` let the transfer be skipped: as a ``success``, or ``skipped``
        (templated)
    :param event_if_skipped: a skipped transfer that ends as a success causes the events of the outlets too (templated)
    :param on_kill_action: when Airflow stops the task: ``keep`` what is done for the next try, or ``abort``: remove the
        part file and delete the checkpoint (templated)
    :param on_final_failure: the same, when the task fails and no retry is left (templated)
    :param object_changed: when the object changes under the download: ``restart`` once, or ``fail`` (templated)
    :param version_id: which version of the object; by default the current one (templated)
    :param create_parents: make the file's folder when it is absent (templated)
    :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``; as the worker's umask has it by default
        (templated)
    :param preserve_mtime: give the file the object's Last-Modified as its time of modification (templated)
    :param byte_range: ``(start, stop)`` of the object's bytes, stop excluded; all of them by default. OSS has a CRC-64
        of whole objects only, so the file is not compared with one (templated)
    :param request_payer: ``requester``, when who asks pays, not the bucket's owner (templated)
    :param traffic_limit: bits per second that OSS allows each request, 819,200 to 838,860,800 (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose row holds the checkpoint (templated)
    :param show_progress: keep up the task's entry ``ossresume-progress``; see :class:`OSSResumableUploadOperator`
        (templated)
    """

    template_fields: Sequence[str] = (
        "key",
        "file",
        "bucket_name",
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
        "version_id",
        "create_parents",
        "file_mode",
        "preserve_mtime",
        "byte_range",
        "request_payer",
        "traffic_limit",
        "xcom_holder_task_id",
    )
    ui_color = "#cde8ff"
    makes_object = False

    def __init__(
        self,
        *,
        key: str,
        file: str,
        object_changed: OnChange = "restart",
        version_id: str | None = None,
        create_parents: Flag = True,
        file_mode: int | str | None = None,
        preserve_mtime: Flag = False,
        byte_range: Sequence[int | str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.key = key
        self.object_changed = object_changed
        self.version_id = version_id
        self.create_parents = create_parents
        self.file_mode = file_mode
        self._written_mode = file_mode  # a native template makes a number of a text
        self.preserve_mtime = preserve_mtime
        self.byte_range = byte_range

    def _transfer(self, context: Any) -> TransferResult:
        return self.hook.download_file(
            self.key,
            self.file,
            self.bucket_name,
            checkpoint=self.checkpoint,
            if_exists=self.if_exists,
            object_changed=self.object_changed,
            version_id=self.version_id,
            create_parents=self.create_parents,
            file_mode=self._mode(),
            preserve_mtime=self.preserve_mtime,
            byte_range=self.byte_range,
            request_payer=self.request_payer,
            traffic_limit=self.traffic_limit,
            xcom_holder_task_id=self.xcom_holder_task_id,
            show_progress=self.show_progress,
            context=context,
            watch=self._watch,
            drop_when=self._drop_when,
        )

    def _mode(self) -> int | None:
        mode, written = self.file_mode, self._written_mode
        if mode in (None, ""):
            return None
        if isinstance(mode, int) and isinstance(written, str) and "{" not in written:
            mode = written  # no template: what the author typed is what is meant
        return parse_mode("file_mode", mode, was_text=isinstance(written, str))

    def _destination(self, result: TransferResult) -> str:
        shown = printable_path(result.path)
        if shown != result.path:
            log.warning(
                "The name of the file is not UTF-8, which an XCom cannot hold; the task returns it as %s", shown
            )
        return shown
