"""Whether an object that is there looks as an upload would make it: all that was asked for, and nothing else.

Of the bytes a CRC-64 tells; this is about headers, tags and ACL. What a bucket may set by itself counts only where it
was asked for: storage class and encryption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

TAGGING, ACL = "x-oss-tagging", "x-oss-object-acl"

# They are about the request, not about the object.
_OF_REQUESTS = frozenset(
    {"x-oss-callback", "x-oss-callback-var", "x-oss-forbid-overwrite", "x-oss-request-payer", "x-oss-traffic-limit"}
)
# An object has them only when somebody asked for them, so that their absence counts too.
_ONLY_IF_ASKED = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_METADATA = "x-oss-meta-"
# What OSS takes for those that are left out. HEAD may leave a storage class of Standard out.
_DEFAULTS = {"content-type": "application/octet-stream", "x-oss-storage-class": "Standard"}


def difference(
    shown: Mapping[str, str],
    asked: Mapping[str, str],
    *,
    acl: Callable[[], str | None],
    tags: Callable[[], Mapping[str, str] | None],
) -> str:
    """Return in what an object is not as it was asked for; empty when it is.

    :param shown: the headers of a HEAD, their names in lower case
    :param asked: those that the upload sends
    :param acl: asks for what HEAD does not show, and is called where it matters; None when that may not be read
    :param tags: the same
    """
    asked = {name.lower(): value.strip(" \t") for name, value in asked.items()}  # as HTTP takes them
    if shown.get("x-oss-object-type", "Normal") not in ("Normal", "Multipart"):
        return f"it is an object of the type {shown['x-oss-object-type']}"
    for name in sorted(_compared(shown, asked)):
        default = _DEFAULTS.get(name)
        if (has := shown.get(name, default)) != (wanted := asked.get(name, default)):
            return f"its {name} is {has!r}, asked for was {wanted!r}"
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
        return "" if count == "0" else f"it has {count} tags, none were asked for"
    found = tags()
    if found is None:
        return "its tags cannot be read; grant oss:GetObjectTagging to have them compared"
    return "" if found == wanted else "its tags are others than those that were asked for"


def _other_acl(asked: Mapping[str, str], acl: Callable[[], str | None]) -> str:
    found = acl()
    wanted = asked.get(ACL, "default")
    if found is None:  # one that nobody asked for is not worth sending all bytes again for a permission
        return "" if ACL not in asked else "its ACL cannot be read; grant oss:GetObjectAcl to have it compared"
    return "" if found == wanted else f"its ACL is {found}, asked for was {wanted}"
