"""Lists prefixes as directories, which OSS does not have, and caches the listings until this process writes."""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_ossresume.errors import NoSuchKey
from airflow_provider_ossresume.filesystem.os_errors import missing, os_errors
from airflow_provider_ossresume.filesystem.paths import below, joined, parents
from airflow_provider_ossresume.model.objects import ListedObject, ObjectMeta, ObjectRef
from airflow_provider_ossresume.oss.client import OssClient

Info = dict[str, Any]
MAX_CACHED = 10_000  # entries cached from one search


def file_info(path: str, found: ListedObject | ObjectMeta) -> Info:
    """Return an object as fsspec's ``info`` does.

    ``LastModified`` is a datetime with a time zone, and ``mtime`` the same in seconds since 1970. Both are None if OSS
    did not send it.
    """
    headers = found.headers if isinstance(found, ObjectMeta) else {}
    modified = found.last_modified
    return {
        "name": path,
        "size": found.size,
        "type": "file",
        "ETag": found.etag.strip('"'),
        "LastModified": modified,
        "mtime": modified.timestamp() if modified else None,
        "StorageClass": found.storage_class if isinstance(found, ListedObject) else headers.get("x-oss-storage-class"),
    }


def directory_info(path: str) -> Info:
    """Return a directory as fsspec's ``info`` does."""
    return {"name": path, "size": 0, "type": "directory"}


