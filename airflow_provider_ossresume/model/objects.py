"""Objects as values: where they are, and what OSS says about them.

The rules for their names are in :mod:`~airflow_provider_ossresume.model.object_names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ossresume.model.record import Record, crc64_text

MAX_KEYS_TO_DELETE = 1_000  # OSS: one DeleteMultipleObjects
ARCHIVED_CLASSES = frozenset(
    {"Archive", "ColdArchive", "DeepColdArchive"}
)  # OSS: must be restored before they are read


@dataclass(frozen=True)
class ObjectRef:
    """One object: a bucket, a key, and perhaps a version. Shown as ``oss://bucket/key``.

    The key is used as it is and never parsed again, so it may begin with ``oss://``.
    """

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def uri(self) -> str:
        return f"oss://{self.bucket}/{self.key}"

    @property
    def versioned_uri(self) -> str:
        """The URI, with the version if there is one."""
        return self.uri if self.version_id is None else f"{self.uri}?versionId={self.version_id}"

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class PrefixRef:
    """All objects of a bucket whose keys begin with a prefix; with an empty one, the whole bucket.

    As in :class:`ObjectRef`, the prefix is used as it is and never parsed again.
    """

    bucket: str
    prefix: str = ""

    @property
    def is_whole_bucket(self) -> bool:
        return not self.prefix

    def matches(self, key: str) -> bool:
        return key.startswith(self.prefix)

    def __str__(self) -> str:
        return f"oss://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class ObjectMeta(Record):
    """An object's metadata, as OSS returns it. A task may return it.

    :ivar etag: without its quotes; an MD5 only for objects written by PutObject
    :ivar crc64: of all bytes; None if OSS has none
    :ivar metadata: the ``x-oss-meta-*`` headers, without that prefix
    :ivar headers: every header of the response, names in lower case
    :ivar answered_at: the response's Date, by OSS's clock
    """

    size: int
    etag: str
    crc64: int | None = None
    last_modified: datetime | None = None
    content_type: str | None = None
    version_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    answered_at: datetime | None = field(default=None, compare=False)

    @property
    def is_link(self) -> bool:
        """True for a symbolic link. Size and ETag are its target's. The CRC-64 is left out: it may be the link's."""
        return self.headers.get("x-oss-object-type") == "Symlink"

    def report(self) -> dict[str, Any]:
        """Return the metadata as JSON values, with times in ISO 8601 and the CRC-64 as a string."""
        return {
            "size": self.size,
            "etag": self.etag,
            "crc64": crc64_text(self.crc64),
            "last_modified": self.last_modified.isoformat() if self.last_modified else None,
            "content_type": self.content_type,
            "version_id": self.version_id,
            "metadata": dict(self.metadata),
            "headers": dict(self.headers),
            "answered_at": self.answered_at.isoformat() if self.answered_at else None,
        }


@dataclass(frozen=True)
class Receipt:
    """The proof that one part is in its place: on OSS, or in a part file.

    :ivar etag: the part's ETag on OSS; empty for a part in a part file
    :ivar crc64: None if it is not known
    """

    number: int
    etag: str
    size: int
    crc64: int | None


@dataclass(frozen=True)
class CopiedObject:
    """An object that OSS has copied, as its response describes it.

    :ivar crc64: of all bytes; None if OSS leaves it out
    :ivar source_version_id: the version that was copied, in a bucket with versions
    """

    etag: str
    crc64: int | None = None
    version_id: str | None = None
    source_version_id: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing.

    :ivar kind: OSS's type: ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``
    :ivar restore_info: for an archived object that is or was being restored: ``ongoing-request="true"``, or ``"false"``
        and an expiry date
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str = ""
    kind: str = ""
    restore_info: str = ""

    @property
    def is_archived(self) -> bool:
        """True for an object of an archive class that has not been restored."""
        return self.storage_class in ARCHIVED_CLASSES and 'ongoing-request="false"' not in self.restore_info


@dataclass(frozen=True)
class ListedBucket:
    """A bucket in a listing of the account. ``region`` is without OSS's prefix ``oss-``."""

    name: str
    region: str = ""
    created: datetime | None = None


@dataclass(frozen=True)
class ListedUpload(Record):
    """An unfinished multipart upload. A task may return it.

    :ivar bucket: empty until the listing fills it in
    :ivar answered_at: the Date of the listing's response, by OSS's clock
    """

    key: str
    upload_id: str
    initiated: datetime | None
    answered_at: datetime | None = field(default=None, compare=False)
    bucket: str = field(default="", compare=False)

    @property
    def target(self) -> ObjectRef:
        return ObjectRef(self.bucket, self.key)

    @property
    def age(self) -> timedelta | None:
        """How long ago it was initiated, by OSS's clock only; None if OSS did not say."""
        return self.answered_at - self.initiated if self.answered_at and self.initiated else None

    def report(self) -> dict[str, Any]:
        """Return the upload as JSON values, with the age in seconds."""
        return {
            "key": self.key,
            "upload_id": self.upload_id,
            "initiated": self.initiated.isoformat() if self.initiated else None,
            "age": self.age.total_seconds() if self.age is not None else None,
        }
