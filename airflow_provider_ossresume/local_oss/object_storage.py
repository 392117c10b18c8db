"""Stores buckets and their objects.

The bytes are written first. The record of an object (``records``) then makes them visible. So a killed server leaves
only complete objects, and data files without a record, which the next start removes. Nothing is flushed to the disk, so
a power cut may lose recent changes.

The index is kept in memory, so only one server at a time may use a folder.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.contents import Content, Contents
from airflow_provider_ossresume.local_oss.names import check_bucket_name, check_key
from airflow_provider_ossresume.local_oss.pages import Page
from airflow_provider_ossresume.local_oss.records import (
    DELETE_MARKER,
    ENABLED,
    NO_CONTENT,
    NULL_VERSION,
    Bucket,
    Records,
    StoredObject,
)


@dataclass(frozen=True)
class Deletion:
    """The result of a deletion. ``version`` is the version that was removed, or the delete marker that was created."""

    version: str = ""
    is_marker: bool = False


class ObjectStorage:
    """The index of the buckets. Any thread may call the methods. They raise Refusal for what OSS would refuse.

    :ivar contents: stores the bytes, before a record names them
    """

    def __init__(self, root: Path, *, clock: Callable[[], float]) -> None:
        self.contents = Contents(root / "data")
        self._records = Records(root / "buckets")
        self._clock = clock
        self._lock = threading.RLock()
        self._buckets = {bucket.name: bucket for bucket in self._records.load()}
        self.contents.discard_all_but({file for bucket in self._buckets.values() for file in _files(bucket)})
        self._last_order = max((order for bucket in self._buckets.values() for order in _orders(bucket)), default=0)

    # --- buckets

    def create_bucket(self, name: str) -> None:
        """Make a bucket; one that exists already stays as it is."""
        check_bucket_name(name)
        with self._lock:
            if name not in self._buckets:
                bucket = Bucket(name, self._clock())
                self._records.make_bucket(bucket)
                self._buckets[name] = bucket

    def retain(self, name: str, *, days: int) -> None:
        """Protect each object of a bucket for that many days after its creation."""
        with self._lock:
            bucket = self.bucket(name)
            bucket.retention_days = days
            self._records.write_bucket(bucket)

    def set_versioning(self, name: str, status: str) -> None:
        """Enable or suspend versioning. Existing versions stay."""
        with self._lock:
            bucket = self.bucket(name)
            bucket.versioning = status
            bucket.name_null_versions()
            self._records.write_bucket(bucket)

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket."""
        with self._lock:
            bucket = self.bucket(name)
            if bucket.objects or bucket.older or bucket.uploads:
                raise Refusal(409, "BucketNotEmpty", "The bucket has objects. Please delete them first.")
            del self._buckets[name]
            self._records.remove_bucket(bucket)

    def bucket(self, name: str) -> Bucket:
        """Return a bucket."""
        check_bucket_name(name)
        with self._lock:
            try:
                return self._buckets[name]
            except KeyError:
                details = {"BucketName": name}
                raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.", details=details) from None

    def buckets(self) -> list[Bucket]:
        """Return all buckets by name."""
        with self._lock:
            return [bucket for _, bucket in sorted(self._buckets.items())]

    # --- reading

    def open(self, bucket: str, key: str, version: str = "") -> tuple[StoredObject, BinaryIO]:
        """Return an object and an open file with its bytes, which stays readable if the object is replaced."""
        with self._lock:
            stored = self.object(bucket, key, version)
            return stored, self.contents.open(stored.content)

    def object(self, bucket: str, key: str, version: str = "") -> StoredObject:
        """Return an object, or a version of it."""
        check_key(key)
        with self._lock:
            index = self.bucket(bucket)
            if version:
                return _version(index, key, version)
            try:
                return index.objects[key]
            except KeyError:
                marker = _marker_headers(index.older[key][-1]) if key in index.older else {}
                details = {"Key": key}
                raise Refusal(
                    404, "NoSuchKey", "The specified key does not exist.", details=details, headers=marker
                ) from None

    def list_objects(self, bucket: str) -> list[StoredObject]:
        """Return a bucket's objects in the order of their keys' bytes."""
        with self._lock:
            index = self.bucket(bucket)
            return [index.objects[key] for key in index.sorted_keys]

    def list_page(self, bucket: str, cut: Callable[[list[str]], Page]) -> tuple[Page, list[StoredObject]]:
        """Return the page that ``cut`` makes of the bucket's sorted keys, and the objects of that page."""
        with self._lock:
            index = self.bucket(bucket)
            page = cut(index.sorted_keys)
            return page, [index.objects[key] for key in page.names]

    def versions(self, bucket: str, key: str) -> list[StoredObject]:
        """Return a key's versions and delete markers, the newest first."""
        with self._lock:
            return self.bucket(bucket).versions(key)[::-1]

    def list_versions(self, bucket: str) -> list[StoredObject]:
        """Return all versions and delete markers: the keys in order, each with its newest version first."""
        with self._lock:
            index = self.bucket(bucket)
            return [stored for key in sorted(index.objects | index.older) for stored in index.versions(key)[::-1]]

    # --- writing

    def check_overwrite(self, bucket: str, key: str, *, forbidden: bool) -> None:
        """Refuse if the bucket is missing, the key is not valid, or an existing object must not be overwritten.

        OSS: x-oss-forbid-overwrite has no effect if versioning is enabled or suspended.
        """
        check_key(key)
        with self._lock:
            if key in self.bucket(bucket).objects and forbidden and not self.bucket(bucket).versioning:
                raise Refusal(
                    409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten."
                )

    def put(self, bucket: str, stored: StoredObject, *, forbid_overwrite: bool = False) -> StoredObject:
        """Store an object and return it. It replaces an existing one. If it is refused, its bytes are discarded."""
        with self._lock:
            try:
                self.check_overwrite(bucket, stored.key, forbidden=forbid_overwrite)
                self._check_retention(self.bucket(bucket), self.bucket(bucket).objects.get(stored.key))
            except Refusal:
                self.contents.discard(stored.content)
                raise
            return self._add(self.bucket(bucket), stored)

    def append(
        self, bucket: str, key: str, content: Content, *, position: int, headers: dict[str, str]
    ) -> StoredObject:
        """Append a content to an appendable object, or create one, and return the object.

        Readers are not affected: they read only as many bytes as the object had.
        """
        with self._lock:
            index = self.bucket(bucket)
            stored = index.objects.get(key)
            self._check_retention(index, stored)
            _check_append(stored, position)
            if stored is None:
                return self.put(bucket, StoredObject(key, content, content.md5, "Appendable", headers, self._clock()))
            joined = self.contents.extend(stored.content, content)
            etag = hashlib.md5(f"{stored.etag}{content.md5}".encode(), usedforsecurity=False).hexdigest().upper()
            longer = replace(stored, content=joined, etag=etag, modified=self._clock())
            self._set_versions(index, key, [*index.versions(key)[:-1], longer])
        self.contents.discard(content)
        return longer

    def change(
        self, bucket: str, key: str, version: str = "", *, change: Callable[[StoredObject], StoredObject]
    ) -> tuple[StoredObject, StoredObject]:
        """Replace an object, or a version of it, by the result of ``change``; return both, before and after."""
        with self._lock:
            index, stored = self.bucket(bucket), self.object(bucket, key, version)
            changed = change(stored)
            self._set_versions(index, key, [changed if one is stored else one for one in index.versions(key)])
        return stored, changed

    def delete(self, bucket: str, key: str, version: str = "") -> Deletion | None:
        """Remove an object, or a version of it; return None if it does not exist.

        With versioning, and without a version, the object stays as an older version and a delete marker is added.
        """
        check_key(key)
        with self._lock:
            index = self.bucket(bucket)
            if version:
                return self._remove(index, key, version)
            self._check_retention(index, index.objects.get(key))
            if index.versioning:
                marker = self._add(index, StoredObject(key, NO_CONTENT, "", DELETE_MARKER, {}, self._clock()))
                return Deletion(marker.version, is_marker=True)
            was_there = key in index.objects
            self._set_versions(index, key, [])
            return Deletion() if was_there else None

    def _remove(self, index: Bucket, key: str, version: str) -> Deletion | None:
        found = _found(index, key, version)
        if found is None:
            return None
        self._check_retention(index, found)
        self._set_versions(index, key, [one for one in index.versions(key) if one is not found])
        return Deletion(found.version, is_marker=found.is_marker)

    def _check_retention(self, index: Bucket, stored: StoredObject | None) -> None:
        days = index.retention_days
        if stored and not stored.is_marker and days and stored.modified + days * 24 * 3600 > self._clock():
            raise Refusal(409, "FileImmutable", "The object is protected by the retention policy of its bucket.")

    def _add(self, index: Bucket, stored: StoredObject) -> StoredObject:
        """Add a new version of a key, or replace the object if the bucket has no versions."""
        self._last_order += 1
        stored = replace(stored, order=self._last_order)
        before = index.versions(stored.key) if index.versioning else []
        if index.versioning == ENABLED:
            # Sorted by creation, so that a listing can continue after a version that has been deleted meanwhile.
            stored = replace(stored, version=f"{stored.order:012X}{secrets.token_hex(10).upper()}")
        elif index.versioning:
            stored = replace(stored, version=NULL_VERSION)  # OSS: it replaces the existing null version
            before = [one for one in before if not one.has_null_version]
        self._set_versions(index, stored.key, [*before, stored])
        return stored

    def _set_versions(self, index: Bucket, key: str, versions: Sequence[StoredObject]) -> None:
        """Set all versions of a key, oldest first. The newest is the object, unless it is a delete marker."""
        current = versions[-1] if versions and not versions[-1].is_marker else None
        older = list(versions[:-1] if current else versions)
        current_before, older_before = index.objects.get(key), index.older.get(key, [])
        for stored in older:
            if all(stored is not one for one in older_before):
                self._records.write_older(index, stored)
        if current and current is not current_before:
            self._records.write_object(index, current)
            index.put(current)
        elif current_before and not current:
            self._records.remove_object(index, key)
            index.drop(key)
        kept = {stored.version for stored in older}
        for stored in older_before:
            if stored.version not in kept:
                self._records.remove_older(index, stored)
        index.older.pop(key, None)
        if older:
            index.older[key] = older
        files = {stored.content.file for stored in versions}
        for stored in [*older_before, *([current_before] if current_before else [])]:
            if stored.content.file not in files and not stored.is_marker:
                self.contents.discard(stored.content)


