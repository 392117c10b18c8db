"""Bodies and objects that fit into memory."""

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

    :param piece_size: how many bytes are read from the socket at once
    """

    def __init__(self, piece_size: int = PIECE) -> None:
        self.piece_size = piece_size
        self._data = bytearray()

    def take(self) -> bytearray:
        """Return the bytes and release them: a reference cycle may keep the sink alive for long."""
        data, self._data = self._data, bytearray()
        return data

    def open(self) -> None:
        self._data.clear()

    def resume(self) -> None:
        """Nothing to do: further bytes are appended."""

    def write(self, data: memoryview) -> None:
        self._data += data


class DiscardingSink:
    """Takes bytes and drops them.

    :param piece_size: how many bytes are read from the socket at once
    """

    def __init__(self, piece_size: int = 1) -> None:
        self.piece_size = piece_size

    def open(self) -> None:
        """There is nothing to drop."""

    def resume(self) -> None:
        """There is nothing to keep."""

    def write(self, data: memoryview) -> None:
        """Drop the bytes."""


class ReadingClient(Protocol):
    """The part of ``oss.client.OssClient`` that reads an object."""

    def get_object(self, target: ObjectRef, sink: Sink) -> ObjectMeta: ...


def read_object(client: ReadingClient, target: ObjectRef) -> bytes:
    """Return all bytes of an object, after comparing them with its CRC-64.

    :raises NoSuchKey: if the object does not exist
    :raises IntegrityError: if other bytes arrived than OSS has
    """
    sink = MemorySink()
    meta = client.get_object(target, sink)
    data = bytes(sink.take())
    if meta.crc64 is not None and meta.crc64 != crc64(data):
        raise IntegrityError(
            f"{target} was damaged in transit: its CRC-64 differs from the one that OSS has; read it again"
        )
    return data
