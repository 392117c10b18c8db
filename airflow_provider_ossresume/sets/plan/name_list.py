"""Reads a list of names: what is to be moved, where nobody wants the whole source listed.

A list is a text with one relative name a line, or JSON Lines (``.jsonl``) with objects that have a ``name``; either may
be compressed (``.gz``). ``failed.jsonl.gz`` of a verdict is such a list. A text has no comments, as a name may begin
with any character; empty lines are ignored, and lines may end as on Windows. A name that has a line break itself needs
JSON.
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

LONGEST = 64 * 1024  # bytes of a line; a name has 1,023, and its line in a failed list a reason too
PIECE = 256 * 1024  # bytes that are written at once
READ_AT_ONCE = 1_000  # names, between two looks of the watch
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # begins texts that some editors have written; no part of the first name


class ListClient(SetClient, Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

    def get_object(self, target: ObjectRef, sink: Sink) -> ObjectMeta: ...


def read_names(where: str, spool: Spool, crew: Crew, *, client: ListClient | None = None) -> None:
    """Put the names of a list into a spool, which sorts them and has each once; memory does not grow with their number.

    :param where: an absolute path, a ``file:///`` or an ``oss://bucket/key`` URL
    :param crew: a worker of it reads; nothing else is under way meanwhile
    :param client: for one on OSS
    :raises ArgumentError: when it is no list, or has no name
    :raises OSSResumeError: when it cannot be read
    """
    with _opened(where, crew, client) as file:
        is_packed = where.endswith(".gz")
        text: IO[bytes] = gzip.GzipFile(fileobj=file, mode="rb") if is_packed else file  # type: ignore[assignment]
        names = _names(text, where, is_json=where.removesuffix(".gz").endswith(".jsonl"))
        count = 0
        while page := crew.call(lambda: list(islice(names, READ_AT_ONCE))):
            count += len(page)
            for name in page:
                spool.add_listed(name)
    if not count:
        raise ArgumentError(
            "files_from", where, "the list has no name; skip the task when there is nothing to move, or leave the "
            "argument out for all files"
        )  # fmt: skip
    log.info("The list %s has %s names", where, f"{count:,}")


def _names(file: IO[bytes], where: str, *, is_json: bool) -> Iterator[bytes]:
    number = 0
    try:
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise ArgumentError("files_from", where, f"line {number} has more than 64 KiB; write one name a line")
            line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if name := _name(line, where, number) if is_json and line.strip() else b"" if is_json else line:
                yield name
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ArgumentError("files_from", where, f"the file is damaged behind line {number}: {error}") from error
    except OSError as error:
        raise LocalFileError(f"the list {where} cannot be read: {reason(error)}") from error


def _name(line: bytes, where: str, number: int) -> bytes:
    try:
        match read_json(line):
            case {"name": str(name)} if name:
                return name.encode()
    except ValueError:
        pass
    raise ArgumentError("files_from", where, f'line {number} is no object of JSON with a "name"')


def _opened(where: str, crew: Crew, client: ListClient | None) -> IO[bytes]:
    if not where.startswith("oss://"):
        return crew.call(lambda: _local(where))
    if client is None:
        raise ArgumentError("files_from", where, "this list is on OSS, and there is no client for it; give a path")
    ref = ObjectRef(*parse_oss_url(where, argument="files_from"))
    oss = client.with_stop(crew)
    return crew.call(lambda: _fetched(oss, ref))


def _local(where: str) -> IO[bytes]:
    path = local_path(where, argument="files_from")
    if path.startswith("file:///"):
        path = unquote(path.removeprefix("file://"), errors="surrogateescape")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ArgumentError("files_from", where, "this is no file; name one that has the names")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        missing = ArgumentError("files_from", where, "there is no such file on this worker; check the path")
        missing.retryable = True  # the next try may run on the worker that has it
        raise missing from None
    except OSError as error:
        raise LocalFileError(f"the list {where} cannot be read: {reason(error)}") from error


def _fetched(oss: ListClient, ref: ObjectRef) -> IO[bytes]:
    """:raises IntegrityError: when other bytes came than OSS has"""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        sink = _File(file)
        meta = oss.get_object(ref, sink)
        if meta.crc64 is not None and meta.crc64 != sink.crc64:
            raise IntegrityError(f"{ref} was damaged on its way: its CRC-64 is not the one that OSS has")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


class _File:
    """Takes the bytes of an object into a file."""

    piece_size = PIECE

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.crc64 = 0

    def open(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.crc64 = 0

    def resume(self) -> None:
        """What follows is appended anyway."""

    def write(self, data: memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise LocalFileError(f"the list cannot be kept in a temporary file: {reason(error)}") from error
        self.crc64 = crc64(data, self.crc64)
