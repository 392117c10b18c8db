"""Which unfinished uploads are stale, and the report of their clean-up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError
from airflow_provider_ossresume.model.arguments import format_age, parse_duration, parse_texts
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED, first_errors
from airflow_provider_ossresume.model.objects import ListedUpload, PrefixRef
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record

Fate = Literal["aborted", "would abort", "gone", "failed", "young", "named", "undated", "checkpointed"]


@dataclass(frozen=True)
class Staleness:
    """Which unfinished uploads are stale.

    :ivar older_than: an upload that was initiated more recently is young, by OSS's clock
    :ivar keep_upload_ids: uploads to keep, whatever their age
    :ivar checkpointed_ids: uploads that a checkpoint names. They are kept too, because a task may resume them
    """

    older_than: timedelta
    keep_upload_ids: Set[str] = frozenset()
    checkpointed_ids: Set[str] = frozenset()

    @classmethod
    def of(cls, older_than: object, keep_upload_ids: object = ()) -> Staleness:
        """Return the staleness for a DAG author's arguments.

        :param older_than: an age as :func:`~airflow_provider_ossresume.model.arguments.parse_duration` reads it
        :param keep_upload_ids: an upload ID, or several
        :raises ArgumentError: for anything else, and for a text that cannot be one upload ID, such as a joined list
        """
        ids = [text.strip() for text in parse_texts("keep_upload_ids", keep_upload_ids)]
        for each in ids:
            if not re.fullmatch(r"[^\s,;]+", each):
                raise ArgumentError(
                    "keep_upload_ids", each, "this is not an upload ID; give one upload ID, or a list of them"
                )
        return cls(parse_duration("older_than", older_than), frozenset(ids))

    def spares(self, upload: ListedUpload) -> Fate | None:
        """Return why an upload is kept; None if it is stale. An upload of unknown age is kept."""
        if upload.upload_id in self.keep_upload_ids:
            return "named"
        if upload.age is None:
            return "undated"
        if upload.age <= self.older_than:
            return "young"
        return "checkpointed" if upload.upload_id in self.checkpointed_ids else None


@dataclass(frozen=True)
class UploadFate:
    """What happened to one unfinished upload.

    :ivar fate: ``aborted``, ``would abort`` in a dry run, ``gone`` if it was already completed or aborted,
        ``failed``, or why it was kept: ``young``, ``named`` by the caller, ``checkpointed``, or ``undated`` if its age
        is unknown
    :ivar size: bytes of its parts, if they were counted
    :ivar error: why the abort failed
    """

    upload: ListedUpload
    fate: Fate
    size: int | None = None
    error: OSSResumeError | None = None


@dataclass(frozen=True)
class AbortReport(Record):
    """What happened to the unfinished uploads of a bucket.

    :ivar fates: the number of uploads by fate
    :ivar size: bytes of the parts of aborted uploads, or of those that would be; None if they were not counted
    :ivar oldest: when the oldest upload was initiated
    :ivar prefixes: the number of stale uploads in each top-level folder, largest first
    :ivar stale: the first uploads that were aborted, or would be
    :ivar errors: the error of each abort that failed, by upload ID
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
        """Return the report of all uploads."""
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
        """Return the report as JSON values, with at most 100 each of uploads, prefixes and errors."""
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
            "errors": first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {_SHOWN[fate]}" for fate in _SHOWN if (count := self.fates.get(fate, 0))]
        size = f", {format_size(self.size)}" if self.size is not None and self.stale else ""
        oldest = f"; the oldest was started {self.oldest:%Y-%m-%d %H:%M}Z" if self.oldest else ""
        return f"{self.found} unfinished uploads below {self.uri}: {', '.join(said) or 'nothing to do'}{size}{oldest}"


_SHOWN: Mapping[Fate, str] = {
    "aborted": "aborted",
    "would abort": "would be aborted",
    "gone": "already completed or aborted",
    "failed": "could not be aborted",
    "young": "kept because they are younger than older_than",
    "named": "kept because keep_upload_ids names them",
    "checkpointed": "kept because a checkpoint names them",
    "undated": "kept because OSS did not send their age",
}


def first_folder(key: str, *, prefix: str) -> str:
    """Return the prefix with the first folder below it, such as ``exports/2026/``; only the prefix if there is none."""
    folder, slash, _ = key[len(prefix) :].partition("/")
    return f"{prefix}{folder}/" if slash else prefix


def describe_upload(each: UploadFate) -> str:
    """Return one upload for the log: its key, upload ID, age, and size if it was counted."""
    age = f", started {format_age(each.upload.age)} ago" if each.upload.age is not None else ""
    size = f", {format_size(each.size)}" if each.size is not None else ""
    return f"{each.upload.key} (upload ID {each.upload.upload_id}{age}{size})"
