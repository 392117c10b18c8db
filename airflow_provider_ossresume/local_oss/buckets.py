"""The operations on buckets, with the lists of their objects and uploads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_ossresume.local_oss.answers import (
    Answer,
    Children,
    Refusal,
    document,
    invalid_argument,
    xml_answer,
    xml_date,
)
from airflow_provider_ossresume.local_oss.incoming import Incoming
from airflow_provider_ossresume.local_oss.objects import RESTORE
from airflow_provider_ossresume.local_oss.service import OWNER, Service, encoder, encoding_element, number_argument
from airflow_provider_ossresume.local_oss.storage import Bucket, StoredObject, Upload

MAX_PAGE = 1000  # OSS: entries in one listing
DEFAULT_PAGE = 100  # OSS: objects and buckets; uploads default to MAX_PAGE


@dataclass(frozen=True)
class Page:
    """One page of a listing: names and common prefixes in order, and the last of them when more follow."""

    names: list[str]
    prefixes: list[str]
    next_marker: str | None


def page_of(names: list[str], *, prefix: str, delimiter: str, marker: str, limit: int) -> Page:
    """Return the first ``limit`` entries behind ``marker`` of sorted names.

    Names that have ``delimiter`` behind the prefix are rolled up into one entry, and a marker that is such an entry
    stands behind all that it rolls up.
    """
    is_rolled_up = _is_rolled_up(marker, prefix=prefix, delimiter=delimiter)
    entries: dict[str, bool] = {}
    last = ""
    for name in names:
        if not name.startswith(prefix) or name <= marker or (is_rolled_up and name.startswith(marker)):
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        entry = name if end < 0 else name[: end + len(delimiter)]
        if entry in entries:
            continue
        if len(entries) == limit:
            return _page(entries, next_marker=last)
        entries[entry] = end >= 0
        last = entry
    return _page(entries, next_marker=None)


def _is_rolled_up(marker: str, *, prefix: str, delimiter: str) -> bool:
    return bool(delimiter) and marker.endswith(delimiter) and len(marker) > len(prefix)


def _page(entries: Mapping[str, bool], *, next_marker: str | None) -> Page:
    names = [name for name, rolled_up in entries.items() if not rolled_up]
    return Page(names, [name for name, rolled_up in entries.items() if rolled_up], next_marker)


def list_objects(service: Service, request: Incoming) -> Answer:
    """List objects from a marker on."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    objects, page = _objects_page(service, request, marker=query.get("marker", ""), limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Name", bucket),
        ("Prefix", encode(query.get("prefix", ""))),
        ("Marker", encode(query.get("marker", ""))),
        ("MaxKeys", limit),
        ("Delimiter", encode(query.get("delimiter", ""))),
        *encoding_element(query),
        ("IsTruncated", _is_truncated(page.next_marker)),
    ]
    if page.next_marker is not None:
        facts.append(("NextMarker", encode(page.next_marker)))
    contents = [_contents(objects[name], encode, owner=True) for name in page.names]
    return xml_answer("ListBucketResult", [*facts, *contents, *_common_prefixes(page, encode)])


