"""Operators that upload and download files part by part. A retried task resumes from the parts that are finished."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.model.arguments import Flag, parse_mode
from airflow_provider_ossresume.operators._object_options import OBJECT_OPTIONS
from airflow_provider_ossresume.operators._transfer import TRANSFER_FIELDS, ObjectWritingOperator, TransferOperator
from airflow_provider_ossresume.transfer.paths import printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.options import Fingerprint, OnChange
    from airflow_provider_ossresume.transfer.result import TransferResult

log = logging.getLogger(__name__)


class OSSResumableUploadOperator(ObjectWritingOperator):
    """Upload a local file to OSS. A retry sends only the missing parts, on this worker or on another one.

    Returns the object's ``oss://`` URI. Pushes the XCom ``report``, with size, etag, crc64, parts, parts_kept,
    parts_sent, bytes, seconds, tries and more.

    :param file: the local file (templated)
    :param key: the object's key, or an ``oss://bucket/key`` URL (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param region: overrides the connection's region, such as ``cn-hangzhou`` (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept: ``auto`` (the task state store on Airflow 3.3, else a Variable),
        ``task_state``, ``variable``, ``xcom``, ``file``, ``file:FOLDER``, ``memory``, ``configured``, or a store object
        (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields (templated)
    :param if_exists: what to do if the object exists: ``overwrite`` it, ``skip`` the upload, ``skip_if_same`` (same
        size and CRC-64), or ``fail``. With ``fail``, OSS itself refuses to overwrite (templated)
    :param skip_as: how the task ends if ``if_exists`` skips the upload: as a ``success``, or as ``skipped`` (templated)
    :param event_if_skipped: emit the events of the outlets even if the upload was skipped (templated)
    :param on_kill_action: what to do if Airflow stops the task: ``keep`` the finished parts for the next try, or
        ``abort`` the upload and delete the checkpoint (templated)
    :param on_final_failure: the same choice, for a task that fails and has no retry left (templated)
    :param source_changed: what to do if the file changes during the upload: ``restart`` once, or ``fail`` (templated)
    :param fingerprint: how a retry checks that a part on OSS still matches the file: ``content`` reads the file again,
        ``stat`` compares inode, size, mtime and ctime (templated)
    :param content_type: the object's content type. Default: guessed from the key (templated)
    :param content_encoding: such as ``gzip``; OSS returns it with each download, like the next three (templated)
    :param content_disposition: such as ``attachment; filename="a.csv"`` (templated)
    :param content_language: such as ``zh-CN`` (templated)
    :param cache_control: such as ``no-cache`` (templated)
    :param expires: until when caches may keep the object: a time with a time zone, in ISO 8601 or as an HTTP date
        (templated)
    :param metadata: the object's ``x-oss-meta-*`` headers, without that prefix; 8 KiB in total (templated)
    :param tags: up to 10 tags. Keys have 1 to 128 characters, values up to 256: letters, digits, spaces and
        ``+ - = . _ : /`` (templated)
    :param storage_class: ``Standard``, ``IA``, ``Archive``, ``ColdArchive`` or ``DeepColdArchive``. Default: the
        bucket's (templated)
    :param acl: ``default`` (the bucket's ACL), ``private``, ``public-read`` or ``public-read-write`` (templated)
    :param server_side_encryption: ``AES256``, ``KMS`` or ``SM4``. Default: the bucket's encryption (templated)
    :param sse_kms_key_id: the ID of the KMS key, with ``KMS`` (templated)
    :param sse_data_encryption: ``SM4`` encrypts the data with SM4 instead of AES256, with ``KMS`` (templated)
    :param headers: other OSS headers, for options that have no argument (templated)
    :param request_payer: ``requester`` if the requester pays instead of the bucket's owner (templated)
    :param traffic_limit: OSS's limit for each request, 819,200 to 838,860,800 bits per second. Each part that is sent
        in parallel has its own limit (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose XCom holds the checkpoint. Default: chosen
        automatically (templated)
    :param show_progress: update the task's entry ``ossresume-progress`` during the upload: in the task state store on
        Airflow 3.3, else as an XCom (templated)
    """

    template_fields: Sequence[str] = (
        "file",
        "key",
        *TRANSFER_FIELDS,
        "source_changed",
        "fingerprint",
        *OBJECT_OPTIONS,
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
            source_changed=self.source_changed,
            fingerprint=self.fingerprint,
            **self._transfer_arguments(context),
            **{name: getattr(self, name) for name in OBJECT_OPTIONS},
        )


class OSSResumableDownloadOperator(TransferOperator):
    """Download an object to a local file. A retry that finds the part file fetches only the missing parts.

    The file appears under its name only when it is complete. Returns its path. Pushes the XCom ``report``, with size,
    etag, crc64, parts, parts_kept, parts_sent (fetched), bytes, seconds, tries and more.

    :param key: the object's key, or an ``oss://bucket/key`` URL (templated)
    :param file: the local file. In a shared folder, a retry on another worker resumes too (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection, of type ``oss_resume`` or the official provider's ``oss`` (templated)
    :param checkpoint: where the checkpoint is kept; see :class:`OSSResumableUploadOperator` (templated)
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig` or a dict of its
        fields (templated)
    :param if_exists: what to do if the file exists: ``overwrite`` it, ``skip`` the download, ``skip_if_same`` (same
        size and CRC-64), or ``fail`` (templated)
    :param skip_as: how the task ends if ``if_exists`` skips the download: as a ``success``, or as ``skipped``
        (templated)
    :param event_if_skipped: emit the events of the outlets even if the download was skipped (templated)
    :param on_kill_action: what to do if Airflow stops the task: ``keep`` the part file for the next try, or ``abort``:
        delete the part file and the checkpoint (templated)
    :param on_final_failure: the same choice, for a task that fails and has no retry left (templated)
    :param object_changed: what to do if the object changes during the download: ``restart`` once, or ``fail``
        (templated)
    :param version_id: the version of the object. Default: the current one (templated)
    :param create_parents: create the file's folder if it does not exist (templated)
    :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``. Default: set by the worker's umask
        (templated)
    :param preserve_mtime: set the file's mtime to the object's Last-Modified (templated)
    :param byte_range: ``(start, stop)``, stop excluded: download only these bytes. OSS has no CRC-64 of a part of an
        object, so the file is not compared with one (templated)
    :param request_payer: ``requester`` if the requester pays instead of the bucket's owner (templated)
    :param traffic_limit: OSS's limit for each request, 819,200 to 838,860,800 bits per second (templated)
    :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose XCom holds the checkpoint (templated)
    :param show_progress: update the task's entry ``ossresume-progress``; see :class:`OSSResumableUploadOperator`
        (templated)
    """

    template_fields: Sequence[str] = (
        "key",
        "file",
        *TRANSFER_FIELDS,
        "object_changed",
        "version_id",
        "create_parents",
        "file_mode",
        "preserve_mtime",
        "byte_range",
        "request_payer",
        "traffic_limit",
    )
    ui_color = "#cde8ff"
    writes_object = False

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
        self._mode_as_written = file_mode  # native rendering turns a string into a number
        self.preserve_mtime = preserve_mtime
        self.byte_range = byte_range

    def _transfer(self, context: Any) -> TransferResult:
        return self.hook.download_file(
            self.key,
            self.file,
            self.bucket_name,
            object_changed=self.object_changed,
            version_id=self.version_id,
            create_parents=self.create_parents,
            file_mode=self._mode(),
            preserve_mtime=self.preserve_mtime,
            byte_range=self.byte_range,
            request_payer=self.request_payer,
            traffic_limit=self.traffic_limit,
            **self._transfer_arguments(context),
        )

    def _mode(self) -> int | None:
        mode, written = self.file_mode, self._mode_as_written
        if mode in (None, ""):
            return None
        if isinstance(mode, int) and isinstance(written, str) and "{" not in written:
            mode = written  # not a template: use the string as the author wrote it
        return parse_mode("file_mode", mode, was_text=isinstance(written, str))

    def _destination(self, result: TransferResult) -> str:
        shown = printable_path(result.path)
        if shown != result.path:
            log.warning(
                "The file's name is not UTF-8, and an XCom cannot hold such a name; the task returns it as %s", shown
            )
        return shown
