"""Where the bytes of one part of an object go."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.ports import Job
from airflow_provider_ossresume.transfer.rate_limit import RateLimiter, piece_size

WRITE_SIZE = 2**20  # measured: more bytes for each turn at Python's lock (docs/performance)


class Writable(Protocol):
    """A part file, or the memory."""

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None: ...


class Memory:
    """Bytes that are kept until it is known what becomes of them.

    :param start: where in the object they begin
    """

    def __init__(self, start: int = 0) -> None:
        self.data = bytearray()
        self._start = start

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        self.data[offset - self._start :] = data  # and forget what an attempt before this one wrote


class PartSink:
    """Where one part of the object goes: its place in the part file. An attempt begins it anew, or goes on.

    :param beginning: bytes of the part that have come already; the attempts bring what is behind them
    :ivar crc64: of what the last attempt wrote, the beginning included
    """

    def __init__(self, file: Writable, part: Part, job: Job, *, beginning: bytes | bytearray = b"") -> None:
        self._file = file
        self._part = part
        self._beginning = beginning
        self._meter = job.meter()
        self._rate = job.rate
        self._stop = job.stop

    @property
    def piece_size(self) -> int:
        return max(1, min(piece_size(WRITE_SIZE, self._rate), self._part.size))

    @property
    def missing(self) -> tuple[int, int]:
        """Which of the object's bytes are to be written, ``[start, stop)``."""
        return self._part.start + len(self._beginning), self._part.stop

    def open(self) -> None:
        self._meter.begin()
        self._limiter = RateLimiter(self._rate, self._stop)
        self._offset = self._part.start
        self.crc64 = 0
        self._put(self._beginning)

    def resume(self) -> None:
        """Another attempt brings what is behind the bytes that are here."""
        self._meter.resume()
        self._limiter = RateLimiter(self._rate, self._stop)

    def write(self, data: bytes | memoryview) -> None:
        if self._offset + len(data) > self._part.stop:
            raise LocalFileError(f"part {self._part.number} is {self._part.size} bytes, OSS sent more")
        self._put(data)
        self._meter.add(len(data))
        self._limiter.consume(len(data))

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._stop.check()
        if data:
            self._file.write(data, self._offset)
            self.crc64 = crc64(data, self.crc64)
            self._offset += len(data)
