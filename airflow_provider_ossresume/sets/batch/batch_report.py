"""What became of a batch in one try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ossresume.errors import NotProven
from airflow_provider_ossresume.model.manifest import LedgerRow
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record

MOST_NAMES = 100  # of files in a report


@dataclass(frozen=True)
class BatchReport(Record):
    """What a try of a batch did; a task may return it.

    :ivar batch: its number
    :ivar files: of the batch
    :ivar size: of them, in bytes
    :ivar proven_before: files that earlier tries had moved and proven
    :ivar done: files that this try has moved and proven
    :ivar same: files that this try has found in their place, as an earlier try had moved them
    :ivar skipped: how many files were left, by reason: ``vanished``, ``source_changed``
    :ivar failed: how many files could not be moved
    :ivar bytes_moved: over the wire in this try
    :ivar seconds: that it took
    :ivar failures: names of files that failed, and why; the first hundred
    :ivar left: names of files that were skipped, and why; the first hundred
    :ivar is_retryable: a later try may move one of those that failed, without anybody changing anything
    :ivar gave_up: ``max_failures`` files failed, so the rest was not tried
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
        """Files that are in their place, whoever has moved them."""
        return self.proven_before + self.done + self.same

    def report(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
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
        """:raises NotProven: when files failed; files that were skipped are for the verdict to judge"""
        if self.failed:
            gave_up = f" when it gave up, as max_failures says, with {self.files - self.proven} to go" * self.gave_up
            raise NotProven(
                f"batch {self.batch}: {self.failed} of {self.files} files had failed{gave_up}",
                self.failures,
                report=self,
                retryable=self.is_retryable,
            )


class Counts:
    """Counts the outcomes of a batch, for its report."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.bytes_moved = 0
        self.size_done = 0
        self.failures: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.is_retryable = False

    def add(self, name: str, row: LedgerRow) -> None:
        """Count what became of one file."""
        self.results[row.result] += 1
        self.bytes_moved += row.moved
        self.size_done += row.size
        if row.result == "failed":
            self.is_retryable |= row.is_retryable
            if len(self.failures) < MOST_NAMES:
                self.failures[name] = row.detail
        elif row.result == "skipped":
            self.skipped[row.reason] += 1
            if len(self.left) < MOST_NAMES:
                self.left[name] = row.detail
