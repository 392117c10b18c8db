"""The operations on objects."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ossresume.local_oss.answers import (
    Answer,
    FileRange,
    Refusal,
    http_date,
    invalid_argument,
    xml_answer,
)
from airflow_provider_ossresume.local_oss.callbacks import callback_of, called_back
from airflow_provider_ossresume.local_oss.conditions import CONDITIONS, check_conditions, wanted_range
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.restoring import RESTORE, check_readable, restore_header
from airflow_provider_ossresume.local_oss.service import (
    ACL,
    OWNER,
    TAGGING,
    Service,
    content_md5,
    is_true,
    kept_headers,
    named,
    receive,
    version_of,
    whole_number,
)
from airflow_provider_ossresume.local_oss.symlinks import SYMLINK, as_seen, resolved

# OSS's query parameters that replace a header of the answer.
_OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


def put_object(service: Service, request: IncomingRequest) -> Answer:
    """Store the body as an object."""
    bucket, key = request.target
    if any(name in request.headers for name in CONDITIONS):
        raise Refusal(400, "NotImplemented", "A header you provided implies functionality that is not implemented.")
    for name in ("uploadId", "partNumber"):
        if name in request.query:
            raise invalid_argument(name, request.query[name], message="uploadId and partNumber belong together.")
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    service.storage.check_overwrite(bucket, key, forbidden=forbidden)  # before gigabytes are read
    headers, callback = kept_headers(request.headers), callback_of(request)
    content = receive(service, request)
    stored = StoredObject(key, content, content.md5, "Normal", headers, service.clock())
    stored = service.storage.put(bucket, stored, forbid_overwrite=forbidden)
    answer = Answer(200, {**proof(stored), "Content-MD5": content_md5(content)})
    return called_back(callback, bucket, stored, answer)


def get_object(service: Service, request: IncomingRequest) -> Answer:
    """Send an object's bytes, or a range of them."""
    stored, file = service.storage.open(*resolved(service, request))
    try:
        check_readable(stored, service.clock())
        stored = as_seen(service, request, stored)
        check_conditions(stored, request.headers)
        standard = request.headers.get("x-oss-range-behavior") == "standard"
        wanted = wanted_range(request.headers.get("range"), stored.content.size, standard=standard)
        headers = object_headers(stored, service.clock()) | _overrides(request.query)
    except Refusal:
        file.close()
        raise
    if wanted is None:
        return Answer(200, headers, FileRange(file, 0, stored.content.size))
    start, stop = wanted
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.content.size}"
    return Answer(206, headers, FileRange(file, start, stop))


def head_object(service: Service, request: IncomingRequest) -> Answer:
    """Return what GetObject would, without the bytes."""
    stored = as_seen(service, request, service.storage.object(*resolved(service, request)))
    check_conditions(stored, request.headers)
    return Answer(200, {**object_headers(stored, service.clock()), "Content-Length": str(stored.content.size)})


def get_object_meta(service: Service, request: IncomingRequest) -> Answer:
    """Return an object's size, ETag, date and CRC-64."""
    stored = service.storage.object(*named(request))
    check_conditions(stored, request.headers)
    facts = {"Content-Length": str(stored.content.size), "Last-Modified": http_date(stored.modified)}
    return Answer(200, proof(stored) | facts)


def get_object_acl(service: Service, request: IncomingRequest) -> Answer:
    """Return who may read and write an object."""
    acl = service.storage.object(*named(request)).headers.get(ACL, "default")
    return xml_answer("AccessControlPolicy", [("Owner", OWNER), ("AccessControlList", [("Grant", acl)])])


def append_object(service: Service, request: IncomingRequest) -> Answer:
    """Append the body to an appendable object, or create one."""
    bucket, key = request.target
    position = whole_number(request.query.get("position", ""))
    if position is None:
        raise invalid_argument("position", request.query.get("position", ""))
    service.storage.check_overwrite(bucket, key, forbidden=False)
    headers = kept_headers(request.headers)
    content = receive(service, request)
    try:
        stored = service.storage.append(bucket, key, content, position=position, headers=headers)
    except Refusal:
        service.storage.contents.discard(content)
        raise
    return Answer(200, {**proof(stored), "x-oss-next-append-position": str(stored.content.size)})


_ASKED_FOR_APART = (TAGGING, ACL)


def object_headers(stored: StoredObject, now: float) -> dict[str, str]:
    """Return the headers of an object in answers to GetObject and HeadObject."""
    headers = {_title(name): value for name, value in stored.headers.items() if name not in _ASKED_FOR_APART}
    headers |= proof(stored)
    headers |= {
        "Last-Modified": http_date(stored.modified),
        "Accept-Ranges": "bytes",
        "x-oss-object-type": stored.kind,
    }
    if stored.kind in ("Normal", SYMLINK) and stored.content.md5:
        headers["Content-MD5"] = content_md5(stored.content)
    if restoration := restore_header(stored, now):
        headers[RESTORE] = restoration
    if stored.kind == "Appendable":
        headers["x-oss-next-append-position"] = str(stored.content.size)
    if tags := stored.headers.get(TAGGING):
        headers["x-oss-tagging-count"] = str(len(tags.split("&")))
    return headers


def proof(stored: StoredObject) -> dict[str, str]:
    """Return the headers that identify an object's bytes: ETag, CRC-64 and version."""
    crc64 = {"x-oss-hash-crc64ecma": str(stored.content.crc64)}
    return {"ETag": f'"{stored.etag}"', **crc64, **version_of(stored)}


def _title(name: str) -> str:
    return name if name.startswith("x-oss-") else "-".join(word.capitalize() for word in name.split("-"))


def _overrides(query: Mapping[str, str]) -> dict[str, str]:
    given = {header: query[name] for name, header in _OVERRIDES.items() if name in query}
    if any("\r" in value or "\n" in value for value in given.values()):
        raise invalid_argument("response-*", "", message="A response header must be one line.")
    return given
