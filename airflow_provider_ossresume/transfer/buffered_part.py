"""A part of a stream, kept in memory until it is sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.stop import Stop


class ByteBuffer:
    """Collects bytes until there are enough for a part. Large ``bytes`` objects are not copied.

    :ivar size: bytes in the buffer
    """

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[bytes | bytearray] = deque()

    def add(self, data: bytes | memoryview) -> None:
        """Append bytes. A memoryview is copied, because it may be overwritten later; short ``bytes`` are copied too."""
        if isinstance(data, bytes) and len(data) >= _KEPT:
            self._pieces.append(data)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += data
        else:
            self._pieces.append(bytearray(data))
        self.size += len(data)

    def cut(self, size: int) -> list[memoryview]:
        """Remove that many bytes from the front, and return them."""
        self.size -= size
        first: list[memoryview] = []
        while size:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
            first.append(memoryview(piece)[:size])
            size -= len(first[-1])
        return first


_KEPT = 64 * 1024  # bytes; a larger object is kept as it is, because a copy would cost more


class BufferedPart:
    """One part in memory, as a source."""

    def __init__(self, part: Part, pieces: Sequence[memoryview] = ()) -> None:
        self.part = part
        self._pieces = pieces

    @classmethod
    def empty(cls) -> BufferedPart:
        """A part without bytes: the rest of a stream that has been sent."""
        return cls(Part(1, 0, 0))

    @property
    def size(self) -> int:
        return self.part.size

    @property
    def fingerprint(self) -> str:
        """Empty: a stream cannot be read a second time."""
        return ""

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """Yield the bytes in pieces of at most ``most`` bytes."""
        for piece in self._pieces:
            for start in range(0, len(piece), most):
                stop.check()
                yield piece[start : start + most]

    def crc64(self, part: Part, stop: Stop) -> int:
        crc = 0
        for piece in self._pieces:
            crc = crc64(piece, crc)
        return crc

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Nothing to check: nobody else can change it."""

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Nothing to check, for the same reason."""
