"""Bodies and objects that are small enough to be in memory."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_ossresume.errors import IntegrityError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.oss.resumable_get import Sink

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

    :param piece_size: of what is read from the socket at once
    """

    def __init__(self, piece_size: int = PIECE) -> None:
        self.piece_size = piece_size
        self._data = bytearray()

    def take(self) -> bytearray:
        """Return the bytes, and hold them no longer: who holds the sink may live on until Python looks for cycles."""
        data, self._data = self._data, bytearray()
        return data

    def open(self) -> None:
        self._data.clear()

    def resume(self) -> None:
        """What follows is appended anyway."""

    def write(self, data: memoryview) -> None:
        self._data += data


class ReadingClient(Protocol):
    """What is needed of OSS to read an object; see ``oss.client.OssClient``."""

    def get_object(self, target: ObjectRef, sink: Sink) -> ObjectMeta: ...


def read_object(client: ReadingClient, target: ObjectRef) -> bytes:
    """Return all bytes of an object, which are compared with its CRC-64.

    :raises NoSuchKey: when it does not exist
    :raises IntegrityError: when other bytes came than OSS has
    """
    sink = MemorySink()
    meta = client.get_object(target, sink)
    data = bytes(sink.take())
    if meta.crc64 is not None and meta.crc64 != crc64(data):
        raise IntegrityError(f"{target} was damaged on its way: its CRC-64 is not the one that OSS has")
    return data
