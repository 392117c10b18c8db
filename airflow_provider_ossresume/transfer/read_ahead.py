"""Reads an object's bytes as a file is read, and fetches ahead of one who reads them in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from airflow_provider_ossresume.model.parts import KIB, MIB
from airflow_provider_ossresume.transfer.stop import Stop
from airflow_provider_ossresume.transfer.workers import Pending, Workers

Fill = Callable[[int, bytearray, Stop], None]

PIECE = 8 * MIB  # of what is fetched by one request; as the parts of a download
LEAST = 64 * KIB  # a request takes longer than so many bytes
FIRST_AHEAD = MIB  # for one who begins at the beginning
READS_IN_ORDER = 4  # after which one who has begun elsewhere is taken to go on; two columns may lie side by side


@dataclass(frozen=True)
class _Piece:
    start: int
    stop: int
    data: bytearray
    pending: Pending[None]


class ReadAhead:
    """The bytes ``[start, stop)`` of an object, by requests that run ahead where that helps.

    What is read out of order is fetched as it is asked for. Who reads on where the last read ended gets as much ahead
    as was read in that run, so at most half of what comes is in vain. All that is held, apart from what a read
    returns, has at most ``memory`` bytes.

    Used by one thread at a time.

    :param fill: fills a buffer with the bytes from a place on; a worker calls it
    :param size: of the object
    """

    def __init__(self, fill: Fill, size: int, *, memory: int, most_workers: int) -> None:
        self._fill = fill
        self._size = size
        self._piece = min(PIECE, max(memory // 2, LEAST))
        self._memory = max(memory, self._piece)
        self._workers = Workers(most_workers)
        self._most_workers = most_workers
        self._pieces: deque[_Piece] = deque()  # neighbours, in order
        self._next = 0  # where the last read ended
        self._reads = self._run = 0  # in order until then, and their bytes

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes; fewer where the object ends.

        :raises RequestError: when they cannot be fetched, or the object is not the same any more
        """
        stop = min(stop, self._size)
        if start >= stop:
            return b""
        ahead = self._ahead_of(start, stop)
        self._move_to(start)
        found: list[memoryview] = []
        at = start
        while at < stop:
            self._order(at, stop, ahead)
            piece = self._pieces[0]
            piece.pending.result()
            taken = memoryview(piece.data)[at - piece.start : stop - piece.start]
            found.append(taken)
            at += len(taken)
            if at >= piece.stop and at < self._size:
                self._pieces.popleft()
        self._order(at, stop, ahead)
        return b"".join(found)

    def close(self) -> None:
        """End what is under way."""
        self._workers.stop.give()
        self._pieces.clear()

    def _ahead_of(self, start: int, stop: int) -> int:
        """Take note of a read, and return how many bytes to have ready behind it."""
        goes_on = start == self._next and bool(self._reads)
        self._reads, self._run = (self._reads + 1, self._run + stop - start) if goes_on else (1, stop - start)
        self._next = stop
        if self._run == stop:  # it began at the beginning
            return min(max(self._run, FIRST_AHEAD), self._memory)
        return min(self._run, self._memory) if self._reads >= READS_IN_ORDER else 0

    def _move_to(self, start: int) -> None:
        """Drop what lies before, and all of it where that does not lead there."""
        while self._pieces and self._pieces[0].stop <= start:
            self._pieces.popleft()
        if self._pieces and self._pieces[0].start > start:
            self._drop()

    def _drop(self) -> None:
        """Forget what is under way; it is ended, and the next requests have another stop."""
        self._workers.stop.give()
        self._workers = Workers(self._most_workers)
        self._pieces.clear()

    def _order(self, at: int, stop: int, ahead: int) -> None:
        """Have fetched what the read needs, and a part of what may follow it."""
        begins = self._pieces[0].start if self._pieces else at
        ordered = self._pieces[-1].stop if self._pieces else at
        goal = stop
        if ahead and ordered - stop < ahead // 2:  # not a little with each read
            goal = stop + ahead
        goal = min(goal, self._size)
        while ordered < goal:
            end = ordered + min(self._piece, max(goal - ordered, min(LEAST, self._size - ordered)))
            if self._pieces and end - begins > self._memory:
                break
            # Made by this thread: what each of many threads allocates stays with it for longer than it is used.
            data = bytearray(end - ordered)
            pending = self._workers.begin(partial(self._fill, ordered, data, self._workers.stop))
            self._pieces.append(_Piece(ordered, end, data, pending))
            ordered = end
