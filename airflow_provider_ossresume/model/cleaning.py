"""Which unfinished uploads and checkpoints are stale, what is done with each, and the reports of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_ossresume.errors import CheckpointUnreadable, OSSResumeError
from airflow_provider_ossresume.model.arguments import format_age
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint, decode, saved_at
from airflow_provider_ossresume.model.objects import ListedUpload, ObjectRef, PrefixRef
from airflow_provider_ossresume.model.parts import format_size

MOST_NAMED = 100  # of uploads, prefixes and errors in a report; an XCom is a row of Airflow's database

Fate = Literal["aborted", "would abort", "gone", "failed", "young", "named", "undated"]


@dataclass(frozen=True)
class Staleness:
    """Which unfinished uploads are stale.

    :ivar older_than: one that was begun more recently is young, by OSS's clock
    :ivar keep_upload_ids: those that are kept whatever their age
    """

    older_than: timedelta
    keep_upload_ids: Set[str] = frozenset()

    def spares(self, upload: ListedUpload) -> Fate | None:
        """Return why an upload is kept, or None for a stale one; one whose age OSS does not tell is kept."""
        if upload.upload_id in self.keep_upload_ids:
            return "named"
        if upload.age is None:
            return "undated"
        return None if upload.age > self.older_than else "young"


@dataclass(frozen=True)
class UploadFate:
    """What became of one unfinished upload.

    :ivar fate: ``aborted``, ``would abort`` in a dry run, ``gone`` when it was over already, ``failed``, or why it was
        kept: ``young``, ``named`` by the caller, ``undated`` as OSS did not tell its age
    :ivar size: bytes of its parts, where they were counted
    :ivar error: why the abort failed
    """

    upload: ListedUpload
    fate: Fate
    size: int | None = None
    error: OSSResumeError | None = None


@dataclass(frozen=True)
class AbortReport:
    """What became of the unfinished uploads of a bucket.

    :ivar fates: how many met which fate
    :ivar size: bytes of the parts of those that were aborted, or would be; None when they were not counted
    :ivar oldest: when the oldest of all that were found was begun
    :ivar prefixes: how many were stale below each first folder, the most first
    :ivar stale: the first of those that were, or would be, aborted
    :ivar errors: of each abort that failed, by upload ID
    """

    uri: str
    fates: Mapping[Fate, int]
    size: int | None = None
    oldest: datetime | None = None
    prefixes: Mapping[str, int] = field(default_factory=dict)
    stale: tuple[UploadFate, ...] = ()
    errors: Mapping[str, OSSResumeError] = field(default_factory=dict)

    @classmethod
    def of(cls, fates: Iterable[UploadFate], *, where: PrefixRef) -> AbortReport:
        """Return the report of all of them, as they come."""
        counts: Counter[Fate] = Counter()
        prefixes: Counter[str] = Counter()
        sizes: list[int] = []
        stale: list[UploadFate] = []
        errors: dict[str, OSSResumeError] = {}
        oldest: datetime | None = None
        for each in fates:
            counts[each.fate] += 1
            begun = each.upload.initiated
            oldest = min(filter(None, (oldest, begun)), default=None)
            if each.error:
                errors[each.upload.upload_id] = each.error
            if each.fate in ("aborted", "would abort", "failed"):
                prefixes[first_folder(each.upload.key, prefix=where.prefix)] += 1
            if each.fate in ("aborted", "would abort"):
                sizes += [] if each.size is None else [each.size]
                stale += [each] if len(stale) < MOST_NAMED else []
        return cls(
            uri=str(where),
            fates=counts,
            size=sum(sizes) if sizes or not stale else None,
            oldest=oldest,
            prefixes=dict(prefixes.most_common()),
            stale=tuple(stale),
            errors=errors,
        )

    @property
    def found(self) -> int:
        return sum(self.fates.values())

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of uploads, prefixes and errors at most 100 each."""
        return {
            "uri": self.uri,
            "found": self.found,
            "aborted": self.fates.get("aborted", 0),
            "would_abort": self.fates.get("would abort", 0),
            "gone": self.fates.get("gone", 0),
            "failed": self.fates.get("failed", 0),
            "kept_young": self.fates.get("young", 0),
            "kept_named": self.fates.get("named", 0),
            "kept_undated": self.fates.get("undated", 0),
            "bytes": self.size,
            "oldest": self.oldest.isoformat() if self.oldest else None,
            "prefixes": dict(list(self.prefixes.items())[:MOST_NAMED]),
            "uploads": [
                {"key": each.upload.key, "upload_id": each.upload.upload_id, "bytes": each.size} for each in self.stale
            ],
            "errors": _first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {_SHOWN[fate]}" for fate in _SHOWN if (count := self.fates.get(fate, 0))]
        size = f", {format_size(self.size)}" if self.size is not None and self.stale else ""
        oldest = f"; the oldest was begun {self.oldest:%Y-%m-%d %H:%M}Z" if self.oldest else ""
        return f"{self.found} unfinished uploads below {self.uri}: {', '.join(said) or 'nothing to do'}{size}{oldest}"


def _first_errors(errors: Mapping[str, OSSResumeError]) -> dict[str, str]:
    """Return what a report says of errors."""
    return {what: str(error) for what, error in list(errors.items())[:MOST_NAMED]}


_SHOWN: Mapping[Fate, str] = {
    "aborted": "aborted",
    "would abort": "would be aborted",
    "gone": "over already",
    "failed": "failed to be aborted",
    "young": "kept as too young",
    "named": "kept as named",
    "undated": "kept as OSS did not tell their age",
}


def first_folder(key: str, *, prefix: str) -> str:
    """Return the prefix with the first folder below it, such as ``exports/2026/``; the prefix where there is none."""
    folder, slash, _ = key[len(prefix) :].partition("/")
    return f"{prefix}{folder}/" if slash else prefix


def describe_upload(each: UploadFate) -> str:
    """Return one upload for the log: its key, upload ID, age, and size where it was counted."""
    age = f", begun {format_age(each.upload.age)} ago" if each.upload.age is not None else ""
    size = f", {format_size(each.size)}" if each.size is not None else ""
    return f"{each.upload.key} (upload ID {each.upload.upload_id}{age}{size})"


class DeleteReport:
    """What became of objects that were to be deleted, as far as it has come.

    :ivar errors: of each object that OSS did not delete, by its ``oss://`` URI
    """

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.deleted = 0
        self.errors: dict[str, OSSResumeError] = {}
        self._first: list[str] = []

    def add(self, target: ObjectRef, error: OSSResumeError | None) -> None:
        """Take one more object; an error when it was not deleted."""
        if error:
            self.errors[target.uri] = error
            return
        self.deleted += 1
        if len(self._first) < MOST_NAMED:
            self._first.append(target.uri)

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of URIs and errors the first 100 each."""
        return {
            "deleted": 0 if self.dry_run else self.deleted,
            "would_delete": self.deleted if self.dry_run else 0,
            "failed": len(self.errors),
            "uris": self._first,
            "errors": _first_errors(self.errors),
        }

    def __str__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"{self.deleted} objects {'would be ' if self.dry_run else ''}deleted{failed}"


CheckpointFate = Literal["deleted", "would delete", "vanished", "failed", "young", "undated", "unreadable"]


@dataclass(frozen=True)
class LeftCheckpoint:
    """A checkpoint that lies in a store, and what became of it.

    :ivar place: where a person finds it
    :ivar fate: ``deleted``, ``would delete`` in a dry run, ``vanished`` as its try was quicker, ``failed``, or why it
        was kept: ``young``, ``undated``, or ``unreadable``, so not of a kind that this version may judge
    :ivar checkpoint: what it says, when it can be read
    """

    place: str
    fate: CheckpointFate
    checkpoint: Checkpoint | None = None
    saved_at: datetime | None = None
    error: OSSResumeError | None = None

    def report(self) -> dict[str, Any]:
        found = self.checkpoint
        return {
            "place": self.place,
            "kind": found.kind if found else None,
            "uri": f"oss://{found.bucket}/{found.key}" if found else None,
            "upload_id": found.upload_id if isinstance(found, UploadCheckpoint) else None,
            "owner": found.owner.identity if found else None,
            "saved_at": self.saved_at.isoformat() if self.saved_at else None,
        }

    def __str__(self) -> str:
        found = self.checkpoint
        what = f"{found.kind} of oss://{found.bucket}/{found.key} by {found.owner.identity}" if found else "unreadable"
        saved = f", saved {self.saved_at:%Y-%m-%d %H:%M}Z" if self.saved_at else ""
        return f"{self.place} ({what}{saved})"


def judge_checkpoint(place: str, text: str | None, *, now: datetime, older_than: timedelta) -> LeftCheckpoint:
    """Return a checkpoint as one that would be deleted, or with the reason why it is kept."""
    if text is None:
        return LeftCheckpoint(place, "vanished")
    try:
        checkpoint = decode(text)
    except CheckpointUnreadable as error:
        return LeftCheckpoint(place, "unreadable", error=error)
    saved = saved_at(text)
    if saved is None:
        return LeftCheckpoint(place, "undated", checkpoint)
    return LeftCheckpoint(place, "would delete" if now - saved > older_than else "young", checkpoint, saved)


@dataclass(frozen=True)
class CheckpointReport:
    """What became of the checkpoints of a store."""

    store: str
    left: tuple[LeftCheckpoint, ...]

    @property
    def errors(self) -> dict[str, OSSResumeError]:
        """Why, for each that could not be looked at or deleted, by its place."""
        return {each.place: each.error for each in self.left if each.fate == "failed" and each.error}

    def count(self, fate: CheckpointFate) -> int:
        return sum(each.fate == fate for each in self.left)

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of checkpoints and errors at most 100 each."""
        stale = [each for each in self.left if each.fate in ("deleted", "would delete")]
        return {
            "store": self.store,
            "found": len(self.left),
            "deleted": self.count("deleted"),
            "would_delete": self.count("would delete"),
            "vanished": self.count("vanished"),
            "failed": self.count("failed"),
            "kept_young": self.count("young"),
            "kept_undated": self.count("undated"),
            "kept_unreadable": self.count("unreadable"),
            "checkpoints": [each.report() for each in stale[:MOST_NAMED]],
            "errors": _first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {shown}" for fate, shown in _SHOWN_CHECKPOINTS.items() if (count := self.count(fate))]
        return f"{len(self.left)} checkpoints in {self.store}: {', '.join(said) or 'nothing to do'}"


_SHOWN_CHECKPOINTS: Mapping[CheckpointFate, str] = {
    "deleted": "deleted",
    "would delete": "would be deleted",
    "vanished": "gone meanwhile",
    "failed": "failed",
    "young": "kept as too young",
    "undated": "kept as they do not tell their age",
    "unreadable": "kept as unreadable",
}