def list_objects_v2(service: Service, request: Incoming) -> Answer:
    """List objects from a key or a continuation token on."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    token = query.get("continuation-token", "")
    marker = _from_token(token) if token else query.get("start-after", "")
    objects, page = _objects_page(service, request, marker=marker, limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Name", bucket),
        ("Prefix", encode(query.get("prefix", ""))),
        ("StartAfter", encode(query.get("start-after", ""))),
        ("MaxKeys", limit),
        ("Delimiter", encode(query.get("delimiter", ""))),
        *encoding_element(query),
        ("IsTruncated", _is_truncated(page.next_marker)),
        ("KeyCount", len(page.names) + len(page.prefixes)),
    ]
    if token:
        facts.append(("ContinuationToken", encode(token)))
    if page.next_marker is not None:
        facts.append(("NextContinuationToken", encode(_to_token(page.next_marker))))
    owner = query.get("fetch-owner", "").lower() == "true"
    contents = [_contents(objects[name], encode, owner=owner) for name in page.names]
    return xml_answer("ListBucketResult", [*facts, *contents, *_common_prefixes(page, encode)])


def _objects_page(
    service: Service, request: Incoming, *, marker: str, limit: int
) -> tuple[dict[str, StoredObject], Page]:
    objects = {stored.key: stored for stored in service.storage.list_objects(request.bucket or "")}
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
    return objects, page_of(list(objects), prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)


def _contents(stored: StoredObject, encode: Callable[[str], str], *, owner: bool) -> tuple[str, Children]:
    facts: list[tuple[str, str | int | Children]] = [
        ("Key", encode(stored.key)),
        ("LastModified", xml_date(stored.modified)),
        ("ETag", f'"{stored.etag}"'),
        ("Type", stored.kind),
        ("Size", stored.content.size),
        ("StorageClass", stored.headers["x-oss-storage-class"]),
    ]
    if restored := stored.headers.get(RESTORE):
        facts.append(("RestoreInfo", restored))
    return "Contents", [*facts, ("Owner", OWNER)] if owner else facts


def _common_prefixes(page: Page, encode: Callable[[str], str]) -> list[tuple[str, Children]]:
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def _to_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("continuation-token", token) from error


def _is_truncated(marker: str | None) -> str:
    return "false" if marker is None else "true"


def list_multipart_uploads(service: Service, request: Incoming) -> Answer:
    """List uploads from a key, or from a key and an upload ID, on."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-uploads", default=MAX_PAGE, low=1, high=MAX_PAGE)
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    delimiter, prefix = query.get("delimiter", ""), query.get("prefix", "")
    # One name for each upload: no key has a NUL, and it sorts before everything.
    uploads = {f"{upload.key}\0{upload.upload_id}": upload for upload in service.storage.list_uploads(bucket)}
    marker = key_marker
    if key_marker and not _is_rolled_up(key_marker, prefix=prefix, delimiter=delimiter):
        marker = f"{key_marker}\0{id_marker or chr(0x10FFFF)}"
    page = page_of(list(uploads), prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
    next_key, _, next_id = (page.next_marker or "").partition("\0")
    facts: list[tuple[str, str | int | Children]] = [
        *encoding_element(query),
        ("Bucket", bucket),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", encode(next_key)),
        ("NextUploadIdMarker", next_id),
        ("Delimiter", encode(delimiter)),
        ("Prefix", encode(prefix)),
        ("MaxUploads", limit),
        ("IsTruncated", _is_truncated(page.next_marker)),
    ]
    listed = [("Upload", _listed(uploads[name], encode)) for name in page.names]
    return xml_answer("ListMultipartUploadsResult", [*facts, *listed, *_common_prefixes(page, encode)])


def _listed(upload: Upload, encode: Callable[[str], str]) -> Children:
    return [
        ("Key", encode(upload.key)),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.headers["x-oss-storage-class"]),
        ("Initiated", xml_date(upload.initiated)),
    ]


def list_buckets(service: Service, request: Incoming) -> Answer:
    """List the buckets."""
    query = request.query
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    buckets = {bucket.name: bucket for bucket in service.storage.buckets()}
    prefix, marker = query.get("prefix", ""), query.get("marker", "")
    page = page_of(list(buckets), prefix=prefix, delimiter="", marker=marker, limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Prefix", prefix),
        ("Marker", marker),
        ("MaxKeys", limit),
        ("IsTruncated", _is_truncated(page.next_marker)),
        ("NextMarker", page.next_marker or ""),
        ("Owner", OWNER),
        ("Buckets", [("Bucket", _bucket_facts(service, request, buckets[name])) for name in page.names]),
    ]
    return xml_answer("ListAllMyBucketsResult", facts)


def get_bucket_info(service: Service, request: Incoming) -> Answer:
    """Say a bucket's region and endpoints."""
    bucket = service.storage.bucket(request.bucket or "")
    facts = [
        *_bucket_facts(service, request, bucket),
        ("Owner", OWNER),
        ("AccessControlList", [("Grant", "private")]),
        ("DataRedundancyType", "LRS"),
    ]
    return xml_answer("BucketInfo", [("Bucket", facts)])


def _bucket_facts(service: Service, request: Incoming, bucket: Bucket) -> list[tuple[str, str | Children]]:
    return [
        ("Name", bucket.name),
        ("CreationDate", xml_date(bucket.created)),
        ("Location", f"oss-{service.region}"),
        ("Region", service.region),
        ("StorageClass", "Standard"),
        ("ExtranetEndpoint", request.host),
        ("IntranetEndpoint", request.host),
    ]


def get_bucket_location(service: Service, request: Incoming) -> Answer:
    """Say a bucket's region."""
    service.storage.bucket(request.bucket or "")
    body = document("LocationConstraint", f"oss-{service.region}")
    return Answer(200, {"Content-Type": "application/xml"}, body)


def get_bucket_worm(service: Service, request: Incoming) -> Answer:
    """Say for how long a bucket's objects are protected."""
    bucket = service.storage.bucket(request.bucket or "")
    if not bucket.retention_days:
        raise Refusal(404, "NoSuchWORMConfiguration", "The WORM Configuration does not exist.")
    facts: list[tuple[str, str | int | Children]] = [
        ("WormId", "1666E2CFB2B3418****"),
        ("State", "Locked"),
        ("RetentionPeriodInDays", bucket.retention_days),
        ("CreationDate", xml_date(bucket.created)),
    ]
    return xml_answer("WormConfiguration", facts)


def put_bucket(service: Service, request: Incoming) -> Answer:
    """Make a bucket; one of one's own that exists already stays as it is."""
    service.storage.create_bucket(request.bucket or "")
    return Answer(200, {"Location": f"/{request.bucket}"})


def delete_bucket(service: Service, request: Incoming) -> Answer:
    """Remove an empty bucket."""
    service.storage.delete_bucket(request.bucket or "")
    return Answer(204)
