"""The fsspec filesystem: the last of its classes, which adds deletions and moves."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

from airflow_provider_ossresume.errors import FileIsDirectory, FileMissing, FileSystemError
from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.bulk import Pair, move_pairs
from airflow_provider_ossresume.filesystem.deletions import Deletions
from airflow_provider_ossresume.filesystem.file_transfers import Watch, no_watch
from airflow_provider_ossresume.filesystem.listings import Info
from airflow_provider_ossresume.filesystem.metadata import is_pattern
from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.filesystem.put_get_copy import TransferFileSystem
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.object_names import check_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.in_memory import BytesBody


class OSSFileSystem(TransferFileSystem):
    """``oss://`` for fsspec. A path is ``bucket/key``, with or without ``oss://`` before it.

    Nothing is sent to OSS or Airflow before the first call. A filesystem can be used from many threads, pickled, and
    used in a forked process. Its errors are OSErrors, such as FileNotFoundError, and also
    :class:`~airflow_provider_ossresume.errors.FileSystemError`.

    :param oss_conn_id: the Airflow connection. Without one, the options are used, and for the rest the worker's own
        settings: its credentials, ``OSS_REGION`` and ``OSS_ENDPOINT``
    :param transfer_config: a dict of the fields of :class:`~airflow_provider_ossresume.transfer.config.TransferConfig`
    :param checkpoint: where ``put`` and ``get`` keep the checkpoints of large files: ``file`` or ``file:FOLDER``, a
        store, or within Airflow the same values as for the operators. None means no checkpoints: a failed transfer
        leaves nothing behind
    :param file_memory: memory limit of each open file, for bytes read ahead or waiting to be sent; an int or a string
        such as ``"128MiB"``
    :param directory_markers: let ``mkdir`` and ``makedirs`` create an empty object ``dir/``. By default they do
        nothing, because OSS has no directories
    :param use_listings_cache: keep listings for ``listings_expiry_time`` seconds, 10 by default
    :param options: ``endpoint``, ``region``, ``access_key_id``, ``access_key_secret``, ``security_token``,
        ``auth_type`` and the other fields of a connection; ossfs's ``key``, ``secret`` and ``token`` work too
    :raises ArgumentError: for an unknown option, or a value that cannot be used
    """

    @lazy_property
    def _deletions(self) -> Deletions:
        return Deletions(self._listings)

    # --- directories and deletions ------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Do nothing, because OSS has no directories. With ``directory_markers``, create an empty object ``dir/``.

        :raises FileMissing: if the bucket does not exist; this method never creates one
        """
        bucket, key = paths.split(path)
        if bucket and not key:
            with os_errors():
                self._listings.has_any(bucket, "")
        if key and self._make_markers:
            with os_errors():
                marker = check_key(paths.directory_prefix(key), argument="path")
                self.client.put_object(ObjectRef(bucket, marker), BytesBody(b""))
            self.invalidate_cache(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do the same as :meth:`mkdir`."""
        self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Delete the marker of an empty directory.

        :raises FileMissing: if the directory does not exist
        :raises FileSystemError: if it is not empty
        """
        try:
            self._deletions.directory(path)
        finally:
            self.invalidate_cache(path)

    def rm_file(self, path: str) -> None:
        """Delete one object.

        :raises FileMissing: if it does not exist
        :raises FileIsDirectory: if it is a directory
        """
        try:
            self._deletions.file(path)
        finally:
            self.invalidate_cache(path)

    def rm(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, *, whole_bucket: bool = False
    ) -> None:
        """Delete objects, all matches of a pattern, and with ``recursive`` directories; 1,000 objects per request.

        :param maxdepth: with ``recursive``, delete only this many levels of a directory; None deletes all
        :param whole_bucket: allow a path or a pattern that means a whole bucket
        :raises ArgumentError: for an empty path, and for a whole bucket without ``whole_bucket``
        :raises FileMissing: if nothing exists at a path
        """
        for each in path if isinstance(path, (list, tuple)) else [path]:
            stripped = paths.strip(each)
            try:
                self._delete_path(stripped, recursive=recursive, maxdepth=maxdepth, whole_bucket=whole_bucket)
            finally:
                self.invalidate_cache(stripped)

    def _delete_path(self, path: str, *, recursive: bool, maxdepth: int | None, whole_bucket: bool) -> None:
        paths.split(path)  # checks the bucket's name
        self._deletions.check(path, recursive=recursive, whole_bucket=whole_bucket)
        if is_pattern(path) and not self.exists_now(path):
            expanded = self._expand_pattern(path)
            self._deletions.files(name for name, info in expanded.items() if info["type"] == "file")
            for name, info in expanded.items() if recursive else ():
                if info["type"] == "directory":
                    self._deletions.tree(name, whole_bucket=False)
        elif recursive and maxdepth is None:
            self._deletions.tree(path, whole_bucket=whole_bucket)
        elif recursive:
            self._deletions.files(self.find(path, maxdepth=maxdepth))
        else:
            self._deletions.file(path)

    def _expand_pattern(self, pattern: str) -> dict[str, Info]:
        found: dict[str, Info] = self.glob(pattern, detail=True)
        if not found:
            raise FileMissing(errno.ENOENT, f"nothing matches oss://{pattern}")
        return found

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        *,
        whole_bucket: bool = False,
        **kwargs: Any,
    ) -> None:
        """Copy each object, and delete the original if it has not changed meanwhile. OSS cannot rename.

        :param whole_bucket: allow a ``path1`` that means a whole bucket
        :raises ArgumentError: for an empty path, for a whole bucket without ``whole_bucket``, and if one file would
            overwrite another one of this move
        :raises FileSystemError: if an object changed meanwhile; it and its copy are kept
        :raises FileMissing: if nothing exists at a path
        """
        if path1 == path2:
            return
        for each in path1 if isinstance(path1, (list, tuple)) else [path1]:
            self._deletions.check(paths.strip(each), recursive=recursive, whole_bucket=whole_bucket)
        files, directories = self._copies(path1, path2, recursive, maxdepth)
        if not files and not directories:
            raise FileIsDirectory(errno.EISDIR, f"oss://{path1} is a directory; pass recursive=True to move it")

        def move(pair: Pair, watch: Watch) -> None:
            before = self.info(pair.source, refresh=True)  # a cached listing may be older than the copy
            self.cp_file(*pair, watch=watch, **kwargs)
            if before["type"] == "directory":  # with nothing but its marker
                self._deletions.directory(pair.source)
                return
            if self.object_info(pair.source)["ETag"] != before["ETag"]:
                raise FileSystemError(
                    errno.ESTALE, f"oss://{pair.source} changed while it was moved; it and its copy are kept"
                )
            watch()
            self._deletions.files([pair.source])

        try:
            for _ in move_pairs(files, is_large=lambda _: False, small=move, large=lambda pair: move(pair, no_watch)):
                pass
            for pair in reversed(directories):
                if not paths.split(pair.source)[1]:  # buckets are kept
                    continue
                with suppress(FileSystemError):  # it has no marker, or is no longer empty
                    self._deletions.directory(pair.source)
        finally:
            for pair in (*files, *directories):
                self.invalidate_cache(pair.source)
