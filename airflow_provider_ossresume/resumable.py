"""The engine without Airflow: functions like those of ``oss2.resumable``, with the same features.

::

    client = make_client("https://oss-cn-hangzhou.aliyuncs.com", access_key_id="…", access_key_secret="…")
    resumable_upload(client, "my-bucket", "backup/db.tar", "/data/db.tar")

If the process crashes, call it again with the same path: it sends only what is missing. Checkpoints are small files in
the user's home folder, one for each source and target. They are deleted on success.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.checkpoint import UploadCheckpoint
from airflow_provider_ossresume.model.checkpoint_keys import checkpoint_keys
from airflow_provider_ossresume.model.object_names import check_bucket, check_key, check_new_key
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import determine_part_size
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import check_region, parse_endpoint
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.lease import CheckpointStore, this_process
from airflow_provider_ossresume.transfer.legacy_keys import LegacyKeyStore
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.options import DownloadOptions, Fingerprint, UploadOptions, split_headers
from airflow_provider_ossresume.transfer.paths import local_path
from airflow_provider_ossresume.transfer.progress import ProgressCallback
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.upload import Uploader

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "determine_part_size",
    "make_client",
    "make_download_store",
    "make_upload_store",
    "rebuild_checkpoint",
    "resumable_download",
    "resumable_upload",
]

UPLOAD_FOLDER = ".ossresume-upload"
DOWNLOAD_FOLDER = ".ossresume-download"


def make_client(
    endpoint: str,
    *,
    access_key_id: str,
    access_key_secret: str,
    security_token: str | None = None,
    region: str | None = None,
    **options: Any,
) -> OssClient:
    """Return a client for an endpoint such as ``https://oss-cn-hangzhou.aliyuncs.com``.

    :param region: for V4 signatures; required if the endpoint's name does not contain it
    :param options: further arguments of :class:`~airflow_provider_ossresume.oss.client.OssClient`
    """
    place = parse_endpoint(endpoint)
    credentials = StaticCredentials(access_key_id, access_key_secret, security_token)
    return OssClient(place, credentials, region=check_region(region, place), **options)


def resumable_upload(
    client: OssClient,
    bucket: str,
    key: str,
    filename: str | os.PathLike[str],
    *,
    store: CheckpointStore | None = None,
    fingerprint: Fingerprint = "content",
    multipart_threshold: int | str | None = None,
    part_size: int | str | None = None,
    progress_callback: ProgressCallback | None = None,
    max_concurrency: int | None = None,
    **object_options: Unpack[ObjectOptions],
) -> TransferResult:
    """Upload a file. After a call that failed, the next one sends only what is missing.

    :param store: the checkpoint store; by default :func:`make_upload_store`
    :param fingerprint: what proves that a part on OSS holds the file's bytes. ``content``: they are read again and
        compared. ``stat``: the file still has the inode, size, mtime and ctime that it had when the part was sent
    :param multipart_threshold: smaller files are sent in one request, default 16 MiB
    :param part_size: bytes of a part. Default 8 MiB; 16 MiB from 1 GiB on, 32 MiB from 4 GiB on
    :param progress_callback: called with (bytes done, bytes in total) in this thread. The first number grows, except
        when a part is sent again, and ends at the total. An error that it raises ends the transfer; its parts are kept
    :param max_concurrency: parts in flight at once; by default 2 at first, up to 32 while that increases the throughput
    :param object_options: ``headers``, ``metadata``, ``storage_class`` and the others of
        :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`
    :raises OSSResumeError: see :meth:`~airflow_provider_ossresume.transfer.upload.Uploader.upload`
    """
    target, filename = _target(bucket, key), local_path(filename, argument="filename")
    check_new_key(key)
    config = _config(multipart_threshold, part_size, max_concurrency)
    with_requests, with_object = split_headers(object_headers(key, object_options))
    return Uploader(
        client.with_headers(with_requests),
        target,
        _checkpointer(store or make_upload_store(), "upload", target, filename, config),
        config=config,
        options=UploadOptions(fingerprint=fingerprint, headers=with_object),
        progress_callback=progress_callback,
    ).upload(filename)


def resumable_download(
    client: OssClient,
    bucket: str,
    key: str,
    filename: str | os.PathLike[str],
    *,
    store: CheckpointStore | None = None,
    headers: Mapping[str, str] | None = None,
    multipart_threshold: int | str | None = None,
    part_size: int | str | None = None,
    progress_callback: ProgressCallback | None = None,
    max_concurrency: int | None = None,
    version_id: str | None = None,
    file_mode: int | str | None = None,
    preserve_mtime: bool = False,
    byte_range: Sequence[int | str] | None = None,
) -> TransferResult:
    """Download an object. After a call that failed, the next one fetches only what is missing.

    The file gets its name only when it is complete. Further parameters are those of :func:`resumable_upload`.

    :param headers: sent with every request
    :param version_id: of the object; by default the current version
    :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``; by default the umask decides
    :param preserve_mtime: set the file's modification time to the object's Last-Modified
    :param byte_range: ``(start, stop)`` of the object's bytes, stop excluded; OSS has no CRC-64 of a range to compare
    :raises OSSResumeError: see :meth:`~airflow_provider_ossresume.transfer.download.Downloader.download`
    """
    target, filename = _target(bucket, key, version_id), local_path(filename, argument="filename")
    config = _config(multipart_threshold, part_size, max_concurrency)
    options = DownloadOptions(
        create_parents=False, file_mode=file_mode, preserve_mtime=preserve_mtime, byte_range=byte_range
    )
    store = store or make_download_store()
    return Downloader(
        client.with_headers(headers or {}),
        target,
        _checkpointer(store, "download", target, filename, config, byte_range=options.slice),
        config=config,
        options=options,
        progress_callback=progress_callback,
    ).download(filename)


def make_upload_store(root: str | os.PathLike[str] | None = None, dir: str | None = None) -> FileCheckpointStore:
    """Return the store of upload checkpoints: files in the folder ``root/dir``.

    :param root: the parent folder; by default the user's home folder
    :param dir: the folder's name; by default ``.ossresume-upload``
    """
    return FileCheckpointStore(Path(root or "~") / (dir or UPLOAD_FOLDER))


def make_download_store(root: str | os.PathLike[str] | None = None, dir: str | None = None) -> FileCheckpointStore:
    """Return the store of download checkpoints: files in the folder ``root/dir``.

    :param root: the parent folder; by default the user's home folder
    :param dir: the folder's name; by default ``.ossresume-download``
    """
    return FileCheckpointStore(Path(root or "~") / (dir or DOWNLOAD_FOLDER))


def rebuild_checkpoint(
    client: OssClient,
    bucket: str,
    key: str,
    upload_id: str,
    filename: str | os.PathLike[str],
    *,
    store: CheckpointStore | None = None,
    part_size: int | str | None = None,
    **object_options: Unpack[ObjectOptions],
) -> UploadCheckpoint:
    """Save a checkpoint for a multipart upload of another program. The next :func:`resumable_upload` resumes it.

    That call compares each part with the file before it keeps it.

    :param upload_id: the upload's ID, as ``client.list_uploads`` returns it
    :param part_size: the upload's part size; by default derived from its parts
    :param object_options: the options with which you will call :func:`resumable_upload`
    :raises NoSuchUpload: if the upload was completed or aborted
    :raises ArgumentError: if the part size cannot be derived from the parts, or does not fit the file
    """
    target, filename = _target(bucket, key), local_path(filename, argument="filename")
    with LocalFile(filename, argument="filename") as source:
        size = source.size
    listed = client.list_parts(target, upload_id)
    config = _config(None, part_size if part_size is not None else _part_size_of(listed, size), None)
    planned = determine_part_size(size, config.part_bytes)
    if planned != config.part_bytes:
        raise ArgumentError(
            "part_size",
            config.part_bytes,
            f"{size} bytes would need more than 10,000 parts of this size; the upload cannot be of this file",
        )
    checkpointer = _checkpointer(store or make_upload_store(), "upload", target, filename, config)
    _, with_object = split_headers(object_headers(key, object_options))
    checkpoint = UploadCheckpoint(
        bucket=bucket,
        key=key,
        upload_id=upload_id,
        size=size,
        part_size=planned,
        options=UploadOptions(headers=with_object).digest,
        owner=checkpointer.owner,
    )
    checkpointer.save(checkpoint)
    return checkpoint


def _part_size_of(listed: list[Receipt], size: int) -> int:
    """Return the size of every part except the file's last one.

    :raises ArgumentError: if no size, or more than one, fits the listed parts
    """

    def fits(part_size: int) -> bool:
        """True if each part has that size, or is the last one and has the remaining bytes."""
        lengths = {part.number: min(part_size, size - (part.number - 1) * part_size) for part in listed}
        return all(part.size == lengths[part.number] for part in listed)

    lasts = [part for part in listed if part.number > 1]
    sizes = {*(part.size for part in listed), *((size - part.size) // (part.number - 1) for part in lasts)}
    sizes = {part_size for part_size in sizes if part_size > 0 and fits(part_size)}
    if len(sizes) != 1:
        raise ArgumentError(
            "part_size",
            None,
            f"it cannot be derived from the {len(listed)} parts on OSS; pass the part size of the upload",
        )
    return sizes.pop()


def _target(bucket: str, key: str, version_id: str | None = None) -> ObjectRef:
    return ObjectRef(check_bucket(bucket, argument="bucket"), check_key(key), version_id)


def _config(
    multipart_threshold: int | str | None, part_size: int | str | None, max_concurrency: int | None
) -> TransferConfig:
    given = {"multipart_threshold": multipart_threshold, "part_size": part_size, "max_concurrency": max_concurrency}
    return TransferConfig.of({name: value for name, value in given.items() if value is not None})


def _checkpointer(
    store: CheckpointStore,
    direction: str,
    target: ObjectRef,
    filename: str | os.PathLike[str],
    config: TransferConfig,
    *,
    byte_range: tuple[int, int] | None = None,
) -> Checkpointer:
    path = os.path.abspath(filename)
    keys = checkpoint_keys(direction, target, path, byte_range=byte_range)
    store = LegacyKeyStore(store, keys, target=target, path=path, byte_range=byte_range)
    return Checkpointer(store, keys.present, owner=this_process(), interval=config.checkpoint_interval)
