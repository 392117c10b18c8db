"""Buckets, objects and uploads in a folder, kept over restarts of the server.

::

    root/buckets/NAME/bucket.json                  when it was made
    root/buckets/NAME/objects/SHA256-OF-KEY.json   an object's key, headers and the name of its data file
    root/buckets/NAME/older/SHA256.json            the same of an object that another one has taken the place of
    root/buckets/NAME/uploads/ID/upload.json       an upload's key and headers
    root/buckets/NAME/uploads/ID/00001.json        a part, and the name of its data file
    root/data/RANDOM.data                          bytes

No path is made from a key, so no key leaves the folder. Bytes are written first; what makes them visible is one
``os.replace`` of a JSON file. So a server that is killed leaves whole objects only, and data files that nothing
names, which the next start removes. Nothing is synced: a power cut may lose what the page cache held.

The index is held in memory: one server at a time for a folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.contents import Content, Contents

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # OSS, "Bucket naming conventions"
NULL_VERSION = "null"  # OSS: the version of an object in a bucket without versions
_SETTINGS = ("retention_days", "has_versions")  # of a bucket; absent in what an older server has written
MAX_KEY_SIZE = 1023  # bytes of UTF-8; OSS, "Object naming conventions"


@dataclass(frozen=True)
class StoredObject:
    """An object. ``headers`` are those that its owner gave it, with lower-case names.

    ``version`` is empty for one that was made while its bucket had no versions; OSS calls that version ``null``.
    """

    key: str
    content: Content
    etag: str
    kind: str
    headers: dict[str, str]
    modified: float
    version: str = ""


@dataclass(frozen=True)
class StoredPart:
    """A part of an upload; its ETag is its MD5."""

    number: int
    content: Content
    modified: float


@dataclass
class Upload:
    """A multipart upload under way. Whoever changes its parts, completes or aborts it holds ``lock``."""

    key: str
    upload_id: str
    headers: dict[str, str]
    initiated: float
    parts: dict[int, StoredPart] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def sorted_parts(self) -> list[StoredPart]:
        """Return the parts in ascending order."""
        return [part for _, part in sorted(self.parts.copy().items())]  # the copy is atomic, a walk is not


@dataclass
class Bucket:
    """A bucket and the index of what is in it. No object is overwritten or deleted before its retention is over."""

    name: str
    created: float
    retention_days: int = 0
    has_versions: bool = False
    objects: dict[str, StoredObject] = field(default_factory=dict)
    older: dict[tuple[str, str], StoredObject] = field(default_factory=dict)  # by key and version
    uploads: dict[str, Upload] = field(default_factory=dict)


class Storage:
    """The folder and its index. Every method may be called from any thread; what OSS would refuse raises Refusal.

    :ivar contents: where bytes are written before anything here names them
    """

    def __init__(self, root: Path, *, clock: Callable[[], float]) -> None:
        self._buckets_folder = root / "buckets"
        self.contents = Contents(root / "data")
        self._clock = clock
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._buckets_folder.mkdir(exist_ok=True)
        self._load()

    # --- buckets

    def create_bucket(self, name: str) -> None:
        """Make a bucket; one that exists already stays as it is."""
        check_bucket_name(name)
        with self._lock:
            if name not in self._buckets:
                if self._folder(name).is_symlink():
                    raise OSError(f"{self._folder(name)} is a symlink, not the folder of a bucket")
                bucket = Bucket(name, self._clock())
                self._folder(name, "objects").mkdir(parents=True, exist_ok=True)
                self._folder(name, "uploads").mkdir(exist_ok=True)
                self._write_bucket(bucket)
                self._buckets[name] = bucket

    def retain(self, name: str, *, days: int) -> None:
        """Protect each object of a bucket for so many days from its making."""
        with self._lock:
            bucket = self.bucket(name)
            bucket.retention_days = days
            self._write_bucket(bucket)

    def keep_versions(self, name: str) -> None:
        """Keep from now on each object that another one takes the place of, or that is deleted."""
        with self._lock:
            bucket = self.bucket(name)
            bucket.has_versions = True
            self._folder(name, "older").mkdir(exist_ok=True)
            self._write_bucket(bucket)

    def _write_bucket(self, bucket: Bucket) -> None:
        facts = {name: getattr(bucket, name) for name in ("name", "created", *_SETTINGS)}
        _write_json(self._folder(bucket.name) / "bucket.json", facts)

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket."""
        with self._lock:
            bucket = self.bucket(name)
            if bucket.objects or bucket.older or bucket.uploads:
                raise Refusal(409, "BucketNotEmpty", "The bucket has objects. Please delete them first.")
            del self._buckets[name]
            shutil.rmtree(self._folder(name))

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

    # --- objects

    def open(self, bucket: str, key: str, version: str = "") -> tuple[StoredObject, BinaryIO]:
        """Return an object with its opened bytes, which stay readable even when the object is replaced meanwhile."""
        with self._lock:
            stored = self.object(bucket, key, version)
            return stored, self.contents.open(stored.content)

    def object(self, bucket: str, key: str, version: str = "") -> StoredObject:
        """Return an object, or a version of it."""
        check_key(key)
        with self._lock:
            if version:
                return self._version(bucket, key, version)
            try:
                return self.bucket(bucket).objects[key]
            except KeyError:
                raise Refusal(404, "NoSuchKey", "The specified key does not exist.", details={"Key": key}) from None

    def _version(self, bucket: str, key: str, version: str) -> StoredObject:
        name = "" if version == NULL_VERSION else version
        current = self.bucket(bucket).objects.get(key)
        stored = current if current and current.version == name else self.bucket(bucket).older.get((key, name))
        if stored is None:
            details = {"Key": key, "VersionId": version}
            raise Refusal(404, "NoSuchVersion", "The specified version does not exist.", details=details)
        return stored

    def check_overwrite(self, bucket: str, key: str, *, forbidden: bool) -> None:
        """Refuse when the bucket is missing, the key is bad, or an object is there that must not be replaced.

        OSS: x-oss-forbid-overwrite has no effect in a bucket with versions.
        """
        check_key(key)
        with self._lock:
            if key in self.bucket(bucket).objects and forbidden and not self.bucket(bucket).has_versions:
                raise Refusal(
                    409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten."
                )

    def put(self, bucket: str, stored: StoredObject, *, forbid_overwrite: bool = False) -> StoredObject:
        """Make an object visible in place of the one before, and return it. A refusal discards its bytes."""
        with self._lock:
            try:
                self.check_overwrite(bucket, stored.key, forbidden=forbid_overwrite)
                self._check_retention(bucket, stored.key)
            except Refusal:
                self.contents.discard(stored.content)
                raise
            objects, before = self.bucket(bucket).objects, self.bucket(bucket).objects.get(stored.key)
            is_longer = before is not None and before.content.file == stored.content.file  # by an append
            if self.bucket(bucket).has_versions and not is_longer:
                stored = replace(stored, version=uuid.uuid4().hex)
            _write_json(self._object_file(bucket, stored.key), asdict(stored))
            objects[stored.key] = stored
            if before and not is_longer:
                self._retire(bucket, before)
        return stored

    def _retire(self, bucket: str, stored: StoredObject) -> None:
        """Keep an object that is no longer there as a version, or forget its bytes."""
        if not self.bucket(bucket).has_versions:
            self.contents.discard(stored.content)
            return
        _write_json(self._older_file(bucket, stored), asdict(stored))
        self.bucket(bucket).older[stored.key, stored.version] = stored

    def _check_retention(self, bucket: str, key: str) -> None:
        stored, days = self.bucket(bucket).objects.get(key), self.bucket(bucket).retention_days
        if stored and days and stored.modified + days * 24 * 3600 > self._clock():
            raise Refusal(409, "FileImmutable", "The object is protected by the retention policy of its bucket.")

    def change_headers(
        self, bucket: str, key: str, version: str = "", *, headers: Mapping[str, str | None]
    ) -> StoredObject:
        """Let an object, or a version of it, have these headers; None takes one away. Its date stays."""
        with self._lock:
            stored = self.object(bucket, key, version)
            merged = {**stored.headers, **headers}
            changed = replace(stored, headers={name: value for name, value in merged.items() if value is not None})
            if self.bucket(bucket).objects.get(key) is stored:
                self.bucket(bucket).objects[key] = changed
                _write_json(self._object_file(bucket, key), asdict(changed))
            else:
                self.bucket(bucket).older[key, stored.version] = changed
                _write_json(self._older_file(bucket, changed), asdict(changed))
        return changed

    def append(
        self, bucket: str, key: str, content: Content, *, position: int, headers: dict[str, str]
    ) -> StoredObject:
        """Lay a content behind an appendable object's bytes, or begin one, and return the longer object.

        Readers are not disturbed: they read no further than the size that they know.
        """
        with self._lock:
            self._check_retention(bucket, key)
            stored = self.bucket(bucket).objects.get(key)
            _check_append(stored, position)
            if stored is None:
                return self.put(bucket, StoredObject(key, content, content.md5, "Appendable", headers, self._clock()))
            joined = self.contents.extend(stored.content, content)
            etag = hashlib.md5(f"{stored.etag}{content.md5}".encode(), usedforsecurity=False).hexdigest().upper()
            longer = replace(stored, content=joined, etag=etag, modified=self._clock())
            self.put(bucket, longer)
        self.contents.discard(content)
        return longer

    def delete(self, bucket: str, key: str) -> bool:
        """Remove an object; return False when it was not there."""
        check_key(key)
        with self._lock:
            self._check_retention(bucket, key)
            stored = self.bucket(bucket).objects.pop(key, None)
            if stored:
                self._object_file(bucket, key).unlink()
                self._retire(bucket, stored)
        return stored is not None

    def list_objects(self, bucket: str) -> list[StoredObject]:
        """Return a bucket's objects in the order of their keys' bytes."""
        with self._lock:
            objects = self.bucket(bucket).objects
            return [objects[key] for key in sorted(objects)]

    # --- uploads

    def initiate(self, bucket: str, key: str, headers: dict[str, str]) -> Upload:
        """Begin an upload."""
        check_key(key)
        with self._lock:
            upload = Upload(key, uuid.uuid4().hex.upper(), headers, self._clock())
            self.bucket(bucket).uploads[upload.upload_id] = upload
            folder = self._folder(bucket, "uploads", upload.upload_id)
            folder.mkdir()
            facts = {"key": key, "upload_id": upload.upload_id, "headers": headers, "initiated": upload.initiated}
            _write_json(folder / "upload.json", facts)
            return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Return an upload."""
        check_key(key)
        with self._lock:
            upload = self.bucket(bucket).uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refusal(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
                "aborted or completed.",
                details={"UploadId": upload_id},
            )
        return upload

    def put_part(self, bucket: str, upload: Upload, number: int, content: Content) -> StoredPart:
        """Make a part visible in place of the one before. An upload that is gone by now discards it and refuses."""
        with upload.lock:
            try:
                self.upload(bucket, upload.key, upload.upload_id)
            except Refusal:
                self.contents.discard(content)
                raise
            part = StoredPart(number, content, self._clock())
            _write_json(self._folder(bucket, "uploads", upload.upload_id) / f"{number:05}.json", asdict(part))
            before, upload.parts[number] = upload.parts.get(number), part
        if before:
            self.contents.discard(before.content)
        return part

    def complete(self, bucket: str, upload: Upload, stored: StoredObject, *, forbid_overwrite: bool) -> StoredObject:
        """Make the object visible and end its upload, at once for whoever looks. The caller holds the upload's lock."""
        with self._lock:
            stored = self.put(bucket, stored, forbid_overwrite=forbid_overwrite)
            self._forget(bucket, upload)
        return stored

    def abort(self, bucket: str, upload: Upload) -> None:
        """End an upload and remove its parts."""
        with upload.lock, self._lock:
            self.upload(bucket, upload.key, upload.upload_id)
            self._forget(bucket, upload)

    def list_uploads(self, bucket: str) -> list[Upload]:
        """Return a bucket's uploads by key, then by ID."""
        with self._lock:
            uploads = self.bucket(bucket).uploads.values()
            return sorted(uploads, key=lambda upload: (upload.key, upload.upload_id))

    def _forget(self, bucket: str, upload: Upload) -> None:
        del self.bucket(bucket).uploads[upload.upload_id]
        shutil.rmtree(self._folder(bucket, "uploads", upload.upload_id))
        for part in upload.parts.values():
            self.contents.discard(part.content)

    # --- the folder

    def _folder(self, bucket: str, *names: str) -> Path:
        return self._buckets_folder.joinpath(bucket, *names)

    def _object_file(self, bucket: str, key: str) -> Path:
        return self._folder(bucket, "objects", hashlib.sha256(key.encode()).hexdigest() + ".json")

    def _older_file(self, bucket: str, stored: StoredObject) -> Path:
        name = hashlib.sha256(f"{stored.key}\0{stored.version}".encode()).hexdigest()
        return self._folder(bucket, "older", f"{name}.json")

    def _load(self) -> None:
        for path in self._buckets_folder.glob("*/bucket.json"):
            if path.parent.is_symlink():
                continue
            facts = _read_json(path)
            # Names that become paths are those of the folders, whatever the records say.
            settings = {name: facts[name] for name in _SETTINGS if name in facts}
            bucket = Bucket(path.parent.name, facts["created"], **settings)
            bucket.objects = {stored.key: stored for stored in map(_load_object, path.parent.glob("objects/*.json"))}
            older = map(_load_object, path.parent.glob("older/*.json"))
            bucket.older = {(stored.key, stored.version): stored for stored in older}
            bucket.uploads = {
                upload.upload_id: upload for upload in map(_load_upload, path.parent.glob("uploads/*/upload.json"))
            }
            self._buckets[bucket.name] = bucket
        self.contents.discard_all_but(self._named_files())

    def _named_files(self) -> set[str]:
        buckets = self._buckets.values()
        contents = [
            stored.content for bucket in buckets for stored in (*bucket.objects.values(), *bucket.older.values())
        ]
        uploads = [upload for bucket in buckets for upload in bucket.uploads.values()]
        contents += [part.content for upload in uploads for part in upload.parts.values()]
        return {content.file for content in contents}


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


def check_bucket_name(name: str) -> None:
    """Refuse a name that OSS does not allow."""
    if not _BUCKET_NAME.fullmatch(name):
        details = {"BucketName": name}
        raise Refusal(400, "InvalidBucketName", "The specified bucket is not valid.", details=details)


def check_key(key: str) -> None:
    """Refuse a key that OSS does not allow."""
    if not 1 <= len(key.encode()) <= MAX_KEY_SIZE or key[0] in "/\\" or "\0" in key:
        details = {"ObjectName": key.replace("\0", "%00")}
        raise Refusal(400, "InvalidObjectName", "The specified object is not valid.", details=details)
