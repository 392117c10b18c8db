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
    """Where a download grows, beside its final name; held under a lock, so it has one writer at a time.

    On a file system without locks each try has one of its own, which no other one goes on with. Its methods may be
    called by any thread, but by none beside ``lock``.

    :ivar name: the one that all tries of a download have for it
    :ivar is_new: True when it did not exist before
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._is_closed = False
        self._file = self._open()

    def _open(self) -> Descriptor:
        # Not through a symlink: whoever may write to the folder must not make us write elsewhere.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.is_new = not os.path.exists(self.path)
            return Descriptor(self.path, flags, PRIVATE, is_private=True)
        except OSError as error:
            raise LocalFileError(f"{self.path} cannot be opened for writing: {reason(error)}") from error

    def lock(self) -> bool:
        """Become its one writer; False when somebody else is. Held until close, or the end of the process."""
        with self._file.use() as number:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # the latter by CIFS
                return False
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise LocalFileError(f"{self.path} cannot be locked: {reason(error)}") from error
                self._check_open()
                self._become_own()
                return True
            self._check_open()
            if self._is_at_its_path(number):
                if os.fstat(number).st_nlink > 1:  # a try that was killed has published it, or it is somebody else's
                    remove_part_file(self.path)
                else:
                    self._make_private(number)
                    return True
        # The former writer published or removed it meanwhile, and a third one may have begun another.
        self._reopen()
        return self.lock()

    def _become_own(self) -> None:
        log.warning("%s is on a file system without locks; a later try cannot go on with this download", self.path)
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
        """:raises TransferStopped: when the task's thread has closed it, while a worker waited for the disk"""
        if self._is_closed:
            raise TransferStopped("the transfer has ended, its part file is closed")

    def is_found(self, found: os.stat_result) -> bool:
        """True when something that was found is this file, whatever its name is now."""
        with self._file.use() as number:
            return os.path.samestat(os.fstat(number), found)

    def _is_at_its_path(self, number: int) -> bool:
        try:
            return os.path.samestat(os.fstat(number), os.lstat(self.path))  # a link to it is not it
        except FileNotFoundError:
            return False

    def _make_private(self, number: int) -> None:
        if stat.S_IMODE(os.fstat(number).st_mode) != PRIVATE:  # of 0.1, or of a try that was killed at its end
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
        if self.path.name != self.name:  # its own; published it is there no more
            with suppress(OSError):
                os.unlink(self.path)

    # --- what can be refused before a byte moves ----------------------------------------------------------------------

    def check_space(self, size: int) -> None:
        """:raises LocalFileError: when growing to ``size`` bytes needs more than the file system has free"""
        with self._file.use() as number:
            free = os.fstatvfs(number)
            needed = size - os.fstat(number).st_blocks * 512
        available = free.f_bavail * free.f_frsize
        if free.f_blocks and needed > available:  # a file system that has 0 blocks in all tells nothing
            raise LocalFileError(
                f"{self.path.parent} has {format_size(available)} free, the download needs {format_size(needed)} more; "
                "free some space or choose another folder"
            )

    def check_any_order(self) -> None:
        """Try to write behind the end of the file, as several workers do.

        :raises ArgumentError: when the file system takes writes at the end only, as mounts of object storage do
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
                    "file", str(self.path.parent), f"this folder only lets a file grow at its end; {IN_ORDER}"
                ) from error
            os.ftruncate(number, 0)

    def check_mode(self, mode: int) -> None:
        """:raises LocalFileError: when the file system keeps no permissions, so that the file cannot have these"""
        with self._file.use() as number:
            has = stat.S_IMODE(os.fstat(number).st_mode)
        if has not in (PRIVATE, mode):
            raise LocalFileError(
                f"{self.path} cannot get the mode {mode:04o}: this file system gives each file {has:04o}"
            )

    # --- its bytes ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of the data; errors are LocalFileErrors with the numbers."""
        view = memoryview(data)
        with self._file.use() as number, self._explained("written", offset):
            while view:
                size = os.pwrite(number, view, offset)
                view, offset = view[size:], offset + size
                self._check_open()  # a disk may have held it up until nobody waits for it

    def crc64_of(self, part: Part, stop: Stop) -> int | None:
        """Return the CRC-64 of the part's bytes, or None when the file is shorter or cannot be read."""
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
        """Forget everything in it."""
        with self._file.use() as number, self._explained("emptied"):
            os.ftruncate(number, 0)

    # --- its end ------------------------------------------------------------------------------------------------------

    def flush(self, *, size: int, mode: int | None = None, mtime: float | None = None) -> None:
        """Put it on the disk, ready to be published. It may take as long as the disk does.

        :param mode: its permissions; those of any new file by default
        :param mtime: its time of modification, in seconds since 1970; now by default
        :raises FlushFailed: when the disk did not take it; the part file is gone then
        """
        with self._file.use() as number, self._explained("finished"):
            os.ftruncate(number, size)
            set_mode(number, self.path, mode)
            if mtime is not None:
                os.utime(number, (mtime, mtime))
            flush(number, self.path)

    def publish(self, final: Path, *, mode: int | None = None, replaces: bool = True) -> None:
        """Put it under its final name, at once and whole, when it is on the disk.

        :param mode: as for :meth:`flush`
        :param replaces: False to never overwrite what stands under the final name
        :raises TargetChanged: when something stands there, and is not to be replaced
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
            advice = f"; where writes are taken at the end of a file only, {IN_ORDER}" if error.errno in REFUSED else ""
            raise LocalFileError(
                f"{self.path} cannot be {what}{at}: {reason(error)}{_numbers(error, self.path)}{advice}"
            ) from error


def remove_part_file(path: Path) -> None:
    """Remove a part file that is of no use any more, if there is one.

    :raises LocalFileError: when it cannot be removed
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LocalFileError(f"{path} is not needed any more and cannot be removed: {reason(error)}") from error


def _numbers(error: OSError, path: Path) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    free = os.statvfs(path.parent)
    return f"; {format_size(free.f_bavail * free.f_frsize)} are free in {path.parent}"
