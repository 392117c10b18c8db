"""Headers that a caller may set: what HTTP can carry, and which ones only the client sets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_unicode

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Headers that the client sets itself, those of one connection (RFC 9110, 7.6.1), and those that change the request.
_OURS = re.compile(
    r"host|date|authorization|content-(?:length|md5|range)|transfer-encoding|connection|keep-alive|expect|te|trailer"
    r"|upgrade|http2-settings|accept-encoding|range|if-.*|proxy-.*"
    r"|x-oss-(?:date|security-token|content-sha256|range-behavior|complete-all|copy-source(?:-range)?)"
)


def check_header(name: str, value: object, *, argument: str = "headers") -> str:
    """Return a header's value.

    :raises ArgumentError: for a name or a value that HTTP cannot carry
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArgumentError(argument, name, "correct the name: use only letters, digits and hyphens")
    return check_line(f"{argument}[{name!r}]", value)


def check_line(argument: str, value: object) -> str:
    """Return a text that a header can carry: one line of valid Unicode.

    :raises ArgumentError: for any other text
    """
    text = check_unicode(argument, value)  # OSS accepts UTF-8
    if _CONTROL.search(text):
        raise ArgumentError(argument, text, "headers cannot contain control characters; remove them")
    return text


def check_given(headers: Mapping[str, str] | None, *, argument: str = "headers") -> dict[str, str]:
    """Return the caller's headers.

    :raises ArgumentError: for a header that only the client may set, and as :func:`check_header` does
    """
    for name, value in (headers or {}).items():
        check_header(name, value, argument=argument)
        refuse_ours(name, argument=argument)
    return dict(headers or {})


def refuse_ours(name: str, *, argument: str = "headers") -> None:
    """:raises ArgumentError: for a header that only the client may set, or that belongs to one connection"""
    if _OURS.fullmatch(name.lower()):
        raise ArgumentError(argument, name, "the client sets this header itself; leave it out")
