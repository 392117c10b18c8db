"""The report of one try of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ossresume.errors import NotProven
from airflow_provider_ossresume.model.manifest import LedgerRow
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record

MAX_NAMES = 100  # of files in a report


@dataclass(frozen=True)
class BatchReport(Record):
    """What one try of a batch did. A task may return it.

    :ivar batch: the batch's number
    :ivar files: number of files in the batch
    :ivar size: total size of the batch's files, in bytes
    :ivar proven_before: files that earlier tries moved and proved
    :ivar done: files that this try moved and proved
    :ivar same: files that this try found in place, because an earlier try had moved them
    :ivar skipped: number of skipped files, by reason: ``vanished``, ``source_changed``
    :ivar failed: files that could not be moved
    :ivar bytes_moved: bytes sent or received by this try
    :ivar seconds: duration of this try
    :ivar failures: names of failed files with the reason; the first hundred
    :ivar left: names of skipped files with the reason; the first hundred
    :ivar is_retryable: True if another try may succeed for a failed file without any change
    :ivar gave_up: True if ``max_failures`` stopped the try before all files were tried
    """

    batch: int
    files: int
    size: int
    proven_before: int = 0
    done: int = 0
    same: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    bytes_moved: int = 0
    seconds: float = 0.0
    failures: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    is_retryable: bool = False
    gave_up: bool = False

    @property
    def proven(self) -> int:
        """Files that are proven to be in place, by this try or an earlier one."""
        return self.proven_before + self.done + self.same

    def report(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return {
            "batch": self.batch, "files": self.files, "size": self.size, "proven_before": self.proven_before,
            "done": self.done, "same": self.same, "skipped": dict(self.skipped), "failed": self.failed,
            "bytes": self.bytes_moved, "seconds": round(self.seconds, 3), "failures": dict(self.failures),
            "left": dict(self.left), "retryable": self.is_retryable, "gave_up": self.gave_up,
        }  # fmt: skip

    def __str__(self) -> str:
        skipped = "".join(f", {count} {reason}" for reason, count in sorted(self.skipped.items()))
        return (
            f"{self.proven} of {self.files} files are proven ({self.done} moved, {self.same} found in place, "
            f"{self.proven_before} by earlier tries){skipped}, {self.failed} failed; {format_size(self.bytes_moved)} "
            f"moved in {self.seconds:.1f} s"
        )

    def raise_for_failures(self) -> None:
        """:raises NotProven: if files failed. The verdict decides about skipped files"""
        if self.failed:
            stopped = f"; max_failures stopped the batch with {self.files - self.proven} files not moved" * self.gave_up
            raise NotProven(
                f"batch {self.batch}: {self.failed} of {self.files} files failed{stopped}",
                self.failures,
                report=self,
                retryable=self.is_retryable,
            )


class Counts:
    """Counts the results of a batch for its report."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.bytes_moved = 0
        self.size_done = 0
        self.failures: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.is_retryable = False

    def add(self, name: str, row: LedgerRow) -> None:
        """Count the result of one file."""
        self.results[row.result] += 1
        self.bytes_moved += row.moved
        self.size_done += row.size
        if row.result == "failed":
            self.is_retryable |= row.is_retryable
            if len(self.failures) < MAX_NAMES:
                self.failures[name] = row.detail
        elif row.result == "skipped":
            self.skipped[row.reason] += 1
            if len(self.left) < MAX_NAMES:
                self.left[name] = row.detail
