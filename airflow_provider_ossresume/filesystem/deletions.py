"""Deletes objects and directories, and only those that the caller names."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from itertools import islice

from airflow_provider_ossresume.errors import ArgumentError, FileIsDirectory, FileSystemError
from airflow_provider_ossresume.filesystem.listings import Listings
from airflow_provider_ossresume.filesystem.os_errors import missing, os_errors
from airflow_provider_ossresume.filesystem.paths import below, joined, split
from airflow_provider_ossresume.model.objects import MAX_KEYS_TO_DELETE


class Deletions:
    """The deletions of one filesystem."""

    def __init__(self, listings: Listings) -> None:
        self._listings = listings

    def file(self, path: str) -> None:
        """Delete one object.

        :raises FileMissing: if it does not exist
        :raises FileIsDirectory: if it is a directory
        """
        bucket, key = split(path)
        if not key:
            raise ArgumentError(
                "path", path, "it names no object (a template may have rendered to nothing); write bucket/key"
            )
        if self._listings.info(bucket, key, fresh=True)["type"] == "directory":
            raise FileIsDirectory(errno.EISDIR, f"oss://{path} is a directory; pass recursive=True to delete it")
        self._delete(bucket, [key])

    def files(self, paths: Iterable[str]) -> None:
        """Delete objects that are known to exist."""
        by_bucket: dict[str, list[str]] = {}
        for path in paths:
            bucket, _, key = path.partition("/")  # as listed, because a key may end with a slash
            by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            self._delete(bucket, keys)

    def check(self, path: str, *, recursive: bool, whole_bucket: bool) -> None:
        """Check that a deletion does not take a whole bucket, or all buckets.

        :param path: may be a pattern
        :param whole_bucket: allow a whole bucket, but never all buckets
        :raises ArgumentError: if it does
        """
        named, _, pattern = path.partition("/")
        if not named:
            raise ArgumentError(
                "path", path, "it names no bucket (a template may have rendered to nothing); write bucket/key"
            )
        takes_all = recursive or "**" in pattern
        if takes_all and not whole_bucket and not pattern.strip("*/" if "*" not in pattern else "*?/"):
            raise ArgumentError(
                "path", path, "it names the whole bucket (a template may have rendered to nothing); to allow that, "
                "pass whole_bucket=True"
            )  # fmt: skip

    def tree(self, path: str, *, whole_bucket: bool) -> None:
        """Delete an object, and everything in a directory of the same name, page by page.

        :param whole_bucket: see :meth:`check`
        :raises FileMissing: if neither exists
        :raises FileSystemError: if OSS does not confirm the deletion of every key
        """
        bucket, key = split(path)
        self.check(joined(bucket, key), recursive=True, whole_bucket=whole_bucket)
        found = False
        if key and self._listings.info(bucket, key, fresh=True)["type"] == "file":
            self._delete(bucket, [key])
            found = True
        keys = (listed.key for listed in self._listings.objects(bucket, key))
        while page := list(islice(keys, MAX_KEYS_TO_DELETE)):
            self._delete(bucket, page)
            found = True
        if not found and key:
            raise missing(joined(bucket, key))

    def directory(self, path: str) -> None:
        """Delete the marker of an empty directory.

        :raises FileMissing: if the directory does not exist
        :raises OSError: if it is not empty
        """
        bucket, key = split(path)
        if not key:
            raise ArgumentError(
                "path", path, "the filesystem does not delete buckets; use the hook, or the OSS console"
            )
        keys = [listed.key for listed in islice(self._listings.objects(bucket, key), 2)]
        if not keys:
            raise missing(joined(bucket, key))
        if keys != [below(key)]:
            raise FileSystemError(errno.ENOTEMPTY, f"oss://{joined(bucket, key)} is not empty")
        self._delete(bucket, keys)

    def _delete(self, bucket: str, keys: list[str]) -> None:
        with os_errors():
            gone = self._listings.client.delete_objects(bucket, keys)
        if left := sorted(set(keys) - set(gone)):
            raise FileSystemError(
                errno.EIO, f"OSS did not delete {len(left)} of {len(keys)} objects in {bucket}, such as {left[0]}"
            )
