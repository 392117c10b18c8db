"""Uploads a stream whose length nobody knows: reads it, and writes what it gives to an object."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import MIB, determine_part_size
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.result import Stopwatch, TransferResult
from airflow_provider_ossresume.transfer.written_object import WritingClient, WrittenObject

log = logging.getLogger(__name__)

MOST_WORKERS = 8  # by default: each holds a part in memory
MOST_READ = MIB  # bytes at once


class Readable(Protocol):
    """A stream of bytes: an open file, a socket's or a process's output, a ``BytesIO``."""

    def read(self, size: int, /) -> bytes | bytearray | memoryview | None:
        """Return up to so many bytes; none at the end."""


class StreamUploader:
    """One upload of a stream to one object. A stream cannot be read twice, so no later try goes on with it.

    In memory are the parts that are on their way, at most ``max_concurrency`` of them, or 8, and one more; at first
    ``multipart_threshold`` bytes on top. A stream of fewer bytes is held whole, and goes by one request.

    :param config: part size, concurrency, bandwidth and whether CRC-64s are compared
    :param options: the object's headers, and whether it may exist: ``overwrite`` or ``fail``
    :param watch: called by this thread; what it raises ends the upload
    """

    def __init__(
        self,
        oss: WritingClient,
        target: ObjectRef,
        *,
        config: TransferConfig,
        options: UploadOptions,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._target = target
        self._written = WrittenObject(
            oss,
            target,
            config=config,
            options=options,
            part_size=determine_part_size(0, config.part_bytes),
            whole=max(config.threshold_bytes, 1),
            most_workers=config.most_workers if config.max_concurrency else min(config.most_workers, MOST_WORKERS),
            watch=watch,
        )

    def upload(self, stream: Readable) -> TransferResult:
        """Read the stream to its end and return what was done; the object then holds exactly what was read.

        The stream is read from where it stands, and not closed. Whatever goes wrong before OSS joins the parts, no
        object appears, and the parts that were sent are removed.

        :raises ArgumentError: when the stream gives no bytes, or more than OSS takes in 10,000 such parts
        :raises AlreadyExists: under ``if_exists="fail"``, when the object has other bytes
        :raises IntegrityError: when OSS holds other bytes than were sent
        :raises RequestError: when OSS cannot be made to take it
        """
        stopwatch = Stopwatch(self._target, "", direction="upload")
        written = self._written
        try:
            while data := _read(stream, min(written.room or MOST_READ, MOST_READ)):
                written.write(data)
            meta, crc = written.publish()
        except BaseException:  # whatever it is, a timeout or SIGTERM too: nobody can go on with these parts
            written.discard()
            raise
        result = stopwatch.result("transferred", meta, crc64=crc, progress=written.progress)
        log.info("%s: %s", result.outcome.capitalize(), str(result))  # Airflow 2.11 would log its dict
        return result


def _read(stream: Readable, size: int) -> bytes | bytearray | memoryview:
    piece: object = stream.read(size)
    if not isinstance(piece, (bytes, bytearray, memoryview)):  # text, or None of one that does not wait
        raise ArgumentError(
            "file_obj", type(stream), f"its read() returned {type(piece).__name__}; give a stream of bytes "
            "that waits for them, such as a file that is opened with 'rb'"
        )  # fmt: skip
    if len(piece) > size:
        raise ArgumentError("file_obj", type(stream), "its read() returned more bytes than were asked for")
    return piece
