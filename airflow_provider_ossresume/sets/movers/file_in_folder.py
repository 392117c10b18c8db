"""Paths that lead where a descriptor leads, whatever becomes of the names on the way."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from airflow_provider_ossresume.errors import LocalFileError, OSSResumeError
from airflow_provider_ossresume.model.entries import file_identity, is_lasting
from airflow_provider_ossresume.model.file_errors import reason
from airflow_provider_ossresume.sets.movers.opened_file import OpenedFile
from airflow_provider_ossresume.transfer.paths import printable_path


class Anchor:
    """A file's place: its name in a folder that is open, so that it is reached by the folder's descriptor.

    :param folder: the folder's descriptor, which stays open as long as this is used
    :param name: the file's own
    :param path: of the file, where the system has no /proc
    """

    def __init__(self, folder: int, name: bytes, path: str) -> None:
        self.folder = folder
        self.name = os.fsdecode(name)
        self._path = path
        self._base = path_of(folder) or os.path.dirname(path)
        self.path = Path(self._base, self.name)

    def __str__(self) -> str:
        return printable_path(self._path)

    def beside(self, name: str) -> Path:
        """Return the path of another file in the folder."""
        return Path(self._base, name)

    def look(self) -> os.stat_result | None:
        """Return what stands there; None for nothing.

        :raises LocalFileError: when it is no regular file, and so nothing that may be replaced, or nobody can tell
        """
        try:
            found = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalFileError(f"{self} cannot be looked at: {reason(error)}") from error
        if not stat.S_ISREG(found.st_mode):
            kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
            kind = kinds.get(stat.S_IFMT(found.st_mode), "no regular file")
            refused = LocalFileError(f"{self} is {kind}, and a file is to take its place; remove it")
            refused.retryable = False
            raise refused
        return found

    def open(self) -> OpenedFile:
        """Open the file for reading, not through a link; errors are LocalFileErrors."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            number = os.open(self.name, flags, dir_fd=self.folder)
        except OSError as error:
            raise LocalFileError(f"{self} cannot be opened: {reason(error)}") from error
        return OpenedFile(number, str(self))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Have errors name the folder, not its descriptor."""
        try:
            yield
        except OSSResumeError as error:
            error.args = (str(error).replace(self._base, os.path.dirname(self._path)),)
            raise


def path_of(number: int) -> str | None:
    """Return a path that leads to what is open under a number, as long as it is; None where there is none."""
    return f"/proc/self/fd/{number}" if _has_proc() else None


@cache
def _has_proc() -> bool:
    with suppress(OSError):
        number = os.open(os.sep, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.path.samestat(os.stat(f"/proc/self/fd/{number}"), os.fstat(number))
        finally:
            os.close(number)
    return False


def identity_of(found: os.stat_result) -> str:
    """Return the identity of a file; see :func:`~airflow_provider_ossresume.model.entries.file_identity`."""
    return file_identity(inode=found.st_ino, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)


def lasting_identity_of(found: os.stat_result) -> str:
    """Return the same where it proves later that the file has not changed since now; else nothing."""
    lasts = is_lasting(mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns, now_ns=time.time_ns())
    return identity_of(found) if lasts else ""
