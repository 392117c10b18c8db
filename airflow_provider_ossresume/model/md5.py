"""MD5 as HTTP's Content-MD5 carries it: with it OSS refuses a damaged body, where a CRC-64 only tells of the damage."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def content_md5(pieces: Iterable[bytes | memoryview]) -> str | None:
    """Return the header Content-MD5 of a body that comes in pieces; None where Python is built without MD5."""
    digest = md5_hex(pieces)
    return None if digest is None else base64.b64encode(bytes.fromhex(digest)).decode()


def md5_hex(pieces: Iterable[bytes | memoryview]) -> str | None:
    """Return the MD5 of what comes in pieces; None where Python is built without it.

    Releases the GIL for pieces over 2 KiB.
    """
    try:
        digest = hashlib.md5(usedforsecurity=False)
    except (AttributeError, ValueError):  # a FIPS build
        return None
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
