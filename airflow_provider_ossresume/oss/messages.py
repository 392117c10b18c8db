"""The bodies of OSS's requests and answers: XML written and read, by name whatever the namespace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.objects import ListedBucket, ListedObject, ListedUpload, Receipt

MAX_TAGS = 100_000  # a page of 1,000 entries with a dozen elements each has a quarter of it
MAX_TAG_BYTES = 64 * 1024  # from one tag to the next; a percent-encoded key has 3 KiB


class MalformedXML(ValueError):
    """The body is not the XML that was expected; becomes a BadAnswer that names the operation."""


@dataclass(frozen=True)
class ErrorAnswer:
    """What an error's XML says."""

    code: str = ""
    message: str = ""
    ec: str = ""
    request_id: str = ""
    host_id: str = ""
    endpoint: str = ""  # where the bucket is, when it is elsewhere
    bucket: str = ""  # which one does not exist


@dataclass(frozen=True)
class PartsPage:
    parts: list[Receipt]
    next_marker: int | None


@dataclass(frozen=True)
class UploadsPage:
    uploads: list[ListedUpload]
    next_marker: tuple[str, str] | None


@dataclass(frozen=True)
class ObjectsPage:
    objects: list[ListedObject]
    prefixes: list[str]
    next_token: str | None


@dataclass(frozen=True)
class BucketsPage:
    buckets: list[ListedBucket]
    next_marker: str | None


@dataclass(frozen=True)
class BucketInfo:
    """What GetBucketInfo tells. ``region`` is without the ``oss-`` that OSS puts before it.

    :ivar owner: the ID of the account that the bucket belongs to
    :ivar answered_at: the response's Date
    :ivar versioning: ``Enabled`` or ``Suspended``; empty for a bucket that never kept versions
    """

    name: str
    region: str
    extranet_endpoint: str
    intranet_endpoint: str
    storage_class: str
    owner: str = ""
    answered_at: datetime | None = None
    versioning: str = ""


@dataclass(frozen=True)
class ServiceInfo:
    """What ListBuckets tells beside buckets.

    :ivar owner: the ID of the account that the Access Key belongs to
    :ivar answered_at: the response's Date
    """

    owner: str
    answered_at: datetime | None = None


# --- requests ---------------------------------------------------------------------------------------------------------


def complete_body(parts: Iterable[Receipt]) -> bytes:
    """Return the body of CompleteMultipartUpload; the parts stand in ascending order, as OSS demands."""
    lines = "".join(
        f'<Part><PartNumber>{part.number}</PartNumber><ETag>"{escape(part.etag)}"</ETag></Part>'
        for part in sorted(parts, key=lambda part: part.number)
    )
    return f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()


def delete_body(keys: Iterable[str]) -> bytes:
    """Return the body of DeleteMultipleObjects; OSS then names each key that it deleted."""
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>false</Quiet>{objects}</Delete>".encode()


def tagging_body(tags: Mapping[str, str]) -> bytes:
    """Return the body of PutObjectTagging."""
    lines = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(tags[key])}</Value></Tag>" for key in sorted(tags))
    return f"<Tagging><TagSet>{lines}</TagSet></Tagging>".encode()


def bucket_body(storage_class: str, redundancy: str) -> bytes:
    """Return the body of PutBucket; empty when all is left to OSS."""
    settings = {"StorageClass": storage_class, "DataRedundancyType": redundancy}
    lines = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in settings.items() if value)
    return f"<CreateBucketConfiguration>{lines}</CreateBucketConfiguration>".encode() if lines else b""


# --- answers ----------------------------------------------------------------------------------------------------------


def read_error(body: bytes) -> ErrorAnswer:
    """Return what the error says; empty fields for a body that is no OSS error, such as a proxy's page."""
    try:
        root = _Node(_parse(body))
    except MalformedXML:
        return ErrorAnswer()
    return ErrorAnswer(
        code=root.text("Code"),
        message=root.text("Message"),
        ec=root.text("EC"),
        request_id=root.text("RequestId"),
        host_id=root.text("HostId"),
        endpoint=root.text("Endpoint"),
        bucket=root.text("BucketName"),
    )


def read_upload_id(body: bytes) -> str:
    return _root(body, "InitiateMultipartUploadResult").required("UploadId")


def read_etag(body: bytes, *, root: str) -> str:
    """Return the ETag of a Complete's or a copy's response."""
    return _root(body, root).required("ETag").strip('"')


def read_parts(body: bytes) -> PartsPage:
    root = _root(body, "ListPartsResult")
    parts = [
        Receipt(
            number=node.number("PartNumber"),
            etag=node.required("ETag").strip('"'),
            size=node.number("Size"),
            crc64=node.optional_number("HashCrc64ecma"),
        )
        for node in root.all("Part")
    ]
    return PartsPage(parts, root.number("NextPartNumberMarker") if root.is_truncated else None)


def read_uploads(body: bytes) -> UploadsPage:
    root = _root(body, "ListMultipartUploadsResult")
    uploads = [
        ListedUpload(root.decoded(node.required("Key")), node.required("UploadId"), _time(node.text("Initiated")))
        for node in root.all("Upload")
    ]
    marker = (root.decoded(root.text("NextKeyMarker")), root.text("NextUploadIdMarker"))
    return UploadsPage(uploads, marker if root.is_truncated else None)


def read_objects(body: bytes) -> ObjectsPage:
    root = _root(body, "ListBucketResult")
    objects = [
        ListedObject(
            key=root.decoded(node.required("Key")),
            size=node.number("Size"),
            etag=node.text("ETag").strip('"'),
            last_modified=_time(node.text("LastModified")),
            storage_class=node.text("StorageClass"),
            kind=node.text("Type"),
            restore_info=node.text("RestoreInfo"),
        )
        for node in root.all("Contents")
    ]
    prefixes = [root.decoded(node.required("Prefix")) for node in root.all("CommonPrefixes")]
    token = root.decoded(root.required("NextContinuationToken")) if root.is_truncated else None
    return ObjectsPage(objects, prefixes, token)


