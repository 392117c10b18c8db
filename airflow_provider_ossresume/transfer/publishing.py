"""The last steps of a file that becomes another one's successor: permissions, the disk, the name."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.file_errors import REFUSED, reason
from airflow_provider_ossresume.transfer.target_file import TargetChanged

log = logging.getLogger(__name__)

PRIVATE = 0o600
NO_LINKS = REFUSED | {errno.EPERM, errno.EACCES, errno.EMLINK}  # FAT says EPERM

RENAME_NOREPLACE = 1  # Linux: renameat2(2)
AT_FDCWD = -100  # the same: paths are as the process sees them


class FlushFailed(LocalFileError):
    """What was written may not be on the disk, whatever is read of it now. The file has been thrown away."""


def set_mode(number: int, path: Path, mode: int | None) -> None:
    """Give an open file its permissions. Its owner may go on writing to it, should this try be killed.

    :param mode: None for those that any new file gets there
    :raises OSError: when it cannot have those that are asked for
    """
    has = stat.S_IMODE(os.fstat(number).st_mode)
    if mode is None and has != PRIVATE:
        return  # a file system that gives all files the same
    try:
        wanted = new_file_mode(path.parent) if mode is None else mode
        if has not in (wanted, wanted | PRIVATE):
            os.fchmod(number, wanted | PRIVATE)
    except OSError as error:
        if mode is not None:
            raise
        log.warning("%s keeps the permissions %04o, because they could not be changed: %s", path, has, reason(error))


def flush(number: int, path: Path) -> None:
    """Put an open file on the disk. A file system that flushes no file is warned about.

    :raises FlushFailed: when the disk fails; the file is removed then
    """
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno in REFUSED:
            log.warning("%s: this file system cannot flush files (%s); a power cut may lose it", path, reason(error))
            return
        # Linux tells it once, and takes the pages for written from then on: to read them would prove nothing. A disk
        # may tell it when the transfer has ended. The lock is still held then, and only the file's absence tells the
        # next try, which is another process.
        with suppress(OSError):
            os.ftruncate(number, 0)
        with suppress(OSError):
            os.unlink(path)
        raise FlushFailed(f"{path} did not get to the disk, so it was thrown away: {reason(error)}") from error


def move_to_free_name(source: Path, target: Path) -> None:
    """Rename a file, by an operation that cannot overwrite where the file system has one.

    ``renameat2`` is one on local disks, a hard link over NFS. Where there is neither, an empty file takes the name
    first: only who replaces that file within microseconds is overwritten.

    :raises TargetChanged: when something has the name
    """
    for move, absent in ((rename_without_replacing, REFUSED), (_link, NO_LINKS)):
        try:
            return move(source, target)
        except FileExistsError as error:
            raise _taken(target) from error
        except OSError as error:
            if error.errno not in absent:
                raise
    _take_and_replace(source, target)


def rename_without_replacing(source: Path, target: Path) -> None:
    """As ``renameat2`` with ``RENAME_NOREPLACE``. Errors are OSErrors, ENOSYS where the system has no such call."""
    import ctypes  # here: nearly nobody needs it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def new_file_mode(folder: Path) -> int:
    """Return the permissions that a new file gets in a folder, by the umask or the folder's default ACL."""
    umask = re.search(rb"\nUmask:\s*([0-7]+)", _read("/proc/self/status"))  # os.umask() changes it for all threads
    if umask and not _has_default_acl(folder):
        return 0o666 & ~int(umask[1], 8)
    probe = folder / f".{os.urandom(8).hex()}.ossresume-part"  # if we are killed here, the janitor knows the name
    number = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)
        os.unlink(probe)


def _has_default_acl(folder: Path) -> bool:
    try:
        return bool(os.getxattr(folder, "system.posix_acl_default"))
    except (OSError, AttributeError):  # there is none, or it cannot be had; macOS has no such function
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b""


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk. Some network file systems cannot; the files themselves are there by then."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        if not os.path.samestat(os.lstat(source), os.lstat(target)):  # NFS: it may be made, and its answer lost
            raise
    os.unlink(source)


def _taken(target: Path) -> TargetChanged:
    return TargetChanged(f"{target} was written while it was downloaded, and if_exists='fail' forbids to overwrite it")


def _take_and_replace(source: Path, target: Path) -> None:
    try:
        claim = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    except FileExistsError as error:
        raise _taken(target) from error
    try:
        if not os.path.samestat(os.fstat(claim), os.lstat(target)):
            raise _taken(target)
        os.replace(source, target)
    except OSError:
        with suppress(OSError):
            os.unlink(target)
        raise
    finally:
        os.close(claim)
