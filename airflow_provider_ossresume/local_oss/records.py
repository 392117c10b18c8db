"""Records of buckets, objects and uploads, in memory and in JSON files that survive a restart of the server.

::

    NAME/bucket.json                  when a bucket was made, and its settings
    NAME/objects/SHA256-OF-KEY.json   an object's key, headers and the name of its data file
    NAME/older/SHA256.json            the same for a version that is not the newest, or a delete marker
    NAME/uploads/ID/upload.json       an upload's key and headers
    NAME/uploads/ID/00001.json        a part, and the name of its data file

No path is built from a key, so no key leads out of the folder. A record changes by one ``os.replace``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.local_oss.contents import Content

NULL_VERSION = "null"  # OSS: the version of an object that was created while versioning was not enabled
DELETE_MARKER = "DeleteMarker"
NO_CONTENT = Content("", 0, "", 0)  # of a delete marker
ENABLED, SUSPENDED = "Enabled", "Suspended"
_SETTINGS = ("retention_days", "versioning")  # of a bucket; absent in records that older servers have written


@dataclass(frozen=True)
class StoredObject:
    """An object, or a version of one. ``headers`` are those that were set by its owner, with lower-case names.

    ``version`` is empty if its bucket has never had versions. ``order`` increases with each version of a key. An
    archived object can be read during ``[restored_at, restored_until)``, in seconds since 1970.
    """

    key: str
    content: Content
    etag: str
    kind: str
    headers: dict[str, str]
    modified: float
    version: str = ""
    order: int = 0
    restored_at: float = 0.0
    restored_until: float = 0.0

    @property
    def is_marker(self) -> bool:
        """True for a delete marker, which has no bytes."""
        return self.kind == DELETE_MARKER

    @property
    def has_null_version(self) -> bool:
        """True if it was created while versioning was not enabled."""
        return self.version in ("", NULL_VERSION)


@dataclass(frozen=True)
class StoredPart:
    """A part of an upload; its ETag is its MD5."""

    number: int
    content: Content
    modified: float


@dataclass
class Upload:
    """An unfinished multipart upload. Hold ``lock`` to change its parts, complete or abort it."""

    key: str
    upload_id: str
    headers: dict[str, str]
    initiated: float
    parts: dict[int, StoredPart] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def sorted_parts(self) -> list[StoredPart]:
        """Return the parts in ascending order."""
        return [part for _, part in sorted(self.parts.copy().items())]  # the copy is atomic, an iteration is not


@dataclass
class Bucket:
    """A bucket and the index of its contents. No object is overwritten or deleted before its retention ends.

    ``versioning`` is empty, or has OSS's value. ``older`` has the other versions by key, oldest first.
    """

    name: str
    created: float
    retention_days: int = 0
    versioning: str = ""
    objects: dict[str, StoredObject] = field(default_factory=dict)
    older: dict[str, list[StoredObject]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    _sorted_keys: list[str] | None = field(default=None, compare=False)

    @property
    def sorted_keys(self) -> list[str]:
        """The keys of the objects, sorted by their bytes. Cached, because each page of a long listing needs it."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self.objects)
        return self._sorted_keys

    def put(self, stored: StoredObject) -> None:
        """Set the object of a key."""
        if stored.key not in self.objects:
            self._sorted_keys = None
        self.objects[stored.key] = stored

    def drop(self, key: str) -> None:
        """Remove the object of a key."""
        del self.objects[key]
        self._sorted_keys = None

    def versions(self, key: str) -> list[StoredObject]:
        """Return a key's versions and delete markers, the oldest first."""
        current = self.objects.get(key)
        return [*self.older.get(key, ()), *([current] if current else [])]

    def name_null_versions(self) -> None:
        """Set the version ``null`` on objects that were created before versioning was enabled."""
        for key, stored in self.objects.items():
            self.objects[key] = stored if stored.version else replace(stored, version=NULL_VERSION)

    def contents(self) -> Iterator[Content]:
        """Yield every content that the bucket names."""
        yield from (stored.content for stored in self.objects.values())
        yield from (stored.content for versions in self.older.values() for stored in versions)
        yield from (part.content for upload in self.uploads.values() for part in upload.parts.values())