def read_deleted(body: bytes) -> list[str]:
    root = _root(body, "DeleteResult")
    return [root.decoded(node.required("Key")) for node in root.all("Deleted")]


def read_acl(body: bytes) -> str:
    """Return the ACL of an object; ``default`` stands for its bucket's."""
    grants = [node.required("Grant") for node in _root(body, "AccessControlPolicy").all("AccessControlList")]
    if len(grants) != 1:
        raise MalformedXML("AccessControlPolicy has no AccessControlList")
    return grants[0]


def read_tags(body: bytes) -> dict[str, str]:
    sets = _root(body, "Tagging").all("TagSet")
    return {node.required("Key"): node.text("Value") for tags in sets for node in tags.all("Tag")}


def read_bucket_info(body: bytes) -> BucketInfo:
    bucket = next(_root(body, "BucketInfo").all("Bucket"), None)
    if bucket is None:
        raise MalformedXML("BucketInfo has no Bucket")
    return BucketInfo(
        name=bucket.text("Name"),
        region=bucket.text("Location").removeprefix("oss-"),
        extranet_endpoint=bucket.text("ExtranetEndpoint"),
        intranet_endpoint=bucket.text("IntranetEndpoint"),
        storage_class=bucket.text("StorageClass"),
        owner=bucket.owner,
        versioning=bucket.text("Versioning"),
    )


def read_retention_days(body: bytes) -> int:
    """Return for how many days a retention policy protects each object; 0 for one that was never locked."""
    root = _root(body, "WormConfiguration")
    return 0 if root.text("State") == "Expired" else root.number("RetentionPeriodInDays")


def read_buckets(body: bytes) -> BucketsPage:
    root = _root(body, "ListAllMyBucketsResult")
    buckets = [
        ListedBucket(
            name=node.required("Name"),
            region=node.text("Location").removeprefix("oss-"),
            created=_time(node.text("CreationDate")),
        )
        for holder in root.all("Buckets")
        for node in holder.all("Bucket")
    ]
    return BucketsPage(buckets, root.required("NextMarker") if root.is_truncated else None)


def read_service_info(body: bytes) -> ServiceInfo:
    return ServiceInfo(_root(body, "ListAllMyBucketsResult").owner)


@lru_cache(maxsize=64)  # many answers have the same
def read_http_date(text: str | None) -> datetime | None:
    """Return an HTTP date in UTC, or None for one that is absent or no date."""
    try:
        date = parsedate_to_datetime(text) if text else None
        # One that ends in -0000 comes without a time zone.
        return date and (date.astimezone(timezone.utc) if date.tzinfo else date.replace(tzinfo=timezone.utc))
    except (ValueError, OverflowError):
        return None


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


class _Node:
    """An element whose children are read by local name."""

    def __init__(self, element: ET.Element) -> None:
        self._element = element

    def all(self, name: str) -> Iterator[_Node]:
        return (_Node(child) for child in self._element if _local_name(child) == name)

    def text(self, name: str) -> str:
        return self._texts.get(name, "")

    @lazy_property
    def _texts(self) -> dict[str, str]:
        """The text of the first child of each name; made once, as a page of a listing has a thousand nodes."""
        texts: dict[str, str] = {}
        for child in self._element:
            texts.setdefault(_local_name(child), child.text or "")
        return texts

    def required(self, name: str) -> str:
        if value := self.text(name):
            return value
        raise MalformedXML(f"{_local_name(self._element)} has no {name}")

    def number(self, name: str) -> int:
        value = self.optional_number(name)
        if value is None:
            raise MalformedXML(f"{_local_name(self._element)} has no {name}")
        return value

    def optional_number(self, name: str) -> int | None:
        text = self.text(name).strip()
        if text and not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise MalformedXML(f"{name} is no number")
        return int(text) if text else None

    def decoded(self, text: str) -> str:
        """Return a key, prefix or token as it really is: with ``encoding-type=url`` OSS percent-encodes them."""
        return unquote(text) if self.text("EncodingType") == "url" else text

    @property
    def owner(self) -> str:
        return next((owner.text("ID") for owner in self.all("Owner")), "")

    @property
    def is_truncated(self) -> bool:
        return self.text("IsTruncated") == "true"


def _root(body: bytes, name: str) -> _Node:
    element = _parse(body)
    if _local_name(element) != name:
        raise MalformedXML(f"expected {name}, got {_local_name(element)}")
    return _Node(element)


def _parse(body: bytes) -> ET.Element:
    # OSS never declares a document type; without one there are no entities to expand, so no entity bomb. It sends
    # UTF-8, and whatever the XML says of itself it is read as that, so that none can hide; UTF-16 is full of zeros.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body or b"\0" in body:
        raise MalformedXML("the XML declares a document type or is not UTF-8")
    # A tree takes up to fifty times the room of its tags, and attributes even more.
    if body.count(b"<") > MAX_TAGS or re.search(rb"<[^<]{%d}" % MAX_TAG_BYTES, body):
        raise MalformedXML("the XML is larger than any of OSS's")
    parser = ET.XMLParser(target=_Tree(), encoding="utf-8")  # noqa: S314 - see above
    try:
        parser.feed(body.lstrip(b" \t\r\n"))  # which OSS sends before it, while it is at work
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError) as error:
        raise MalformedXML(str(error)) from error
    return root


class _Tree(ET.TreeBuilder):
    """Elements without their attributes, which say nothing in OSS's XML but may be many."""

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        return super().start(tag, {})


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
