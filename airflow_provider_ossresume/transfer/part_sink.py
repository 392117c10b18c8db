"""Writes the bytes of one part of an object to its place."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.ports import Job
from airflow_provider_ossresume.transfer.rate_limit import RateLimiter, piece_size

WRITE_SIZE = 2**20  # measured: larger writes, so fewer waits for Python's lock (docs/performance)


class Writable(Protocol):
    """A part file, or a buffer in memory."""

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None: ...


class Memory:
    """Collects bytes in memory.

    :param start: the offset in the object of the first byte
    """

    def __init__(self, start: int = 0) -> None:
        self.data = bytearray()
        self._start = start

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        self.data[offset - self._start :] = data  # this also drops what an earlier attempt wrote past the offset


class PartSink:
    """The place of one part, such as its range of the part file. Each attempt starts it again or resumes it.

    :param first_bytes: bytes of the part that have already been received; the attempts fetch the rest
    :ivar crc64: of the bytes that the last attempt wrote, ``first_bytes`` included
    """

    def __init__(self, file: Writable, part: Part, job: Job, *, first_bytes: bytes | bytearray = b"") -> None:
        self._file = file
        self._part = part
        self._first_bytes = first_bytes
        self._meter = job.meter()
        self._rate = job.rate
        self._stop = job.stop

    @property
    def piece_size(self) -> int:
        return max(1, min(piece_size(WRITE_SIZE, self._rate), self._part.size))

    @property
    def missing(self) -> tuple[int, int]:
        """The range of the object's bytes still to be written, ``[start, stop)``."""
        return self._part.start + len(self._first_bytes), self._part.stop

    def open(self) -> None:
        self._meter.begin()
        self._limiter = RateLimiter(self._rate, self._stop)
        self._offset = self._part.start
        self.crc64 = 0
        self._put(self._first_bytes)

    def resume(self) -> None:
        """Prepare for an attempt that fetches only the bytes after those that have been written."""
        self._meter.resume()
        self._limiter = RateLimiter(self._rate, self._stop)

    def write(self, data: bytes | memoryview) -> None:
        if self._offset + len(data) > self._part.stop:
            raise LocalFileError(f"part {self._part.number} has {self._part.size} bytes, but OSS sent more")
        self._put(data)
        self._meter.add(len(data))
        self._limiter.consume(len(data))

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._stop.check()
        if data:
            self._file.write(data, self._offset)
            self.crc64 = crc64(data, self.crc64)
            self._offset += len(data)
