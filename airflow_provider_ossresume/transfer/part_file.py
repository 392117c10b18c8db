"""The part file that a download grows in."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, TransferStopped
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.file_errors import NO_LOCKS, REFUSED, reason
from airflow_provider_ossresume.model.parts import Part, format_size
from airflow_provider_ossresume.transfer.descriptor import Descriptor
from airflow_provider_ossresume.transfer.local_file import READ_SIZE
from airflow_provider_ossresume.transfer.publishing import PRIVATE, flush, move_to_free_name, set_mode
from airflow_provider_ossresume.transfer.stop import Stop

log = logging.getLogger(__name__)

IN_ORDER = "set max_concurrency=1, or download to a local disk and copy the file"


class PartFile:
    """The file in which a download grows, beside its final name. A lock ensures that it has one writer at a time.

    On a file system without locks each try uses a file of its own, which no other try can resume. Any thread may call
    the methods, but none while another one calls ``lock``.

    :ivar name: its name, which is the same for all tries of a download
    :ivar is_new: True if it did not exist before
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._is_closed = False
        self._file = self._open()

    def _open(self) -> Descriptor:
        # Not through a symlink: somebody who can write to the folder must not redirect the download.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.is_new = not os.path.exists(self.path)
            return Descriptor(self.path, flags, PRIVATE, is_private=True)
        except OSError as error:
            raise LocalFileError(f"{self.path} cannot be opened for writing: {reason(error)}") from error

    def lock(self) -> bool:
        """Take the lock and return True; False if another process has it. It is held until the file is closed."""
        with self._file.use() as number:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # the latter on CIFS
                return False
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise LocalFileError(f"{self.path} cannot be locked: {reason(error)}") from error
                self._check_open()
                self._become_own()
                return True
            self._check_open()
            if self._is_at_its_path(number):
                if os.fstat(number).st_nlink > 1:  # published by a try that was then killed, or somebody else's file
                    remove_part_file(self.path)
                else:
                    self._make_private(number)
                    return True
        # The last writer has published or removed it, and a third process may have created another one.
        self._reopen()
        return self.lock()

    def _become_own(self) -> None:
        log.warning("%s is on a file system without locks; a later try cannot resume this download", self.path)
        if self.is_new:
            with suppress(OSError):
                os.unlink(self.path)
        self.path = self.path.with_name(f".{secrets.token_hex(8)}.ossresume-part")
        self._reopen()

    def _reopen(self) -> None:
        self._check_open()
        reopened = self._open()
        self._file.close()
        self._file = reopened
        if self._is_closed:
            self._close()
            self._check_open()

    def _check_open(self) -> None:
        """:raises TransferStopped: if the task's thread has closed it while a worker waited for the disk"""
        if self._is_closed:
            raise TransferStopped("the transfer has ended, its part file is closed")

    def is_found(self, found: os.stat_result) -> bool:
        """True if ``found`` is the stat of this file, whatever its name is now."""
        with self._file.use() as number:
            return os.path.samestat(os.fstat(number), found)

    def _is_at_its_path(self, number: int) -> bool:
        try:
            return os.path.samestat(os.fstat(number), os.lstat(self.path))  # a link to it is not it
        except FileNotFoundError:
            return False

    def _make_private(self, number: int) -> None:
        if stat.S_IMODE(os.fstat(number).st_mode) != PRIVATE:  # left by 0.1, or by a try killed at its end
            with suppress(OSError):  # a file system without permissions
                os.fchmod(number, PRIVATE)

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_closed = True
        self._close()

    def _close(self) -> None:
        self._file.close()
        if self.path.name != self.name:  # a file of this try only; after publishing it is gone
            with suppress(OSError):
                os.unlink(self.path)

    # --- what can be refused before a byte moves ----------------------------------------------------------------------

    def check_space(self, size: int) -> None:
        """:raises LocalFileError: if the file system has not enough free space for ``size`` bytes"""
        with self._file.use() as number:
            free = os.fstatvfs(number)
            needed = size - os.fstat(number).st_blocks * 512
        available = free.f_bavail * free.f_frsize
        if free.f_blocks and needed > available:  # a file system that reports 0 blocks reports no free space either
            raise LocalFileError(
                f"{self.path.parent} has {format_size(available)} free, the download needs {format_size(needed)} more; "
                "free some space or choose another folder"
            )

    def check_any_order(self) -> None:
        """Try to write past the end of the file, as several workers do.

        :raises ArgumentError: if the file system allows writes only at the end, like mounts of object storage
        """
        with self._file.use() as number, self._explained("written"):
            if os.fstat(number).st_size:
                return  # it has been written to
            try:
                os.pwrite(number, b"\0", 1)
            except OSError as error:
                if error.errno not in (*REFUSED, errno.ESPIPE, errno.EPERM):
                    raise
                with suppress(OSError):
                    os.unlink(self.path)
                raise ArgumentError(
                    "file", str(self.path.parent), f"files in this folder can be written only at their end; {IN_ORDER}"
                ) from error
            os.ftruncate(number, 0)

    def check_mode(self, mode: int) -> None:
        """:raises LocalFileError: if the file system does not store permissions, so the file cannot have these"""
        with self._file.use() as number:
            has = stat.S_IMODE(os.fstat(number).st_mode)
        if has not in (PRIVATE, mode):
            raise LocalFileError(
                f"{self.path} cannot get the mode {mode:04o}: this file system gives each file {has:04o}; leave "
                "out file_mode"
            )

    # --- its bytes ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of the data. A LocalFileError names the free space if the disk is full."""
        view = memoryview(data)
        with self._file.use() as number, self._explained("written", offset):
            while view:
                size = os.pwrite(number, view, offset)
                view, offset = view[size:], offset + size
                self._check_open()  # a slow disk may have delayed it until the transfer had ended

    def crc64_of(self, part: Part, stop: Stop) -> int | None:
        """Return the CRC-64 of the part's bytes; None if the file is too short or cannot be read."""
        crc, offset = 0, part.start
        buffer = memoryview(bytearray(min(READ_SIZE, part.size)))
        while offset < part.stop:
            stop.check()
            try:
                with self._file.use() as number:
                    size = os.preadv(number, [buffer[: part.stop - offset]], offset)
            except OSError:
                return None  # a bad sector: these bytes are fetched again
            if not size:
                return None
            crc = crc64(buffer[:size], crc)
            offset += size
        return crc

    def reset(self) -> None:
        """Discard all bytes in the file."""
        with self._file.use() as number, self._explained("emptied"):
            os.ftruncate(number, 0)

    # --- its end ------------------------------------------------------------------------------------------------------

    def flush(self, *, size: int, mode: int | None = None, mtime: float | None = None) -> None:
        """Flush it to the disk, so that it can be published. This takes as long as the disk needs.

        :param mode: its permissions; by default those of any new file
        :param mtime: its modification time in seconds since 1970; by default now
        :raises FlushFailed: if the disk did not write it; the part file is then removed
        """
        with self._file.use() as number, self._explained("finished"):
            os.ftruncate(number, size)
            set_mode(number, self.path, mode)
            if mtime is not None:
                os.utime(number, (mtime, mtime))
            flush(number, self.path)

    def publish(self, final: Path, *, mode: int | None = None, replaces: bool = True) -> None:
        """Rename it to its final name, after :meth:`flush`.

        :param mode: as for :meth:`flush`
        :param replaces: False: never overwrite an existing file
        :raises TargetChanged: if a file exists and must not be replaced
        """
        with self._file.use() as number:
            try:
                if not self._is_at_its_path(number):
                    raise LocalFileError(f"{self.path} was removed or replaced while the download wrote to it")
                if replaces:
                    os.replace(self.path, final)
                else:
                    move_to_free_name(self.path, final)
                if mode is not None and mode | PRIVATE != mode:
                    os.fchmod(number, mode)
            except OSError as error:
                raise LocalFileError(f"{self.path.name} could not become {final}: {reason(error)}") from error

    @contextmanager
    def _explained(self, what: str, offset: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            at = "" if offset is None else f" at byte {offset}"
            advice = f"; if files can be written only at their end here, {IN_ORDER}" if error.errno in REFUSED else ""
            raise LocalFileError(
                f"{self.path} cannot be {what}{at}: {reason(error)}{_numbers(error, self.path)}{advice}"
            ) from error


def remove_part_file(path: Path) -> None:
    """Remove a part file that is no longer needed, if it exists.

    :raises LocalFileError: if it cannot be removed
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LocalFileError(f"{path} is not needed any more, but it cannot be removed: {reason(error)}") from error


def _numbers(error: OSError, path: Path) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    free = os.statvfs(path.parent)
    return f"; {format_size(free.f_bavail * free.f_frsize)} are free in {path.parent}"
