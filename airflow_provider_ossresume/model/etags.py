"""ETags, strong and weak: how they are stored, compared and sent.

OSS's ETags are strong, ``"5D41…"``, and stored without quotes. A proxy that compresses responses makes them weak,
``W/"5D41…"``; these are stored unchanged. A weak one is never sent in If-Match, because it would never match there.
Instead it is compared with the ETag of each response.
"""

from __future__ import annotations

import re

# RFC 9110, 8.8.3. Some servers leave the quotes out.
_ETAG = re.compile(r'(?P<weak>W/"[\x21\x23-\x7e\x80-\U0010ffff]+")|"(?P<strong>[\x21\x23-\x7e\x80-\U0010ffff]+)"')
_BARE = re.compile(r"(?!W/)[\x21\x23-\x7e]+")
_MD5 = re.compile("[0-9A-F]{32}")


def read_etag(text: str | None) -> str:
    """Return an ETag in the form in which it is stored; empty if the text is not an ETag."""
    text = (text or "").strip()
    if match := _ETAG.fullmatch(text):
        return match["weak"] or match["strong"]
    return text if _BARE.fullmatch(text) else ""


def if_match(etag: str) -> str | None:
    """Return the value of If-Match for an object that must still have that ETag; None for a weak one."""
    return None if is_weak(etag) else f'"{etag}"'


def is_weak(etag: str) -> bool:
    return etag.startswith('W/"')


def same_etag(one: str, other: str) -> bool:
    """Return whether both ETags are of the same bytes, weak or not."""
    return opaque(one) == opaque(other)


def opaque(etag: str) -> str:
    """Return OSS's own ETag, without the weak mark of a proxy."""
    return etag[3:-1] if is_weak(etag) else etag


def md5_of(etag: str) -> str | None:
    """Return the MD5 in the ETag of bytes that were sent in one request, in capital hex; None for other ETags."""
    digest = opaque(etag).upper()
    return digest if _MD5.fullmatch(digest) else None
