"""Uploads a stream of unknown length."""

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

MAX_WORKERS = 8  # default; each needs the memory of one part
MAX_READ_SIZE = MIB  # for one read


class Readable(Protocol):
    """A stream of bytes: an open file, a socket's or a process's output, a ``BytesIO``."""

    def read(self, size: int, /) -> bytes | bytearray | memoryview | None:
        """Return up to that many bytes; none at the end."""


class StreamUploader:
    """One upload of a stream to one object. A stream cannot be read twice, so a later try cannot resume it.

    The memory holds the parts in flight (at most ``max_concurrency``, by default 8) and one more; at the start also
    ``multipart_threshold`` bytes. A stream of fewer bytes is kept in memory and sent by one request.

    :param config: part size, concurrency, bandwidth, and whether to compare CRC-64s
    :param options: the object's headers, and what to do if it exists: ``overwrite`` or ``fail``
    :param watch: called by this thread; an error that it raises ends the upload
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
            max_workers=config.max_workers if config.max_concurrency else min(config.max_workers, MAX_WORKERS),
            watch=watch,
        )

    def upload(self, stream: Readable) -> TransferResult:
        """Read the stream to its end and return what was done. The object then holds exactly the bytes that were read.

        The stream is read from its current position and not closed. If anything fails before OSS joins the parts, no
        object is created, and the parts that were sent are removed.

        :raises ArgumentError: if ``read`` does not return bytes, or returns more than 10,000 parts hold
        :raises AlreadyExists: if ``if_exists="fail"`` and the object has other bytes
        :raises IntegrityError: if OSS holds other bytes than were sent
        :raises RequestError: if OSS does not accept it
        """
        stopwatch = Stopwatch(self._target, "", direction="upload")
        written = self._written
        try:
            while data := _read(stream, min(written.room or MAX_READ_SIZE, MAX_READ_SIZE)):
                written.write(data)
            meta, crc = written.publish()
        except BaseException:  # also after a timeout or SIGTERM: no later try can use these parts
            written.discard()
            raise
        result = stopwatch.result("transferred", meta, crc64=crc, progress=written.progress)
        log.info("%s: %s", result.outcome.capitalize(), str(result))  # Airflow 2.11 would log its dict
        return result


def _read(stream: Readable, size: int) -> bytes | bytearray | memoryview:
    piece: object = stream.read(size)
    if not isinstance(piece, (bytes, bytearray, memoryview)):  # text, or None of one that does not wait
        raise ArgumentError(
            "file_obj", type(stream), f"its read() returned {type(piece).__name__}; give a blocking stream of bytes, "
            "such as a file opened with 'rb'"
        )  # fmt: skip
    if len(piece) > size:
        raise ArgumentError(
            "file_obj", type(stream), "its read() returned more bytes than requested; give a stream that does not"
        )
    return piece
