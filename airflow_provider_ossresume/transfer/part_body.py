"""A part of a source, as the body of a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.local_file import READ_SIZE
from airflow_provider_ossresume.transfer.ports import Job, Source
from airflow_provider_ossresume.transfer.rate_limit import RateLimiter, piece_size


class PartBody:
    """One part of the source as the body of a request. Each attempt opens it again."""

    def __init__(self, source: Source, part: Part, job: Job, *, verify: bool) -> None:
        self._source = source
        self._part = part
        self._meter = job.meter()
        self._rate = job.rate
        self._stop = job.stop
        self._verify = verify
        self._crc64: int | None = None
        self._kept: list[bytes] = []

    @property
    def size(self) -> int:
        return self._part.size

    def open(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes. Errors are the source's. Before the last piece, check that the source has not changed.

        :raises TransferStopped: at once, before the first piece, so that no request is sent after a stop
        """
        self._stop.check()
        return self._opened()

    def _opened(self) -> Iterator[bytes | memoryview]:
        self._meter.begin()
        limiter = RateLimiter(self._rate, self._stop)
        crc = 0
        left = self._part.size
        if not left:
            self._source.check_sent(self._part, self._stop, crc64=0)
        for piece in self._kept or self._pieces():
            if self._verify:
                crc = crc64(piece, crc)
            left -= len(piece)
            # OSS stores nothing of a body that is not complete.
            if not left:
                self._source.check_sent(self._part, self._stop, crc64=crc if self._verify else None)
            yield piece
            self._meter.add(len(piece))
            limiter.consume(len(piece))
        self._crc64 = crc if self._verify else None

    def content_md5(self) -> str | None:
        """Read the bytes and return their Content-MD5; errors are the source's.

        A body of one piece is kept in memory. It is read only once, so each attempt sends exactly what was digested.
        """
        if not self._verify:
            return None
        pieces: Iterable[bytes | memoryview] = self._pieces()
        if self._part.size <= piece_size(READ_SIZE, self._rate):
            pieces = self._kept = [b"".join(pieces)]
        return content_md5(pieces)

    def crc64(self) -> int | None:
        return self._crc64

    def _pieces(self) -> Iterator[memoryview]:
        return self._source.read(self._part, self._stop, most=piece_size(READ_SIZE, self._rate))
