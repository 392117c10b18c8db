"""What is named and known of objects: where they are, what OSS says of them, and the rules for their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_provider_ossresume.errors import ArgumentError

MAX_KEY_BYTES = 1_023  # OSS: "Object naming conventions", UTF-8 bytes


@dataclass(frozen=True)
class ObjectRef:
    """One object: a bucket and a key, and on download perhaps a version. Shown as ``oss://bucket/key``."""

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def uri(self) -> str:
        return f"oss://{self.bucket}/{self.key}"

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class ObjectMeta:
    """What OSS says of an object.

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


@dataclass(frozen=True)
class UploadedPart:
    """A part as OSS holds it."""

    number: int
    etag: str
    size: int
    crc64: int | None


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing of the bucket shows it."""

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str = ""


@dataclass(frozen=True)
class ListedUpload:
    """An unfinished multipart upload of the bucket.

    :ivar answered_at: OSS's clock as it told with the listing
    """

    key: str
    upload_id: str
    initiated: datetime | None
    answered_at: datetime | None = field(default=None, compare=False)

    @property
    def age(self) -> timedelta | None:
        """How long ago it was begun, by OSS's clock alone; None when OSS did not tell."""
        return self.answered_at - self.initiated if self.answered_at and self.initiated else None


def check_text(argument: str, value: object) -> None:
    """:raises ArgumentError: when the value is no text, as an XCom of a task that returned nothing"""
    if not isinstance(value, str):
        raise ArgumentError(argument, value, f"give a text, not {type(value).__name__}")


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    """:raises ArgumentError: when the value is none of the choices"""
    if value not in choices:
        raise ArgumentError(argument, value, f"choose one of {', '.join(map(repr, choices))}")


def check_bucket(bucket: str, *, argument: str = "bucket_name") -> str:
    """Return the bucket's name when OSS allows it (3 to 63 of a-z, 0-9 and inner hyphens)."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        raise ArgumentError(
            argument, bucket, "OSS bucket names have 3 to 63 of a-z, 0-9 and '-', and no '-' at either end"
        )
    return bucket


def check_key(key: str, *, argument: str = "key") -> str:
    """Return the key when OSS allows it: 1 to 1,023 bytes of UTF-8, not starting with a slash or backslash."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ArgumentError(argument, key, "the key is not valid Unicode (a lone surrogate); rename it") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise ArgumentError(argument, key, f"OSS keys have 1 to {MAX_KEY_BYTES} bytes in UTF-8, this one has {size}")
    if key[0] in "/\\":
        raise ArgumentError(argument, key, "OSS keys do not start with '/' or '\\'; drop it")
    if bad := _NOT_FOR_XML.search(key):
        raise ArgumentError(argument, key, f"the character {bad[0]!r} cannot be sent in XML; rename the key")
    return key


_NOT_FOR_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def fits_xml(key: str) -> bool:
    """True when a key arrives in XML as it is; OSS holds others too, written by hand or by other tools."""
    return not _NOT_FOR_XML.search(key)


def parse_oss_url(url: str) -> tuple[str, str]:
    """Return the bucket and the key of ``oss://bucket/key``; the key is taken as it stands, nothing is unquoted.

    :raises ArgumentError: when it is no such URL
    """
    match = re.fullmatch(r"oss://([^/]+)(?:/(.*))?", url, flags=re.DOTALL)
    if not match:
        raise ArgumentError("url", url, "an OSS URL reads oss://bucket/key")
    return match[1], match[2] or ""


def resolve_target(
    key: str,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    version_id: str | None = None,
    argument: str = "key",
) -> ObjectRef:
    """Return the object that is meant: by an ``oss://`` URL, else by the bucket argument, else the connection's bucket.

    :raises ArgumentError: when URL and argument disagree, no bucket is named, or OSS forbids a name
    """
    bucket, key = resolve_names(key, bucket_name, default_bucket=default_bucket, argument=argument)
    return ObjectRef(check_bucket(bucket), check_key(key, argument=argument), version_id)


def resolve_names(
    key: str, bucket_name: str | None, *, default_bucket: str | None = None, argument: str = "key"
) -> tuple[str, str]:
    """Return bucket and key as :func:`resolve_target` does, not yet checked; the key may be a pattern."""
    check_text(argument, key)
    if bucket_name is not None:
        check_text("bucket_name", bucket_name)
    if key.startswith("oss://"):
        bucket, key_of_url = parse_oss_url(key)
        if bucket_name and bucket_name != bucket:
            raise ArgumentError(
                "bucket_name", bucket_name, f"the URL {key} names bucket {bucket!r}; leave one of the two out"
            )
        return bucket, key_of_url
    bucket = bucket_name or default_bucket or ""
    if not bucket:
        raise ArgumentError(
            "bucket_name", bucket_name, "name a bucket: here, in an oss:// URL, or in the connection's Bucket field"
        )
    return bucket, key
