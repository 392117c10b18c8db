"""The result of a transfer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record, crc64_text
from airflow_provider_ossresume.transfer.paths import printable_path
from airflow_provider_ossresume.transfer.progress import Direction, Progress

Outcome = Literal["transferred", "already there", "skipped"]
Settled = tuple[Outcome, ObjectMeta, int | None]  # the outcome, the object, and the CRC-64 if it is known


@dataclass(frozen=True)
class TransferResult(Record):
    """What a try did. A task may return it; the next task then gets the dict of :meth:`report`.

    :ivar direction: ``upload``, ``download`` or ``copy``
    :ivar path: path of the local file; URI of a copy's source
    :ivar outcome: ``transferred``; ``already there`` if an earlier try had finished; ``skipped`` because of
        ``if_exists``
    :ivar parts: number of parts; 1 for a transfer in one request
    :ivar parts_kept: parts that earlier tries finished and that were still good
    :ivar parts_sent: parts that this try sent or fetched
    :ivar bytes_moved: bytes that this try sent or received, repeated attempts included
    :ivar retries: repeated attempts at parts in this try
    """

    target: ObjectRef
    direction: Direction
    path: str
    outcome: Outcome
    size: int
    etag: str
    crc64: int | None
    version_id: str | None
    parts: int
    parts_kept: int
    parts_sent: int
    bytes_moved: int
    seconds: float
    retries: int

    def report(self) -> dict[str, Any]:
        """Return the result as JSON values: the CRC-64 as text, bytes of the path that are not UTF-8 as ``\\xb1``."""
        return {
            "uri": self.target.uri,
            "source" if self.direction == "copy" else "file": printable_path(self.path),
            "outcome": self.outcome,
            "size": self.size,
            "etag": self.etag,
            "crc64": crc64_text(self.crc64),
            "version_id": self.version_id,
            "parts": self.parts,
            "parts_kept": self.parts_kept,
            "parts_sent": self.parts_sent,
            "bytes": self.bytes_moved,
            "seconds": round(self.seconds, 3),
            "retries": self.retries,
        }

    def __str__(self) -> str:
        rate = format_size(self.bytes_moved / max(self.seconds, 1e-9))
        return (
            f"{format_size(self.size)}, {self.parts_kept} of {self.parts} parts kept and {self.parts_sent} moved "
            f"({format_size(self.bytes_moved)}) in {self.seconds:.1f} s, {rate}/s, {self.retries} retries"
        )


class Stopwatch:
    """Measures the time of a transfer from the creation of this object, and returns its result."""

    def __init__(
        self, target: ObjectRef, path: str, *, direction: Direction, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._path = path
        self._direction = direction
        self._clock = clock
        self._began = clock()

    def result(self, outcome: Outcome, meta: ObjectMeta, *, crc64: int | None, progress: Progress) -> TransferResult:
        """Return the result, with the counts of the progress."""
        return TransferResult(
            target=self._target,
            direction=self._direction,
            path=self._path,
            outcome=outcome,
            size=meta.size,
            etag=meta.etag,
            crc64=crc64,
            version_id=meta.version_id,
            parts=progress.parts,
            parts_kept=progress.parts_kept,
            parts_sent=progress.parts_sent,
            bytes_moved=progress.bytes_moved,
            seconds=self._clock() - self._began,
            retries=progress.retries,
        )
