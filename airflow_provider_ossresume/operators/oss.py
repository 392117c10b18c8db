"""Operators that upload and download files part by part; a retried task goes on from its last finished part."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_ossresume._airflow import AirflowFailException, AirflowSkipException, is_last_try
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.hooks.telling import may_push, tell
from airflow_provider_ossresume.links.oss import OSSObjectLink, OSSUploadsLink, console_urls
from airflow_provider_ossresume.model.arguments import Flag, parse_flag, parse_mode
from airflow_provider_ossresume.model.object_options import (
    Acl,
    DataEncryption,
    Encryption,
    ObjectOptions,
    RequestPayer,
    StorageClass,
)
from airflow_provider_ossresume.model.objects import check_choice
from airflow_provider_ossresume.operators._base import OSSOperator
from airflow_provider_ossresume.operators.lineage import TransferLineage
from airflow_provider_ossresume.transfer.paths import printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.checkpoints.select import CheckpointStore
    from airflow_provider_ossresume.transfer.config import TransferConfig
    from airflow_provider_ossresume.transfer.options import Fingerprint, IfExists, OnChange
    from airflow_provider_ossresume.transfer.result import TransferResult

WhatIsDone = Literal["keep", "abort"]
SkipAs = Literal["success", "skipped"]

log = logging.getLogger(__name__)

_OBJECT_OPTIONS = tuple(ObjectOptions.__annotations__)
_CHOICES: Mapping[str, Any] = {"on_kill_action": WhatIsDone, "on_final_failure": WhatIsDone, "skip_as": SkipAs}


class _TransferOperator(TransferLineage, OSSOperator):
    """What both operators share: one transfer a try, and its end told to Airflow."""

    operator_extra_links = (OSSObjectLink(), OSSUploadsLink())

    def __init__(
        self,
        *,
        file: str,
        key: str,
        bucket_name: str | None = None,
        checkpoint: str | CheckpointStore = "auto",
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        if_exists: IfExists = "overwrite",
        skip_as: SkipAs = "success",
        event_if_skipped: Flag = False,
        on_kill_action: WhatIsDone = "keep",
        on_final_failure: WhatIsDone = "keep",
        request_payer: RequestPayer | None = None,
        traffic_limit: int | str | None = None,
        xcom_holder_task_id: str | None = None,
        show_progress: Flag = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.key = key
        self.bucket_name = bucket_name
        self.checkpoint = checkpoint
        self.transfer_config = transfer_config
        self.if_exists = if_exists
        self.skip_as = skip_as
        self.event_if_skipped = event_if_skipped
        self.on_kill_action = on_kill_action
        self.on_final_failure = on_final_failure
        self.request_payer = request_payer
        self.traffic_limit = traffic_limit
        self.xcom_holder_task_id = xcom_holder_task_id
        self.show_progress = show_progress
        self.console_urls: dict[str, str] = {}

    def _work(self, context: Any) -> TransferResult:
        self._is_last_try = is_last_try(context)
        for argument, choices in _CHOICES.items():
            check_choice(argument, getattr(self, argument), get_args(choices))
        self.has_event_if_skipped = parse_flag("event_if_skipped", self.event_if_skipped)
        self._find_links(context)
        return self._transfer(context)

    def _finish(self, context: Any, done: TransferResult) -> str:
        """Tell what happened, also as the XCom ``report``, and return where it went.

        :raises AirflowSkipException: when nothing had to be done, and ``skip_as`` says so
        """
        self._result = done
        self._tell_outlets(context, done)
        if may_push(context):
            report = {**done, "tries": context["ti"].try_number}
            tell("the XCom report", lambda: context["ti"].xcom_push(key="report", value=report))
        destination = self._destination(done)
        if done.outcome == "skipped" and self.skip_as == "skipped":
            raise AirflowSkipException(f"{destination} was left as it is, and skip_as='skipped'")
        return destination

    def _find_links(self, context: Any) -> None:
        client = self.hook.get_conn()
        target = self.hook.target(self.key, self.bucket_name)

        def push() -> None:
            self.console_urls = console_urls(target, host=client.endpoint.host, region=client.region)
            for key, url in self.console_urls.items() if may_push(context) else ():
                context["ti"].xcom_push(key=key, value=url)

        tell("the links to the OSS console", push)

    def _left_to_next_try(self) -> str:
        if self.on_kill_action == "abort":
            return "what is done is dropped, as on_kill_action='abort' wants it"
        return "its checkpoint and finished parts are kept for the next try"

    def _drop_when(self, error: BaseException) -> bool:
        """Tell whether what this try and earlier ones have done is of no use any more."""
        if self._is_killed:
            return self.on_kill_action == "abort"
        is_final = self._is_last_try or isinstance(error, AirflowFailException)
        is_final |= isinstance(error, OSSResumeError) and not error.retryable
        return is_final and self.on_final_failure == "abort"

    def _transfer(self, context: Any) -> TransferResult:
        """Move the bytes; each direction has its own way."""
        raise NotImplementedError

    def _destination(self, result: TransferResult) -> str:
        """Return where the bytes have got to, which each direction knows."""
        raise NotImplementedError


class OSSResumableUploadOperator(_TransferOperator):
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
        *_OBJECT_OPTIONS,
        "xcom_holder_task_id",
    )
    ui_color = "#ffe2c8"
    makes_object = True

    def __init__(
        self,
        *,
        file: str,
        key: str,
        source_changed: OnChange = "restart",
        fingerprint: Fingerprint = "content",
        content_type: str | None = None,
        content_encoding: str | None = None,
        content_disposition: str | None = None,
        content_language: str | None = None,
        cache_control: str | None = None,
        expires: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: StorageClass | None = None,
        acl: Acl | None = None,
        server_side_encryption: Encryption | None = None,
        sse_kms_key_id: str | None = None,
        sse_data_encryption: DataEncryption | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(file=file, key=key, **kwargs)
        self.source_changed = source_changed
        self.fingerprint = fingerprint
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.content_disposition = content_disposition
        self.content_language = content_language
        self.cache_control = cache_control
        self.expires = expires
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.acl = acl
        self.server_side_encryption = server_side_encryption
        self.sse_kms_key_id = sse_kms_key_id
        self.sse_data_encryption = sse_data_encryption
        self.headers = headers

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
            **{name: getattr(self, name) for name in _OBJECT_OPTIONS},
        )

    def _destination(self, result: TransferResult) -> str:
        return result.target.uri


class OSSResumableDownloadOperator(_TransferOperator):
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
        super().__init__(file=file, key=key, **kwargs)
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
            log.warning("The name of the file is not UTF-8, which no XCom takes; the task returns it as %s", shown)
        return shown
