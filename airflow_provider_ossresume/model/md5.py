"""MD5 for the header Content-MD5. With it OSS refuses a damaged body; a CRC-64 only reveals the damage afterwards."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def content_md5(pieces: Iterable[bytes | memoryview]) -> str | None:
    """Return the value of Content-MD5 for a body in pieces; None if Python is built without MD5."""
    digest = md5_hex(pieces)
    return None if digest is None else base64.b64encode(bytes.fromhex(digest)).decode()


def md5_hex(pieces: Iterable[bytes | memoryview]) -> str | None:
    """Return the MD5 of bytes in pieces; None if Python is built without MD5.

    Releases the GIL for pieces over 2 KiB.
    """
    try:
        digest = hashlib.md5(usedforsecurity=False)
    except (AttributeError, ValueError):  # a FIPS build
        return None
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
