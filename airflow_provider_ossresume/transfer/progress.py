"""Counts the bytes that move, and reports the progress: to the log, to the callback and to the observer."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import format_size

log = logging.getLogger(__name__)

RATE_WINDOW = 30.0  # seconds: long enough for a steady rate, short enough to show that a transfer slows down

Direction = Literal["upload", "download", "copy"]
StartedAs = Literal["new", "resumed", "restarted"]
State = Literal["running", "finished", "failed"]
ProgressCallback = Callable[[int, int], None]  # bytes done, bytes in total

_NAMES: dict[Direction, str] = {"upload": "Upload to", "download": "Download of", "copy": "Copy to"}


@dataclass(frozen=True)
class Snapshot:
    """The progress of a transfer at one moment.

    :ivar started_as: ``new``, ``resumed`` (parts of an earlier try are kept) or ``restarted``
    :ivar total: bytes of the whole; None until it is known
    :ivar done: bytes that are in place, kept ones included; of a failed try only those of finished parts
    :ivar bytes_moved: bytes that this try sent or received, repeated attempts included
    :ivar rate: bytes per second over the last 30 seconds; at the end, over the whole try
    :ivar seconds: since this try began
    :ivar checkpoint_saves: how often this try saved the checkpoint
    """

    direction: Direction
    target: ObjectRef
    state: State
    started_as: StartedAs
    total: int | None
    done: int
    parts: int
    parts_done: int
    parts_kept: int
    parts_sent: int
    bytes_moved: int
    retries: int
    checkpoint_saves: int
    rate: float
    seconds: float

    @property
    def percent(self) -> int | None:
        """Rounded down, so that only a finished transfer is at 100."""
        return None if self.total is None else 100 * self.done // self.total if self.total else 100

    @property
    def seconds_left(self) -> float | None:
        """None if nothing moves, the total is not known yet, or the try has failed."""
        if self.total is None or not self.rate or self.state == "failed":
            return None
        return (self.total - self.done) / self.rate

    def report(self) -> dict[str, Any]:
        """Return the snapshot as a small, readable dict of JSON values."""
        return {
            "state": self.state,
            "direction": self.direction,
            "uri": self.target.uri,
            "percent": self.percent,
            "bytes_done": self.done,
            "bytes_total": self.total,
            "parts_done": self.parts_done,
            "parts_kept": self.parts_kept,
            "parts_total": self.parts,
            "retries": self.retries,
            "bytes_per_second": round(self.rate),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
        }

    @property
    def name(self) -> str:
        """The transfer for the log, such as ``Upload to oss://bucket/key``."""
        return f"{_NAMES[self.direction]} {self.target}"

    @property
    def numbers(self) -> str:
        """The numbers for the log, after those of the parts."""
        time = "stalled" if self.seconds_left is None else f"{self.seconds_left:.0f} s left"
        if self.state != "running":
            time = f"after {self.seconds:.1f} s"
        return (
            f"{format_size(self.done)} of {format_size(self.total or 0)}, {format_size(self.rate)}/s, {time}, "
            f"{self.parts_kept} parts kept, {self.retries} retries"
        )

    def __str__(self) -> str:
        return f"{self.name} {self.percent}% ({self.parts_done}/{self.parts} parts, {self.numbers})"


Observer = Callable[[Snapshot], None]


