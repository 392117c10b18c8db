"""Stores contents: bytes that have arrived completely, each in its own data file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from airflow_provider_ossresume.model.crc64 import combine, combine_all, crc64

_FILE_NAME = re.compile(r"[0-9a-f]{32}\.data")
_COPY_STEP = 8 * 1024 * 1024  # bytes a call


@dataclass(frozen=True)
class Content:
    """The name of a data file, with the size and checksums of its bytes.

    ``md5`` is upper-case hex; it is empty if contents were joined without reading them.
    """

    file: str
    size: int
    md5: str
    crc64: int


class Contents:
    """The folder of data files. A content is in use only when a record names it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def receive(self, steps: Iterable[memoryview]) -> Content:
        """Write bytes as they arrive. After an error no file remains."""
        md5, crc, size = hashlib.md5(usedforsecurity=False), 0, 0
        with self._new_file() as (name, file):
            for step in steps:
                md5.update(step)
                crc = crc64(step, crc)
                size += len(step)
                _write_all(file, step)
        return Content(name, size, md5.hexdigest().upper(), crc)

    def zeros(self, size: int) -> Content:
        """Create a content of zeros, of any size. It takes no space on the disk, and neither do its copies."""
        with self._new_file() as (name, file):
            file.truncate(size)
        return Content(name, size, "", _crc64_of_zeros(size))

    def hole(self, source: BinaryIO, start: int, stop: int) -> Content | None:
        """Return a content for a range that is a hole (zeros without space on the disk); None if it is not."""
        source.seek(start)
        if start == stop or _hole_at(source, stop - start) < stop - start:
            return None
        return replace(self.zeros(stop - start), md5=_md5_of_zeros(stop - start))

    def copy(self, source: BinaryIO, content: Content) -> Content:
        """Copy an open content, inside the kernel if possible."""
        with self._new_file() as (name, target):
            _copy(source, target, content.size)
        return Content(name, content.size, content.md5, content.crc64)

    def join(self, contents: Sequence[Content]) -> Content:
        """Concatenate contents into a new one, inside the kernel if possible."""
        with self._new_file() as (name, target):
            for content in contents:
                with self.open(content) as source:
                    _copy(source, target, content.size)
        return Content(name, sum(content.size for content in contents), "", _joined_crc(contents))

    def extend(self, first: Content, second: Content) -> Content:
        """Append the second content's bytes to the first one's file.

        Readers of the first content are not affected: they read only as many bytes as it had.
        """
        path = self._path(first)
        os.truncate(path, first.size)  # a killed server may have left more
        with open(path, "ab", opener=_opener) as target, self.open(second) as source:
            shutil.copyfileobj(source, target)
        return Content(first.file, first.size + second.size, "", _joined_crc([first, second]))

    def open(self, content: Content) -> BinaryIO:
        """Open a content for reading. It stays readable after ``discard``."""
        return open(self._path(content), "rb", buffering=0, opener=_opener)

    def read(self, content: Content) -> bytes:
        """Return all bytes of a content."""
        with self.open(content) as file:
            return file.read(content.size)

    def discard(self, content: Content) -> None:
        """Remove a content that no record names."""
        self._path(content).unlink(missing_ok=True)

    def discard_all_but(self, named: Collection[str]) -> None:
        """Remove all other data files, which a killed server left behind."""
        for path in self._folder.iterdir():
            if _FILE_NAME.fullmatch(path.name) and path.name not in named:
                path.unlink()

    def _path(self, content: Content) -> Path:
        if not _FILE_NAME.fullmatch(content.file):  # the record was edited by hand
            raise OSError(f"{content.file!r} is not the name of a data file")
        return self._folder / content.file

    @contextlib.contextmanager
    def _new_file(self) -> Iterator[tuple[str, BinaryIO]]:
        path = self._folder / f"{uuid.uuid4().hex}.data"
        try:
            with open(path, "xb", buffering=0) as file:
                yield path.name, file
        except BaseException:  # the client may disconnect at any moment
            path.unlink(missing_ok=True)
            raise


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _joined_crc(contents: Iterable[Content]) -> int:
    return combine_all((content.crc64, content.size) for content in contents)


def _write_all(file: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count:
        if hole := _hole_at(source, count):
            source.seek(hole, os.SEEK_CUR)
            target.seek(hole, os.SEEK_CUR)
            count -= hole
            continue
        try:
            copied = os.copy_file_range(source.fileno(), target.fileno(), min(count, _COPY_STEP))
        except (AttributeError, OSError):  # macOS has no such call, and some file systems refuse it
            copied = target.write(source.read(min(count, _COPY_STEP)))
        if not copied:
            raise OSError("a data file is shorter than its record says")
        count -= copied
    target.truncate()  # at the current position, because a hole at the end writes nothing


def _hole_at(file: BinaryIO, count: int) -> int:
    """Return how many of the next bytes are a hole; 0 if the file system does not report holes."""
    position, size = file.tell(), os.fstat(file.fileno()).st_size
    try:
        data = os.lseek(file.fileno(), position, os.SEEK_DATA)
    except AttributeError:  # Python has it where the system has
        return 0
    except OSError as error:
        data = size if error.errno == errno.ENXIO else position  # nothing but a hole is left
    finally:
        file.seek(position)
    return max(0, min(data - position, count))


@lru_cache(maxsize=64)
def _md5_of_zeros(size: int) -> str:
    md5, step = hashlib.md5(usedforsecurity=False), bytes(1024 * 1024)
    for start in range(0, size, len(step)):
        md5.update(step[: size - start])
    return md5.hexdigest().upper()


def _crc64_of_zeros(size: int) -> int:
    total, crc, length = 0, crc64(b"\0"), 1
    for bit in range(size.bit_length()):
        if size >> bit & 1:
            total = combine(total, crc, length)
        crc, length = combine(crc, crc, length), length * 2
    return total
