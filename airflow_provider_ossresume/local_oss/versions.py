"""The operations on versioning and on the versions of objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_ossresume.local_oss.answers import (
    Answer,
    Children,
    Refusal,
    invalid_argument,
    xml_answer,
    xml_date,
)
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.listings import listed_object
from airflow_provider_ossresume.local_oss.pages import (
    DEFAULT_PAGE,
    MAX_PAGE,
    common_prefixes,
    is_rolled_up,
    is_truncated,
    page_of,
)
from airflow_provider_ossresume.local_oss.records import ENABLED, NULL_VERSION, SUSPENDED, StoredObject
from airflow_provider_ossresume.local_oss.service import (
    OWNER,
    Service,
    encoder,
    encoding_element,
    number_argument,
    parse_xml,
    whole_body,
)

_LAST_ORDER = 16**12 - 1


def put_bucket_versioning(service: Service, request: IncomingRequest) -> Answer:
    """Enable or suspend versioning."""
    root = parse_xml(whole_body(request), root="VersioningConfiguration")
    status = (root.findtext("Status") or "").strip()
    if status not in (ENABLED, SUSPENDED):
        raise Refusal(400, "MalformedXML", f"The status is neither {ENABLED} nor {SUSPENDED}.")
    service.storage.set_versioning(request.bucket or "", status)
    return Answer()


def get_bucket_versioning(service: Service, request: IncomingRequest) -> Answer:
    """Return whether a bucket keeps versions; the answer is empty if it never has."""
    status = service.storage.bucket(request.bucket or "").versioning
    return xml_answer("VersioningConfiguration", [("Status", status)] if status else [])


def list_object_versions(service: Service, request: IncomingRequest) -> Answer:
    """List versions and delete markers after a key, or after a version of it; the newest version of a key first."""
    query, bucket, encode = request.query, request.bucket or "", encoder(request.query)
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise invalid_argument("version-id-marker", version_marker, message="It needs a key-marker.")
    listed = service.storage.list_versions(bucket)
    latest = {stored.key: stored for stored in reversed(listed)}
    versions = {_name(stored.key, stored.order): stored for stored in listed}
    marker = key_marker
    if key_marker and not is_rolled_up(key_marker, prefix=prefix, delimiter=delimiter):
        marker = _marker(listed, key_marker, version_marker)
    page = page_of(list(versions), prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Name", bucket),
        ("Prefix", encode(prefix)),
        ("KeyMarker", encode(key_marker)),
        ("VersionIdMarker", version_marker),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter)),
        *encoding_element(query),
        ("IsTruncated", is_truncated(page.next_marker)),
    ]
    if page.next_marker is not None:
        last = versions.get(page.next_marker)
        facts.append(("NextKeyMarker", encode(last.key if last else page.next_marker)))
        facts.append(("NextVersionIdMarker", last.version or NULL_VERSION if last else ""))
    entries = [
        _entry(stored, encode, service.clock(), is_latest=latest[stored.key] is stored)
        for stored in map(versions.__getitem__, page.names)
    ]
    return xml_answer("ListVersionsResult", [*facts, *entries, *common_prefixes(page, encode)])


def _name(key: str, order: int) -> str:
    # No key contains NUL, and NUL sorts before every other character.
    return f"{key}\0{_LAST_ORDER - order:012x}"


def _marker(listed: Sequence[StoredObject], key: str, version: str) -> str:
    """Return the name after which the next page begins, also if the version has been deleted meanwhile."""
    if not version:
        return f"{key}\0{chr(0x10FFFF)}"
    for stored in listed:
        if stored.key == key and (stored.version or NULL_VERSION) == version:
            return _name(key, stored.order)
    if version == NULL_VERSION:  # its order is forgotten: the key's versions are listed once more
        return f"{key}\0"
    try:
        return _name(key, int(version[:12], 16))
    except ValueError as error:
        raise invalid_argument("version-id-marker", version) from error


def _entry(stored: StoredObject, encode: Callable[[str], str], now: float, *, is_latest: bool) -> tuple[str, Children]:
    about: Children = [
        ("Key", encode(stored.key)),
        ("VersionId", stored.version or NULL_VERSION),
        ("IsLatest", str(is_latest).lower()),
    ]
    if stored.is_marker:
        return "DeleteMarker", [*about, ("LastModified", xml_date(stored.modified)), ("Owner", OWNER)]
    return "Version", [*about, *listed_object(stored, now), ("Owner", OWNER)]
