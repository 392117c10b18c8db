"""Counts what moves, and tells it: to the log, and to whoever asked to be called."""

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

RATE_WINDOW = 30.0  # seconds; long enough to be steady, short enough to show that a transfer slows down

Direction = Literal["upload", "download", "copy"]
Beginning = Literal["new", "resumed", "restarted"]
State = Literal["running", "finished", "failed"]
ProgressCallback = Callable[[int, int], None]  # bytes done, bytes in total

_NAMES: dict[Direction, str] = {"upload": "Upload to", "download": "Download of", "copy": "Copy to"}


@dataclass(frozen=True)
class Snapshot:
    """How far a transfer is at one moment.

    :ivar beginning: how this try began: ``new``, ``resumed`` from parts that were kept, or ``restarted``
    :ivar total: bytes of the whole; None until it is known what there is to do
    :ivar done: bytes that are at their place, kept ones included; once failed, those of whole parts, which are kept
    :ivar bytes_moved: over the wire in this try, repeated attempts included
    :ivar rate: bytes per second over the last 30 seconds; at the end, over the whole try
    :ivar seconds: since this try began
    :ivar checkpoint_saves: by this try
    """

    direction: Direction
    target: ObjectRef
    state: State
    beginning: Beginning
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
        """Rounded down, so that only what is done is 100."""
        return None if self.total is None else 100 * self.done // self.total if self.total else 100

    @property
    def seconds_left(self) -> float | None:
        """None when nothing moves, nothing is known yet, or the try has failed."""
        if self.total is None or not self.rate or self.state == "failed":
            return None
        return (self.total - self.done) / self.rate

    def report(self) -> dict[str, Any]:
        """Return it as small JSON for people to look at."""
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

    def __str__(self) -> str:
        time = "stalled" if self.seconds_left is None else f"{self.seconds_left:.0f} s left"
        if self.state != "running":
            time = f"in {self.seconds:.1f} s"
        return (
            f"{_NAMES[self.direction]} {self.target} {self.percent}% ({self.parts_done}/{self.parts} parts, "
            f"{format_size(self.done)} of {format_size(self.total or 0)}, {format_size(self.rate)}/s, {time}, "
            f"{self.parts_kept} parts kept, {self.retries} retries)"
        )


Observer = Callable[[Snapshot], None]


class Progress:
    """The progress of one transfer. Workers report through a :class:`Meter`, everything else is the owner's thread.

    :param interval: seconds between two log lines; 0 logs none
    :param callback: called with (bytes done, bytes in total) from the owner's thread; what it raises ends the transfer
    :param observer: called with each tick and at the end, from the owner's thread; it raises nothing of its own
    :param saves: tells how often the checkpoint was saved
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
        self.beginning: Beginning = "new"
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
        self._finished = 0  # bytes of the parts that are whole; only they outlive the try
        self._parts_done = 0
        self._called_with: tuple[int, int] | None = None
        self._moved: deque[int] = deque()  # appending and popping are atomic
        self._began = self._logged = clock()
        self._samples = deque([(self._began, 0)])  # when so many bytes had moved, for the rate

    def begin(self, *, total: int, parts: int, kept: Iterable[int] = (), done: int = 0) -> None:
        """Set what there is to do, and what of it is there already; a transfer that restarts begins again.

        :param kept: sizes of the parts that are kept
        :param done: bytes that have come already, of a part that is not finished
        """
        sizes = list(kept)
        self._total, self.parts = total, parts
        self._finished = sum(sizes)
        self._done = self._finished + done
        self._parts_done = self.parts_kept = len(sizes)
        self._moved.clear()
        self._logged = self._clock()
        self._samples = deque([(self._logged, self.bytes_moved)])

    def restart(self) -> None:
        """Nothing that was done counts any more, and what there is to do is not known until :meth:`begin` tells it."""
        self.beginning = "restarted"
        self.begin(total=0, parts=0)
        self._total = None

    def finish_part(self, size: int) -> None:
        """A part of that size was sent or fetched by this try."""
        self._finished += size
        self._parts_done += 1
        self.parts_sent += 1

    def meter(self) -> Meter:
        """Return the counter of one part, for the worker that moves it."""
        return Meter(self._moved)

    def tick(self) -> None:
        """Take in what the workers moved; call who wants to be called, and log when a line is due."""
        self._take_in()
        if self._total is None:
            return
        if self._callback and self._called_with != (self._done, self._total):
            self._called_with = (self._done, self._total)
            self._callback(self._done, self._total)
        now = self._clock()
        if self._interval and now - self._logged >= self._interval:
            self._logged = now
            log.info("%s", self)
        self._tell()

    def finish(self, size: int) -> None:
        """All of that many bytes are at their place."""
        self._take_in()
        self._total = self._done = size
        self._state = "finished"
        self._tell()

    def fail(self) -> None:
        """The try ends before the transfer does."""
        self._take_in()
        self._done = self._finished
        self._state = "failed"
        if self._total is not None:
            log.warning("This try ends unfinished: %s", self)
        self._tell()

    def snapshot(self) -> Snapshot:
        now = self._clock()
        return Snapshot(
            direction=self._direction,
            target=self._target,
            state=self._state,
            beginning=self.beginning,
            total=self._total,
            done=self._done,
            parts=self.parts,
            parts_done=self._parts_done,
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

    def _tell(self) -> None:
        if self._observer:
            self._observer(self.snapshot())

    def _take_in(self) -> None:
        while self._moved:
            moved = self._moved.popleft()
            self._done += moved
            self.bytes_moved += max(moved, 0)
            self.retries += moved <= 0
        self._done = max(self._done, self._finished)  # what OSS copies moves no bytes here
        now = self._clock()
        if now - self._samples[-1][0] >= RATE_WINDOW / 30:
            self._samples.append((now, self.bytes_moved))
        while len(self._samples) > 1 and now - self._samples[1][0] >= RATE_WINDOW:
            self._samples.popleft()

    def _rate(self, now: float) -> float:
        since, moved = self._samples[0] if self._state == "running" else (self._began, 0)
        return (self.bytes_moved - moved) / max(now - since, 1e-9)


class Meter:
    """Counts the bytes of one part; an attempt that begins again takes back what the one before counted."""

    def __init__(self, moved: deque[int]) -> None:
        self._moved = moved
        self._attempts = 0
        self._counted = 0

    def begin(self) -> None:
        """An attempt begins."""
        if self._attempts:
            self._moved.append(-self._counted)
        self._attempts += 1
        self._counted = 0

    def go_on(self) -> None:
        """An attempt begins where the one before broke."""
        self._moved.append(0)

    def add(self, size: int) -> None:
        if size:  # an empty piece, as a body may end with, would count as an attempt made again
            self._counted += size
            self._moved.append(size)
