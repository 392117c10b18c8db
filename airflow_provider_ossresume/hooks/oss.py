"""The hook for Alibaba Cloud OSS with resumable transfers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import BaseHook, current_context, find_connection, why_not_callable
from airflow_provider_ossresume.checkpoints.select import CheckpointStore, select_store
from airflow_provider_ossresume.errors import ArgumentError, NoSuchKey, OSSResumeError
from airflow_provider_ossresume.hooks import widgets
from airflow_provider_ossresume.hooks.checkup import check_up
from airflow_provider_ossresume.hooks.cleaning import (
    abort_uploads,
    checkpointed_uploads,
    clean_checkpoints,
    current_version,
    delete_objects,
    listable_store,
    stores_that_spare,
)
from airflow_provider_ossresume.hooks.cleaning import work_folder as open_work_folder
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.lineage import report_lineage
from airflow_provider_ossresume.hooks.object_lookup import Ask, Check, Look, look
from airflow_provider_ossresume.hooks.observing import observer_for
from airflow_provider_ossresume.hooks.running import Run
from airflow_provider_ossresume.hooks.sets import SetMethods
from airflow_provider_ossresume.model.arguments import Duration, Flag, parse_duration, parse_flag, refuse_empty
from airflow_provider_ossresume.model.checkpoint_keys import checkpoint_keys, describe_transfer
from airflow_provider_ossresume.model.cleaning import (
    AbortReport,
    CheckpointReport,
    DeleteReport,
    LeftFilesReport,
    Staleness,
    WorkFolderReport,
)
from airflow_provider_ossresume.model.copy_options import CopyOptions, copied_properties
from airflow_provider_ossresume.model.copying import CopyMode
from airflow_provider_ossresume.model.object_options import (
    ObjectOptions,
    RequestPayer,
    object_headers,
    request_headers,
)
from airflow_provider_ossresume.model.objects import (
    ListedUpload,
    ObjectMeta,
    ObjectRef,
    PrefixRef,
    check_new_key,
    check_text,
    parse_oss_url,
    refuse_whole_bucket,
    resolve_names,
    resolve_prefix,
    resolve_target,
)
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind
from airflow_provider_ossresume.model.waiting import Wanted
from airflow_provider_ossresume.sets.cleaning import clean_work_folder
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.former_keys import FormerKeyStore
from airflow_provider_ossresume.transfer.left_files import clean_left_files
from airflow_provider_ossresume.transfer.options import (
    CopyTransferOptions,
    DownloadOptions,
    Fingerprint,
    IfExists,
    OnChange,
    UploadOptions,
    split_headers,
)
from airflow_provider_ossresume.transfer.paths import local_path, printable_path
from airflow_provider_ossresume.transfer.progress import ProgressCallback
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.upload import Uploader

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_ossresume.oss.client import OssClient


class OSSResumeHook(SetMethods, BaseHook):
    """Talk to Alibaba Cloud OSS, and move files part by part so that a later try goes on where this one ended.

    Nothing is looked up until the first call. Connections of the official Alibaba provider (type ``oss``) work too.

    A bucket is named by an ``oss://`` URL in place of a key, else by ``bucket_name``, else by the connection; a URL and
    an argument that disagree are an error.

    :param oss_conn_id: the Airflow connection; None takes the worker's own credentials, as the auth mode ``default``
        of a connection does, with ``region`` or ``OSS_REGION`` and perhaps ``OSS_ENDPOINT`` of its environment
    :param region: takes the place of the connection's, such as ``cn-hangzhou``
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig`, or a dict of its
        fields
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_default"
    conn_type = "oss_resume"
    hook_name = "Alibaba Cloud OSS (resumable)"

    def __init__(
        self,
        oss_conn_id: str | None = "oss_default",
        region: str | None = None,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.oss_conn_id = oss_conn_id
        self.region = region
        self._transfer_config = transfer_config

    @cached_property
    def transfer_config(self) -> TransferConfig:
        return TransferConfig.of(self._transfer_config)

    @cached_property
    def settings(self) -> ConnectionSettings:
        """What the connection says, or without one the worker's environment.

        :raises ArgumentError: when a field cannot be used, or there is no connection of that name; and in a thread or
            a process that must not call Airflow, where it was not looked up before
        """
        if self.oss_conn_id is None:
            return ConnectionSettings.of_the_worker()
        instead = "name a connection, or pass None for the worker's own credentials"
        check_text("oss_conn_id", self.oss_conn_id)
        refuse_empty("oss_conn_id", self.oss_conn_id, instead=instead)
        context = current_context()
        if context is not None and (refusal := why_not_callable(context)):
            reason = f"{refusal}; call get_conn() of the hook in the task's main thread first, before you start others"
            raise ArgumentError("oss_conn_id", self.oss_conn_id, reason)
        return ConnectionSettings.of(find_connection(self.oss_conn_id, self.get_connection))

    @cached_property
    def conn(self) -> OssClient:
        return self.settings.client(self.transfer_config, region=self.region)

    def get_conn(self) -> OssClient:
        """Return the client; made at the first call, with the connection's settings.

        :raises ArgumentError: when the connection cannot be used as it is; the error names the field
        :raises CredentialsError: when it holds no credentials
        """
        return self.conn

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and what it leads to or what to do.

        Sends one harmless request, and takes about 15 seconds at most; see
        :func:`~airflow_provider_ossresume.hooks.checkup.check_up`.
        """
        try:
            settings = self.settings
        except OSSResumeError as error:
            return False, str(error)
        return check_up(settings, region=self.region)

    @staticmethod
    def parse_oss_url(url: str) -> tuple[str, str]:
        """Return the bucket and key of ``oss://bucket/key``."""
        return parse_oss_url(url)

    def target(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> ObjectRef:
        """Return the object that key and bucket name mean; an ``ObjectRef`` means what it says.

        :raises ArgumentError: when they disagree, no bucket is named, one of them is empty, or OSS forbids a name
        """
        return resolve_target(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), version_id=version_id
        )

    def key_pattern(self, key: str, bucket_name: str | None = None, *, kind: PatternKind = "key") -> KeyPattern:
        """Return the pattern that key and bucket name mean, for keys to be looked for.

        :raises ArgumentError: when they disagree, no bucket is named, or no key can match
        """
        bucket, text = resolve_names(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), argument="bucket_key"
        )
        return KeyPattern(bucket, text, kind)

    def prefix(self, prefix: str | PrefixRef | None = None, bucket_name: str | None = None) -> PrefixRef:
        """Return the objects that a prefix and a bucket name mean; the prefix may be an ``oss://bucket/prefix`` URL.

        None means the whole bucket. A ``PrefixRef`` means what it says.

        :raises ArgumentError: when they disagree, no bucket is named, one of them is ``""``, or no key can begin so
        """
        return resolve_prefix(prefix, bucket_name, default_bucket=self._default_bucket(prefix, bucket_name))

    def _default_bucket(self, name: object, bucket_name: str | None) -> str | None:
        """Return the connection's bucket; without a look at the connection where it is not needed."""
        has_bucket = isinstance(name, (ObjectRef, PrefixRef)) or (isinstance(name, str) and name.startswith("oss://"))
        return None if bucket_name is not None or has_bucket else self.settings.bucket

    # --- transfers ----------------------------------------------------------------------------------------------------

    def upload_file(
        self,
        file: str | os.PathLike[str],
        key: str,
        bucket_name: str | None = None,
        *,
        checkpoint: str | CheckpointStore = "auto",
        if_exists: IfExists = "overwrite",
        source_changed: OnChange = "restart",
        fingerprint: Fingerprint = "content",
        xcom_holder_task_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        show_progress: Flag = False,
        progress_callback: ProgressCallback | None = None,
        watch: Callable[[], None] = lambda: None,
        drop_when: Callable[[BaseException], bool] = lambda error: False,
        **object_options: Unpack[ObjectOptions],
    ) -> TransferResult:
        """Upload a file, going on from what an earlier try of this task has sent.

        A task may return the result: the next one gets the dict that its ``report()`` returns.

        :param file: the local file; ``~`` stands for the home folder
        :param key: the object's key, or an ``oss://`` URL; one that ends with ``/``, or holds a line break, is refused
        :param checkpoint: where the checkpoint is kept; see
            :func:`~airflow_provider_ossresume.checkpoints.select.select_store`
        :param if_exists: ``overwrite``, ``skip``, ``skip_if_same`` (size and CRC-64), or ``fail``, which OSS
            itself guards
        :param source_changed: ``restart`` once, or ``fail``, when the file changes under the upload
        :param fingerprint: how a part that OSS has is known to be the file's: by its ``content``, which is read again,
            or by the file's ``stat`` (inode, size, mtime and ctime are those of when it was sent)
        :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose row holds it
        :param context: of the running task; found by itself inside one
        :param show_progress: keep up the entry ``ossresume-progress`` of the running task, in its task state store
            (Airflow 3.3) or its XComs; not for a task with ``do_xcom_push=False``
        :param progress_callback: called with (bytes done, bytes in total) from this thread
        :param watch: called from this thread at least four times a second; what it raises ends the try
        :param drop_when: called with what ends the try unfinished; True drops what it and earlier ones have done: the
            upload is aborted, or the part file removed, and the checkpoint deleted. Else all is kept for the next try.
        :param object_options: ``content_type``, ``metadata``, ``tags``, ``storage_class`` and the others of
            :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`
        :raises OSSResumeError: of the kinds that :meth:`target` and
            :meth:`~airflow_provider_ossresume.transfer.upload.Uploader.upload` name
        """
        file = local_path(file)
        target = self.target(key, bucket_name)
        check_new_key(target.key)
        run = Run(context or current_context())
        with_requests, with_object = split_headers(object_headers(target.key, object_options))
        options = UploadOptions(
            if_exists=if_exists,
            source_changed=source_changed,
            fingerprint=fingerprint,
            headers=with_object,
            earlier_try=run.owner.try_number > 1,
        )
        uploader = Uploader(
            self.get_conn().with_headers(with_requests),
            target,
            self._checkpointer(run, "upload", target, file, checkpoint, xcom_holder_task_id),
            config=self.transfer_config,
            options=options,
            watch=watch,
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(run.context, show_progress=parse_flag("show_progress", show_progress)),
        )
        result = uploader.upload(file)
        report_lineage(self, run.context, result)
        return result

    def download_file(
        self,
        key: str,
        file: str | os.PathLike[str],
        bucket_name: str | None = None,
        *,
        checkpoint: str | CheckpointStore = "auto",
        if_exists: IfExists = "overwrite",
        object_changed: OnChange = "restart",
        version_id: str | None = None,
        create_parents: Flag = True,
        file_mode: int | str | None = None,
        preserve_mtime: Flag = False,
        byte_range: Sequence[int | str] | None = None,
        request_payer: RequestPayer | None = None,
        traffic_limit: int | str | None = None,
        xcom_holder_task_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        show_progress: Flag = False,
        progress_callback: ProgressCallback | None = None,
        watch: Callable[[], None] = lambda: None,
        drop_when: Callable[[BaseException], bool] = lambda error: False,
    ) -> TransferResult:
        """Download an object, going on from what an earlier try of this task has fetched to this disk.

        The file appears under its name at once and whole; until then a part file beside it holds what has come.

        :param file: where the object goes; ``~`` stands for the home folder
        :param object_changed: ``restart`` once, or ``fail``, when the object changes under the download
        :param version_id: of the object; by default the current one
        :param create_parents: make the file's folder when it is absent
        :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``; as the umask has it by default
        :param preserve_mtime: give the file the object's Last-Modified as its time of modification
        :param byte_range: ``(start, stop)`` of the object's bytes, stop excluded; all of them by default. OSS has a
            CRC-64 of whole objects only, so the file is not compared with one
        :param request_payer: ``requester``, when who asks pays, not the bucket's owner
        :param traffic_limit: bits per second that OSS allows each request, 819,200 to 838,860,800
        :raises OSSResumeError: of the kinds that :meth:`target` and
            :meth:`~airflow_provider_ossresume.transfer.download.Downloader.download` name

        The other parameters are those of :meth:`upload_file`.
        """
        file = local_path(file)
        target = self.target(key, bucket_name, version_id=version_id)
        run = Run(context or current_context())
        options = DownloadOptions(
            if_exists=if_exists,
            object_changed=object_changed,
            create_parents=parse_flag("create_parents", create_parents),
            file_mode=file_mode,
            preserve_mtime=parse_flag("preserve_mtime", preserve_mtime),
            byte_range=byte_range,
            earlier_try=run.owner.try_number > 1,
        )
        headers = request_headers(request_payer=request_payer, traffic_limit=traffic_limit)
        downloader = Downloader(
            self.get_conn().with_headers(headers),
            target,
            self._checkpointer(
                run, "download", target, file, checkpoint, xcom_holder_task_id, byte_range=options.slice
            ),
            config=self.transfer_config,
            options=options,
            watch=watch,
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(run.context, show_progress=parse_flag("show_progress", show_progress)),
        )
        result = downloader.download(file)
        report_lineage(self, run.context, result)
        return result

    def copy_object(
        self,
        source_key: str | ObjectRef,
        dest_key: str | ObjectRef,
        *,
        source_bucket_name: str | None = None,
        dest_bucket_name: str | None = None,
        source_version_id: str | None = None,
        source_hook: OSSResumeHook | None = None,
        copy_mode: CopyMode = "server",
        checkpoint: str | CheckpointStore = "auto",
        if_exists: IfExists = "overwrite",
        object_changed: OnChange = "restart",
        xcom_holder_task_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        show_progress: Flag = False,
        progress_callback: ProgressCallback | None = None,
        watch: Callable[[], None] = lambda: None,
        drop_when: Callable[[BaseException], bool] = lambda error: False,
        **copy_options: Unpack[CopyOptions],
    ) -> TransferResult:
        """Copy an object of any size, going on from what an earlier try of this task has copied.

        OSS copies within a region, and no byte passes the worker: by one request where it takes that, else part by
        part.

        :param source_key: the source's key, or an ``oss://`` URL
        :param dest_key: the copy's; one that ends with ``/``, or holds a line break, is refused
        :param source_version_id: which version of the source; by default the current one
        :param source_hook: reads the source, where that takes another connection
        :param copy_mode: ``server``, or ``stream``: this worker reads the source and writes the copy, for two regions
            or two accounts
        :param if_exists: ``overwrite``, ``skip``, ``skip_if_same`` (CRC-64, metadata, tags and ACL), or ``fail``, which
            OSS itself guards
        :param object_changed: ``restart`` once, or ``fail``, when the source changes under the copy
        :param copy_options: ``metadata_directive``, ``tagging_directive``, ``storage_class``, ``acl`` and the others of
            :class:`~airflow_provider_ossresume.model.copy_options.CopyOptions`
        :raises OSSResumeError: of the kinds that :meth:`target` and
            :meth:`~airflow_provider_ossresume.transfer.copy.Copier.copy` name

        The other parameters are those of :meth:`upload_file`.
        """
        reader = source_hook or self
        source = _source_of_copy(reader, source_key, source_bucket_name, version_id=source_version_id)
        target = current_version(self.target(dest_key, dest_bucket_name))
        check_new_key(target.key)
        properties = copied_properties(target.key, copy_options)
        client, source_client = self.get_conn(), reader.get_conn()
        run = Run(context or current_context())
        copier = Copier(
            client.with_headers(properties.with_requests),
            target,
            self._checkpointer(run, "copy", target, source, checkpoint, xcom_holder_task_id),
            config=self.transfer_config,
            options=CopyTransferOptions(
                properties=properties,
                mode=copy_mode,
                if_exists=if_exists,
                object_changed=object_changed,
                regions=(source_client.region, client.region),
                earlier_try=run.owner.try_number > 1,
            ),
            watch=watch,
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(run.context, show_progress=parse_flag("show_progress", show_progress)),
        )
        reads = source_client.with_headers(properties.with_requests) if source_hook else None
        result = copier.copy(source, oss=reads)
        report_lineage(self, run.context, result)
        return result

    def _checkpointer(
        self,
        run: Run,
        direction: str,
        target: ObjectRef,
        other_end: str | ObjectRef,
        checkpoint: str | CheckpointStore,
        xcom_holder_task_id: str | None,
        byte_range: tuple[int, int] | None = None,
    ) -> Checkpointer:
        path = os.path.abspath(other_end) if isinstance(other_end, str) else other_end.versioned_uri
        store = select_store(
            checkpoint,
            context=run.context,
            description=describe_transfer(direction, target, printable_path(path), by=run.name, byte_range=byte_range),
            xcom_holder_task_id=xcom_holder_task_id,
        )
        keys = checkpoint_keys(direction, target, path, task=run.task, byte_range=byte_range)
        return Checkpointer(
            FormerKeyStore(store, keys, target=target, path=path, byte_range=byte_range),
            keys.present,
            owner=run.owner,
            began=run.began,
            interval=self.transfer_config.checkpoint_interval,
        )

    def clean_checkpoints(
        self,
        checkpoint: str = "variable",
        *,
        older_than: Duration,
        keys: Iterable[str] | None = None,
        gone_uploads: bool | str = False,
        dry_run: bool | str = True,
        context: Mapping[str, Any] | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> CheckpointReport:
        """Delete left-over checkpoints; see :func:`~airflow_provider_ossresume.hooks.cleaning.clean_checkpoints`.

        :param checkpoint: the store: ``variable``, ``file``, ``file:FOLDER`` or ``work_folder:FOLDER``
        :param gone_uploads: those too whose upload OSS does not know any more, whatever their age
        :raises ArgumentError: for a store whose checkpoints no task can list
        """
        return clean_checkpoints(
            listable_store("checkpoint", checkpoint, context=context or current_context(), oss=self.get_conn),
            keys=keys,
            older_than=parse_duration("older_than", older_than),
            dry_run=parse_flag("dry_run", dry_run),
            oss=self.get_conn() if parse_flag("gone_uploads", gone_uploads) else None,
            watch=watch,
        )

    def clean_work_folder(
        self,
        work_folder: str,
        *,
        older_than: Duration,
        dry_run: bool | str = True,
        watch: Callable[[], None] = lambda: None,
    ) -> WorkFolderReport:
        """Remove old plans from a work folder; see :func:`~airflow_provider_ossresume.sets.cleaning.clean_work_folder`.

        :param work_folder: an ``oss://bucket/prefix/`` URL, or an absolute path
        """
        return clean_work_folder(
            open_work_folder("work_folder", work_folder, self.get_conn),
            older_than=parse_duration("older_than", older_than),
            is_dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )

    def clean_part_files(
        self,
        folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        older_than: Duration,
        recursive: bool | str = False,
        dry_run: bool | str = True,
        watch: Callable[[], None] = lambda: None,
    ) -> LeftFilesReport:
        """Remove the part files that downloads have left on this worker; no connection is looked up.

        See :func:`~airflow_provider_ossresume.transfer.left_files.clean_left_files`.

        :param folder: one or more, as absolute paths
        """
        return clean_left_files(
            [folder] if isinstance(folder, (str, os.PathLike)) else folder,
            older_than=parse_duration("older_than", older_than),
            recursive=parse_flag("recursive", recursive),
            dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )

    # --- objects ------------------------------------------------------------------------------------------------------

    def head_object(self, key: str, bucket_name: str | None = None) -> ObjectMeta:
        """Return what OSS says of an object. A task may return it: the next one gets a dict.

        :raises NoSuchKey: when it does not exist
        """
        return self.get_conn().head_object(self.target(key, bucket_name))

    def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Tell whether an object exists; only a missing key is False, every other answer raises.

        :raises NoSuchBucket: when the bucket is missing
        :raises AccessDenied: when the permission oss:GetObject is missing
        """
        try:
            self.head_object(key, bucket_name)
        except NoSuchKey:
            return False
        return True

    def look(self, wanted: Wanted, *, check: Check | None = None, ask: Ask | None = None) -> Look:
        """Look once for what a sensor waits for; see :func:`~airflow_provider_ossresume.hooks.object_lookup.look`."""
        return look(self.get_conn(), wanted, check=check, ask=ask)

    def list_keys(
        self, bucket_name: str | None = None, *, prefix: str | None = None, start_after: str = "", delimiter: str = ""
    ) -> list[str]:
        """Return the keys that begin with the prefix, in the order of their bytes; all pages are fetched.

        What is returned, given back with the same bucket, names the same object: a key that looks like a
        URL, or like a list, stands here as its URI.

        :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param start_after: only keys behind this one
        :param delimiter: keys that hold it behind the prefix are left out, as those in sub-folders
        :raises ArgumentError: as :meth:`prefix`
        """
        where = self.prefix(prefix, bucket_name)
        return [found.name for found in self.find_objects(where, start_after=start_after, delimiter=delimiter)]

    def iterate_keys(
        self,
        text: str | None = None,
        bucket_name: str | None = None,
        *,
        kind: PatternKind | None = None,
        delimiter: str = "",
    ) -> Iterator[str]:
        """Yield the keys that begin with a prefix or match a pattern, as :meth:`list_keys` returns them, page by page.

        :param text: the prefix, or the pattern, or an ``oss://`` URL of either; None for the whole bucket
        :param kind: ``wildcard`` or ``regex``; None for a prefix
        :raises ArgumentError: as :meth:`key_pattern` and :meth:`prefix`
        """
        where = self.key_pattern(text or "", bucket_name, kind=kind) if kind else self.prefix(text, bucket_name)
        return (found.name for found in self.find_objects(where, delimiter=delimiter))

    def find_objects(
        self, where: PrefixRef | KeyPattern, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ObjectRef]:
        """Yield the objects of a prefix, or that match a pattern; further pages are fetched as they are asked for.

        :param where: what :meth:`prefix` or :meth:`key_pattern` returns
        :param start_after: only keys behind this one
        :param delimiter: keys that hold it behind the prefix, or the pattern's literal beginning, are left out
        """
        check_text("delimiter", delimiter)
        objects = self.get_conn().list_objects(
            where.bucket, prefix=where.prefix, start_after=start_after, delimiter=delimiter
        )
        return (ObjectRef(where.bucket, listed.key) for listed in objects if where.matches(listed.key))

    def delete_many(
        self, targets: Iterable[ObjectRef], *, dry_run: bool | str = False, watch: Callable[[], None] = lambda: None
    ) -> DeleteReport:
        """Delete any number of objects as they come; see :func:`~airflow_provider_ossresume.hooks.cleaning`."""
        return delete_objects(
            self.get_conn(), map(self.target, targets), dry_run=parse_flag("dry_run", dry_run), watch=watch
        )

    def delete_objects(
        self, keys: str | ObjectRef | Iterable[str | ObjectRef], bucket_name: str | None = None
    ) -> list[str]:
        """Delete objects and return the keys that are gone, as :meth:`list_keys` does; one that did not exist counts.

        :param keys: a key or keys, or ``oss://`` URLs; none of them is nothing to do
        :raises ArgumentError: as :meth:`target`, before anything is deleted
        """
        keys = [keys] if isinstance(keys, (str, ObjectRef)) else keys
        if not isinstance(keys, Iterable):
            raise ArgumentError("keys", keys, "give a key, or a list of keys")
        targets = [current_version(self.target(key, bucket_name)) for key in keys]
        gone: list[str] = []
        for bucket in dict.fromkeys(target.bucket for target in targets):
            deleted = self.get_conn().delete_objects(bucket, [t.key for t in targets if t.bucket == bucket])
            gone += [ObjectRef(bucket, key).name for key in deleted]
        return gone

    def list_multipart_uploads(
        self, bucket_name: str | None = None, *, prefix: str | None = None
    ) -> list[ListedUpload]:
        """Return the bucket's unfinished multipart uploads, whoever began them.

        :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        """
        where = self.prefix(prefix, bucket_name)
        return list(self.get_conn().list_uploads(where.bucket, prefix=where.prefix))

    def abort_multipart_upload(self, key: str | ObjectRef, upload_id: str, bucket_name: str | None = None) -> None:
        """Drop an unfinished upload and its parts.

        :raises NoSuchUpload: when it is over already
        :raises ArgumentError: for an empty upload ID, too
        """
        check_text("upload_id", upload_id)
        refuse_empty("upload_id", upload_id)
        self.get_conn().abort(current_version(self.target(key, bucket_name)), upload_id)

    def abort_stale_uploads(
        self,
        bucket_name: str | None = None,
        *,
        staleness: Staleness,
        prefix: str | None = None,
        count_bytes: bool | str = False,
        spare_checkpoints: str | Sequence[str] = "auto",
        dry_run: bool | str = True,
        context: Mapping[str, Any] | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> AbortReport:
        """Drop the bucket's unfinished uploads that are stale, whoever began them.

        See :func:`~airflow_provider_ossresume.hooks.cleaning.abort_uploads`.

        :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param spare_checkpoints: stores whose checkpoints keep the uploads that they name; see
            :func:`~airflow_provider_ossresume.hooks.cleaning.stores_that_spare`
        :raises ArgumentError: as :meth:`prefix`, and for a URL without a prefix, as ``oss://bucket/``
        """
        where = self.prefix(prefix, bucket_name)
        refuse_whole_bucket(prefix, where, instead="set bucket_name and leave prefix out")
        stores = stores_that_spare(spare_checkpoints, context=context or current_context(), oss=self.get_conn)
        staleness = replace(staleness, checkpointed_ids=checkpointed_uploads(stores, watch=watch))
        return abort_uploads(
            self.get_conn(),
            where,
            staleness=staleness,
            count_bytes=parse_flag("count_bytes", count_bytes),
            dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )

    def generate_presigned_url(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, method: str = "GET", expires: Duration = 3600
    ) -> str:
        """Return a URL with which whoever has it may do one thing with the object. It is a secret: do not log it.

        :param method: GET, HEAD, PUT or DELETE; anything else is an ArgumentError
        :param expires: seconds, a timedelta, or a text such as ``"1h"``; at most seven days with V4 signatures
        """
        seconds = int(parse_duration("expires", expires, least=1).total_seconds())
        return self.get_conn().presigned_url(method, self.target(key, bucket_name), expires=seconds)

    # --- the connection form ------------------------------------------------------------------------------------------

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows the standard fields; Airflow 3.2 and later read the provider's metadata instead."""
        return widgets.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields; Airflow 3.2 and later read the provider's metadata instead."""
        return widgets.connection_form_widgets()


def _source_of_copy(
    reader: OSSResumeHook, key: str | ObjectRef, bucket_name: str | None, *, version_id: str | None
) -> ObjectRef:
    """Return the object that is copied; what is wrong with its name is said of the source's arguments."""
    try:
        return reader.target(key, bucket_name, version_id=version_id)
    except ArgumentError as error:
        if error.argument not in ("key", "bucket_name", "version_id"):
            raise
        raise ArgumentError(f"source_{error.argument}", error.value, error.reason) from error
