"""What a sensor waits for, and which objects count."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import parse_duration, parse_flag, parse_whole_number
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import parse_size
from airflow_provider_ossresume.model.patterns import KeyPattern

DEFAULT_MAX_MATCHES = 1_000  # one page of a listing; with keys of usual length about 100 KB of XCom
MOST_MATCHES = 100_000  # an XCom is a row in Airflow's database


@dataclass(frozen=True)
class FoundObject:
    """An object that a sensor has found.

    :ivar etag: without its quotes
    :ivar last_modified: by OSS's clock, in whole seconds; None if OSS did not say
    :ivar answered_at: the response's Date, by OSS's clock; None for an object from a listing
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: datetime | None
    answered_at: datetime | None = field(default=None, compare=False, repr=False)

    @property
    def uri(self) -> str:
        return str(self.target)

    @property
    def target(self) -> ObjectRef:
        return ObjectRef(self.bucket, self.key)

    @property
    def is_folder_marker(self) -> bool:
        """True for an empty object whose key ends with a slash: consoles create these to show a folder."""
        return self.size == 0 and self.key.endswith("/")

    def __str__(self) -> str:
        return f"{self.uri} ({self.size} bytes, last modified {_shown(self.last_modified)})"


@dataclass(frozen=True)
class Wanted:
    """What a sensor waits for.

    ``min_size`` and ``modified_after`` decide which objects count. ``stable_for`` applies to all objects that count.

    :ivar any_key: one of the keys or patterns is enough
    :ivar must_not_exist: wait until the objects do not exist
    :ivar min_size: the minimum size in bytes
    :ivar modified_after: only objects that were modified after this time count
    :ivar stable_for: seconds for which none of the objects may have changed
    :ivar max_matches: the maximum number of objects to return
    :ivar count_folder_markers: count folder markers that a pattern matches
    """

    patterns: tuple[KeyPattern, ...]
    any_key: bool = False
    must_not_exist: bool = False
    min_size: int = 0
    modified_after: datetime | None = None
    stable_for: float = 0
    max_matches: int = DEFAULT_MAX_MATCHES
    count_folder_markers: bool = False

    @classmethod
    def of(
        cls,
        patterns: Sequence[KeyPattern],
        *,
        require: str = "all",
        must_not_exist: bool | str = False,
        min_size: int | str | None = None,
        modified_after: datetime | str | None = None,
        stable_for: float | str | timedelta | None = None,
        max_matches: int | str = DEFAULT_MAX_MATCHES,
        count_folder_markers: bool | str = False,
    ) -> Wanted:
        """Return the condition for a DAG author's arguments. Numbers and times may be strings from templates.

        :raises ArgumentError: for a value that is out of range
        """
        if require not in ("all", "any"):
            raise ArgumentError("require", require, "choose all or any")
        must_not_exist = parse_flag("must_not_exist", must_not_exist)
        if must_not_exist and stable_for is not None:
            raise ArgumentError(
                "stable_for",
                stable_for,
                "an object that must not exist cannot stay unchanged; leave one of the two out",
            )
        return cls(
            patterns=tuple(patterns),
            any_key=require == "any",
            must_not_exist=must_not_exist,
            min_size=0 if min_size is None else parse_size("min_size", min_size),
            modified_after=None if modified_after is None else _time(modified_after),
            stable_for=0 if stable_for is None else parse_duration("stable_for", stable_for).total_seconds(),
            max_matches=parse_max_matches(max_matches),
            count_folder_markers=parse_flag("count_folder_markers", count_folder_markers),
        )

    def lacks(self, found: FoundObject, *, by_pattern: bool = False) -> str | None:
        """Return why an object does not count; None if it does.

        :param by_pattern: a pattern has matched it. A folder marker counts if its key was given
        """
        if by_pattern and found.is_folder_marker and not self.count_folder_markers:
            return f"{found.uri} only marks a folder; set count_folder_markers=True to count it"
        if found.size < self.min_size:
            return f"{found.uri} has {found.size} bytes, and min_size is {self.min_size}"
        if self.modified_after and not (found.last_modified and found.last_modified > self.modified_after):
            modified, wanted = _shown(found.last_modified), _shown(self.modified_after)
            return f"{found.uri} was last modified {modified}, which is not after {wanted}"
        return None

    def __str__(self) -> str:
        """As in ``any of oss://b/k, oss://b/l, of at least 100 bytes``."""
        facts = [_listed(self.patterns)]
        if self.min_size:
            facts.append(f"of at least {self.min_size} bytes")
        if self.modified_after:
            facts.append(f"modified after {_shown(self.modified_after)}")
        if self.stable_for:
            facts.append(f"unchanged for {self.stable_for:g} s")
        several = ("any of " if self.any_key else "all of ") if len(self.patterns) > 1 else ""
        return ("the absence of " if self.must_not_exist else "") + several + ", ".join(facts)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, which Airflow stores for a trigger."""
        return {
            **asdict(self),
            "patterns": [[pattern.bucket, pattern.text, pattern.kind] for pattern in self.patterns],
            "modified_after": self.modified_after and self.modified_after.isoformat(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Wanted:
        """Return what :meth:`to_json` wrote, perhaps in another version. Unknown values are ignored, missing ones get
        their defaults."""
        known = {name: values[name] for name in {field.name for field in fields(cls)} & values.keys()}
        modified_after = known.get("modified_after")
        return cls(
            **{
                **known,
                "patterns": tuple(KeyPattern(*pattern[:3]) for pattern in values["patterns"]),
                "modified_after": modified_after and datetime.fromisoformat(modified_after),
            }
        )


def parse_max_matches(value: object) -> int:
    """:raises ArgumentError: if it is not a number, or a text with a number, from 1 to 100,000"""
    return parse_whole_number("max_matches", value, most=MOST_MATCHES)


def _time(value: object) -> datetime:
    """Return a time with its time zone. A time without one is in UTC."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(_with_separators(value.strip()))
        except ValueError:
            found = None
    if not isinstance(found, datetime):
        raise ArgumentError("modified_after", value, 'give a datetime, or a string such as "2026-01-31T08:00:00+00:00"')
    # A plain datetime, because Airflow's own class cannot be stored as JSON.
    return datetime.fromisoformat((found if found.tzinfo else found.replace(tzinfo=timezone.utc)).isoformat())


def _with_separators(text: str) -> str:
    """Return an ISO time in a form for Python 3.10, which knows neither Z nor Airflow's ts_nodash (20260131T080000)."""
    text = re.sub(r"^([0-9]{4})([0-9]{2})([0-9]{2})(?![0-9])", r"\1-\2-\3", text.replace("Z", "+00:00"))
    text = re.sub(r"T([0-9]{2})([0-9]{2})([0-9]{2})", r"T\1:\2:\3", text)
    return re.sub(r"([+-][0-9]{2})([0-9]{2})$", r"\1:\2", text)


def _shown(time: datetime | None) -> str:
    return "at an unknown time" if time is None else time.isoformat(sep=" ")


def _listed(patterns: Sequence[KeyPattern], *, most: int = 10) -> str:
    shown = ", ".join(map(str, patterns[:most]))
    return f"{shown} and {len(patterns) - most} more" if len(patterns) > most else shown
