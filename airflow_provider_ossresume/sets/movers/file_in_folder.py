"""A target file by its name in an open folder, so that nobody can redirect its path meanwhile."""

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


class FileInFolder:
    """A file name in an open folder. The file is reached through the folder's descriptor.

    :param folder: the folder's descriptor, which must stay open while this is used
    :param name: the file's own name
    :param path: of the file, for messages, and for systems without /proc
    """

    def __init__(self, folder: int, name: bytes, path: str) -> None:
        self.folder = folder
        self.name = os.fsdecode(name)
        self._path = path
        self._base = descriptor_path(folder) or os.path.dirname(path)
        self.path = Path(self._base, self.name)

    def __str__(self) -> str:
        return printable_path(self._path)

    def beside(self, name: str) -> Path:
        """Return the path of another file in the folder."""
        return Path(self._base, name)

    def stat(self) -> os.stat_result | None:
        """Return the file's status; None if it does not exist.

        :raises LocalFileError: if it is not a regular file, and so must not be replaced, or cannot be checked
        """
        try:
            found = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalFileError(f"{self} cannot be checked: {reason(error)}") from error
        if not stat.S_ISREG(found.st_mode):
            kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
            kind = kinds.get(stat.S_IFMT(found.st_mode), "not a regular file")
            refused = LocalFileError(f"{self} is {kind}, and the transfer needs to write a file there; move it away")
            refused.retryable = False
            raise refused
        return found

    def open(self) -> OpenedFile:
        """Open the file for reading, without following a link; errors are LocalFileErrors."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            number = os.open(self.name, flags, dir_fd=self.folder)
        except OSError as error:
            raise LocalFileError(f"{self} cannot be opened: {reason(error)}") from error
        return OpenedFile(number, str(self))

    @contextmanager
    def naming_its_path(self) -> Iterator[None]:
        """Let errors name the folder's path instead of its descriptor."""
        try:
            yield
        except OSSResumeError as error:
            error.args = (str(error).replace(self._base, os.path.dirname(self._path)),)
            raise


def descriptor_path(number: int) -> str | None:
    """Return a path in /proc to an open descriptor, valid while it is open; None on systems without /proc."""
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
    """Return the identity if it can prove later that the file has not changed since now; else an empty text."""
    lasts = is_lasting(mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns, now_ns=time.time_ns())
    return identity_of(found) if lasts else ""
