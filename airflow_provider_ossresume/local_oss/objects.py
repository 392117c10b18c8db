"""The operations on objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

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
from airflow_provider_ossresume.local_oss.contents import Contents
from airflow_provider_ossresume.local_oss.incoming import Incoming
from airflow_provider_ossresume.local_oss.service import (
    ACL,
    OWNER,
    TAGGING,
    Service,
    check_version,
    content_md5,
    encoder,
    encoding_element,
    is_true,
    kept_headers,
    named,
    parse_xml,
    receive,
    whole_body,
    whole_number,
)
from airflow_provider_ossresume.local_oss.storage import StoredObject, check_key

SYMLINK, SYMLINK_TARGET = "Symlink", "x-oss-symlink-target"
RESTORE = "x-oss-restore"
ARCHIVED = ("Archive", "ColdArchive", "DeepColdArchive")
MAX_DELETE_COUNT = 1000  # OSS: keys in one DeleteMultipleObjects

# OSS's query parameters that stand in for a header of the answer.
_OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


def put_object(service: Service, request: Incoming) -> Answer:
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


def get_object(service: Service, request: Incoming) -> Answer:
    """Send an object's bytes, or a range of them."""
    stored, file = service.storage.open(*_followed(service, request))
    try:
        check_readable(stored)
        stored = _as_seen(service, request, stored)
        check_conditions(stored, request.headers)
        standard = request.headers.get("x-oss-range-behavior") == "standard"
        wanted = wanted_range(request.headers.get("range"), stored.content.size, standard=standard)
        headers = object_headers(stored) | _overrides(request.query)
    except Refusal:
        file.close()
        raise
    if wanted is None:
        return Answer(200, headers, FileRange(file, 0, stored.content.size))
    start, stop = wanted
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.content.size}"
    return Answer(206, headers, FileRange(file, start, stop))


def head_object(service: Service, request: Incoming) -> Answer:
    """Say what GetObject would, without the bytes."""
    stored = _as_seen(service, request, service.storage.object(*_followed(service, request)))
    check_conditions(stored, request.headers)
    return Answer(200, {**object_headers(stored), "Content-Length": str(stored.content.size)})


def get_object_meta(service: Service, request: Incoming) -> Answer:
    """Say an object's size, ETag, date and CRC-64."""
    stored = service.storage.object(*named(request))
    check_conditions(stored, request.headers)
    facts = {"Content-Length": str(stored.content.size), "Last-Modified": http_date(stored.modified)}
    return Answer(200, proof(stored) | facts)


def get_object_acl(service: Service, request: Incoming) -> Answer:
    """Say who may read and write an object."""
    acl = service.storage.object(*named(request)).headers.get(ACL, "default")
    return xml_answer("AccessControlPolicy", [("Owner", OWNER), ("AccessControlList", [("Grant", acl)])])


def put_symlink(service: Service, request: Incoming) -> Answer:
    """Make an object that leads to another one, which need not be there."""
    bucket, key = request.target
    target = unquote(request.headers.get(SYMLINK_TARGET, ""))
    if not target:
        raise invalid_argument(SYMLINK_TARGET, target)
    check_key(target)
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    service.storage.check_overwrite(bucket, key, forbidden=forbidden)
    stored = symlink(key, target, request.headers, service.storage.contents, now=service.clock())
    service.storage.put(bucket, stored, forbid_overwrite=forbidden)
    return Answer(200, {"ETag": f'"{stored.etag}"'})


def symlink(key: str, target: str, headers: Mapping[str, str], contents: Contents, *, now: float) -> StoredObject:
    """Return a symbolic link, not yet visible; its own bytes are its target's name."""
    content = contents.receive([memoryview(target.encode())])
    kept = {**kept_headers(headers), SYMLINK_TARGET: quote(target)}
    return StoredObject(key, content, content.md5, SYMLINK, kept, now)


def get_symlink(service: Service, request: Incoming) -> Answer:
    """Say where a symbolic link leads."""
    stored = service.storage.object(*named(request))
    if stored.kind != SYMLINK:
        raise Refusal(400, "NotSymlink", "The object is not a symbolic link.")
    facts = {"Last-Modified": http_date(stored.modified), SYMLINK_TARGET: stored.headers[SYMLINK_TARGET]}
    return Answer(200, {"ETag": f'"{stored.etag}"', **facts})


