"""The filesystem's methods that look up, list and search."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import datetime
from glob import escape
from typing import Any, cast

from airflow_provider_ossresume.errors import ArgumentError, FileIsDirectory, FileMissing
from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.base import BaseFileSystem
from airflow_provider_ossresume.filesystem.listings import Info, directory_info, drop_everywhere
from airflow_provider_ossresume.model.arguments import Duration, parse_duration

MAX_DEPTH = 1_024  # OSS: a key has no more bytes


class MetadataFileSystem(BaseFileSystem):
    """Looks up, lists and searches; changes nothing."""

    def info(self, path: str, *, refresh: bool = False, **kwargs: Any) -> Info:
        """Return the info of a path: name, size, type, ``ETag``, ``LastModified``, ``mtime`` and ``StorageClass``.

        :param refresh: ask OSS, even if a cached listing has it
        :raises FileMissing: if nothing exists there
        """
        return self._listings.info(*paths.split(path), fresh=refresh)

    def object_info(self, path: str) -> Info:
        """Return the info of an object from OSS, not from the cache.

        :raises FileMissing: if nothing exists there
        :raises FileIsDirectory: if it is a directory
        """
        found = self.info(path, refresh=True)
        if found["type"] == "directory":
            raise FileIsDirectory(errno.EISDIR, f"oss://{paths.strip(path)} is a directory, not an object")
        return found

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Return whether an object or a directory exists. Any error other than "not found" is raised.

        The cache never answers that something does not exist; OSS is asked each time.
        """
        try:
            self.info(path, **kwargs)
        except FileNotFoundError:
            return False
        return True

    def exists_now(self, path: str) -> bool:
        """Return whether an object or a directory exists now, without using the cache."""
        return self.exists(path, refresh=True)

    def isfile(self, path: str) -> bool:
        """Return whether the path is an object; errors as for :meth:`exists`."""
        return self._type_of(path) == "file"

    def isdir(self, path: str) -> bool:
        """Return whether the path is a directory and not an object; errors as for :meth:`exists`."""
        return self._type_of(path) == "directory"

    def _type_of(self, path: str) -> str | None:
        try:
            kind: str = self.info(path)["type"]
        except FileNotFoundError:
            return None
        return kind

    def ls(self, path: str, detail: bool = True, *, refresh: bool = False, **kwargs: Any) -> Any:
        """Return the contents of a directory, the buckets for ``""``, or an object itself.

        :param refresh: ask OSS, even if the listing is cached
        :raises FileMissing: if nothing exists there
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
        """Return all objects below a directory, or an object itself; 1,000 per request.

        :param prefix: return only names in the directory that begin with it
        :raises FileSystemError: if the listing fails
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        bucket, key = paths.split(path)
        root = paths.join_path(bucket, key)
        try:
            if maxdepth is None and bucket:
                found = self._listings.tree(bucket, key, name_prefix=prefix, directories=withdirs)
            else:
                depth = maxdepth if maxdepth is not None else MAX_DEPTH
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
        """Return the matches of an fsspec pattern. Only keys with the pattern's literal beginning are listed."""
        stripped = paths.strip(path)
        first = min((at for at in map(stripped.find, "*?[") if at >= 0), default=-1)
        if first > 0 and "/" in stripped[:first]:
            kwargs["prefix"] = stripped[:first].rpartition("/")[2]
        return super().glob(path, maxdepth=maxdepth, **kwargs)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Return the paths that match paths and patterns. A path that exists is never treated as a pattern.

        :raises FileMissing: if nothing matches
        :raises ArgumentError: if an object matches that no path can name
        """
        named = [paths.strip(each) for each in ([path] if isinstance(path, (str, os.PathLike)) else path)]
        patterns = named if assume_literal else [self._pattern_of(each) for each in named]
        try:
            found: list[str] = super().expand_path(
                patterns, recursive, maxdepth, assume_literal=assume_literal, **kwargs
            )
        except FileNotFoundError as error:
            raise FileMissing(errno.ENOENT, f"nothing exists at {', '.join(named)}") from error
        for each in found:
            if each.endswith("/") and not any(other.startswith(f"{each}/") for other in found):
                reason = (
                    "this object has data and a key that ends with '/', which no path can name; use the hook's methods"
                )
                raise ArgumentError("path", each, reason)
        return found

    def _pattern_of(self, path: str) -> str:
        return escape(path) if is_pattern(path) and self.exists_now(path) else path

    def du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> Any:
        """Return the total size of all objects below a path, or the size of each."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def ukey(self, path: str) -> str:
        """Return the object's ETag, which changes with its content."""
        return str(self.object_info(path)["ETag"])

    def checksum(self, path: str) -> str:
        """Return the object's ETag, as :meth:`ukey` does."""
        return self.ukey(path)

    def created(self, path: str) -> datetime:
        """Return when the object was last written; OSS stores no other time."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Return when the object was last written.

        :raises FileMissing: if it does not exist
        """
        return cast(datetime, self.object_info(path)["LastModified"])

    def sign(self, path: str, expiration: Duration = 100, **kwargs: Any) -> str:
        """Return a URL that lets anyone who has it read the object. Treat it as a secret: do not log it.

        :param expiration: seconds, a timedelta or a string such as ``"1h"``; at most seven days with V4 signatures
        :param kwargs: ``method``: GET, HEAD, PUT or DELETE
        """
        seconds = int(parse_duration("expiration", expiration, least=1).total_seconds())
        return self.client.presigned_url(kwargs.get("method", "GET"), paths.object_at(path), expires=seconds)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Drop the cached listings of a path, of its parents and of everything below it; without a path, all.

        All filesystems in this process drop them.
        """
        super().invalidate_cache(path)
        drop_everywhere(None if path is None else paths.strip(path))

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Yield each directory with its directories and files, in one request each.

        :param on_error: ``omit`` directories that cannot be listed, ``raise``, or a function that gets the error. By
            default a missing directory counts as empty, and any other error is raised
        """
        walked: Iterator[Any] = super().walk(
            path, maxdepth=maxdepth, topdown=topdown, on_error=on_error or _raise_unless_missing, **kwargs
        )
        return walked


def is_pattern(path: str) -> bool:
    """Return whether a path has a character that patterns use."""
    return any(character in path for character in "*?[")


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
