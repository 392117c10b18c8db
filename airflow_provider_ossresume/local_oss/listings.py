"""The lists of a bucket's objects and uploads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial

from airflow_provider_ossresume.local_oss.answers import Answer, Children, invalid_argument, xml_answer, xml_date
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.pages import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Page,
    common_prefixes,
    is_rolled_up,
    is_truncated,
    page_of,
)
from airflow_provider_ossresume.local_oss.records import StoredObject, Upload
from airflow_provider_ossresume.local_oss.restoring import restore_header
from airflow_provider_ossresume.local_oss.service import OWNER, Service, encoder, encoding_element, number_argument


def list_objects(service: Service, request: IncomingRequest) -> Answer:
    """List objects after a marker."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    page, objects = _objects_page(service, request, marker=query.get("marker", ""), limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Name", bucket),
        ("Prefix", encode(query.get("prefix", ""))),
        ("Marker", encode(query.get("marker", ""))),
        ("MaxKeys", limit),
        ("Delimiter", encode(query.get("delimiter", ""))),
        *encoding_element(query),
        ("IsTruncated", is_truncated(page.next_marker)),
    ]
    if page.next_marker is not None:
        facts.append(("NextMarker", encode(page.next_marker)))
    contents = [_contents(stored, encode, service.clock(), owner=True) for stored in objects]
    return xml_answer("ListBucketResult", [*facts, *contents, *common_prefixes(page, encode)])


def list_objects_v2(service: Service, request: IncomingRequest) -> Answer:
    """List objects after a key or a continuation token."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    token = query.get("continuation-token", "")
    marker = _from_token(token) if token else query.get("start-after", "")
    page, objects = _objects_page(service, request, marker=marker, limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Name", bucket),
        ("Prefix", encode(query.get("prefix", ""))),
        ("StartAfter", encode(query.get("start-after", ""))),
        ("MaxKeys", limit),
        ("Delimiter", encode(query.get("delimiter", ""))),
        *encoding_element(query),
        ("IsTruncated", is_truncated(page.next_marker)),
        ("KeyCount", len(page.names) + len(page.prefixes)),
    ]
    if token:
        facts.append(("ContinuationToken", encode(token)))
    if page.next_marker is not None:
        facts.append(("NextContinuationToken", encode(_to_token(page.next_marker))))
    owner = query.get("fetch-owner", "").lower() == "true"
    contents = [_contents(stored, encode, service.clock(), owner=owner) for stored in objects]
    return xml_answer("ListBucketResult", [*facts, *contents, *common_prefixes(page, encode)])


def _objects_page(
    service: Service, request: IncomingRequest, *, marker: str, limit: int
) -> tuple[Page, list[StoredObject]]:
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
    return service.storage.list_page(
        request.bucket or "", partial(page_of, prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
    )


def _contents(stored: StoredObject, encode: Callable[[str], str], now: float, *, owner: bool) -> tuple[str, Children]:
    facts = [("Key", encode(stored.key)), *listed_object(stored, now)]
    return "Contents", [*facts, ("Owner", OWNER)] if owner else facts


def listed_object(stored: StoredObject, now: float) -> list[tuple[str, str | int | Children]]:
    """Return the elements of an object in a listing, without its key."""
    facts: list[tuple[str, str | int | Children]] = [
        ("LastModified", xml_date(stored.modified)),
        ("ETag", f'"{stored.etag}"'),
        ("Type", stored.kind),
        ("Size", stored.content.size),
        ("StorageClass", stored.headers["x-oss-storage-class"]),
    ]
    if restored := restore_header(stored, now):
        facts.append(("RestoreInfo", restored))
    return facts


def _to_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("continuation-token", token) from error


def list_multipart_uploads(service: Service, request: IncomingRequest) -> Answer:
    """List uploads after a key, or after a key and an upload ID."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-uploads", default=MAX_PAGE, low=1, high=MAX_PAGE)
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    delimiter, prefix = query.get("delimiter", ""), query.get("prefix", "")
    # One name for each upload: no key contains NUL, and NUL sorts before every other character.
    uploads = {f"{upload.key}\0{upload.upload_id}": upload for upload in service.storage.list_uploads(bucket)}
    marker = key_marker
    if key_marker and not is_rolled_up(key_marker, prefix=prefix, delimiter=delimiter):
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
        ("IsTruncated", is_truncated(page.next_marker)),
    ]
    listed = [("Upload", _listed(uploads[name], encode)) for name in page.names]
    return xml_answer("ListMultipartUploadsResult", [*facts, *listed, *common_prefixes(page, encode)])


def _listed(upload: Upload, encode: Callable[[str], str]) -> Children:
    return [
        ("Key", encode(upload.key)),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.headers["x-oss-storage-class"]),
        ("Initiated", xml_date(upload.initiated)),
    ]
