"""ETags, strong and weak: how they are kept, compared and sent back.

OSS's are strong: ``"5D41…"``, kept without their quotes. A proxy that compresses answers makes them weak:
``W/"5D41…"``, kept as they are. A weak one never goes into If-Match: HTTP compares strongly there, so it would never
match. The ETag of each answer is compared with it instead.
"""

from __future__ import annotations

import re

# RFC 9110, 8.8.3; some servers leave the quotes out.
_ETAG = re.compile(r'(?P<weak>W/"[\x21\x23-\x7e\x80-\U0010ffff]+")|"(?P<strong>[\x21\x23-\x7e\x80-\U0010ffff]+)"')
_BARE = re.compile(r"(?!W/)[\x21\x23-\x7e]+")
_MD5 = re.compile("[0-9A-F]{32}")


def read_etag(text: str | None) -> str:
    """Return an ETag as we keep it; empty for none, and for what is none."""
    text = (text or "").strip()
    if match := _ETAG.fullmatch(text):
        return match["weak"] or match["strong"]
    return text if _BARE.fullmatch(text) else ""


def if_match(etag: str) -> str | None:
    """Return the header If-Match for an object that must still have that ETag; None for a weak one."""
    return None if is_weak(etag) else f'"{etag}"'


def is_weak(etag: str) -> bool:
    return etag.startswith('W/"')


def same_etag(one: str, other: str) -> bool:
    """True when both are of the same bytes, weak or not."""
    return opaque(one) == opaque(other)


def opaque(etag: str) -> str:
    """Return what OSS itself calls it: without the mark of a proxy."""
    return etag[3:-1] if is_weak(etag) else etag


def md5_of(etag: str) -> str | None:
    """Return the MD5 that an ETag of one request's bytes is, as 32 capital hex digits; None for another ETag."""
    digest = opaque(etag).upper()
    return digest if _MD5.fullmatch(digest) else None
