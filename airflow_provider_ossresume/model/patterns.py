"""Selects keys: one key, or all that match a wildcard or a regular expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import Literal, get_args

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_choice
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.object_names import check_bucket, check_key

PatternKind = Literal["key", "wildcard", "regex"]


@dataclass(frozen=True)
class KeyPattern:
    """One key of a bucket, or a pattern for many. Shown as ``oss://bucket/pattern``.

    ``wildcard``: ``*`` is any text, slashes included, ``?`` any character, ``[ab]`` and ``[!ab]`` one of a set; the
    whole key must match, and case matters. ``regex``: as in :func:`re.match`, the start of the key must match, and any
    text may follow, unless the expression ends with ``$``.

    :raises ArgumentError: for a bucket or key that OSS forbids, an expression that does not compile, and a pattern that
        no key can match
    """

    bucket: str
    text: str
    kind: PatternKind = "key"

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        check_choice("kind", self.kind, get_args(PatternKind))
        if self.kind == "key" or not self.text:
            check_key(self.text, argument="bucket_key")
        if self.prefix:
            check_key(self.prefix, argument="bucket_key")
        try:
            self._expression  # noqa: B018  compiled once, here
        except (re.error, OverflowError, RecursionError) as error:
            raise ArgumentError(
                "bucket_key", self.text, f"it is not a regular expression ({error}); correct it"
            ) from error

    @property
    def is_one_key(self) -> bool:
        """Whether no listing is needed."""
        return self.kind != "regex" and self.prefix == self.text

    @lazy_property
    def prefix(self) -> str:
        """A text that every matching key begins with, as long as the pattern shows it."""
        if self.kind == "key":
            return self.text
        return literal_prefix(self.text) if self.kind == "regex" else re.split(r"[*?\[]", self.text)[0]

    @lazy_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(self.text if self.kind == "regex" else translate(self.text))

    def matches(self, key: str) -> bool:
        return key == self.text if self.is_one_key else self._expression.match(key) is not None

    def __str__(self) -> str:
        return f"oss://{self.bucket}/{self.text}"


_TOKEN = re.compile(
    r"""
      \\ (?P<escaped> . )
    | \[ \^? \]? (?: \\. | [^]\\] )* \]        # a set; a bracket that comes first belongs to it
    | \( \? \# [^)]* \)                        # a comment
    | (?P<plain> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_SETS_FLAGS = re.compile(r"\(\?[aiLmsux-]")  # (?i) or (?x:…): letters, spaces or # then mean something else
_SPECIAL = frozenset(".^$*+?{}[]()|\\")


def literal_prefix(expression: str) -> str:
    """Return a text that every match of :func:`re.match` begins with; empty if there is none for certain.

    It may be shorter than possible, as for ``a|ab``, but never too long: a listing by it misses no match.
    """
    if _SETS_FLAGS.search(expression) or _has_alternatives(expression):
        return ""
    prefix: list[str] = []
    for token in _TOKEN.finditer(_without_anchor(expression)):
        literal = _literal(token)
        if literal is None:
            if token[0] in ("*", "?", "{"):
                del prefix[-1:]  # the character before may be absent
            break
        prefix.append(literal)
    return "".join(prefix)


def _has_alternatives(expression: str) -> bool:
    """True if there is a ``|`` outside all groups, so that a match need not begin with the expression's first text."""
    depth = 0
    for token in _TOKEN.finditer(expression):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[0] == "|" and depth == 0:
            return True
    return False


def _without_anchor(expression: str) -> str:
    """Remove the anchor for the beginning, which ``re.match`` does not need."""
    return expression.removeprefix("^").removeprefix(r"\A")


def _literal(token: re.Match[str]) -> str | None:
    """Return the character that a token matches; None if it matches anything else."""
    escaped, plain = token["escaped"], token["plain"]
    if escaped is not None:
        return None if escaped.isascii() and escaped.isalnum() else escaped
    return None if plain is None or plain in _SPECIAL else plain