class Records:
    """The JSON files. The caller holds the lock of the record in question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def make_bucket(self, bucket: Bucket) -> None:
        """Make the folder of a bucket."""
        folder = self._folder / bucket.name
        if folder.is_symlink():
            raise OSError(f"{folder} is a symlink, not the folder of a bucket")
        for name in ("objects", "older", "uploads"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.write_bucket(bucket)

    def write_bucket(self, bucket: Bucket) -> None:
        """Write a bucket's settings."""
        facts = {name: getattr(bucket, name) for name in ("name", "created", *_SETTINGS)}
        _write_json(self._folder / bucket.name / "bucket.json", facts)

    def remove_bucket(self, bucket: Bucket) -> None:
        """Remove the folder of a bucket."""
        shutil.rmtree(self._folder / bucket.name)

    def write_object(self, bucket: Bucket, stored: StoredObject) -> None:
        """Write an object, and replace an existing one."""
        _write_json(self._object_file(bucket, stored.key), asdict(stored))

    def remove_object(self, bucket: Bucket, key: str) -> None:
        """Remove an object."""
        self._object_file(bucket, key).unlink()

    def write_older(self, bucket: Bucket, stored: StoredObject) -> None:
        """Write a version that is not the newest."""
        path = self._older_file(bucket, stored)
        path.parent.mkdir(exist_ok=True)  # an older version of this server did not create it
        _write_json(path, asdict(stored))

    def remove_older(self, bucket: Bucket, stored: StoredObject) -> None:
        """Remove a version that is not the newest."""
        self._older_file(bucket, stored).unlink()

    def write_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Write an upload that has no parts yet."""
        folder = self._upload_folder(bucket, upload)
        folder.mkdir()
        facts = {"key": upload.key, "upload_id": upload.upload_id, "headers": upload.headers}
        _write_json(folder / "upload.json", {**facts, "initiated": upload.initiated})

    def write_part(self, bucket: Bucket, upload: Upload, part: StoredPart) -> None:
        """Write a part, and replace an existing one."""
        _write_json(self._upload_folder(bucket, upload) / f"{part.number:05}.json", asdict(part))

    def remove_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Remove an upload and its parts."""
        shutil.rmtree(self._upload_folder(bucket, upload))

    def _object_file(self, bucket: Bucket, key: str) -> Path:
        return self._folder / bucket.name / "objects" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _older_file(self, bucket: Bucket, stored: StoredObject) -> Path:
        name = hashlib.sha256(f"{stored.key}\0{stored.version}".encode()).hexdigest()
        return self._folder / bucket.name / "older" / f"{name}.json"

    def _upload_folder(self, bucket: Bucket, upload: Upload) -> Path:
        return self._folder / bucket.name / "uploads" / upload.upload_id

    def load(self) -> Iterator[Bucket]:
        """Yield all buckets."""
        for path in self._folder.glob("*/bucket.json"):
            if not path.parent.is_symlink():
                yield _load_bucket(path)


def _load_bucket(path: Path) -> Bucket:
    facts = _read_json(path)
    # Names that become paths are taken from the folders, not from the records.
    bucket = Bucket(
        path.parent.name, facts["created"], **{name: facts[name] for name in _SETTINGS if name in facts}
    )  # fmt: skip
    bucket.objects = {stored.key: stored for stored in map(_load_object, path.parent.glob("objects/*.json"))}
    if bucket.versioning:
        bucket.name_null_versions()
    older = [(_load_object(record), record) for record in path.parent.glob("older/*.json")]
    for stored, record in sorted(older, key=lambda pair: pair[0].order):
        current = bucket.objects.get(stored.key)
        if current and current.version == stored.version:  # a server that was killed here has left both
            record.unlink()
        else:
            bucket.older.setdefault(stored.key, []).append(stored)
    bucket.uploads = {
        upload.upload_id: upload for upload in map(_load_upload, path.parent.glob("uploads/*/upload.json"))
    }
    return bucket


def _load_object(path: Path) -> StoredObject:
    facts = _read_json(path)
    return StoredObject(**{**facts, "content": Content(**facts["content"])})


def _load_upload(path: Path) -> Upload:
    upload = Upload(**{**_read_json(path), "upload_id": path.parent.name})
    for part_path in path.parent.glob("[0-9]*.json"):
        facts = _read_json(part_path)
        upload.parts[facts["number"]] = StoredPart(**{**facts, "content": Content(**facts["content"])})
    return upload


def _read_json(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(facts))
    temporary.replace(path)
