"""Archived objects: RestoreObject, which makes them readable for some days, and the check whether they are readable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from airflow_provider_ossresume.local_oss.answers import Answer, Refusal, http_date, invalid_argument
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.service import (
    Service,
    named,
    parse_xml,
    version_of,
    whole_body,
    whole_number,
)

RESTORE = "x-oss-restore"
# OSS, RestoreObject: the maximum days that an object of each class stays readable, and the tiers that it allows.
_MAX_DAYS = {"Archive": 7, "ColdArchive": 365, "DeepColdArchive": 365}
_TIERS = {"ColdArchive": ("Expedited", "Standard", "Bulk"), "DeepColdArchive": ("Expedited", "Standard")}
ARCHIVED = tuple(_MAX_DAYS)
DAY = 24 * 3600  # seconds


@dataclass(frozen=True)
class _Wanted:
    days: str = "1"
    tier: str = "Standard"


def restore_object(service: Service, request: IncomingRequest) -> Answer:
    """Start to restore an archived object (202), or extend the time for which it is restored (200).

    A restore takes ``Service.restore_seconds``, by the server's clock.
    """
    wanted, now = _wanted(whole_body(request)), service.clock()
    change = partial(_restored, wanted=wanted, now=now, seconds=service.restore_seconds)
    before, after = service.storage.change(*named(request), change=change)
    has_tier = after.headers["x-oss-storage-class"] in _TIERS
    priority = {"x-oss-object-restore-priority": wanted.tier} if has_tier else {}
    return Answer(200 if is_restored(before, now) else 202, priority | version_of(after))


def _wanted(data: bytes) -> _Wanted:
    if not data:
        return _Wanted()
    root = parse_xml(data, root="RestoreRequest")
    tier = root.findtext("JobParameters/Tier") or root.findtext("Tier") or _Wanted.tier
    return _Wanted(root.findtext("Days") or _Wanted.days, tier)


def _restored(stored: StoredObject, *, wanted: _Wanted, now: float, seconds: float) -> StoredObject:
    storage_class = stored.headers["x-oss-storage-class"]
    if storage_class not in ARCHIVED:
        raise Refusal(400, "OperationNotSupported", f"An object of the class {storage_class} needs no restoration.")
    days, most = whole_number(wanted.days), _MAX_DAYS[storage_class]
    if days is None or not 1 <= days <= most:
        raise invalid_argument("Days", wanted.days, message=f"Days must be between 1 and {most}.")
    if wanted.tier not in _TIERS.get(storage_class, (wanted.tier,)):
        raise invalid_argument("Tier", wanted.tier, ec="0016-00000703")
    if is_restored(stored, now):
        return replace(stored, restored_until=max(stored.restored_until, now + days * DAY))
    if restore_header(stored, now):
        raise Refusal(409, "RestoreAlreadyInProgress", "The restore operation is in progress.")
    return replace(stored, restored_at=now + seconds, restored_until=now + seconds + days * DAY)


def is_restored(stored: StoredObject, now: float) -> bool:
    """Return True if an archived object can be read."""
    return stored.restored_at <= now < stored.restored_until


def restore_header(stored: StoredObject, now: float) -> str:
    """Return the value of the header ``x-oss-restore``; empty if there is none."""
    if is_restored(stored, now):
        return f'ongoing-request="false", expiry-date="{http_date(stored.restored_until)}"'
    return 'ongoing-request="true"' if now < stored.restored_at else ""


def check_readable(stored: StoredObject, now: float) -> None:
    """Refuse an archived object that is not restored."""
    if stored.headers["x-oss-storage-class"] in ARCHIVED and not is_restored(stored, now):
        raise Refusal(403, "InvalidObjectState", "The operation is not valid for the object's state")
