"""Selects relative names by globs, as in rclone and git."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_ossresume.errors import ArgumentError


class Globs:
    """Selects names that match a glob of ``include`` (all if there is none), and no glob of ``exclude``.

    ``*`` matches any text without a slash, ``?`` one character except a slash, ``[ab]`` and ``[!ab]`` one of a set.
    ``**`` matches any text, slashes included: ``**/x`` matches an ``x`` in any folder, the top one too, and ``x/**``
    everything below ``x``. The whole name must match, and case matters.

    :raises ArgumentError: for a glob that no name can match
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = [_expression("include", glob) for glob in include]
        self._exclude = [_expression("exclude", glob) for glob in exclude]
        self._excluded_folders = [
            _expression("exclude", glob.removesuffix("/**")) for glob in exclude if glob.endswith("/**")
        ]

    def matches(self, name: str) -> bool:
        if any(expression.fullmatch(name) for expression in self._exclude):
            return False
        return not self._include or any(expression.fullmatch(name) for expression in self._include)

    def excludes_folder(self, name: str) -> bool:
        """Return whether nothing below the folder can match, so that it need not be scanned."""
        return any(expression.fullmatch(name) for expression in self._excluded_folders)


_TOKEN = re.compile(
    r"(?P<folders>(?<![^/])\*\*/)|(?P<all>\*\*)|(?P<any>\*)|(?P<one>\?)|(?P<set>\[(?:!.|[^!])[^\]]*\])|(?P<text>.)",
    re.DOTALL,
)


def _expression(argument: str, glob: str) -> re.Pattern[str]:
    if glob.startswith("/") or glob.endswith("/") or "//" in glob:
        raise ArgumentError(
            argument, glob, "a glob is compared with names relative to the folder; remove the slash at its beginning "
            "or end, or the double slash, and write name/** for everything below a folder"
        )  # fmt: skip
    try:
        return re.compile("".join(map(_translated, _TOKEN.finditer(glob))), re.DOTALL)
    except _EmptyRange as error:
        raise ArgumentError(argument, glob, f"the range {error} ends before it begins; swap its ends") from None


def _translated(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "folders":
            return "(?:.*/)?"
        case "all":
            return ".*"
        case "any":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            is_negated = token[0].startswith("[!")
            members = token[0][2 if is_negated else 1 : -1]
            return f"(?!/)[{'^' if is_negated else ''}{_members(members)}]"
        case _:
            return re.escape(token[0])


def _members(members: str) -> str:
    """Translate the members of a set to a regular expression. ``a-c`` is a range; a ``-`` at either end is literal.

    :raises _EmptyRange: for a range that ends before it begins
    """
    translated, at = "", 0
    while at < len(members):
        first, last = members[at], members[at + 2 : at + 3] if members[at + 1 : at + 2] == "-" else ""
        if last and last < first:
            raise _EmptyRange(f"{first}-{last}")
        translated += f"{re.escape(first)}-{re.escape(last)}" if last else re.escape(first)
        at += 3 if last else 1
    return translated


class _EmptyRange(Exception):
    """A range of no characters."""
