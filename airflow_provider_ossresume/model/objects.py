"""What is named and known of objects: where they are, what OSS says of them, and the rules for their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import refuse_empty, refuse_text_of_list
from airflow_provider_ossresume.model.record import Record, crc64_text

MAX_KEYS_TO_DELETE = 1_000  # OSS: one DeleteMultipleObjects
MAX_KEY_BYTES = 1_023  # OSS: "Object naming conventions", UTF-8 bytes
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

    @property
    def name(self) -> str:
        """What names the object beside its bucket: the key, or the URI of a key that looks like a URL or a list."""
        try:
            _, key = resolve_names(self.key, self.bucket)
        except ArgumentError:
            return self.uri
        return self.key if key == self.key else self.uri

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


def check_text(argument: str, value: object) -> None:
    """:raises ArgumentError: when the value is no text, as an XCom of a task that returned nothing"""
    if not isinstance(value, str):
        raise ArgumentError(argument, value, f"give a text, not {type(value).__name__}")


def check_unicode(argument: str, value: object) -> str:
    """Return a text that UTF-8 can hold.

    :raises ArgumentError: for any other, and for what is no text
    """
    check_text(argument, value)
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise ArgumentError(argument, value, "it is not valid Unicode (a lone surrogate); correct it") from None
    return str(value)


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    """:raises ArgumentError: when the value is none of the choices"""
    if value not in choices:
        raise ArgumentError(argument, value, f"choose one of {', '.join(map(repr, choices))}")


def check_bucket(bucket: str, *, argument: str = "bucket_name") -> str:
    """Return the bucket's name when OSS allows it (3 to 63 of a-z, 0-9 and inner hyphens)."""
    check_text(argument, bucket)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        raise ArgumentError(
            argument, bucket, "OSS bucket names have 3 to 63 of a-z, 0-9 and '-', and no '-' at either end"
        )
    return bucket


def check_key(key: str, *, argument: str = "key") -> str:
    """Return the key when OSS may have it: 1 to 1,023 bytes of UTF-8, without NUL, not starting with a slash."""
    check_text(argument, key)
    if not key:
        raise ArgumentError(argument, key, "the key is empty, perhaps a template found nothing; name the object")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ArgumentError(argument, key, "the key is not valid Unicode (a lone surrogate); rename it") from None
    if size > MAX_KEY_BYTES:
        raise ArgumentError(argument, key, f"OSS keys have 1 to {MAX_KEY_BYTES} bytes in UTF-8, this one has {size}")
    if "\0" in key:
        raise ArgumentError(argument, key, "OSS keys hold no NUL character; rename the key")
    if key[0] in "/\\":
        raise ArgumentError(argument, key, "OSS keys do not start with '/' or '\\'; drop it")
    return key


def check_new_key(key: str, *, argument: str = "key") -> str:
    """Return the key when an object may be made under it: no control characters, and no slash at its end.

    OSS takes such keys and other tools have written some; they can be read, copied from and deleted.
    """
    if bad := _NOT_FOR_XML.search(check_key(key, argument=argument)):
        raise ArgumentError(argument, key, f"the character {bad[0]!r} cannot be sent in XML; rename the key")
    if key.endswith("/"):
        raise ArgumentError(
            argument, key, f"consoles show such an object as an empty folder; name the object too, as in {key}name"
        )
    return key


_NOT_FOR_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def fits_xml(key: str) -> bool:
    """True when a key arrives in XML as it is; OSS holds others too, written by hand or by other tools."""
    return not _NOT_FOR_XML.search(key)


def parse_oss_url(url: str, *, argument: str = "url") -> tuple[str, str]:
    """Return the bucket and the key of ``oss://bucket/key``; the key is taken as it stands, nothing is unquoted.

    :raises ArgumentError: when it is no such URL
    """
    match = re.fullmatch(r"oss://([^/]+)(?:/(.*))?", url, flags=re.DOTALL)
    if not match:
        raise ArgumentError(argument, url, "an OSS URL has the form oss://bucket/key")
    return match[1], match[2] or ""


