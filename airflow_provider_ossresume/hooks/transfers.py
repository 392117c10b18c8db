"""What the hook does with one file or one object, part by part."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.checkpoints.select import CheckpointStore, select_store
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.cleaning import (
    current_version,
)
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
    """The methods of the hook that move one file or object, and go on where an earlier try ended."""

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
        :raises OSSResumeError: of the kinds that :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.upload.Uploader.upload` name
        """
        file = local_path(file)
        target = self.target(key, bucket_name)
        check_new_key(target.key)
        this_try = CurrentTry(context or current_context())
        with_requests, with_object = split_headers(object_headers(target.key, object_options))
        options = UploadOptions(
            if_exists=if_exists,
            source_changed=source_changed,
            fingerprint=fingerprint,
            headers=with_object,
            earlier_try=this_try.owner.try_number > 1,
        )
        uploader = Uploader(
            self.get_conn().with_headers(with_requests),
            target,
            self._checkpointer(this_try, "upload", target, file, checkpoint, xcom_holder_task_id),
            config=self.transfer_config,
            options=options,
            watch=self._stoppable(watch),
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(this_try.context, show_progress=parse_flag("show_progress", show_progress)),
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
        :raises OSSResumeError: of the kinds that :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.download.Downloader.download` name

        The other parameters are those of :meth:`upload_file`.
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
            watch=self._stoppable(watch),
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(this_try.context, show_progress=parse_flag("show_progress", show_progress)),
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
        :raises OSSResumeError: of the kinds that :meth:`~.ConnectedHook.target` and
            :meth:`~airflow_provider_ossresume.transfer.copy.Copier.copy` name

        The other parameters are those of :meth:`upload_file`.
        """
        reader = source_hook or self
        source = _source_of_copy(reader, source_key, source_bucket_name, version_id=source_version_id)
        target = current_version(self.target(dest_key, dest_bucket_name))
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
            watch=self._stoppable(watch),
            drop_when=drop_when,
            progress_callback=progress_callback,
            observer=observer_for(this_try.context, show_progress=parse_flag("show_progress", show_progress)),
        )
        reads = source_client.with_headers(properties.with_requests) if source_hook else None
        result = copier.copy(source, oss=reads)
        report_lineage(self, this_try.context, result)
        return result

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
    """Return the object that is copied; what is wrong with its name is said of the source's arguments."""
    try:
        return reader.target(key, bucket_name, version_id=version_id)
    except ArgumentError as error:
        if error.argument not in ("key", "bucket_name", "version_id"):
            raise
        raise ArgumentError(f"source_{error.argument}", error.value, error.reason) from error