class Listings:
    """Lists buckets for one filesystem, with a cache.

    A listing is cached only if no filesystem in this process wrote meanwhile. OSS is asked about every path that is not
    in a cached listing.

    :param cache: fsspec's ``dircache``, by path of the directory
    """

    def __init__(self, client: Any, cache: Any) -> None:
        self._client = client
        self._cache = cache
        _all[id(self)] = self
        self._generation = 0

    @property
    def client(self) -> OssClient:
        client: OssClient = self._client()
        return client

    def info(self, bucket: str, key: str, *, fresh: bool = False) -> Info:
        """Return the info of an object, else of a directory.

        :param fresh: ask OSS, even if the info is cached
        :raises FileMissing: if there is neither
        """
        path = joined(bucket, key)
        if not fresh and (found := self._cached_info(path)):
            return found
        if not bucket:
            return directory_info("")
        with os_errors():
            if key:
                try:
                    return file_info(path, self.client.head_object(ObjectRef(bucket, key)))
                except NoSuchKey:
                    pass
            if self.has_any(bucket, key):
                return directory_info(path)
        raise missing(path)

    def has_any(self, bucket: str, key: str) -> bool:
        """Return whether a directory has contents or a marker; for a bucket, True if it exists."""
        page = next(self.client.list_pages(bucket, prefix=below(key), page_size=1))
        return not key or bool(page.objects)

    def entries(self, bucket: str, key: str, *, refresh: bool = False) -> list[Info]:
        """Return the contents of a directory, sorted by name; for the path of an object, the object.

        :param refresh: ask OSS, even if the listing is cached
        :raises FileMissing: if there is neither
        """
        path = joined(bucket, key)
        if not refresh and (cached := self._cached_listing(path)) is not None:
            return list(cached)
        generation = self._generation
        found = self.buckets() if not bucket else list(self._entries(bucket, key))
        if key and not found:
            at_path = self.info(bucket, key, fresh=True)  # an object, or a directory with nothing but its marker
            return [at_path] if at_path["type"] == "file" else []
        self._cache_listing(path, found, generation)
        return found

    def buckets(self) -> list[Info]:
        """Return the account's buckets."""
        with os_errors():
            found = [
                {**directory_info(bucket.name), "CreationDate": bucket.created, "Location": bucket.region}
                for bucket in self.client.list_buckets()
            ]
        return sorted(found, key=_name)

    def _entries(self, bucket: str, key: str, *, name_prefix: str = "") -> Iterator[Info]:
        prefix = below(key)
        files: dict[str, Info] = {}
        directories: dict[str, Info] = {}
        with os_errors():
            for page in self.client.list_pages(bucket, prefix=prefix + name_prefix, delimiter="/"):
                for listed in page.objects:
                    if not is_marker_for(listed, prefix):
                        path = joined(bucket, listed.key)
                        files[path] = file_info(path, listed)
                for common in page.prefixes:
                    path = joined(bucket, common.removesuffix("/"))
                    directories[path] = directory_info(path)
        # If an object and a directory have one name, the name means the object.
        yield from sorted((directories | files).values(), key=_name)

    def objects(self, bucket: str, key: str, *, name_prefix: str = "") -> Iterator[ListedObject]:
        """Yield all objects below a directory at any depth, including markers.

        :param name_prefix: yield only names that begin with it, relative to the directory
        """
        with os_errors():
            yield from self.client.list_objects(bucket, prefix=below(key) + name_prefix)

    def tree(self, bucket: str, key: str, *, name_prefix: str = "", directories: bool = False) -> dict[str, Info]:
        """Return everything below a directory, at any depth, by path.

        :param directories: include directories
        """
        generation = self._generation
        root = joined(bucket, key)
        found: dict[str, Info] = {}
        for listed in self.objects(bucket, key, name_prefix=name_prefix):
            is_directory = is_marker(listed)
            path = joined(bucket, listed.key.removesuffix("/") if is_directory else listed.key)
            if path == root:
                continue
            for above in parents(path):
                if above == root or len(above) <= len(root) or above in found:
                    break
                found[above] = directory_info(above)
            if not is_directory or path not in found:
                found[path] = directory_info(path) if is_directory else file_info(path, listed)
        if not name_prefix and key and len(found) <= MAX_CACHED:
            self._cache_tree(root, found, generation)
        return {path: info for path, info in sorted(found.items()) if directories or info["type"] != "directory"}

    def levels(
        self, bucket: str, key: str, depth: int, *, name_prefix: str = "", directories: bool = False
    ) -> dict[str, Info]:
        """Return everything below a directory down to a depth; depth 1 is its direct contents."""
        found: dict[str, Info] = {}
        for info in self._list_level(bucket, key, name_prefix):
            is_directory = info["type"] == "directory"
            if directories or not is_directory:
                found[info["name"]] = info
            if is_directory and depth > 1 and info["name"] != joined(bucket, key):
                deeper = info["name"].partition("/")
                found |= self.levels(deeper[0], deeper[2], depth - 1, directories=directories)
        return dict(sorted(found.items()))

    def _list_level(self, bucket: str, key: str, name_prefix: str) -> Iterable[Info]:
        if not name_prefix or not bucket or self._cached_listing(joined(bucket, key)) is not None:
            begin = f"{bucket}/{below(key)}{name_prefix}" if bucket else name_prefix
            return [info for info in self.entries(bucket, key) if info["name"].startswith(begin)]
        return self._entries(bucket, key, name_prefix=name_prefix)

    # --- the cache ----------------------------------------------------------------------------------------------------

    def forget(self, path: str | None) -> None:
        """Drop the cached listings of a path, of its parents and of everything below it; None drops all."""
        self._generation += 1
        if path is None:
            self._cache.clear()
            return
        gone = {path, *parents(path)}
        for cached in list(self._cache):
            if cached in gone or cached.startswith(f"{path}/"):
                _drop(self._cache, cached)

    def _cached_info(self, path: str) -> Info | None:
        """Return the info of a path from a cached listing; None if none has it."""
        if not path:
            return None
        of_parent = self._cached_listing(path.rpartition("/")[0]) or []
        at = bisect_left(
            of_parent, path, key=_name
        )  # binary search, because callers may ask for every object of a large directory
        return of_parent[at] if at < len(of_parent) and of_parent[at]["name"] == path else None

    def _cached_listing(self, path: str) -> list[Info] | None:
        try:
            found: list[Info] = self._cache[path]
        except KeyError:
            return None
        return found

    def _cache_listing(self, path: str, found: list[Info], generation: int) -> None:
        if generation == self._generation:
            self._cache[path] = found

    def _cache_tree(self, root: str, found: Mapping[str, Info], generation: int) -> None:
        by_directory: dict[str, list[Info]] = {root: []} if found else {}
        for path, info in sorted(found.items()):
            if info["type"] == "directory":
                by_directory.setdefault(path, [])
            by_directory.setdefault(path.rpartition("/")[0], []).append(info)
        for directory, infos in by_directory.items():
            self._cache_listing(directory, infos, generation)


def forget_everywhere(path: str | None) -> None:
    """Drop the cached listings of a path in every filesystem of this process."""
    for reference in _all.valuerefs():
        if listings := reference():
            listings.forget(path)


def is_marker(listed: ListedObject) -> bool:
    """Return whether an object is a directory marker: empty, with a key that ends with a slash."""
    return not listed.size and listed.key.endswith("/")


def is_marker_for(listed: ListedObject, prefix: str) -> bool:
    """Return whether an object is the marker of this directory."""
    return is_marker(listed) and listed.key == prefix


def _name(info: Info) -> str:
    name: str = info["name"]
    return name


def _drop(cache: Any, path: str) -> None:
    try:
        del cache[path]
    except KeyError:  # another thread has dropped it
        return


_all: weakref.WeakValueDictionary[int, Listings] = weakref.WeakValueDictionary()
