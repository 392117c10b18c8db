"""Raw values of headers and bodies: numbers, dates, and texts that are safe to log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache

MAX_SHOWN = 1_000  # characters of a response's text that an error shows


def join_until(pieces: Iterable[bytes], *, at_least: int) -> bytes:
    """Join the pieces. Stop as soon as there are ``at_least`` bytes; the last piece may add more."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= at_least:
            break
    return bytes(body)


def read_number(text: str | None) -> int | None:
    """Return a header's whole number; None if it is not one, or has more than the 20 digits of a CRC-64."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,20}", text.strip()) else None


@lru_cache(maxsize=64)  # many responses have the same date
def read_http_date(text: str | None) -> datetime | None:
    """Return an HTTP date in UTC, or None if it is absent or not a date."""
    try:
        date = parsedate_to_datetime(text) if text else None
        # A date that ends in -0000 is parsed without a time zone.
        return date and (date.astimezone(timezone.utc) if date.tzinfo else date.replace(tzinfo=timezone.utc))
    except (ValueError, OverflowError):
        return None


def one_line(text: str) -> str:
    """Return a peer's text as one line of bounded length, so that it cannot forge log lines."""
    line = "".join(character if character.isprintable() else " " for character in text[: MAX_SHOWN + 1]).strip()
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"