def _version(index: Bucket, key: str, version: str) -> StoredObject:
    stored = _found(index, key, version)
    if stored is None:
        details = {"Key": key, "VersionId": version}
        raise Refusal(404, "NoSuchVersion", "The specified version does not exist.", details=details)
    if stored.is_marker:
        raise Refusal(
            405, "MethodNotAllowed", "The specified method is not allowed against a delete marker.",
            headers=_marker_headers(stored),
        )  # fmt: skip
    return stored


def _found(index: Bucket, key: str, version: str) -> StoredObject | None:
    for stored in index.versions(key):
        if stored.version == version or (version == NULL_VERSION and stored.has_null_version):
            return stored
    return None


def _marker_headers(marker: StoredObject) -> dict[str, str]:
    return {"x-oss-delete-marker": "true", "x-oss-version-id": marker.version}


def _files(bucket: Bucket) -> list[str]:
    return [content.file for content in bucket.contents()]


def _orders(bucket: Bucket) -> list[int]:
    older = [stored.order for versions in bucket.older.values() for stored in versions]
    return [*older, *(stored.order for stored in bucket.objects.values())]


def _check_append(stored: StoredObject | None, position: int) -> None:
    if stored and stored.kind != "Appendable":
        raise Refusal(409, "ObjectNotAppendable", "The object is not appendable.")
    size = stored.content.size if stored else 0
    if position != size:
        raise Refusal(
            409,
            "PositionNotEqualToLength",
            "Position is not equal to file length.",
            headers={"x-oss-next-append-position": str(size)},
        )
