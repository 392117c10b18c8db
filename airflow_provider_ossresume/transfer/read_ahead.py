"""Reads ranges of an object, and fetches ahead for a reader that reads them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from airflow_provider_ossresume.model.parts import KIB, MIB
from airflow_provider_ossresume.transfer.stop import Stop
from airflow_provider_ossresume.transfer.workers import Pending, Workers

Fill = Callable[[int, bytearray, Stop], None]

PIECE = 8 * MIB  # bytes for one request at most, like a part of a download
MIN_PIECE = 64 * KIB  # fewer bytes take less time than the request itself
FIRST_AHEAD = MIB  # bytes to fetch ahead for a reader that starts at the beginning of the object
READS_IN_ORDER = 4  # before reading ahead, if the reader started elsewhere; two columns may be neighbours


@dataclass(frozen=True)
class _Piece:
    start: int
    stop: int
    data: bytearray
    pending: Pending[None]


class ReadAhead:
    """Reads the bytes ``[start, stop)`` of an object, and fetches ahead if that helps.

    A read out of order fetches only what it returns. For reads in order, as many bytes are fetched ahead as were read
    in this sequence, so at most half of the fetched bytes are wasted. Apart from the result of a read, at most
    ``memory`` bytes are kept.

    Only one thread at a time may use it.

    :param fill: fills a buffer with the object's bytes from an offset on; a worker calls it
    :param size: bytes of the object
    """

    def __init__(self, fill: Fill, size: int, *, memory: int, max_workers: int) -> None:
        self._fill = fill
        self._size = size
        self._piece = min(PIECE, max(memory // 2, MIN_PIECE))
        self._memory = max(memory, self._piece)
        self._workers = Workers(max_workers)
        self._max_workers = max_workers
        self._pieces: deque[_Piece] = deque()  # neighbours, in order
        self._next = 0  # where the last read ended
        self._reads = self._run = 0  # of the current sequence of reads in order: their number, and their bytes

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes; fewer at the end of the object.

        :raises RequestError: if they cannot be fetched, or the object has changed
        """
        stop = min(stop, self._size)
        if start >= stop:
            return b""
        ahead = self._ahead_of(start, stop)
        self._move_to(start)
        found: list[memoryview] = []
        at = start
        while at < stop:
            self._request(at, stop, ahead)
            piece = self._pieces[0]
            piece.pending.result()
            taken = memoryview(piece.data)[at - piece.start : stop - piece.start]
            found.append(taken)
            at += len(taken)
            if at >= piece.stop and at < self._size:
                self._pieces.popleft()
        self._request(at, stop, ahead)
        return b"".join(found)

    def close(self) -> None:
        """End all requests."""
        self._workers.stop.give()
        self._pieces.clear()

    def _ahead_of(self, start: int, stop: int) -> int:
        """Note a read, and return how many bytes to fetch ahead after it."""
        goes_on = start == self._next and bool(self._reads)
        self._reads, self._run = (self._reads + 1, self._run + stop - start) if goes_on else (1, stop - start)
        self._next = stop
        if self._run == stop:  # the sequence started at the beginning of the object
            return min(max(self._run, FIRST_AHEAD), self._memory)
        return min(self._run, self._memory) if self._reads >= READS_IN_ORDER else 0

    def _move_to(self, start: int) -> None:
        """Drop all pieces before ``start``, and the others too if they do not continue from there."""
        while self._pieces and self._pieces[0].stop <= start:
            self._pieces.popleft()
        if self._pieces and self._pieces[0].start > start:
            self._drop()

    def _drop(self) -> None:
        """End all requests and drop all pieces. Further requests get a new stop."""
        self._workers.stop.give()
        self._workers = Workers(self._max_workers)
        self._pieces.clear()

    def _request(self, at: int, stop: int, ahead: int) -> None:
        """Request the bytes that the read needs, and some of those that may follow."""
        begins = self._pieces[0].start if self._pieces else at
        requested = self._pieces[-1].stop if self._pieces else at
        goal = stop
        if ahead and requested - stop < ahead // 2:  # so that not each read requests a few bytes
            goal = stop + ahead
        goal = min(goal, self._size)
        while requested < goal:
            end = requested + min(self._piece, max(goal - requested, min(MIN_PIECE, self._size - requested)))
            if self._pieces and end - begins > self._memory:
                break
            # Allocated by this thread: each of many threads would keep its memory for longer than needed.
            data = bytearray(end - requested)
            pending = self._workers.begin(partial(self._fill, requested, data, self._workers.stop))
            self._pieces.append(_Piece(requested, end, data, pending))
            requested = end