def check_readable(stored: StoredObject) -> None:
    """Refuse an archived object that is not restored."""
    is_restored = 'ongoing-request="false"' in stored.headers.get(RESTORE, "")
    if stored.headers["x-oss-storage-class"] in ARCHIVED and not is_restored:
        raise Refusal(403, "InvalidObjectState", "The operation is not valid for the object's state")


def _followed(service: Service, request: Incoming) -> tuple[str, str, str]:
    """Return where a key leads: to itself, or to the target of the symbolic link that it is."""
    bucket, key, version = named(request)
    stored = service.storage.object(bucket, key, version)
    if stored.kind != SYMLINK:
        return bucket, key, version
    target = unquote(stored.headers[SYMLINK_TARGET])
    try:
        kind = service.storage.object(bucket, target).kind
    except Refusal:
        raise Refusal(404, "SymlinkTargetNotExist", "The symlink target object does not exist.") from None
    if kind == SYMLINK:
        raise Refusal(400, "InvalidTargetType", "The target of a symbolic link is one itself.")
    return bucket, target, ""


def _as_seen(service: Service, request: Incoming, found: StoredObject) -> StoredObject:
    """Return an object as it looks by a link: size, ETag, MD5 and storage class are the target's, the rest the link's.

    So OSS's documents of GetObject and HeadObject say.
    """
    link = service.storage.object(*named(request))
    if link.kind != SYMLINK:
        return found
    headers = {name: value for name, value in link.headers.items() if name != SYMLINK_TARGET}
    headers["x-oss-storage-class"] = found.headers["x-oss-storage-class"]
    content = replace(found.content, crc64=link.content.crc64)
    modified = max(link.modified, found.modified)
    return replace(link, content=content, etag=found.etag, headers=headers, modified=modified)


def delete_object(service: Service, request: Incoming) -> Answer:
    """Remove an object; one that is not there is as good as removed."""
    check_version(request.query.get("versionId"))
    service.storage.delete(*request.target)
    return Answer(204)


def delete_multiple_objects(service: Service, request: Incoming) -> Answer:
    """Remove the objects that the body names."""
    bucket, encode = request.target[0], encoder(request.query)
    service.storage.bucket(bucket)
    if "content-md5" not in request.headers:
        raise invalid_argument("Content-MD5", "", message="Missing Some Required Arguments.")
    data = whole_body(request)
    root = parse_xml(data, root="Delete")
    keys = [element.findtext("Key") or "" for element in root.iter("Object")]
    if not 1 <= len(keys) <= MAX_DELETE_COUNT:
        raise Refusal(400, "MalformedXML", f"A request deletes 1 to {MAX_DELETE_COUNT} objects.")
    for key in keys:
        check_key(key)
    for key in keys:
        service.storage.delete(bucket, key)
    if (root.findtext("Quiet") or "").strip().lower() == "true":
        return Answer()
    deleted = [("Deleted", [("Key", encode(key))]) for key in keys]
    return xml_answer("DeleteResult", [*encoding_element(request.query), *deleted])


def append_object(service: Service, request: Incoming) -> Answer:
    """Lay the body behind an appendable object, or begin one."""
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


def object_headers(stored: StoredObject) -> dict[str, str]:
    """Return what GetObject and HeadObject say of an object."""
    headers = {_title(name): value for name, value in stored.headers.items() if name not in _ASKED_FOR_APART}
    headers |= proof(stored)
    headers |= {
        "Last-Modified": http_date(stored.modified),
        "Accept-Ranges": "bytes",
        "x-oss-object-type": stored.kind,
    }
    if stored.kind in ("Normal", SYMLINK) and stored.content.md5:
        headers["Content-MD5"] = content_md5(stored.content)
    if stored.kind == "Appendable":
        headers["x-oss-next-append-position"] = str(stored.content.size)
    if tags := stored.headers.get(TAGGING):
        headers["x-oss-tagging-count"] = str(len(tags.split("&")))
    return headers


def proof(stored: StoredObject) -> dict[str, str]:
    """Return what an answer says of an object's bytes."""
    version = {"x-oss-version-id": stored.version} if stored.version else {}
    return {"ETag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.content.crc64), **version}


def _title(name: str) -> str:
    return name if name.startswith("x-oss-") else "-".join(word.capitalize() for word in name.split("-"))


def _overrides(query: Mapping[str, str]) -> dict[str, str]:
    given = {header: query[name] for name, header in _OVERRIDES.items() if name in query}
    if any("\r" in value or "\n" in value for value in given.values()):
        raise invalid_argument("response-*", "", message="A response header must be one line.")
    return given
