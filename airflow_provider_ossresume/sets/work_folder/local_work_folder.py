"""A work folder on a local disk, or on a share that all workers mount."""

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

UNFINISHED = ".unfinished"  # suffix of files that are being written; no other file of a work folder has it


class LocalWorkFolder:
    """The files of a folder, which is created when the first file is written.

    A file is written under a temporary name, flushed to the disk and then renamed, so it is never incomplete.

    :raises ArgumentError: if the name is not valid
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(os.path.realpath(local_path(folder, argument="work_folder")))

    @property
    def uri(self) -> str:
        return f"file://{quote(os.fsencode(self._folder)).rstrip('/')}/"

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        with _local_errors(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with _local_errors(path), _temporary_file(path, data) as unfinished:
            os.replace(unfinished, path)

    def create(self, name: str, data: bytes) -> None:
        """:raises AlreadyExists: if it exists with other bytes"""
        path = self._folder / name
        with _local_errors(path), _temporary_file(path, data) as unfinished:
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
            with _local_errors(path), suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            with suppress(OSError):  # it is not empty
                while (path := path.parent) != self._folder:
                    path.rmdir()

    def _walk(self, below: str) -> Iterator[str]:
        path = self._folder / below
        found: list[str] = []
        with _local_errors(path), suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
            found = [entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries]
        for name in sorted(
            found, key=os.fsencode
        ):  # folders sort with their slash, which is the order of the full names
            if name.endswith("/"):
                yield from self._walk(below + name)
            elif not name.endswith(UNFINISHED):
                yield below + name


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    """:raises LocalFileError: in place of an OSError"""
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{path} in the work folder cannot be used: {reason(error)}") from error


@contextmanager
def _temporary_file(path: Path, data: bytes) -> Iterator[Path]:
    """Yield the path of a new file with these bytes, flushed to the disk. It is removed unless the block renames it."""
    unfinished = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}{UNFINISHED}")
    number = _create_file(unfinished)
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
        with suppress(OSError):  # usually it was renamed
            os.unlink(unfinished)
    sync_folder(path.parent)


def _create_file(path: Path, *, attempts: int = 3) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:  # another process has removed the empty folder
        if attempts == 1:
            raise
        return _create_file(path, attempts=attempts - 1)


def _flush(number: int) -> None:
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in REFUSED:  # some shares cannot flush; they can hold plans all the same
            raise
