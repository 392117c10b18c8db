"""Which unfinished uploads and checkpoints are stale, what is done with each, and the reports of it all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_ossresume.errors import ArgumentError, CheckpointUnreadable, OSSResumeError
from airflow_provider_ossresume.model.arguments import format_age, parse_duration, parse_texts
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint, decode, saved_at
from airflow_provider_ossresume.model.objects import ListedUpload, ObjectRef, PrefixRef
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record

MOST_NAMED = 100  # of uploads, prefixes and errors in a report; an XCom is a row of Airflow's database

Fate = Literal["aborted", "would abort", "gone", "failed", "young", "named", "undated", "checkpointed"]


@dataclass(frozen=True)
class Staleness:
    """Which unfinished uploads are stale.

    :ivar older_than: one that was begun more recently is young, by OSS's clock
    :ivar keep_upload_ids: those that are kept whatever their age
    :ivar checkpointed_ids: those that a checkpoint names, so that a task may go on with them; kept too
    """

    older_than: timedelta
    keep_upload_ids: Set[str] = frozenset()
    checkpointed_ids: Set[str] = frozenset()

    @classmethod
    def of(cls, older_than: object, keep_upload_ids: object = ()) -> Staleness:
        """Return what a DAG author means.

        :param older_than: an age as :func:`~airflow_provider_ossresume.model.arguments.parse_duration` reads it
        :param keep_upload_ids: an upload ID, or several
        :raises ArgumentError: for anything else, and for what cannot be one upload ID, such as a joined list of them
        """
        ids = [text.strip() for text in parse_texts("keep_upload_ids", keep_upload_ids)]
        for each in ids:
            if not re.fullmatch(r"[^\s,;]+", each):
                raise ArgumentError("keep_upload_ids", each, "this is no upload ID; give a list of them")
        return cls(parse_duration("older_than", older_than), frozenset(ids))

    def spares(self, upload: ListedUpload) -> Fate | None:
        """Return why an upload is kept, or None for a stale one; one whose age OSS does not tell is kept."""
        if upload.upload_id in self.keep_upload_ids:
            return "named"
        if upload.age is None:
            return "undated"
        if upload.age <= self.older_than:
            return "young"
        return "checkpointed" if upload.upload_id in self.checkpointed_ids else None


@dataclass(frozen=True)
class UploadFate:
    """What became of one unfinished upload.

    :ivar fate: ``aborted``, ``would abort`` in a dry run, ``gone`` when it was over already, ``failed``, or why it was
        kept: ``young``, ``named`` by the caller, ``checkpointed``, ``undated`` as OSS did not tell its age
    :ivar size: bytes of its parts, where they were counted
    :ivar error: why the abort failed
    """

    upload: ListedUpload
    fate: Fate
    size: int | None = None
    error: OSSResumeError | None = None


@dataclass(frozen=True)
class AbortReport(Record):
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
            "kept_checkpointed": self.fates.get("checkpointed", 0),
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
    "checkpointed": "kept as a checkpoint names them",
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


class DeleteReport(Record):
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


class WorkFolderReport(Record):
    """What became of the old plans of a work folder, as far as it has come.

    :ivar plans: that were removed, or would be
    :ivar kept_young: plans that are not old enough
    :ivar pairs: sources and targets whose facts were removed, or would be, as their last plan is too old
    :ivar files: of all that
    :ivar foreign: folders among the plans, and facts, that are none of this provider's version
    """

    def __init__(self, uri: str, dry_run: bool) -> None:
        self.uri = uri
        self.dry_run = dry_run
        self.plans = self.kept_young = self.pairs = self.files = self.foreign = 0
        self._first: list[str] = []

    def name(self, folder: str) -> None:
        """Take the folder of a plan that was removed, or would be."""
        if len(self._first) < MOST_NAMED:
            self._first.append(folder)

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of plans the first 100."""
        return {
            "uri": self.uri,
            "removed": 0 if self.dry_run else self.plans,
            "would_remove": self.plans if self.dry_run else 0,
            "kept_young": self.kept_young,
            "pairs": self.pairs,
            "files": self.files,
            "foreign": self.foreign,
            "plans": self._first,
        }

    def __str__(self) -> str:
        removed = "would be removed" if self.dry_run else "removed"
        return (
            f"the work folder {self.uri}: {self.plans} plans and the facts of {self.pairs} sources and targets "
            f"{removed} ({self.files} files), {self.kept_young} plans kept as too young, {self.foreign} not of this "
            "provider"
        )


