"""The hook's methods that transfer one file or one object, part by part."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.checkpoints.select import CheckpointStore, select_store
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.cleaning import check_no_version
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.hooks.current_try import CurrentTry
from airflow_provider_ossresume.hooks.lineage import report_lineage
from airflow_provider_ossresume.hooks.progress import observer_for
from airflow_provider_ossresume.model.arguments import Flag, parse_flag
from airflow_provider_ossresume.model.checkpoint_keys import checkpoint_keys, describe_transfer
from airflow_provider_ossresume.model.copy_options import CopyOptions, copied_properties
from airflow_provider_ossresume.model.copying import CopyMode
from airflow_provider_ossresume.model.object_names import check_new_key
from airflow_provider_ossresume.model.object_options import (
    ObjectOptions,
    RequestPayer,
    object_headers,
    request_headers,
)
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.legacy_keys import LegacyKeyStore
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


class TransferMethods(ConnectedHook):
    """The methods of the hook that transfer one file or object, and resume the transfer of an earlier try."""

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
        """Upload a file. Resumes the upload of an earlier try of this task.

        A task may return the result: the next task gets the dict of its ``report()``.

        :param file: the local file; ``~`` means the home folder
        :param key: the object's key, or an ``oss://`` URL. A key that ends with ``/`` or contains a line break is an
            error
        :param checkpoint: where the checkpoint is kept; see
            :func:`~airflow_provider_ossresume.checkpoints.select.select_store`
        :param if_exists: ``overwrite``, ``skip``, ``skip_if_same`` (same size, CRC-64 and options), or ``fail``. With
            ``fail``, OSS itself refuses to overwrite
        :param source_changed: what to do if the file changes during the upload: ``restart`` once, or ``fail``
        :param fingerprint: how a part on OSS is compared with the file: ``content`` reads the file again, ``stat``
            compares inode, size, mtime and ctime
        :param xcom_holder_task_id: for ``checkpoint="xcom"``: the task whose XCom holds the checkpoint
        :param context: the context of the running task. Inside a task it is found automatically
        :param show_progress: update the entry ``ossresume-progress`` of the running task, in its task state store
            (Airflow 3.3) or its XComs. It has no effect for a task with ``do_xcom_push=False``
        :param progress_callback: called from this thread, with (bytes done, bytes in total)
        :param watch: called from this thread at least four times a second; an exception that it raises ends the try
        :param drop_when: called with the exception if the try fails. If it returns True, the work of all tries is
            deleted: the upload is aborted, or the part file removed, and the checkpoint deleted. Otherwise it is kept
            for the next try
        :param object_options: ``content_type``, ``metadata``, ``tags``, ``storage_class`` and the others of
            :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`
        :raises OSSResumeError: see :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.upload.Uploader.upload`
        """
        file = local_path(file)
        target = self.target(key, bucket_name)
        check_new_key(target.key)
        this_try = CurrentTry(context or current_context())
        headers_of_requests, headers_of_object = split_headers(object_headers(target.key, object_options))
        options = UploadOptions(
            if_exists=if_exists,
            source_changed=source_changed,
            fingerprint=fingerprint,
            headers=headers_of_object,
            earlier_try=this_try.owner.try_number > 1,
        )
        uploader = Uploader(
            self.get_conn().with_headers(headers_of_requests),
            target,
            self._checkpointer(this_try, "upload", target, file, checkpoint, xcom_holder_task_id),
            config=self.transfer_config,
            options=options,
            **self._callbacks(this_try, watch, drop_when, progress_callback, show_progress),
        )
        result = uploader.upload(file)
        report_lineage(self, this_try.context, result)
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
        """Download an object. Resumes the download of an earlier try of this task, if its part file is on this disk.

        The file appears under its name only when it is complete. Until then its bytes are in a part file next to it.

        :param file: the local file; ``~`` means the home folder
        :param object_changed: what to do if the object changes during the download: ``restart`` once, or ``fail``
        :param version_id: the version of the object. Default: the current one
        :param create_parents: create the file's folder if it does not exist
        :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``. Default: set by the umask
        :param preserve_mtime: set the file's mtime to the object's Last-Modified
        :param byte_range: ``(start, stop)``, stop excluded: download only these bytes. OSS has no CRC-64 of a range, so
            the file is not compared with one
        :param request_payer: ``requester`` if the requester pays instead of the bucket's owner
        :param traffic_limit: OSS's limit for each request, 819,200 to 838,860,800 bits per second
        :raises OSSResumeError: see :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.download.Downloader.download`

        For the other parameters see :meth:`upload_file`.
        """
        file = local_path(file)
        target = self.target(key, bucket_name, version_id=version_id)
        this_try = CurrentTry(context or current_context())
        options = DownloadOptions(
            if_exists=if_exists,
            object_changed=object_changed,
            create_parents=parse_flag("create_parents", create_parents),
            file_mode=file_mode,
            preserve_mtime=parse_flag("preserve_mtime", preserve_mtime),
            byte_range=byte_range,
            earlier_try=this_try.owner.try_number > 1,
        )
        headers = request_headers(request_payer=request_payer, traffic_limit=traffic_limit)
        downloader = Downloader(
            self.get_conn().with_headers(headers),
            target,
            self._checkpointer(
                this_try, "download", target, file, checkpoint, xcom_holder_task_id, byte_range=options.slice
            ),
            config=self.transfer_config,
            options=options,
            **self._callbacks(this_try, watch, drop_when, progress_callback, show_progress),
        )
        result = downloader.download(file)
        report_lineage(self, this_try.context, result)
        return result

    def copy_object(
        self,
        source_key: str | ObjectRef,
        dest_key: str | ObjectRef,
        *,
        source_bucket_name: str | None = None,
        dest_bucket_name: str | None = None,
        source_version_id: str | None = None,
        source_hook: ConnectedHook | None = None,
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
        """Copy an object of any size. Resumes the copy of an earlier try of this task.

        Within a region OSS makes the copy itself, so no bytes go through the worker. It uses one request if OSS allows
        it, else it copies part by part.

        :param source_key: the source's key, or an ``oss://`` URL
        :param dest_key: the copy's key, or an ``oss://`` URL. A key that ends with ``/`` or contains a line break is an
            error
        :param source_version_id: the version of the source. Default: the current one
        :param source_hook: the hook that reads the source, if that needs another connection
        :param copy_mode: ``server`` lets OSS copy. ``stream`` reads the source and writes the copy with this worker,
            for two regions or two accounts
        :param if_exists: ``overwrite``, ``skip``, ``skip_if_same`` (same CRC-64, metadata, tags and ACL), or ``fail``.
            With ``fail``, OSS itself refuses to overwrite
        :param object_changed: what to do if the source changes during the copy: ``restart`` once, or ``fail``
        :param copy_options: ``metadata_directive``, ``tagging_directive``, ``storage_class``, ``acl`` and the others of
            :class:`~airflow_provider_ossresume.model.copy_options.CopyOptions`
        :raises OSSResumeError: see :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.copy.Copier.copy`

        For the other parameters see :meth:`upload_file`.
        """
        reader = source_hook or self
        source = _source_of_copy(reader, source_key, source_bucket_name, version_id=source_version_id)
        target = check_no_version(self.target(dest_key, dest_bucket_name))
        check_new_key(target.key)
        properties = copied_properties(target.key, copy_options)
        client, source_client = self.get_conn(), reader.get_conn()
        this_try = CurrentTry(context or current_context())
        copier = Copier(
            client.with_headers(properties.with_requests),
            target,
            self._checkpointer(this_try, "copy", target, source, checkpoint, xcom_holder_task_id),
            config=self.transfer_config,
            options=CopyTransferOptions(
                properties=properties,
                mode=copy_mode,
                if_exists=if_exists,
                object_changed=object_changed,
                regions=(source_client.region, client.region),
                earlier_try=this_try.owner.try_number > 1,
            ),
            **self._callbacks(this_try, watch, drop_when, progress_callback, show_progress),
        )
        reads = source_client.with_headers(properties.with_requests) if source_hook else None
        result = copier.copy(source, oss=reads)
        report_lineage(self, this_try.context, result)
        return result

    def _callbacks(
        self,
        this_try: CurrentTry,
        watch: Callable[[], None],
        drop_when: Callable[[BaseException], bool],
        progress_callback: ProgressCallback | None,
        show_progress: Flag,
    ) -> dict[str, Any]:
        """Return the callbacks of every transfer, as its arguments."""
        return {
            "watch": self._stoppable(watch),
            "drop_when": drop_when,
            "progress_callback": progress_callback,
            "observer": observer_for(this_try.context, show_progress=parse_flag("show_progress", show_progress)),
        }

    def _checkpointer(
        self,
        this_try: CurrentTry,
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
            context=this_try.context,
            description=describe_transfer(
                direction, target, printable_path(path), by=this_try.name, byte_range=byte_range
            ),
            xcom_holder_task_id=xcom_holder_task_id,
        )
        keys = checkpoint_keys(direction, target, path, task=this_try.task, byte_range=byte_range)
        return Checkpointer(
            LegacyKeyStore(store, keys, target=target, path=path, byte_range=byte_range),
            keys.present,
            owner=this_try.owner,
            began=this_try.began,
            interval=self.transfer_config.checkpoint_interval,
        )


def _source_of_copy(
    reader: ConnectedHook, key: str | ObjectRef, bucket_name: str | None, *, version_id: str | None
) -> ObjectRef:
    """Return the source of a copy. Its errors name the source's arguments."""
    try:
        return reader.target(key, bucket_name, version_id=version_id)
    except ArgumentError as error:
        if error.argument not in ("key", "bucket_name", "version_id"):
            raise
        raise ArgumentError(f"source_{error.argument}", error.value, error.reason) from error