def resolve_target(
    key: str | ObjectRef,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    version_id: str | None = None,
    argument: str = "key",
) -> ObjectRef:
    """Return the object that is meant: by an ``oss://`` URL, else by the bucket argument, else the connection's bucket.

    :raises ArgumentError: when URL and argument disagree, no bucket is named, one of them is empty, or OSS forbids a
        name
    """
    if version_id is None and isinstance(key, ObjectRef):
        version_id = key.version_id
    bucket, key = resolve_names(key, bucket_name, default_bucket=default_bucket, argument=argument)
    if version_id is not None:
        check_text("version_id", version_id)
        refuse_empty("version_id", version_id, instead="leave it out to mean the current version")
    return ObjectRef(check_bucket(bucket), check_key(key, argument=argument), version_id)


def resolve_prefix(
    prefix: str | PrefixRef | None,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    argument: str = "prefix",
) -> PrefixRef:
    """Return the objects that are meant: by a prefix, an ``oss://bucket/prefix`` URL, or all of a bucket by None.

    :raises ArgumentError: when URL and argument disagree, no bucket is named, one of them is ``""``, or no key can
        begin so
    """
    if prefix is None:
        return PrefixRef(check_bucket(_resolve_bucket(bucket_name, default_bucket)))
    refuse_empty(argument, prefix, instead="leave it out to mean the whole bucket")
    bucket, prefix = resolve_names(prefix, bucket_name, default_bucket=default_bucket, argument=argument)
    return PrefixRef(check_bucket(bucket), check_key(prefix, argument=argument) if prefix else "")


def refuse_whole_bucket(prefix: object, where: PrefixRef, *, instead: str) -> None:
    """:raises ArgumentError: when a prefix that was given names all of a bucket, as ``oss://bucket/`` does

    :param prefix: as it was given
    :param instead: how to mean the whole bucket
    """
    if prefix is not None and where.is_whole_bucket:
        raise ArgumentError(
            "prefix", prefix, "this URL names the whole bucket, perhaps a template found nothing; if you mean that, "
            f"{instead}"
        )  # fmt: skip


def resolve_names(
    key: str | ObjectRef | PrefixRef,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    argument: str = "key",
) -> tuple[str, str]:
    """Return bucket and key as :func:`resolve_target` does, not yet checked; the key may be a pattern.

    What is resolved already is taken as it stands. Only None leaves the bucket to the connection: ``""`` is what a
    template leaves that found nothing.
    """
    if isinstance(key, (ObjectRef, PrefixRef)):
        _agree(key, bucket_name, key.bucket)
        return key.bucket, key.key if isinstance(key, ObjectRef) else key.prefix
    check_text(argument, key)
    refuse_text_of_list(argument, key)
    if not key.startswith("oss://"):
        if _LIKE_A_URL.match(key):
            raise ArgumentError(
                argument, key, "it looks like a URL, and OSS's read oss://bucket/key; if this is the key, write it as "
                "oss://bucket/ and the key"
            )  # fmt: skip
        return _resolve_bucket(bucket_name, default_bucket), key
    bucket, key_of_url = parse_oss_url(key, argument=argument)
    _agree(key, bucket_name, bucket)
    return bucket, key_of_url


def _agree(url: object, bucket_name: str | None, bucket: str) -> None:
    if _resolve_bucket(bucket_name, bucket) != bucket:
        raise ArgumentError(
            "bucket_name", bucket_name, f"the URL {url} names bucket {bucket!r}; leave one of the two out"
        )


_LIKE_A_URL = re.compile(r"\s*(?:oss:|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)


def _resolve_bucket(bucket_name: str | None, default: str | None) -> str:
    if bucket_name is not None:
        check_text("bucket_name", bucket_name)
        refuse_empty("bucket_name", bucket_name, instead="leave it out to mean the connection's bucket")
        return bucket_name
    if not default:
        raise ArgumentError(
            "bucket_name", bucket_name, "name a bucket: here, in an oss:// URL, or in the connection's Bucket field"
        )
    return default