FileFate = Literal["removed", "would remove", "vanished", "failed", "young", "locked"]


@dataclass(frozen=True)
class LeftFile:
    """A file that a try has left behind, and what became of it.

    :ivar path: as text, also where the name is not UTF-8
    :ivar fate: ``removed``, ``would remove`` in a dry run, ``vanished`` as its try was quicker, ``failed``, or why it
        was kept: ``young``, or ``locked`` by a running try, or perhaps by one
    :ivar age: since its last change
    :ivar error: why the removal failed, or what locks it
    """

    path: str
    fate: FileFate
    size: int = 0
    age: timedelta = timedelta()
    error: OSSResumeError | None = None

    def __str__(self) -> str:
        return f"{self.path} ({format_size(self.size)}, changed {format_age(self.age)} ago)"


class LeftFilesReport(Record):
    """What became of the files that tries have left in some folders, as far as it has come.

    :ivar size: bytes of those that were removed, or would be
    :ivar unread: why, for each folder that could not be read
    :ivar errors: why, for each file that could not be removed, and each folder that was named and could not be read
    """

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.fates: Counter[FileFate] = Counter()
        self.size = 0
        self.unread: dict[str, OSSResumeError] = {}
        self.errors: dict[str, OSSResumeError] = {}
        self._first: list[str] = []

    @property
    def found(self) -> int:
        return sum(self.fates.values())

    @property
    def cleaned(self) -> int:
        """How many were removed, or would be."""
        return self.fates["removed"] + self.fates["would remove"]

    def add(self, file: LeftFile) -> None:
        self.fates[file.fate] += 1
        if file.fate == "failed" and file.error:
            self.errors[file.path] = file.error
        if file.fate in ("removed", "would remove"):
            self.size += file.size
            self._first += [file.path] if len(self._first) < MOST_NAMED else []

    def add_unread(self, folder: str, error: OSSResumeError, *, is_named: bool) -> None:
        """Take a folder that could not be read; a failure when the caller has named it."""
        self.unread[folder] = error
        if is_named:
            self.errors[folder] = error

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of files, folders and errors the first 100 each."""
        return {
            "found": self.found,
            "removed": self.fates["removed"],
            "would_remove": self.fates["would remove"],
            "vanished": self.fates["vanished"],
            "failed": self.fates["failed"],
            "kept_young": self.fates["young"],
            "kept_locked": self.fates["locked"],
            "bytes": self.size,
            "files": self._first,
            "unread_folders": len(self.unread),
            "unread": _first_errors(self.unread),
            "errors": _first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {shown}" for fate, shown in _SHOWN_FILES.items() if (count := self.fates[fate])]
        unread = f"; {len(self.unread)} folders could not be read" if self.unread else ""
        size = f", {format_size(self.size)}" if self._first else ""
        return f"{self.found} left-over files: {', '.join(said) or 'nothing to do'}{size}{unread}"


_SHOWN_FILES: Mapping[FileFate, str] = {
    "removed": "removed",
    "would remove": "would be removed",
    "vanished": "gone meanwhile",
    "failed": "failed to be removed",
    "young": "kept as too young",
    "locked": "kept as locked",
}


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


def upload_ids_in(text: str) -> set[str]:
    """Return the upload IDs that a checkpoint may name: its own; of one that this version cannot read, every word.

    A checkpoint that is not understood spares too many uploads rather than one too few.
    """
    try:
        checkpoint = decode(text)
    except CheckpointUnreadable:
        return set(re.findall(r'[^\s"\\]+', text))
    return {checkpoint.upload_id} if isinstance(checkpoint, UploadCheckpoint) else set()


@dataclass(frozen=True)
class CheckpointReport(Record):
    """What became of the checkpoints of a store.

    :ivar temporary: what became of the files of saves that were interrupted; None where there are none by nature
    """

    store: str
    left: tuple[LeftCheckpoint, ...]
    temporary: LeftFilesReport | None = None

    @property
    def errors(self) -> dict[str, OSSResumeError]:
        """Why, for each that could not be looked at or deleted, by its place."""
        errors = {each.place: each.error for each in self.left if each.fate == "failed" and each.error}
        return {**errors, **(self.temporary.errors if self.temporary is not None else {})}

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
            "temporary_files": self.temporary.cleaned if self.temporary is not None else 0,
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
