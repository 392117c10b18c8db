"""MD5 as HTTP's Content-MD5 carries it: with it OSS refuses a damaged body, where a CRC-64 only tells of the damage."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def content_md5(pieces: Iterable[bytes | memoryview]) -> str | None:
    """Return the header Content-MD5 of a body that comes in pieces; None where Python is built without MD5.

    Releases the GIL for pieces over 2 KiB.
    """
    try:
        digest = hashlib.md5(usedforsecurity=False)
    except (AttributeError, ValueError):  # a FIPS build
        return None
    for piece in pieces:
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()
