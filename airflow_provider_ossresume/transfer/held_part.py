"""A stream, cut into parts that are held in memory until they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.parts import MAX_PART_COUNT, GrowingPlan, Part, format_size
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.stop import Stop


class Readable(Protocol):
    """A stream of bytes: an open file, a socket's or a process's output, a ``BytesIO``."""

    def read(self, size: int, /) -> bytes | bytearray | memoryview | None:
        """Return up to so many bytes; none at the end."""


class HeldPart:
    """One part in memory, as a source."""

    def __init__(self, part: Part, data: bytes | bytearray | memoryview) -> None:
        self.part = part
        self._data = memoryview(data)

    @classmethod
    def nothing(cls) -> HeldPart:
        """What is left of a stream when all of it has been sent."""
        return cls(Part(1, 0, 0), b"")

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def fingerprint(self) -> str:
        """Empty: it is read once."""
        return ""

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """Yield its bytes in pieces."""
        for start in range(0, self.size, most):
            stop.check()
            yield self._data[start : start + most]

    def crc64(self, part: Part, stop: Stop) -> int:
        return crc64(self._data)

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Nobody else has it."""

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """The same."""


class StreamParts:
    """The parts of a stream, read when they are asked for.

    :param plan: how large each part is
    :param whole: a stream of fewer bytes is no matter of parts
    """

    def __init__(self, stream: Readable, plan: GrowingPlan, *, whole: int) -> None:
        self.plan = plan
        self._stream = stream
        self._least = max(whole, 1)
        self._ahead = memoryview(b"")  # was read to see whether the stream is a small one
        self._is_at_end = False

    def whole(self) -> HeldPart | None:
        """Return all of the stream when that is little, else None.

        :raises ArgumentError: for what gives no bytes
        """
        self._ahead = memoryview(self._read(self._least))
        if not self._is_at_end:
            return None
        return HeldPart(Part(1, 0, len(self._ahead)), self._ahead)

    def __iter__(self) -> Iterator[HeldPart]:
        """:raises ArgumentError: when 10,000 parts do not hold it"""
        start = 0
        for number in range(1, MAX_PART_COUNT + 1):
            data = self._next(self.plan.size_of(number))
            if not data:
                return
            yield HeldPart(Part(number, start, start + len(data)), data)
            start += len(data)
        if self._next(1):
            raise ArgumentError(
                "file_obj", type(self._stream), f"it has more than {format_size(self.plan.most)}, which is what "
                f"{MAX_PART_COUNT} parts hold; raise part_size in the transfer_config"
            )  # fmt: skip

    def _next(self, size: int) -> bytearray | memoryview:
        data, self._ahead = self._ahead[:size], self._ahead[size:]  # no copies: it may be long
        if len(data) == size:
            return data
        rest = self._read(size - len(data))
        return bytearray(data) + rest if data else rest

    def _read(self, size: int) -> bytearray:
        """Return so many bytes, fewer only at the stream's end."""
        data = bytearray()
        while len(data) < size and not self._is_at_end:
            piece: object = self._stream.read(size - len(data))
            if not isinstance(piece, (bytes, bytearray, memoryview)):  # text, or None of one that does not wait
                raise ArgumentError(
                    "file_obj", type(self._stream), f"its read() returned {type(piece).__name__}; give a stream of "
                    "bytes that waits for them, such as a file that is opened with 'rb'"
                )  # fmt: skip
            if len(piece) > size - len(data):
                raise ArgumentError(
                    "file_obj", type(self._stream), "its read() returned more bytes than were asked for"
                )
            data += piece
            self._is_at_end = not piece
        return data