class Progress:
    """The progress of one transfer. Workers count through a :class:`Meter`. All else is for the owner's thread.

    :param interval: seconds between two log lines; 0 logs none
    :param callback: called with (bytes done, bytes in total) in the owner's thread; an error that it raises ends the
        transfer
    :param observer: called at each tick and at the end, in the owner's thread; it must not raise errors of its own
    :param saves: returns how often the checkpoint was saved
    """

    def __init__(
        self,
        direction: Direction,
        target: ObjectRef,
        *,
        interval: float,
        callback: ProgressCallback | None = None,
        observer: Observer | None = None,
        saves: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.started_as: StartedAs = "new"
        self.parts = self.parts_kept = self.parts_sent = 0
        self.retries = 0
        self.bytes_moved = 0
        self._direction = direction
        self._target = target
        self._interval = interval
        self._callback = callback
        self._observer = observer
        self._saves = saves
        self._clock = clock
        self._state: State = "running"
        self._total: int | None = None
        self._done = 0
        self._finished = 0  # bytes of finished parts; only these are kept when the try ends
        self.parts_done = 0
        self._last_call: tuple[int, int] | None = None
        self._moved: deque[int] = deque()  # appending and popping are atomic
        self._began = self._logged = clock()
        self._samples = deque([(self._began, 0)])  # for the rate: a time, and the bytes that had moved by then

    def begin(self, *, total: int, parts: int, kept: Iterable[int] = (), done: int = 0) -> None:
        """Set what there is to do, and how much of it is done. A transfer that restarts calls this again.

        :param kept: sizes of the parts that are kept
        :param done: bytes already received of a part that is not finished
        """
        sizes = list(kept)
        self._total, self.parts = total, parts
        self._finished = sum(sizes)
        self._done = self._finished + done
        self.parts_done = self.parts_kept = len(sizes)
        self._moved.clear()
        self._logged = self._clock()
        self._samples = deque([(self._logged, self.bytes_moved)])

    def restart(self) -> None:
        """Reset all counts to zero. The total is unknown until the next :meth:`begin`."""
        self.started_as = "restarted"
        self.begin(total=0, parts=0)
        self._total = None

    def finish_part(self, size: int) -> None:
        """Count a part of that size, sent or fetched by this try."""
        self._finished += size
        self.parts_done += 1
        self.parts_sent += 1

    def meter(self) -> Meter:
        """Return the byte counter of one part, for the worker that moves it."""
        return Meter(self._moved)

    def tick(self) -> None:
        """Add up what the workers moved. Call the callback and the observer, and log a line if one is due."""
        self._collect()
        if self._total is None:
            return
        if self._callback and self._last_call != (self._done, self._total):
            self._last_call = (self._done, self._total)
            self._callback(self._done, self._total)
        now = self._clock()
        if self._interval and now - self._logged >= self._interval:
            self._logged = now
            log.info("%s", self)
        self._notify()

    def finish(self, size: int) -> None:
        """Note that the transfer is finished, with ``size`` bytes."""
        self._collect()
        self._total = self._done = size
        self._state = "finished"
        self._notify()

    def fail(self, *, outlook: str = "") -> None:
        """Note that the try has failed, and log its progress.

        :param outlook: a sentence for the log: what the next try can do; empty if that is not known
        """
        self._collect()
        self._done = self._finished
        self._state = "failed"
        if self._total is not None:
            now = self.snapshot()
            parts = f"{now.parts_done} of {now.parts} parts"
            ending = f". {outlook}" if outlook else ""
            log.warning("%s stopped at %s (%s, %s)%s", now.name, f"{now.percent}%", parts, now.numbers, ending)
        self._notify()

    def snapshot(self) -> Snapshot:
        now = self._clock()
        return Snapshot(
            direction=self._direction,
            target=self._target,
            state=self._state,
            started_as=self.started_as,
            total=self._total,
            done=self._done,
            parts=self.parts,
            parts_done=self.parts_done,
            parts_kept=self.parts_kept,
            parts_sent=self.parts_sent,
            bytes_moved=self.bytes_moved,
            retries=self.retries,
            checkpoint_saves=self._saves(),
            rate=self._rate(now),
            seconds=now - self._began,
        )

    def __str__(self) -> str:
        return str(self.snapshot())

    def _notify(self) -> None:
        if self._observer:
            self._observer(self.snapshot())

    def _collect(self) -> None:
        while self._moved:
            moved = self._moved.popleft()
            self._done += moved
            self.bytes_moved += max(moved, 0)
            self.retries += moved <= 0
        self._done = max(self._done, self._finished)  # if OSS copies, no bytes pass through this worker
        now = self._clock()
        if now - self._samples[-1][0] >= RATE_WINDOW / 30:
            self._samples.append((now, self.bytes_moved))
        while len(self._samples) > 1 and now - self._samples[1][0] >= RATE_WINDOW:
            self._samples.popleft()

    def _rate(self, now: float) -> float:
        since, moved = self._samples[0] if self._state == "running" else (self._began, 0)
        return (self.bytes_moved - moved) / max(now - since, 1e-9)


class Meter:
    """Counts the bytes of one part. A new attempt subtracts what the attempt before it had counted."""

    def __init__(self, moved: deque[int]) -> None:
        self._moved = moved
        self._attempts = 0
        self._counted = 0

    def begin(self) -> None:
        """Start an attempt from the first byte of the part."""
        if self._attempts:
            self._moved.append(-self._counted)
        self._attempts += 1
        self._counted = 0

    def resume(self) -> None:
        """Start an attempt where the last one broke off."""
        self._moved.append(0)

    def add(self, size: int) -> None:
        if size:  # a body may end with an empty piece, which would count as a retry
            self._counted += size
            self._moved.append(size)
