"""Evaluates conditional headers (If-*) and ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from airflow_provider_ossresume.local_oss.answers import Refusal, http_date
from airflow_provider_ossresume.local_oss.records import StoredObject

CONDITIONS = ("if-match", "if-unmodified-since", "if-none-match", "if-modified-since")


def check_conditions(stored: StoredObject, headers: Mapping[str, str], *, prefix: str = "") -> None:
    """Refuse with 412 or 304 if a condition does not hold. ``prefix`` is that of the headers for a copy's source."""
    for name in CONDITIONS:
        value = headers.get(prefix + name)
        if value is not None and not _holds(name, value, stored):
            raise _not_modified(stored) if name in ("if-none-match", "if-modified-since") else _failed(name)


def _holds(name: str, value: str, stored: StoredObject) -> bool:
    if name.endswith("-match"):
        # Clients send ETags with and without quotes. A weak one never matches in If-Match (RFC 9110, 13.1.1).
        etags = [etag.strip() for etag in value.split(",")]
        named = {etag.removeprefix("W/").strip('"') for etag in etags if name != "if-match" or etag[:2] != "W/"}
        return bool({"*", stored.etag} & named) == (name == "if-match")
    moment = parse_http_date(value)
    if moment is None:
        return True  # OSS ignores an invalid date
    return (int(stored.modified) <= moment) == (name == "if-unmodified-since")


def parse_http_date(text: str) -> float | None:
    """Return the seconds since 1970 of an RFC 1123 date, or of a date in XML's format; None for anything else."""
    for parsed in (parsedate_to_datetime, _xml_date):
        with suppress(TypeError, ValueError, OverflowError):
            return parsed(text).timestamp()
    return None


def _xml_date(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def _failed(name: str) -> Refusal:
    condition = "-".join(word.capitalize() for word in name.split("-"))
    return Refusal(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold.",
        details={"Condition": condition},
    )


def _not_modified(stored: StoredObject) -> Refusal:
    headers = {"ETag": f'"{stored.etag}"', "Last-Modified": http_date(stored.modified)}
    return Refusal(304, "NotModified", "Not Modified", headers=headers)


def wanted_range(text: str | None, size: int, *, standard: bool) -> tuple[int, int] | None:
    """Return ``[start, stop)`` of what a Range header asks for, or None for the whole object.

    Without ``x-oss-range-behavior: standard``, OSS answers a range that extends beyond the end with the whole object.
    With it, such a range is cut at the end, and one that begins beyond the end is refused with 416. A header that is
    not a byte range is ignored.
    """
    found = re.fullmatch(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*(,.*)?", text or "")
    if not found or found.group(1) == found.group(2) == "":
        return None
    if found.group(3) is not None and standard:
        raise _invalid_range(text or "", size)
    start, stop, fits = _bounds(found.group(1), found.group(2), size)
    if start is None:
        return None
    if not standard:
        return (start, stop) if fits else None
    if start >= min(stop, size):
        raise _invalid_range(text or "", size)
    return start, min(stop, size)


def _bounds(first: str, last: str, size: int) -> tuple[int | None, int, bool]:
    """Return start, stop and whether they lie inside the object; no start for ``9-0``."""
    if not first:
        count = int(last)
        return max(size - count, 0), size, 0 < count <= size
    start, stop = int(first), int(last) + 1 if last else size
    if last and stop <= start:
        return None, 0, False
    return start, stop, start < size and stop <= size


def _invalid_range(text: str, size: int) -> Refusal:
    return Refusal(
        416,
        "InvalidRange",
        "The requested range cannot be satisfied.",
        details={"ActualObjectSize": size, "RangeRequested": text},
        headers={"Content-Range": f"bytes */{size}"},
    )
