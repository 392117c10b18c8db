"""Files that tries have left behind, and the report of their clean-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.arguments import format_age
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED, first_errors
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record

FileFate = Literal["removed", "would remove", "vanished", "failed", "young", "locked"]


@dataclass(frozen=True)
class LeftoverFile:
    """A file that a try has left behind, and what happened to it.

    :ivar path: as text, even if the name is not UTF-8
    :ivar fate: ``removed``, ``would remove`` in a dry run, ``vanished`` because its try removed it first, ``failed``,
        or why it was kept: ``young``, or ``locked``, at least possibly, by a running try
    :ivar age: time since its last change
    :ivar error: why the removal failed, or what locks it
    """

    path: str
    fate: FileFate
    size: int = 0
    age: timedelta = timedelta()
    error: OSSResumeError | None = None

    def __str__(self) -> str:
        return f"{self.path} ({format_size(self.size)}, changed {format_age(self.age)} ago)"


class LeftoverFilesReport(Record):
    """What happened so far to the files that tries have left in some folders.

    :ivar size: bytes of the files that were removed, or would be
    :ivar unread: the error of each folder that could not be read
    :ivar errors: the error of each file that could not be removed, and of each given folder that could not be read
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

    def add(self, file: LeftoverFile) -> None:
        self.fates[file.fate] += 1
        if file.fate == "failed" and file.error:
            self.errors[file.path] = file.error
        if file.fate in ("removed", "would remove"):
            self.size += file.size
            self._first += [file.path] if len(self._first) < MOST_NAMED else []

    def add_unread(self, folder: str, error: OSSResumeError, *, is_named: bool) -> None:
        """Add a folder that could not be read. It is an error if the caller has named it."""
        self.unread[folder] = error
        if is_named:
            self.errors[folder] = error

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values, with the first 100 each of files, folders and errors."""
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
            "unread": first_errors(self.unread),
            "errors": first_errors(self.errors),
        }

    def __str__(self) -> str:
        said = [f"{count} {shown}" for fate, shown in _SHOWN_FILES.items() if (count := self.fates[fate])]
        unread = f"; {len(self.unread)} folders could not be read" if self.unread else ""
        size = f", {format_size(self.size)}" if self._first else ""
        return f"{self.found} left-over files: {', '.join(said) or 'nothing to do'}{size}{unread}"


_SHOWN_FILES: Mapping[FileFate, str] = {
    "removed": "removed",
    "would remove": "would be removed",
    "vanished": "already gone",
    "failed": "could not be removed",
    "young": "kept because they are younger than older_than",
    "locked": "kept because they are locked",
}
