"""Counts what moves, and tells it: to the log, and to whoever asked to be called."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from airflow_provider_ossresume.model.parts import format_size

log = logging.getLogger(__name__)

ProgressCallback = Callable[[int, int], None]  # bytes done, bytes in total


class Progress:
    """The progress of one transfer. Workers report through a :class:`Meter`, everything else is the owner's thread.

    :param what: names the transfer in the log
    :param interval: seconds between two log lines; 0 logs none
    :param callback: called with (bytes done, bytes in total) from the owner's thread; what it raises ends the transfer
    """

    def __init__(
        self,
        what: str,
        *,
        interval: float,
        callback: ProgressCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.parts = self.parts_kept = self.parts_sent = 0
        self.retries = 0
        self.bytes_moved = 0
        self._what = what
        self._interval = interval
        self._callback = callback
        self._clock = clock
        self._total = self._done = self._parts_done = 0
        self._called_with: tuple[int, int] | None = None
        self._is_begun = False
        self._moved_before = 0
        self._moved: deque[int] = deque()  # appending and popping are atomic
        self._began = self._logged = clock()

    def begin(self, *, total: int, parts: int) -> None:
        """Set what there is to do; a transfer that restarts begins again."""
        self._is_begun = True
        self._total, self.parts = total, parts
        self._done = self._parts_done = self.parts_kept = 0
        self._moved.clear()
        self._moved_before = self.bytes_moved
        self._began = self._logged = self._clock()

    def keep(self, size: int) -> None:
        """A part of that size was there already."""
        self._done += size
        self._parts_done += 1
        self.parts_kept += 1

    def finish_part(self) -> None:
        """A part was sent or fetched by this try."""
        self._parts_done += 1
        self.parts_sent += 1

    def meter(self) -> Meter:
        """Return the counter of one part, for the worker that moves it."""
        return Meter(self._moved)

    def tick(self) -> None:
        """Take in what the workers moved; call the callback, and log when a line is due."""
        while self._moved:
            moved = self._moved.popleft()
            self._done += moved
            self.bytes_moved += max(moved, 0)
            self.retries += moved <= 0
        if not self._is_begun:
            return
        if self._callback and self._called_with != (self._done, self._total):
            self._called_with = (self._done, self._total)
            self._callback(self._done, self._total)
        now = self._clock()
        if self._interval and now - self._logged >= self._interval:
            self._logged = now
            log.info("%s", self)

    def __str__(self) -> str:
        elapsed = max(self._clock() - self._began, 1e-9)
        rate = (self.bytes_moved - self._moved_before) / elapsed
        left = f"{(self._total - self._done) / rate:.0f} s left" if rate else "stalled"
        share = 100 * self._done // self._total if self._total else 100
        return (
            f"{self._what} {share}% ({self._parts_done}/{self.parts} parts, "
            f"{format_size(self._done)} of {format_size(self._total)}, {format_size(rate)}/s, {left}, "
            f"{self.parts_kept} parts kept, {self.retries} retries)"
        )


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

    def add(self, size: int) -> None:
        self._counted += size
        self._moved.append(size)
