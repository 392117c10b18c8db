"""The copy operations: CopyObject and UploadPartCopy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from airflow_provider_ossresume.local_oss.answers import (
    Answer,
    FileRange,
    Refusal,
    invalid_argument,
    xml_answer,
    xml_date,
)
from airflow_provider_ossresume.local_oss.conditions import check_conditions, wanted_range
from airflow_provider_ossresume.local_oss.incoming import STEP, IncomingRequest
from airflow_provider_ossresume.local_oss.objects import proof
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.restoring import check_readable
from airflow_provider_ossresume.local_oss.service import (
    ACL,
    MAX_BODY_SIZE,
    TAGGING,
    Service,
    copy_source,
    is_true,
    kept_headers,
    version_of,
)
from airflow_provider_ossresume.local_oss.symlinks import SYMLINK, SYMLINK_TARGET
from airflow_provider_ossresume.local_oss.uploads import part_number, upload_of

MAX_COPY_BETWEEN_BUCKETS = 5 * 1024**3  # OSS: CopyObject into another bucket; there is no limit within one
MAX_CONVERTING_COPY = 1024**3  # OSS: CopyObject that changes storage class or encryption

_CLASS = "x-oss-storage-class"
_ENCRYPTION = (
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-server-side-data-encryption",
)
# Headers that x-oss-metadata-directive does not affect.
_NO_METADATA = frozenset({_CLASS, TAGGING, ACL, *_ENCRYPTION})


def copy_object(service: Service, request: IncomingRequest) -> Answer:
    """Store a copy of another object, with its metadata or the request's. A symbolic link is copied as a link."""
    bucket, key = request.target
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    service.storage.check_overwrite(bucket, key, forbidden=forbidden)
    where = copy_source(request)
    source, file = _opened(service, where)
    with file:
        check_conditions(source, request.headers, prefix="x-oss-copy-source-")
        check_readable(source, service.clock())
        if source.kind == "Appendable" and source.version:
            raise Refusal(400, "OperationNotSupported", "An appendable object in a bucket with versions is not copied.")
        onto_itself = where == (*request.target, "") and not service.storage.bucket(bucket).versioning
        headers = _headers_of_copy(source, request.headers, onto_itself=onto_itself)
        _check_size(source, headers, within_bucket=where[0] == bucket)
        content = service.storage.contents.copy(file, source.content)
    kind = SYMLINK if source.kind == SYMLINK else "Normal"
    stored = StoredObject(key, content, source.etag, kind, headers, service.clock())
    stored = service.storage.put(bucket, stored, forbid_overwrite=forbidden)
    facts = [("LastModified", xml_date(stored.modified)), ("ETag", f'"{stored.etag}"')]
    encryption = {name: value for name, value in headers.items() if name in _ENCRYPTION}
    return xml_answer(
        "CopyObjectResult",
        facts,
        headers={**proof(stored), **encryption, **version_of(source, header="x-oss-copy-source-version-id")},
    )


def _opened(service: Service, where: tuple[str, str, str]) -> tuple[StoredObject, BinaryIO]:
    try:
        return service.storage.open(*where)
    except Refusal as refusal:
        if refusal.code != "MethodNotAllowed":
            raise
        message = "The version to copy is a delete marker."
        raise invalid_argument("x-oss-copy-source", where[2], ec="0016-00000307", message=message) from refusal


def _headers_of_copy(source: StoredObject, headers: Mapping[str, str], *, onto_itself: bool) -> dict[str, str]:
    """Return the headers of the copy. Encryption and ACL are never taken from the source, whatever the directives say.

    OSS, CopyObject: in a bucket without versions, a copy of an object onto itself always takes the request's metadata.
    """
    given = kept_headers(headers)
    replaces = _directive(headers, "x-oss-metadata-directive") == "REPLACE" or onto_itself
    metadata, tags = given if replaces else source.headers, source.headers
    if _directive(headers, "x-oss-tagging-directive") == "REPLACE":
        tags = given
    kept = {name: value for name, value in metadata.items() if name not in _NO_METADATA}
    kept[_CLASS] = headers.get(_CLASS, source.headers[_CLASS])
    kept |= {name: given[name] for name in (ACL, *_ENCRYPTION) if name in given}
    kept |= {TAGGING: tags[TAGGING]} if TAGGING in tags else {}
    return kept | ({SYMLINK_TARGET: source.headers[SYMLINK_TARGET]} if source.kind == SYMLINK else {})


def _directive(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "COPY").upper()
    if value not in ("COPY", "REPLACE"):
        raise invalid_argument(name, value)
    return value


def _check_size(source: StoredObject, headers: Mapping[str, str], *, within_bucket: bool) -> None:
    converts = any(source.headers.get(name) != headers.get(name) for name in (_CLASS, *_ENCRYPTION))
    size = source.content.size
    too_large = size > MAX_CONVERTING_COPY if converts else size > MAX_COPY_BETWEEN_BUCKETS and not within_bucket
    if too_large:
        raise Refusal(400, "EntityTooLarge", "The object to copy is too large; use UploadPartCopy.")


def upload_part_copy(service: Service, request: IncomingRequest) -> Answer:
    """Store a range of another object as a part. Only ListParts returns its CRC-64."""
    number = part_number(request)
    upload = upload_of(service, request)
    source, file = _opened(service, copy_source(request))
    with file:
        check_conditions(source, request.headers, prefix="x-oss-copy-source-")
        check_readable(source, service.clock())
        if source.kind in ("Appendable", SYMLINK):
            raise Refusal(400, "OperationNotSupported", f"An object of the type {source.kind} is not copied by parts.")
        wanted = wanted_range(request.headers.get("x-oss-copy-source-range"), source.content.size, standard=True)
        start, stop = wanted or (0, source.content.size)
        if stop - start > MAX_BODY_SIZE:
            raise Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        contents = service.storage.contents
        content = contents.hole(file, start, stop) or contents.receive(FileRange(file, start, stop).steps(STEP))
    part = service.storage.put_part(request.target[0], upload, number, content)
    facts = [("LastModified", xml_date(part.modified)), ("ETag", f'"{content.md5}"')]
    return xml_answer("CopyPartResult", facts, headers=version_of(source, header="x-oss-copy-source-version-id"))
