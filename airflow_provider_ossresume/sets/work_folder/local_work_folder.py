"""A work folder on a disk, or on a share that all workers have mounted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from airflow_provider_ossresume.errors import AlreadyExists, LocalFileError
from airflow_provider_ossresume.model.file_errors import REFUSED, reason
from airflow_provider_ossresume.transfer.paths import local_path
from airflow_provider_ossresume.transfer.publishing import move_to_free_name, sync_folder
from airflow_provider_ossresume.transfer.target_file import TargetChanged

UNFINISHED = ".unfinished"  # ends the names of files that are being written; no file of a work folder ends so


class LocalWorkFolder:
    """The files of a folder, made when the first one is written.

    Each is written beside its place, put on the disk and given its name then, so that it is there whole or not at all.

    :raises ArgumentError: when no folder can have that name
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(os.path.realpath(local_path(folder, argument="work_folder")))

    @property
    def uri(self) -> str:
        return f"file://{quote(os.fsencode(self._folder)).rstrip('/')}/"

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        with _told(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with _told(path), _written_beside(path, data) as unfinished:
            os.replace(unfinished, path)

    def create(self, name: str, data: bytes) -> None:
        """:raises AlreadyExists: when it exists with other bytes"""
        path = self._folder / name
        with _told(path), _written_beside(path, data) as unfinished:
            try:
                move_to_free_name(unfinished, path)
            except TargetChanged as error:
                if path.read_bytes() != data:
                    raise AlreadyExists(operation="create", target=str(path), status=409) from error

    def names(self, prefix: str) -> Iterator[str]:
        folder, slash, _ = prefix.rpartition("/")
        for name in self._walk(folder + slash):
            if name.startswith(prefix):
                yield name

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._folder / name
            with _told(path), suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            with suppress(OSError):  # it has other files
                while (path := path.parent) != self._folder:
                    path.rmdir()

    def _walk(self, below: str) -> Iterator[str]:
        path = self._folder / below
        found: list[str] = []
        with _told(path), suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
            found = [entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries]
        for name in sorted(found, key=os.fsencode):  # a folder's with its slash: so they come in the whole names' order
            if name.endswith("/"):
                yield from self._walk(below + name)
            elif not name.endswith(UNFINISHED):
                yield below + name


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """:raises LocalFileError: for an OSError"""
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{path} of the work folder cannot be used: {reason(error)}") from error


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Give a new file with these bytes, on the disk, to be renamed; else it is removed."""
    unfinished = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}{UNFINISHED}")
    number = _made(unfinished)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(number, rest) :]
            _flush(number)
        finally:
            os.close(number)
        yield unfinished
    finally:
        with suppress(OSError):  # it has its name, as a rule
            os.unlink(unfinished)
    sync_folder(path.parent)


def _made(path: Path, *, attempts: int = 3) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:  # another process has removed the folder, as it was empty
        if attempts == 1:
            raise
        return _made(path, attempts=attempts - 1)


def _flush(number: int) -> None:
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in REFUSED:  # a share that flushes no file keeps plans all the same
            raise
