"""Bodies and objects that are small enough to be in memory."""

from __future__ import annotations

from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.md5 import content_md5

PIECE = 256 * 1024  # bytes


class BytesBody:
    """The body of a request that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def open(self) -> list[memoryview]:
        view = memoryview(self._data)
        return [view[first : first + PIECE] for first in range(0, self.size, PIECE)]

    def content_md5(self) -> str | None:
        return content_md5([self._data])

    def crc64(self) -> int:
        return crc64(self._data)


class MemorySink:
    """Takes the bytes of an object.

    :ivar data: what has come
    """

    piece_size = PIECE

    def __init__(self) -> None:
        self.data = bytearray()

    def open(self) -> None:
        self.data.clear()

    def go_on(self) -> None:
        """What follows is appended anyway."""

    def write(self, data: memoryview) -> None:
        self.data += data
