"""Reads the extra of an Airflow connection. Unknown names are reported."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.model.arguments import parse_flag

# Forms of older Airflow versions, and other tools, add this prefix to each name.
_PREFIX = re.compile(r"extra__(?:oss|oss_resume)__")
_OFFICIAL_PROVIDER_NAMES = ("access_key_id", "access_key_secret")

KNOWN = (*CONN_FIELDS, *_OFFICIAL_PROVIDER_NAMES)
SECRETS = frozenset(
    {"access_key_secret", *(name for name, field in CONN_FIELDS.items() if field["schema"].get("format") == "password")}
)
_DURATIONS = ("role_session_duration", "connect_timeout", "read_timeout", "stall_timeout")
_ALIASES = {"auth_type": {"ak": "access_key"}}  # the official Alibaba provider's name for it
_MOST_SHOWN = 10  # names of one connection


class ConnectionExtra:
    """The values in a connection's extra, by name.

    :raises ArgumentError: if the extra is not a JSON object, or has two values for one name
    """

    def __init__(self, connection: Any) -> None:
        self._values = _without_prefixes(_parsed(connection))

    def text(self, name: str) -> str | None:
        """Return a value as a string; None if it is missing, null or empty, as forms store an empty field.

        A number is converted to a string, as in ``"role_session_name": 5``. A policy may be a JSON object.

        :raises ArgumentError: for any other JSON value
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
        raise ArgumentError(name, "…" if name in SECRETS else value, f"this is {kind}; write it as a string, in quotes")

    def choice(self, name: str) -> str | None:
        """Return one of the form's choices, in lower case; None if it is missing or empty.

        :raises ArgumentError: for any other value
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
        """Return the unknown names, each with the most similar known name. Values are not shown."""
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
            where = (
                f"line {error.lineno}, column {error.colno}"
                if isinstance(error, json.JSONDecodeError)
                else "nested too deeply"
            )
            raise ArgumentError(
                "extra", "…", f"the connection's extra is not valid JSON ({where}); correct it"
            ) from None
    extra = connection.extra_dejson  # Airflow then masks the secrets in logs
    if not isinstance(extra, Mapping):
        raise ArgumentError("extra", type(extra).__name__, "the connection's extra must be a JSON object; correct it")
    return extra


def _without_prefixes(extra: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    full_names: dict[str, str] = {}
    for full_name, value in extra.items():
        name = _PREFIX.sub("", full_name, count=1) if _PREFIX.match(full_name) else full_name
        if value in (None, "") and name in values:
            continue
        earlier = values.get(name)
        if earlier not in (None, "") and earlier != value:
            shown = value if name in KNOWN and name not in SECRETS else "…"
            raise ArgumentError(full_name, shown, f"{full_names[name]!r} has another value; remove one of the two")
        values[name], full_names[name] = value, full_name
    return values
