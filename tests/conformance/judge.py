"""What every judge can be asked, in the project's words; an SDK's own names end in its adapter.

A judge is an official SDK, unmodified, with one signature version. Answers carry what the SDK itself understood: a
field that an SDK does not read is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeVar

PART = 100 * 1024  # OSS: the smallest part that may be followed by another


@dataclass(frozen=True)
class Access:
    """Where the server is and who asks."""

    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    access_key_secret: str
    security_token: str | None = None


@dataclass(frozen=True)
class Answer:
    """The answer to a request about one object; ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    request_id: str
    etag: str | None = None
    crc64: int | None = None
    body: bytes = b""

    @property
    def meta(self) -> dict[str, str]:
        prefix = "x-oss-meta-"
        return {name.removeprefix(prefix): value for name, value in self.headers.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Part:
    """A part as the SDK saw it; ``size`` and ``crc64`` come from ListParts, ``etag`` has no quotes."""

    number: int
    etag: str
    size: int | None = None
    crc64: int | None = None


@dataclass(frozen=True)
class PartsPage:
    parts: Sequence[Part]
    next_marker: int | None = None


@dataclass(frozen=True)
class ObjectsPage:
    keys: Sequence[str]
    prefixes: Sequence[str] = ()
    sizes: Sequence[int] = ()
    next_token: str | None = None
    kinds: Sequence[str] = field(default=(), compare=False)


@dataclass(frozen=True)
class VersionsPage:
    versions: Sequence[tuple[str, str, bool]]  # (key, version, whether it is the latest)
    markers: Sequence[tuple[str, str]] = ()  # (key, version)
    prefixes: Sequence[str] = ()
    next_marker: tuple[str, str] | None = None


@dataclass(frozen=True)
class Deleted:
    """What became of one entry of a list of deletions; ``marker`` is the version of a delete marker."""

    key: str
    version: str | None = None
    marker: str | None = None


@dataclass(frozen=True)
class UploadsPage:
    uploads: Sequence[tuple[str, str]]  # (key, upload ID)
    next_marker: tuple[str, str] | None = None


@dataclass(frozen=True)
class BucketFacts:
    name: str
    location: str
    storage_class: str
    owner: str


@dataclass(frozen=True)
class SignedURL:
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The SDK raised: OSS answered with an error. ``ec`` is None where the SDK does not read it."""

    def __init__(
        self, *, status: int, code: str, request_id: str, ec: str | None, kind: str, message: str | None
    ) -> None:
        super().__init__(f"{kind}: {status} {code} {message} [EC {ec}, request id {request_id}]")
        self.status = status
        self.code = code
        self.request_id = request_id
        self.ec = ec
        self.kind = kind  # the SDK's own exception class, or the name that ali-oss gives


J = TypeVar("J", bound="Judge")


class Judge(Protocol):
    """An SDK that carries out the requests of the contract.

    ``cannot`` names the requests that this SDK cannot express, each with the reason; the tests that need one are not
    made for it.
    """

    name: ClassVar[str]
    cannot: ClassVar[Mapping[str, str]]
    access: Access
    signature: str  # "v1" or "v4"

    def put(
        self,
        key: str,
        data: bytes,
        *,
        meta: Mapping[str, str] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer: ...

    def put_stream(self, key: str, pieces: Sequence[bytes]) -> Answer:
        """Put a body whose size is not known before, so that it goes chunked."""
        ...

    def get(
        self, key: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Answer: ...

    def head(self, key: str) -> Answer: ...

    def object_meta(self, key: str) -> Answer: ...

    def acl(self, key: str) -> str: ...

    def tags(self, key: str) -> dict[str, str]: ...

    def put_tags(self, key: str, tags: Mapping[str, str]) -> None: ...

    def delete_tags(self, key: str) -> None: ...

    def put_link(self, key: str, target: str, *, headers: Mapping[str, str] | None = None) -> None: ...

    def link_target(self, key: str) -> str: ...

    def restore(self, key: str, *, days: int = 1, tier: str | None = None, version: str | None = None) -> Answer: ...

    def append(self, key: str, position: int, data: bytes) -> int:
        """Return the position at which the next bytes go."""
        ...

    def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
        bucket: str | None = None,
    ) -> str:
        """Copy an object, or a version of one, perhaps from another bucket; return the ETag."""
        ...

    def delete(self, key: str, *, version: str | None = None) -> Mapping[str, str]:
        """Remove an object, or a version of it; return the headers of the answer, in lower case."""
        ...

    def delete_versions(self, named: Sequence[tuple[str, str | None]]) -> list[Deleted]:
        """Remove versions, and objects of which none is named."""
        ...

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that OSS names as deleted."""
        ...

    def list_objects(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, token: str | None = None
    ) -> ObjectsPage: ...

    def initiate(self, key: str, *, headers: Mapping[str, str] | None = None) -> str:
        """Return the upload ID."""
        ...

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part: ...

    def upload_part_copy(
        self, key: str, upload_id: str, number: int, source: str, *, start: int, stop: int
    ) -> None: ...

    def list_parts(self, key: str, upload_id: str, *, page: int = 1000, marker: int | None = None) -> PartsPage: ...

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, headers: Mapping[str, str] | None = None
    ) -> Answer: ...

    def complete_all(self, key: str, upload_id: str) -> Answer: ...

    def abort(self, key: str, upload_id: str) -> None: ...

    def list_uploads(
        self, *, prefix: str = "", page: int = 1000, marker: tuple[str, str] | None = None
    ) -> UploadsPage: ...

    def presign(
        self, method: str, key: str, *, seconds: int, headers: Mapping[str, str] | None = None
    ) -> SignedURL: ...

    def list_objects_v1(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: str = ""
    ) -> ObjectsPage:
        """List with ListObjects, the first version; its marker is a key."""
        ...

    def set_versioning(self, status: str) -> None: ...

    def versioning(self) -> str | None: ...

    def list_versions(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: tuple[str, str] | None = None
    ) -> VersionsPage: ...

    def list_buckets(self) -> list[str]: ...

    def account(self) -> str:
        """Return the ID of the buckets' owner, as the list of the buckets has it."""
        ...

    def bucket_info(self) -> BucketFacts: ...

    def bucket_location(self) -> str: ...

    def make_bucket(self) -> None: ...

    def remove_bucket(self) -> None: ...

    def with_access(self: J, **changes: str | None) -> J:
        """Return the same judge with another bucket, endpoint or identity."""
        ...

    def close(self) -> None: ...


class WithAccess:
    """What the adapters share."""

    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self, access: Access, *, signature: str) -> None:
        self.access = access
        self.signature = signature

    def with_access(self: J, **changes: str | None) -> J:
        return type(self)(replace(self.access, **changes), signature=self.signature)  # type: ignore[call-arg]

    def close(self) -> None:
        """Nothing to close."""


def bare(etag: str) -> str:
    return etag.strip('"')


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def crc64_of(headers: Mapping[str, str]) -> int | None:
    found = lower(headers).get("x-oss-hash-crc64ecma")
    return None if found is None else int(found)
