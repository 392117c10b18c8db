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
ARCHIVED_CLASSES = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})  # OSS: to be restored before they are read


@dataclass(frozen=True)
class ObjectRef:
    """One object: a bucket and a key, and on download perhaps a version. Shown as ``oss://bucket/key``.

    It is what a name has been resolved to, and is never read as a name again: the key may begin with ``oss://``.
    """

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def uri(self) -> str:
        return f"oss://{self.bucket}/{self.key}"

    @property
    def versioned_uri(self) -> str:
        """The URI, with the version where there is one."""
        return self.uri if self.version_id is None else f"{self.uri}?versionId={self.version_id}"

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class PrefixRef:
    """All objects of a bucket whose keys begin with a prefix; with an empty one, the whole bucket.

    Like :class:`ObjectRef` it is what a name has been resolved to, and is never read as a name again.
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
    """What OSS says of an object; a task may return it.

    :ivar etag: without its quotes; an MD5 only for objects written by PutObject
    :ivar crc64: of all bytes, or None for objects that OSS has none for
    :ivar metadata: the ``x-oss-meta-*`` headers, without that prefix
    :ivar headers: every header of the answer, names in lower case
    :ivar answered_at: OSS's clock as it said so
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
        """True for a symbolic link: size and ETag are its target's, the CRC-64 is left out, as it may be the link's."""
        return self.headers.get("x-oss-object-type") == "Symlink"

    def report(self) -> dict[str, Any]:
        """Return it as JSON takes it: times in ISO 8601, the CRC-64 as text."""
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

    :ivar etag: OSS's of the part; empty for one in a part file
    :ivar crc64: None when nothing tells it
    """

    number: int
    etag: str
    size: int
    crc64: int | None


@dataclass(frozen=True)
class CopiedObject:
    """What OSS says of an object that it has made by a copy.

    :ivar crc64: of all bytes, or None where OSS leaves it out
    :ivar source_version_id: the version that was copied, in a bucket with versions
    """

    etag: str
    crc64: int | None = None
    version_id: str | None = None
    source_version_id: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing of the bucket shows it.

    :ivar kind: OSS's type: ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``
    :ivar restore_info: of an archived object that is being restored, or was: ``ongoing-request="true"``, or ``"false"``
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
        """True for an object of an archive class that is not restored."""
        return self.storage_class in ARCHIVED_CLASSES and 'ongoing-request="false"' not in self.restore_info


@dataclass(frozen=True)
class ListedBucket:
    """A bucket as a listing of the account shows it; ``region`` is without the ``oss-`` that OSS puts before it."""

    name: str
    region: str = ""
    created: datetime | None = None


@dataclass(frozen=True)
class ListedUpload(Record):
    """An unfinished multipart upload of the bucket; a task may return it.

    :ivar bucket: empty in what a listing's page says, which names it once
    :ivar answered_at: OSS's clock as it told with the listing
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
        """How long ago it was begun, by OSS's clock alone; None when OSS did not tell."""
        return self.answered_at - self.initiated if self.answered_at and self.initiated else None

    def report(self) -> dict[str, Any]:
        """Return it as JSON takes it, with the age in seconds."""
        return {
            "key": self.key,
            "upload_id": self.upload_id,
            "initiated": self.initiated.isoformat() if self.initiated else None,
            "age": self.age.total_seconds() if self.age is not None else None,
        }
