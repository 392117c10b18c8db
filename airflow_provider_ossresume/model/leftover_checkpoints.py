"""Which checkpoints of a store are stale, and the report of their clean-up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_ossresume.errors import CheckpointUnreadable, OSSResumeError
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint, decode, saved_at
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED, first_errors
from airflow_provider_ossresume.model.leftover_files import LeftoverFilesReport
from airflow_provider_ossresume.model.record import Record

CheckpointFate = Literal["deleted", "would delete", "vanished", "failed", "young", "undated", "unreadable"]


@dataclass(frozen=True)
class LeftoverCheckpoint:
    """A checkpoint in a store, and what happened to it.

    :ivar place: where to find it, for the user
    :ivar fate: ``deleted``, ``would delete`` in a dry run, ``vanished`` because its try was faster, ``failed``, or
        why it was kept: ``young``, ``undated``, or ``unreadable`` for this version
    :ivar checkpoint: its content, if it can be read
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


def judge_checkpoint(place: str, text: str | None, *, now: datetime, older_than: timedelta) -> LeftoverCheckpoint:
    """Return the checkpoint with its fate: it would be deleted, or why it is kept."""
    if text is None:
        return LeftoverCheckpoint(place, "vanished")
    try:
        checkpoint = decode(text)
    except CheckpointUnreadable as error:
        return LeftoverCheckpoint(place, "unreadable", error=error)
    saved = saved_at(text)
    if saved is None:
        return LeftoverCheckpoint(place, "undated", checkpoint)
    return LeftoverCheckpoint(place, "would delete" if now - saved > older_than else "young", checkpoint, saved)


def upload_ids_in(text: str) -> set[str]:
    """Return the upload IDs that a checkpoint may name: its own, or every word if this version cannot read it.

    So an unreadable checkpoint keeps too many uploads rather than too few.
    """
    try:
        checkpoint = decode(text)
    except CheckpointUnreadable:
        return set(re.findall(r'[^\s"\\]+', text))
    return {checkpoint.upload_id} if isinstance(checkpoint, UploadCheckpoint) else set()


@dataclass(frozen=True)
class CheckpointReport(Record):
    """What happened to the checkpoints of a store.

    :ivar temporary: what happened to the temporary files of interrupted saves; None if the store has none
    """

    store: str
    left: tuple[LeftoverCheckpoint, ...]
    temporary: LeftoverFilesReport | None = None

    @property
    def errors(self) -> dict[str, OSSResumeError]:
        """The error of each checkpoint that could not be read or deleted, by its place."""
        errors = {each.place: each.error for each in self.left if each.fate == "failed" and each.error}
        return {**errors, **(self.temporary.errors if self.temporary is not None else {})}

    def count(self, fate: CheckpointFate) -> int:
        return sum(each.fate == fate for each in self.left)

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values, with at most 100 checkpoints and 100 errors."""
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
            "errors": first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {shown}" for fate, shown in _SHOWN_CHECKPOINTS.items() if (count := self.count(fate))]
        return f"{len(self.left)} checkpoints in {self.store}: {', '.join(said) or 'nothing to do'}"


_SHOWN_CHECKPOINTS: Mapping[CheckpointFate, str] = {
    "deleted": "deleted",
    "would delete": "would be deleted",
    "vanished": "already gone",
    "failed": "failed",
    "young": "kept because they are younger than older_than",
    "undated": "kept because they do not say when they were saved",
    "unreadable": "kept because they cannot be read",
}
