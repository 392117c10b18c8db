"""OSS in memory, by its rules: those of the local OSS server, which the official SDKs judge."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ConnectionFailed,
    InvalidPart,
    InvalidRange,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    ServiceError,
)
from airflow_provider_ossresume.model.crc64 import combine_all, crc64
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.objects import ObjectRef

if TYPE_CHECKING:
    from tests.simulation.world import Try

BUCKET, KEY = "bucket", "key"
SOURCE = ObjectRef("source-bucket", "source-key")  # of a copy
MIN_PART_SIZE = 100 * 1024  # OSS: every part but the last, checked at Complete
MAX_PART_COUNT = 10_000
STEP = 40 * 1024  # bytes that a body moves at once; a part has three steps or more
BEGINNING = 60 * 1024  # bytes that a new download asks for first

DELAY = 10.0  # seconds: longer than any grace
SLOW = 0.5  # seconds: longer than a tick, and within the grace of a stop that comes at the first one

NAMES = {
    "head": "HeadObject",
    "put": "PutObject",
    "get": "GetObject",
    "acl": "GetObjectAcl",
    "tagging": "GetObjectTagging",
    "retention": "GetBucketWorm",
    "copy": "CopyObject",
    "part copy": "UploadPartCopy",
    "initiate": "InitiateMultipartUpload",
    "part": "UploadPart",
    "list": "ListParts",
    "complete": "CompleteMultipartUpload",
    "abort": "AbortMultipartUpload",
}


def refusal(kind: type[ServiceError], operation: str, status: int, code: str) -> ServiceError:
    return kind(operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}", status=status, code=code)


def no_answer(operation: str, why: str) -> ConnectionFailed:
    return ConnectionFailed(f"{NAMES[operation]}: {why}", operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}")


@dataclass(frozen=True)
class StoredPart:
    content: bytes
    crc64: int

    @classmethod
    def of(cls, content: bytes) -> StoredPart:
        return cls(content, crc64(content))

    @property
    def etag(self) -> str:
        return f"{self.crc64:016X}"


@dataclass
class Upload:
    """A multipart upload.

    The marks below the parts are the ledger's, who has to tell why one was left behind.
    """

    upload_id: str
    by: Try | None  # None: another writer's
    headers: Mapping[str, str]
    of_etag: str = ""  # the source's, of a copy, when it was begun
    parts: dict[int, StoredPart] = field(default_factory=dict)
    state: str = "open"  # or completed, aborted, removed

    answered: str = ""  # or in time, or too late: whether the try that initiated it got to know its ID
    is_saved: bool = False  # a checkpoint that names it has been in the store
    save_failed: bool = False
    abort_failed: bool = False
    checkpoint_lost: bool = False  # by other hands than a try's
    overlapped: bool = False  # its checkpoint was overwritten by a try that did not know of it


@dataclass(frozen=True)
class StoredObject:
    content: bytes
    etag: str
    crc64: int
    headers: Mapping[str, str]


def stored(content: bytes, headers: Mapping[str, str]) -> StoredObject:
    part = StoredPart.of(content)
    return StoredObject(content, part.etag, part.crc64, headers)


class OSS:
    """The service: every method is one effect, whole or not at all."""

    def __init__(self) -> None:
        self.uploads: dict[str, Upload] = {}
        self.object: StoredObject | None = None
        self.source: StoredObject | None = None  # of a copy
        self._ids = itertools.count(1)

    def open_uploads(self) -> list[Upload]:
        return [upload for upload in self.uploads.values() if upload.state == "open"]

    def head(
        self, operation: str = "head", *, of: ObjectRef | None = None, if_match: str | None = None
    ) -> StoredObject:
        """Return an object: the one that a copy reads, or by default the other one."""
        found = self.source if of == SOURCE else self.object
        if found is None:
            raise refusal(NoSuchKey, operation, 404, "NoSuchKey")
        if if_match is not None and if_match != found.etag:
            raise refusal(PreconditionFailed, operation, 412, "PreconditionFailed")
        return found

    def put(self, content: bytes, headers: Mapping[str, str], *, operation: str = "put") -> StoredObject:
        self._check_overwrite(operation, headers)
        self.object = stored(content, headers)
        return self.object

    def get(self, start: int, stop: int | None, if_match: str | None, *, of: ObjectRef | None = None) -> bytes:
        found = self.head("get", of=of, if_match=if_match)
        if stop is not None and start >= len(found.content):
            raise refusal(InvalidRange, "get", 416, "InvalidRange")
        return found.content[start:stop]

    def initiate(self, headers: Mapping[str, str], by: Try | None) -> Upload:
        self._check_overwrite("initiate", headers)
        upload = Upload(f"U{next(self._ids)}", by, headers)
        self.uploads[upload.upload_id] = upload
        return upload

    def upload(self, operation: str, upload_id: str) -> Upload:
        found = self.uploads.get(upload_id)
        if found is None or found.state != "open":
            raise refusal(NoSuchUpload, operation, 404, "NoSuchUpload")
        return found

    def put_part(self, upload_id: str, number: int, content: bytes, *, operation: str = "part") -> StoredPart:
        upload = self.upload(operation, upload_id)
        if not 1 <= number <= MAX_PART_COUNT:
            raise refusal(ServiceError, operation, 400, "InvalidArgument")
        upload.parts[number] = part = StoredPart.of(content)
        return part

    def list_parts(self, upload_id: str, *, after: int, limit: int) -> list[tuple[int, StoredPart]]:
        parts = sorted(self.upload("list", upload_id).parts.items())
        return [(number, part) for number, part in parts if number > after][:limit]

    def complete(self, upload_id: str, named: list[tuple[int, str]], headers: Mapping[str, str]) -> StoredObject:
        upload = self.upload("complete", upload_id)
        if not named or any(one[0] >= other[0] for one, other in itertools.pairwise(named)):
            raise refusal(ServiceError, "complete", 400, "InvalidPartOrder")
        parts = []
        for number, etag in named:
            part = upload.parts.get(number)
            if part is None or part.etag != etag:
                raise refusal(InvalidPart, "complete", 400, "InvalidPart")
            parts.append(part)
        if any(len(part.content) < MIN_PART_SIZE for part in parts[:-1]):
            raise refusal(ServiceError, "complete", 400, "EntityTooSmall")
        self._check_overwrite("complete", headers)
        upload.state = "completed"
        crc = combine_all((part.crc64, len(part.content)) for part in parts)
        content = b"".join(part.content for part in parts)
        self.object = StoredObject(content, f"{crc:016X}-{len(parts)}", crc, upload.headers)
        return self.object

    def abort(self, upload_id: str) -> None:
        self.upload("abort", upload_id).state = "aborted"

    def _check_overwrite(self, operation: str, headers: Mapping[str, str]) -> None:
        if headers.get(FORBID_OVERWRITE) == "true" and self.object is not None:
            raise refusal(AlreadyExists, operation, 409, "FileAlreadyExists")


def flipped(data: bytes, by: int = 0x55) -> bytes:
    return bytes([data[0] ^ by]) + data[1:] if data else data
