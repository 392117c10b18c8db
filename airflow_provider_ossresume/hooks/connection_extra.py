"""Reads the extra of an Airflow connection: every name is known, and each kind of value is read by one rule."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.model.arguments import parse_flag

# Older forms of Airflow, and other tools, put the connection's type before each name.
_PREFIX = re.compile(r"extra__(?:oss|oss_resume)__")
_OF_THE_OFFICIAL_PROVIDER = ("access_key_id", "access_key_secret")

KNOWN = (*CONN_FIELDS, *_OF_THE_OFFICIAL_PROVIDER)
SECRETS = frozenset(
    {"access_key_secret", *(name for name, field in CONN_FIELDS.items() if field["schema"].get("format") == "password")}
)
_DURATIONS = ("role_session_duration", "connect_timeout", "read_timeout", "stall_timeout")
_ALIASES = {"auth_type": {"ak": "access_key"}}  # as the official Alibaba provider calls it
_MOST_SHOWN = 10  # names of one connection


class ConnectionExtra:
    """What the extra of a connection says, by name.

    :raises ArgumentError: when it is no JSON object, or says two things by one name
    """

    def __init__(self, connection: Any) -> None:
        self._values = _without_prefixes(_parsed(connection))

    def text(self, name: str) -> str | None:
        """Return a text; None when it is absent, null or empty, as forms store what nobody filled in.

        A number may stand for its digits, as in ``"role_session_name": 5``, and a policy may be a JSON object.

        :raises ArgumentError: for anything else that JSON has
        """
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return value.strip() or None
        if isinstance(value, int if name not in _DURATIONS else (int, float)) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, Mapping) and name == "role_policy":
            return json.dumps(value)
        kind = "true or false" if isinstance(value, bool) else type(value).__name__
        raise ArgumentError(name, "…" if name in SECRETS else value, f"this is {kind}; give a text in quotes")

    def choice(self, name: str) -> str | None:
        """Return one of the values that the form offers, in lower case; None when it is absent or empty.

        :raises ArgumentError: for another one
        """
        text = self.text(name)
        if text is None:
            return None
        chosen = text.lower()
        chosen = _ALIASES.get(name, {}).get(chosen, chosen)
        choices = CONN_FIELDS[name]["schema"]["enum"]
        if chosen not in choices:
            raise ArgumentError(name, text, f"choose one of {', '.join(choices)}")
        return chosen

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._values.get(name)
        is_empty = value is None or (isinstance(value, str) and not value.strip())
        return default if is_empty else parse_flag(name, value)

    def unknown(self) -> str:
        """Return the names that nobody reads, each with the nearest known one; values are not shown."""
        names = [name for name, value in self._values.items() if name not in KNOWN and value not in (None, "")]
        shown = [f"{name[:60]!r}{_nearest(name, KNOWN)}" for name in names[:_MOST_SHOWN]]
        more = len(names) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


def _nearest(name: str, known: Iterable[str]) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+", "_", name).lower()
    near = difflib.get_close_matches(snake, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _parsed(connection: Any) -> Mapping[str, Any]:
    stored = getattr(connection, "extra", None)
    if isinstance(stored, str) and stored.strip():
        try:
            json.loads(stored)
        except (ValueError, RecursionError) as error:
            where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "deep"
            raise ArgumentError("extra", "…", f"the connection's extra is no JSON ({where}); correct it") from None
    extra = connection.extra_dejson  # masks what is secret in the log
    if not isinstance(extra, Mapping):
        raise ArgumentError("extra", type(extra).__name__, "the connection's extra is a JSON object; correct it")
    return extra


def _without_prefixes(extra: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for said, value in extra.items():
        name = _PREFIX.sub("", said, count=1) if _PREFIX.match(said) else said
        if value in (None, "") and name in values:
            continue
        earlier = values.get(name)
        if earlier not in (None, "") and earlier != value:
            shown = value if name in KNOWN and name not in SECRETS else "…"
            raise ArgumentError(said, shown, f"{said_by[name]!r} says something else; leave one of the two out")
        values[name], said_by[name] = value, said
    return values
