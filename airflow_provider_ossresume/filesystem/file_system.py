"""The filesystem, as fsspec has them: what it is asked for, put together of the modules beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import Any, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from airflow_provider_ossresume.errors import ArgumentError, FileMissing, NoSuchKey
from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.connecting import SECRET_OPTIONS, make_client, read_options
from airflow_provider_ossresume.filesystem.deleting import Deletions
from airflow_provider_ossresume.filesystem.fetching import (
    END,
    GAP,
    RangeOf,
    fetch_ranges,
    fetch_whole,
)
from airflow_provider_ossresume.filesystem.listing import Info, Listings, directory_info, forget_everywhere
from airflow_provider_ossresume.filesystem.moving import FileTransfers
from airflow_provider_ossresume.filesystem.os_errors import as_os_error, os_errors
from airflow_provider_ossresume.filesystem.reading import DEFAULT_CACHE, OssReader
from airflow_provider_ossresume.filesystem.writing import CompressedWriter, OssWriter, TextWriter
from airflow_provider_ossresume.model.arguments import Duration, parse_duration, parse_flag
from airflow_provider_ossresume.model.copy_options import CopyOptions
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.objects import check_choice, check_key
from airflow_provider_ossresume.model.parts import MIB, parse_size
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.stream_upload import HeldBody

LISTING_SECONDS = 10.0
TEXT_OPTIONS = ("encoding", "errors", "newline")


class OSSFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """``oss://`` for fsspec; a path reads ``bucket/key``, with or without ``oss://`` before it.

    Nothing is asked of OSS or Airflow before the first call. One filesystem may be used from many threads, pickled,
    and used in a child that was forked. Its errors are OSErrors, such as FileNotFoundError, and
    :class:`~airflow_provider_ossresume.errors.FileSystemError` too.

    :param oss_conn_id: the Airflow connection; without one the options count, and what they leave out is the
        worker's own: its credentials, ``OSS_REGION`` and ``OSS_ENDPOINT``
    :param transfer_config: a dict of the fields of :class:`~airflow_provider_ossresume.transfer.config.TransferConfig`
    :param checkpoint: where ``put`` and ``get`` keep the checkpoints of large files: ``file`` or ``file:FOLDER``, a
        store, or within Airflow what the operators take; None for nowhere: a transfer that fails leaves nothing behind
    :param file_memory: bytes that each open file may hold, read ahead or to be sent, as an int or a text such as
        ``"64MiB"``
    :param directory_markers: let ``mkdir`` and ``makedirs`` write an empty object ``dir/``; by default they do nothing,
        as OSS has no directories
    :param use_listings_cache: keep listings for ``listings_expiry_time`` seconds, 10 by default
    :param options: ``endpoint``, ``region``, ``access_key_id``, ``access_key_secret``, ``security_token``,
        ``auth_type`` and the other fields of a connection; ossfs's ``key``, ``secret`` and ``token`` count too
    :raises ArgumentError: for an option that nobody reads, or a value that cannot be used
    """

    protocol = paths.PROTOCOL
    root_marker = ""

    def __init__(
        self,
        *,
        oss_conn_id: str | None = None,
        transfer_config: Mapping[str, Any] | None = None,
        checkpoint: Any = None,
        file_memory: int | str = 64 * MIB,
        directory_markers: bool = False,
        use_listings_cache: bool = True,
        listings_expiry_time: float | None = LISTING_SECONDS,
        max_paths: int | None = None,
        **options: Any,
    ) -> None:
        if self._cached:
            return
        super().__init__(
            use_listings_cache=use_listings_cache, listings_expiry_time=listings_expiry_time, max_paths=max_paths
        )
        for ignored in ("asynchronous", "loop", "skip_instance_cache"):
            options.pop(ignored, None)
        self._oss_conn_id = oss_conn_id
        self._options = read_options(options)
        self._config = TransferConfig.of(transfer_config)
        self._checkpoint = checkpoint
        self.file_memory = parse_size("file_memory", file_memory)
        self._makes_markers = parse_flag("directory_markers", directory_markers)
        self._listings = Listings(lambda: self.client, self.dircache)
        self._deletions = Deletions(self._listings)

    @cached_property
    def client(self) -> OssClient:
        """The client, made at the first call.

        :raises ArgumentError: when the connection, or an option, cannot be used
        :raises CredentialsError: when there are no credentials
        """
        return make_client(self._oss_conn_id, self._options, self._config)

    @property
    def most_workers(self) -> int:
        """How many requests may be under way for one call or one file."""
        return self._config.most_workers

    @cached_property
    def _transfers(self) -> FileTransfers:
        return FileTransfers(self.client, self._config, self._checkpoint)

    def __repr__(self) -> str:
        place = self._oss_conn_id or self._options.get("endpoint") or self._options.get("region") or "this worker's"
        return f"{type(self).__name__}({place})"

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return it as JSON takes it, without any secret: who makes one of it gives the secret again."""
        described: dict[str, Any] = super().to_dict(include_password=include_password)
        return {name: value for name, value in described.items() if name not in SECRET_OPTIONS}

    def to_json(self, *, include_password: bool = True) -> str:
        """Return it as JSON, without any secret, as :meth:`to_dict`."""
        text: str = super().to_json(include_password=include_password)
        return text

    # --- names --------------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return [paths.strip(each) for each in path] if isinstance(path, list) else paths.strip(path)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        conn_id = paths.connection_in(path)
        return {"oss_conn_id": conn_id} if conn_id else {}

    # --- what is there ------------------------------------------------------------------------------------------------

    def info(self, path: str, *, refresh: bool = False, **kwargs: Any) -> Info:
        """Return what is at a path: name, size, type, ``ETag``, ``LastModified``, ``mtime`` and ``StorageClass``.

        :param refresh: ask OSS, also when a listing of the last seconds names it
        :raises FileMissing: when there is nothing
        """
        return self._listings.look(*paths.split(path), fresh=refresh)

    def look_at(self, path: str) -> Info:
        """Return what an object has now.

        :raises FileMissing: when there is none
        """
        found = self.info(path, refresh=True)
        if found["type"] == "directory":
            raise FileMissing(2, f"oss://{paths.strip(path)} is a directory, no object")
        return found

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Return whether there is something at a path; only that nothing is there is False, every other answer raises.

        That nothing is there is asked of OSS each time, never answered by the cache.
        """
        try:
            self.info(path, **kwargs)
        except FileNotFoundError:
            return False
        return True

    def exists_now(self, path: str) -> bool:
        """Return whether OSS has an object, or a directory, there now."""
        return self.exists(path, refresh=True)

    def isfile(self, path: str) -> bool:
        """Return whether an object is there; raises as :meth:`exists` does."""
        return self._type_of(path) == "file"

    def isdir(self, path: str) -> bool:
        """Return whether a directory is there, and no object of its name; raises as :meth:`exists` does."""
        return self._type_of(path) == "directory"

    def _type_of(self, path: str) -> str | None:
        try:
            kind: str = self.info(path)["type"]
        except FileNotFoundError:
            return None
        return kind

    def ls(self, path: str, detail: bool = True, *, refresh: bool = False, **kwargs: Any) -> Any:
        """Return what lies in a directory, or the buckets for ``""``; of an object, itself.

        :param refresh: ask OSS in any case
        :raises FileMissing: when there is nothing
        """
        found = self._listings.entries(*paths.split(path), refresh=refresh)
        return found if detail else [info["name"] for info in found]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        *,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """Return all objects below a directory, of an object itself; a thousand by each request.

        :param prefix: what their names begin with, in the directory itself
        :raises FileSystemError: when the listing fails
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        bucket, key = paths.split(path)
        root = paths.joined(bucket, key)
        search = self._listings.tree if maxdepth is None and bucket else None
        try:
            if search:
                found = search(bucket, key, name_prefix=prefix, directories=withdirs)
            else:
                depth = maxdepth if maxdepth is not None else 1_024
                found = self._listings.levels(bucket, key, depth, name_prefix=prefix, directories=withdirs)
        except FileMissing:
            found = {}
        found.pop(root, None)
        if key and not prefix:
            if not found and self._type_of(root) == "file":
                found = {root: self.info(root)}
            elif withdirs and (found or self.isdir(root)):
                found = {root: directory_info(root), **found}
        elif withdirs and root and found and not prefix:
            found = {root: directory_info(root), **found}
        return found if detail else list(found)

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """Return what matches a pattern, as fsspec has them; only keys that begin as the pattern does are listed."""
        stripped = paths.strip(path)
        first = min((at for at in map(stripped.find, "*?[") if at >= 0), default=-1)
        if first > 0 and "/" in stripped[:first]:
            kwargs["prefix"] = stripped[:first].rpartition("/")[2]
        return super().glob(path, maxdepth=maxdepth, **kwargs)

    def du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> Any:
        """Return the bytes of all objects below a path, or of each."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def ukey(self, path: str) -> str:
        """Return the object's ETag: another content has another one."""
        return str(self.look_at(path)["ETag"])

    def checksum(self, path: str) -> str:  # type: ignore[override]
        """Return the object's ETag, too."""
        return self.ukey(path)

    def created(self, path: str) -> datetime:
        """Return when the object was written; OSS knows no other time."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Return when the object was written.

        :raises FileMissing: when there is no object
        """
        return cast(datetime, self.look_at(path)["LastModified"])

    def sign(self, path: str, expiration: Duration = 100, **kwargs: Any) -> str:
        """Return a URL with which whoever has it may read the object. It is a secret: do not log it.

        :param expiration: seconds, a timedelta or a text such as ``"1h"``; at most seven days with V4 signatures
        :param kwargs: ``method``: GET, HEAD, PUT or DELETE
        """
        seconds = int(parse_duration("expiration", expiration, least=1).total_seconds())
        return self.client.presigned_url(kwargs.get("method", "GET"), paths.object_at(path), expires=seconds)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listings of a path, of what it lies in and of what lies below it; without one, all.

        Each filesystem of this process forgets them.
        """
        super().invalidate_cache(path)
        forget_everywhere(None if path is None else paths.strip(path))

    # --- bytes --------------------------------------------------------------------------------------------------------

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of an object, or a slice of them; negative numbers count from its end.

        All of it is compared with OSS's CRC-64, and a large object comes by several requests at once, of one ETag.
        """
        target = paths.object_at(path)
        with os_errors():
            if not start and end is None:
                return fetch_whole(self.client, target, most_workers=self.most_workers)
        [data] = self.cat_ranges([path], [start], [end], on_error="raise")
        return cast(bytes, data)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return the bytes of many ranges of many objects, by up to 32 requests at once.

        Ranges of one object are all of one ETag: else each of them is an error.

        :param max_gap: most bytes between two ranges of one object that are read in vain to save a request; 16 KiB by
            default
        :param on_error: ``return`` the errors in the place of bytes, or ``raise`` the first
        """
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        check_choice("on_error", on_error, ("return", "raise"))
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("paths, starts and ends have one length")
        with os_errors():
            found = fetch_ranges(
                self.client,
                [self._range_of(*each) for each in zip(paths, first, last, strict=True)],
                gap=GAP if max_gap is None else max_gap,
                most_workers=self.most_workers,
                fails_at_once=on_error == "raise",
            )
        return [each if isinstance(each, bytes) else as_os_error(each) for each in found]

    def _range_of(self, path: str, start: int | None, end: int | None) -> RangeOf:
        target = paths.object_at(path)
        start, end = start or 0, END if end is None else end
        if start < 0 or end < 0:
            size = self.look_at(path)["size"]
            start = max(0, size + start) if start < 0 else start
            end = size + end if end < 0 else end
        return RangeOf(target, start, end)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Make an object of bytes; of one part's size by one request.

        :param mode: ``create`` to fail when it exists, which OSS guards
        :param kwargs: the object's options, such as ``content_type`` and ``metadata``
        :raises FileIsThere: when it exists
        """
        check_choice("mode", mode, ("overwrite", "create"))
        with self.open(path, "xb" if mode == "create" else "wb", **kwargs) as file:
            file.write(value)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty object.

        :param truncate: False to leave one that exists as it is; its time cannot be changed
        """
        if truncate or not self.exists_now(path):
            self.pipe_file(path, b"", **kwargs)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return an open file: ``rb`` and ``r``, ``wb`` and ``w``, ``xb`` and ``x``.

        An exception that leaves the ``with`` block of one that is written publishes nothing.

        :param block_size: of a file that is written, the bytes of its first parts; 8 MiB by default
        :param compression: such as ``gzip``, or ``infer`` to tell it by the name
        :param kwargs: ``encoding``, ``errors``, ``newline``; of a file that is written, the object's options
        :raises NotImplementedError: for ``ab``: an object cannot be added to, or only by a kind that cannot be copied
            in a bucket with versions
        """
        if "a" in mode or "+" in mode:
            raise NotImplementedError(
                f"mode {mode!r}: OSS cannot add to an object or change a part of it; write another one, or all anew"
            )
        is_text = "b" not in mode
        text = {name: kwargs.pop(name) for name in TEXT_OPTIONS if name in kwargs} if is_text else {}
        binary = mode.replace("t", "").replace("b", "") + "b"
        if binary == "rb":
            file = super().open(
                path, "rb", block_size=block_size, cache_options=cache_options, compression=compression, **kwargs
            )
            return io.TextIOWrapper(file, **text) if is_text else file
        opened = super().open(path, binary, block_size=block_size, **kwargs)
        file = opened
        if compression is not None:
            from fsspec.compression import compr
            from fsspec.core import get_compression

            name = get_compression(paths.strip(path), compression)
            file = CompressedWriter(compr[name](opened, mode="w"), opened) if name else opened
        return TextWriter(file, **text) if is_text else file

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = DEFAULT_CACHE,
        **kwargs: Any,
    ) -> Any:
        with os_errors():
            if mode == "rb":
                return OssReader(
                    self, path, block_size=block_size, cache_type=cache_type, cache_options=cache_options, **kwargs
                )
            if mode not in ("wb", "xb"):
                raise ArgumentError("mode", mode, "choose one of rb, wb and xb, or r, w and x")
            return OssWriter(
                self,
                path,
                is_exclusive=mode == "xb",
                block_size=block_size,
                autocommit=autocommit,
                headers=object_headers(paths.object_at(path).key, cast(ObjectOptions, kwargs)),
            )

    # --- whole files --------------------------------------------------------------------------------------------------

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Upload a file, part by part when it is large; with ``checkpoint`` the next call goes on where one broke off.

        :param callback: gets the bytes in total and those done
        :param mode: ``create`` to fail when the object exists, which OSS guards
        :param kwargs: the object's options
        :raises FileIsThere: when it exists
        :raises FileSystemError: when it cannot be stored
        """
        check_choice("mode", mode, ("overwrite", "create"))
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        if self._intrans:  # what a transaction discards must not be there
            super().put_file(lpath, rpath, callback=callback, mode=mode, **kwargs)
            return
        target = paths.object_at(rpath)
        try:
            with os_errors():
                self._transfers.upload(
                    lpath,
                    target,
                    if_exists="fail" if mode == "create" else "overwrite",
                    headers=object_headers(target.key, cast(ObjectOptions, kwargs)),
                    progress=partial(_tell, callback),
                )
        finally:
            self.invalidate_cache(rpath)
        _tell(callback, os.path.getsize(lpath), os.path.getsize(lpath))

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **kwargs: Any
    ) -> None:
        """Download an object, part by part when it is large; the file appears at once and whole.

        :param outfile: an open file in the place of ``lpath``
        :param callback: gets the bytes in total and those done
        :raises FileMissing: when there is no such object
        """
        if outfile is not None or isfilelike(lpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile if outfile is not None else lpath)
            return
        found = self.info(rpath)
        if found["type"] == "directory":
            os.makedirs(lpath, exist_ok=True)
            return
        with os_errors():
            size = self._transfers.download(
                paths.object_at(rpath), lpath, size=found["size"], progress=partial(_tell, callback)
            )
        _tell(callback, size, size)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Let OSS copy an object of any size within its region; from another one the bytes pass through here.

        :param kwargs: ``if_exists="fail"``; what the copy is to have, as the copy operator takes it
        :raises FileMissing: when there is no such object
        """
        if_exists = kwargs.pop("if_exists", "overwrite")
        if not paths.split(path1)[1]:
            self.makedirs(path2, exist_ok=True)
            return
        try:
            with os_errors():
                self._transfers.copy(
                    paths.object_at(path1),
                    paths.object_at(path2),
                    if_exists=if_exists,
                    copy_options=cast(CopyOptions, kwargs),
                )
        except FileMissing as error:
            if not isinstance(error.__cause__, NoSuchKey) or not self.isdir(path1):
                raise
            self.makedirs(path2, exist_ok=True)
        finally:
            self.invalidate_cache(path2)

    # --- directories and deletions ------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Do nothing, as OSS has no directories; with ``directory_markers`` write an empty object ``dir/``.

        :raises FileIsThere: when an object of that name exists, and a marker is to be written
        :raises FileMissing: when the bucket does not exist: it is never made here
        """
        bucket, key = paths.split(path)
        if bucket and not key:
            with os_errors():
                self._listings.has_any(bucket, "")
        if key and self._makes_markers:
            with os_errors():
                marker = check_key(paths.below(key), argument="path")
                target = paths.object_at(path)
                self.client.put_object(type(target)(bucket, marker), HeldBody(b""))
            self.invalidate_cache(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do what :meth:`mkdir` does."""
        self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Delete the marker of an empty directory.

        :raises FileMissing: when there is no such directory
        :raises FileSystemError: when it is not empty
        """
        try:
            self._deletions.directory(path)
        finally:
            self.invalidate_cache(path)

    def rm_file(self, path: str) -> None:
        """Delete one object.

        :raises FileMissing: when there is none
        :raises IsADirectoryError: when there is a directory
        """
        try:
            self._deletions.file(path)
        finally:
            self.invalidate_cache(path)

    def rm(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, *, whole_bucket: bool = False
    ) -> None:
        """Delete objects, a thousand by each request; what a pattern matches, and with ``recursive`` directories.

        :param maxdepth: how deep
        :param whole_bucket: allow that a path is a bucket, or a pattern all that it has
        :raises ArgumentError: for an empty path, and for all of a bucket without ``whole_bucket``
        :raises FileMissing: when there is nothing at a path
        """
        for each in path if isinstance(path, (list, tuple)) else [path]:
            stripped = paths.strip(each)
            try:
                self._remove(stripped, recursive=recursive, maxdepth=maxdepth, whole_bucket=whole_bucket)
            finally:
                self.invalidate_cache(stripped)

    def _remove(self, path: str, *, recursive: bool, maxdepth: int | None, whole_bucket: bool) -> None:
        bucket, key = paths.split(path)
        if not key.strip("*/") and (not bucket or recursive or "**" in key) and not whole_bucket:
            self._deletions.tree(bucket, whole_bucket=False)
        has_pattern = any(character in path for character in "*?[")
        if has_pattern and not self.exists_now(path):
            for found, info in self._expanded(path).items():
                if info["type"] == "file":
                    self._deletions.files([found])
                elif recursive:
                    self._deletions.tree(found, whole_bucket=False)
        elif recursive and maxdepth is None:
            self._deletions.tree(path, whole_bucket=whole_bucket)
        elif recursive:
            self._deletions.files(self.find(path, maxdepth=maxdepth))
        else:
            self._deletions.file(path)

    def _expanded(self, pattern: str) -> dict[str, Info]:
        found: dict[str, Info] = self.glob(pattern, detail=True)
        if not found:
            raise FileMissing(2, f"nothing matches oss://{pattern}")
        return found

    def walk(self, path: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield directories, with their directories and files, one request each; see fsspec."""
        walked: Iterator[Any] = super().walk(path, *args, **kwargs)
        return walked


def _tell(callback: Any, done: int, total: int) -> None:
    callback.set_size(total)
    callback.absolute_update(done)
