"""Reads a list of names to move, instead of listing the whole source.

A list is a text file with one relative name per line, or JSON Lines (``.jsonl``) of objects with a ``name``. Both
may be compressed (``.gz``). The ``failed.jsonl.gz`` of a verdict is such a list. A text file has no comments, because a
name may begin with any character. Empty lines are ignored, and Windows line endings are allowed. A name that contains a
line break needs JSON.
"""

from __future__ import annotations

import gzip
import logging
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import IO, Protocol
from urllib.parse import unquote

from airflow_provider_ossresume.errors import ArgumentError, IntegrityError, LocalFileError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.file_errors import reason
from airflow_provider_ossresume.model.object_names import parse_oss_url
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.untrusted_json import read_json
from airflow_provider_ossresume.oss.resumable_get import Sink
from airflow_provider_ossresume.sets.movers.mover_base import SetClient
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.paths import local_path

log = logging.getLogger(__name__)

MAX_LINE = 64 * 1024  # bytes of a line: a name of up to 1,023 bytes, and in a failed list the reason
PIECE_SIZE = 256 * 1024  # bytes written at once
NAMES_AT_ONCE = 1_000  # names between two calls of the watch
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put it at the start of a file; not part of the first name


class ListClient(SetClient, Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""

    def get_object(self, target: ObjectRef, sink: Sink) -> ObjectMeta: ...


def read_names(where: str, spool: Spool, crew: Crew, *, client: ListClient | None = None) -> None:
    """Read the names of a list into a spool, which sorts them and drops duplicates.

    Memory does not grow with their number.

    :param where: an absolute path, a ``file:///`` or an ``oss://bucket/key`` URL
    :param crew: its worker reads the list; it must not be used for anything else meanwhile
    :param client: needed for a list on OSS
    :raises ArgumentError: if it is not a list, or is empty
    :raises OSSResumeError: if it cannot be read
    """
    with _open_list(where, crew, client) as file:
        is_packed = where.endswith(".gz")
        text: IO[bytes] = gzip.GzipFile(fileobj=file, mode="rb") if is_packed else file  # type: ignore[assignment]
        names = _parse(text, where, is_json=where.removesuffix(".gz").endswith(".jsonl"))
        count = 0
        while page := crew.call(lambda: list(islice(names, NAMES_AT_ONCE))):
            count += len(page)
            for name in page:
                spool.add_listed(name)
    if not count:
        raise ArgumentError(
            "files_from", where, "the list is empty; skip the task if there is nothing to move, or leave the "
            "argument out to move all files"
        )  # fmt: skip
    log.info("The list %s has %s names", where, f"{count:,}")


def _parse(file: IO[bytes], where: str, *, is_json: bool) -> Iterator[bytes]:
    number = 0
    try:
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise ArgumentError("files_from", where, f"line {number} is longer than 64 KiB; write one name a line")
            line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if name := _parse_json(line, where, number) if is_json and line.strip() else b"" if is_json else line:
                yield name
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ArgumentError("files_from", where, f"the file is damaged after line {number}: {error}") from error
    except OSError as error:
        raise LocalFileError(f"the list {where} cannot be read: {reason(error)}") from error


def _parse_json(line: bytes, where: str, number: int) -> bytes:
    try:
        match read_json(line):
            case {"name": str(name)} if name:
                return name.encode()
    except ValueError:
        pass
    raise ArgumentError("files_from", where, f'line {number} is not a JSON object with a "name"')


def _open_list(where: str, crew: Crew, client: ListClient | None) -> IO[bytes]:
    if not where.startswith("oss://"):
        return crew.call(lambda: _open_local(where))
    if client is None:
        raise ArgumentError(
            "files_from", where, "the list is on OSS, but no client was given; pass a client or a local path"
        )
    ref = ObjectRef(*parse_oss_url(where, argument="files_from"))
    oss = client.with_stop(crew)
    return crew.call(lambda: _download(oss, ref))


def _open_local(where: str) -> IO[bytes]:
    path = local_path(where, argument="files_from")
    if path.startswith("file:///"):
        path = unquote(path.removeprefix("file://"), errors="surrogateescape")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ArgumentError("files_from", where, "this is not a file; give a file with one name a line")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        missing = ArgumentError("files_from", where, "this file does not exist on this worker; check the path")
        missing.retryable = True  # the next try may run on a worker that has it
        raise missing from None
    except OSError as error:
        raise LocalFileError(f"the list {where} cannot be read: {reason(error)}") from error


def _download(oss: ListClient, ref: ObjectRef) -> IO[bytes]:
    """:raises IntegrityError: if the received bytes do not match the CRC-64 on OSS"""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        sink = _ListSink(file)
        meta = oss.get_object(ref, sink)
        if meta.crc64 is not None and meta.crc64 != sink.crc64:
            raise IntegrityError(f"the bytes received for {ref} do not match its CRC-64 on OSS")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


class _ListSink:
    """Writes the bytes of an object to a file."""

    piece_size = PIECE_SIZE

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.crc64 = 0

    def open(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.crc64 = 0

    def resume(self) -> None:
        """Do nothing: further bytes are appended anyway."""

    def write(self, data: memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise LocalFileError(
                f"the list cannot be written to a temporary file: {reason(error)}; check that TMPDIR has space"
            ) from error
        self.crc64 = crc64(data, self.crc64)
