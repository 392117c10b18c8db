"""Compares an existing object with what an upload would create: headers, tags and ACL. The CRC-64 compares the bytes.

Storage class and encryption count only if the upload sets them, because a bucket may set them by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

TAGGING, ACL = "x-oss-tagging", "x-oss-object-acl"

# These are about the request, not about the object.
_OF_REQUESTS = frozenset(
    {"x-oss-callback", "x-oss-callback-var", "x-oss-forbid-overwrite", "x-oss-request-payer", "x-oss-traffic-limit"}
)
# An object has these only if an upload has set them, so their absence counts too.
_ONLY_IF_ASKED = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_METADATA = "x-oss-meta-"
# OSS's defaults. HEAD may leave out a storage class of Standard.
_DEFAULTS = {"content-type": "application/octet-stream", "x-oss-storage-class": "Standard"}


def difference(
    shown: Mapping[str, str],
    asked: Mapping[str, str],
    *,
    acl: Callable[[], str | None],
    tags: Callable[[], Mapping[str, str] | None],
) -> str:
    """Return the first difference between an object and what an upload would create; empty if there is none.

    :param shown: the headers of a HEAD, in lower case
    :param asked: the headers that the upload would send
    :param acl: reads the ACL, which HEAD does not show; called only if needed; returns None if it must not be read
    :param tags: reads the tags, in the same way
    """
    asked = {name.lower(): value.strip(" \t") for name, value in asked.items()}  # as HTTP does
    if shown.get("x-oss-object-type", "Normal") not in ("Normal", "Multipart"):
        return f"it is an object of the type {shown['x-oss-object-type']}"
    for name in sorted(_compared(shown, asked)):
        default = _DEFAULTS.get(name)
        if (has := shown.get(name, default)) != (wanted := asked.get(name, default)):
            return f"its {name} is {has!r}, not {wanted!r}"
    return _other_tags(shown, asked, tags) or _other_acl(asked, acl)


def _compared(shown: Mapping[str, str], asked: Mapping[str, str]) -> set[str]:
    names = {name for name in shown if name in _ONLY_IF_ASKED or name.startswith(_METADATA)}
    return (names | asked.keys() | {"content-type"}) - _OF_REQUESTS - {TAGGING, ACL}


def _other_tags(
    shown: Mapping[str, str], asked: Mapping[str, str], tags: Callable[[], Mapping[str, str] | None]
) -> str:
    wanted = dict(parse_qsl(asked.get(TAGGING, ""), keep_blank_values=True))
    if not wanted:
        count = shown.get("x-oss-tagging-count", "0")
        return "" if count == "0" else f"it has {count} tags, but the upload sets none"
    found = tags()
    if found is None:
        return "its tags cannot be read; grant oss:GetObjectTagging so that they can be compared"
    return "" if found == wanted else "its tags differ from those that the upload sets"


def _other_acl(asked: Mapping[str, str], acl: Callable[[], str | None]) -> str:
    found = acl()
    wanted = asked.get(ACL, "default")
    if found is None:  # without a requested ACL, a missing permission is no reason to send all bytes again
        return "" if ACL not in asked else "its ACL cannot be read; grant oss:GetObjectAcl so that it can be compared"
    return "" if found == wanted else f"its ACL is {found}, not {wanted}"
