"""Symbolic links: objects that point to another object of their bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from airflow_provider_ossresume.local_oss.answers import Answer, Refusal, http_date, invalid_argument
from airflow_provider_ossresume.local_oss.contents import Contents
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.names import check_key
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.service import Service, is_true, kept_headers, named, version_of

SYMLINK, SYMLINK_TARGET = "Symlink", "x-oss-symlink-target"


def put_symlink(service: Service, request: IncomingRequest) -> Answer:
    """Create a symbolic link. Its target need not exist."""
    bucket, key = request.target
    target = unquote(request.headers.get(SYMLINK_TARGET, ""))
    if not target:
        raise invalid_argument(SYMLINK_TARGET, target)
    check_key(target)
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    service.storage.check_overwrite(bucket, key, forbidden=forbidden)
    stored = symlink(key, target, request.headers, service.storage.contents, now=service.clock())
    stored = service.storage.put(bucket, stored, forbid_overwrite=forbidden)
    return Answer(200, {"ETag": f'"{stored.etag}"', **version_of(stored)})


def symlink(key: str, target: str, headers: Mapping[str, str], contents: Contents, *, now: float) -> StoredObject:
    """Return a symbolic link, not yet visible. Its own bytes are the name of its target."""
    content = contents.receive([memoryview(target.encode())])
    kept = {**kept_headers(headers), SYMLINK_TARGET: quote(target)}
    return StoredObject(key, content, content.md5, SYMLINK, kept, now)


def get_symlink(service: Service, request: IncomingRequest) -> Answer:
    """Return the target of a symbolic link."""
    stored = service.storage.object(*named(request))
    if stored.kind != SYMLINK:
        raise Refusal(400, "NotSymlink", "The object is not a symbolic link.")
    facts = {"Last-Modified": http_date(stored.modified), SYMLINK_TARGET: stored.headers[SYMLINK_TARGET]}
    return Answer(200, {"ETag": f'"{stored.etag}"', **facts, **version_of(stored)})


def resolved(service: Service, request: IncomingRequest) -> tuple[str, str, str]:
    """Return bucket, key and version of the object to read: of the key itself, or of a symbolic link's target."""
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


def as_seen(service: Service, request: IncomingRequest, found: StoredObject) -> StoredObject:
    """Return an object as seen through a link: size, ETag, MD5 and storage class are the target's, the rest the link's.

    OSS documents this for GetObject and HeadObject.
    """
    link = service.storage.object(*named(request))
    if link.kind != SYMLINK:
        return found
    headers = {name: value for name, value in link.headers.items() if name != SYMLINK_TARGET}
    headers["x-oss-storage-class"] = found.headers["x-oss-storage-class"]
    content = replace(found.content, crc64=link.content.crc64)
    modified = max(link.modified, found.modified)
    seen = replace(link, content=content, etag=found.etag, headers=headers, modified=modified)
    return replace(seen, restored_at=found.restored_at, restored_until=found.restored_until)
