"""What a peer says in headers and bodies, before anything is known of its meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_SHOWN = 1_000  # characters of one text of a response that an error shows


def joined(pieces: Iterable[bytes], *, at_least: int) -> bytes:
    """Return the pieces as one, up to the one with which they have that many bytes."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= at_least:
            break
    return bytes(body)


def read_number(text: str | None) -> int | None:
    """Return a header's number; what has more than the 20 digits of a CRC-64 is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,20}", text.strip()) else None


def shown(text: str) -> str:
    """Return what a peer says as one line of bounded length, so that it cannot write lines of its own into a log."""
    line = "".join(character if character.isprintable() else " " for character in text[: MAX_SHOWN + 1]).strip()
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"
