"""The contents of a plan's files as text: header, batches, rows, deletions, facts and ledgers.

A file of rows has one JSON object per line. Numbers that may need 64 bits are texts, because most JSON readers round
them. Readers ignore fields that they do not know, and refuse a newer format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.record import crc64_text
from airflow_provider_ossresume.model.untrusted_json import read_json

FORMAT = 1

Mode = Literal["copy", "mirror"]
Compare = Literal["crc64", "size_mtime", "size", "missing", "always"]
Recheck = Literal["ledger", "list"]  # what a finish relies on
Result = Literal["done", "same", "skipped", "failed"]
SkipReason = Literal["vanished", "source_changed"]  # of a row that is skipped
PROVEN: frozenset[Result] = frozenset({"done", "same"})


@dataclass(frozen=True)
class Row:
    """One file that a batch has to move.

    :ivar number: within the plan, from 1
    :ivar name: relative to source and target
    :ivar size: in bytes, as the plan saw it
    :ivar identity: of the source, as the plan saw it
    :ivar was: identity of the file or object that the plan saw in the target; None if there was none
    """

    number: int
    name: str
    size: int
    identity: str
    was: str | None = None

    def line(self) -> str:
        return _line(
            {"n": self.number, "op": "put", "name": self.name, "size": str(self.size), "id": self.identity,
             "was": self.was}
        )  # fmt: skip

    @classmethod
    def of(cls, text: str) -> Row:
        """:raises ManifestUnreadable: if the text is not a row of a plan, or has an unknown operation"""
        values = _values(text, "a row of a plan")
        try:
            if values["op"] != "put":
                raise ManifestUnreadable(
                    f"the operation {values['op']!r} is not known; use a newer version of the provider"
                )
            return cls(int(values["n"]), str(values["name"]), int(values["size"]), str(values["id"]), values["was"])
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestUnreadable(f"this is not a row of a plan: {text[:100]!r}") from error


@dataclass(frozen=True)
class Victim:
    """What a mirror deletes: one file or object of the target that the source does not have.

    :ivar identity: as the plan saw it; a file whose identity has changed since is kept
    """

    name: str
    size: int
    identity: str

    def line(self) -> str:
        return _line({"name": self.name, "size": str(self.size), "id": self.identity})

    @classmethod
    def of(cls, text: str) -> Victim:
        """:raises ManifestUnreadable: if the text is not such a line"""
        values = _values(text, "a line of a list of deletions")
        try:
            return cls(str(values["name"]), int(values["size"]), str(values["id"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestUnreadable(f"this is not a line of a list of deletions: {text[:100]!r}") from error


@dataclass(frozen=True)
class Named:
    """A name with a reason: why it was left out, or why it is not proven.

    :ivar reason: one word
    :ivar detail: the reason as a text
    """

    name: str
    reason: str
    detail: str = ""

    def line(self) -> str:
        return _line({"name": self.name, "reason": self.reason, "detail": self.detail})

    @classmethod
    def of(cls, text: str) -> Named:
        """:raises ManifestUnreadable: if the text is not such a line"""
        values = _values(text, "a name with a reason")
        try:
            return cls(str(values["name"]), str(values["reason"]), str(values["detail"]))
        except KeyError as error:
            raise ManifestUnreadable(f"this is not a name with a reason: {text[:100]!r}") from error


@dataclass(frozen=True)
class Fact:
    """A fact: a source and a target with these identities are proven to hold the same bytes.

    :ivar crc64: of the bytes; None if it is unknown
    """

    name: str
    size: int
    source: str
    target: str
    crc64: int | None

    def line(self) -> str:
        return _line(
            {"name": self.name, "size": str(self.size), "source": self.source, "target": self.target,
             "crc64": crc64_text(self.crc64)}
        )  # fmt: skip

    @classmethod
    def of(cls, text: str) -> Fact:
        """:raises ManifestUnreadable: if the text is not such a line"""
        values = _values(text, "a fact")
        try:
            crc64 = None if values["crc64"] is None else int(values["crc64"])
            return cls(str(values["name"]), int(values["size"]), str(values["source"]), str(values["target"]), crc64)
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestUnreadable(f"this is not a fact: {text[:100]!r}") from error


@dataclass(frozen=True)
class LedgerRow:
    """The result of one row of a plan. The last result of a row counts, but a proven row stays proven.

    :ivar number: of the row
    :ivar result: ``done``: moved and proven; ``same``: nothing had to be moved; ``skipped``; ``failed``
    :ivar source: identity of the file that was moved; empty if a later write to it might not change its identity
    :ivar target: identity of the target's file now; empty in the same case
    :ivar crc64: of its bytes; None if it is unknown
    :ivar size: in bytes
    :ivar moved: bytes that this try sent or received
    :ivar reason: one word, for a skipped or failed row: an error code of OSS, the name of an error class, ``vanished``
        or ``source_changed``
    :ivar detail: the reason as a text
    :ivar is_retryable: a later try may succeed without any change
    """

    number: int
    result: Result
    source: str = ""
    target: str = ""
    crc64: int | None = None
    size: int = 0
    moved: int = 0
    reason: str = ""
    detail: str = ""
    is_retryable: bool = False

    @property
    def is_proven(self) -> bool:
        return self.result in PROVEN

    def line(self) -> str:
        return _line(
            {"n": self.number, "r": self.result, "source": self.source, "target": self.target,
             "crc64": crc64_text(self.crc64), "size": str(self.size), "moved": str(self.moved), "reason": self.reason,
             "detail": self.detail, "retryable": self.is_retryable}
        )  # fmt: skip

    @classmethod
    def of(cls, text: str) -> LedgerRow:
        """:raises ManifestUnreadable: if the text is not a row of a ledger"""
        values = _values(text, "a row of a ledger")
        try:
            if values["r"] not in get_args(Result):
                raise ManifestUnreadable(
                    f"the result {values['r']!r} is not known; use a newer version of the provider"
                )
            return cls(
                int(values["n"]), values["r"], str(values["source"]), str(values["target"]),
                None if values["crc64"] is None else int(values["crc64"]), int(values["size"]), int(values["moved"]),
                str(values["reason"]), str(values["detail"]), values["retryable"] is True,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestUnreadable(f"this is not a row of a ledger: {text[:100]!r}") from error


@dataclass(frozen=True)
class BatchHeader:
    """One batch of a plan.

    :ivar name: of its file; it contains the first digits of the SHA-256 of the file's bytes
    """

    number: int
    name: str
    files: int
    size: int


@dataclass(frozen=True)
class PlanHeader:
    """The contents of ``plan.json``: everything of a plan except its rows. It is written last, and only once.

    :ivar source: a folder as a ``file:///…/`` URL, or ``oss://bucket/prefix/``
    :ivar target: in the same form
    :ivar options: those that batches and the finish need, from
        :class:`~airflow_provider_ossresume.model.set_options.SetOptions`
    :ivar deletes: the name of the list of what a mirror deletes, with the first digits of its SHA-256; empty for none
    :ivar found: the number of files and bytes in both listings: ``source_files``, ``source_bytes``, ``target_files`` …
    :ivar actions: the number of rows for each action: ``put``, ``same``, ``delete``
    :ivar left_out: the number of files that are left out, by reason
    """

    plan_id: str
    provider: str
    source: str
    target: str
    mode: Mode
    compare: Compare
    batches: tuple[BatchHeader, ...]
    deletes: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    is_dry_run: bool = False
    made_at: str = ""

    def text(self) -> str:
        """Return the text of ``plan.json``."""
        values = {
            "format": FORMAT, "plan_id": self.plan_id, "provider": self.provider, "source": self.source,
            "target": self.target, "mode": self.mode, "compare": self.compare, "deletes": self.deletes,
            "options": dict(self.options),
            "found": {name: str(count) for name, count in self.found.items()},
            "actions": {name: str(count) for name, count in self.actions.items()},
            "left_out": dict(self.left_out), "dry_run": self.is_dry_run, "made_at": self.made_at,
            "batches": [
                {"n": each.number, "name": each.name, "files": each.files, "bytes": str(each.size)}
                for each in self.batches
            ],
        }  # fmt: skip
        return json.dumps(values, ensure_ascii=False, indent=1)

    @classmethod
    def of(cls, text: str) -> PlanHeader:
        """:raises ManifestUnreadable: if the text is not a plan, or has a newer format"""
        values = _values(text, "a plan")
        try:
            if not isinstance(values["format"], int) or values["format"] > FORMAT:
                raise ManifestUnreadable(
                    f"the plan has the format {values['format']!r} and this version reads {FORMAT}; use a newer version"
                )
            return cls(
                plan_id=str(values["plan_id"]), provider=str(values["provider"]), source=str(values["source"]),
                target=str(values["target"]), mode=values["mode"], compare=values["compare"],
                deletes=str(values["deletes"]), options=dict(values["options"]),
                found={name: int(count) for name, count in values["found"].items()},
                actions={name: int(count) for name, count in values["actions"].items()},
                left_out={name: int(count) for name, count in values["left_out"].items()},
                is_dry_run=values["dry_run"] is True, made_at=str(values["made_at"]),
                batches=tuple(
                    BatchHeader(int(each["n"]), str(each["name"]), int(each["files"]), int(each["bytes"]))
                    for each in values["batches"]
                ),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestUnreadable("this is not a plan of this provider") from error


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _values(text: str, what: str) -> dict[str, Any]:
    try:
        values = read_json(text)
    except ValueError as error:
        raise ManifestUnreadable(f"this is not JSON, but should be {what}: {text[:100]!r}") from error
    if not isinstance(values, dict):
        raise ManifestUnreadable(f"this is not {what}: {text[:100]!r}")
    return values
