"""The last steps of a download: sets permissions, flushes to the disk, and renames."""

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
AT_FDCWD = -100  # Linux: relative paths begin at the working directory


class FlushFailed(LocalFileError):
    """The disk may not have stored the bytes, even if they can be read now. The file has been removed."""


def set_mode(number: int, path: Path, mode: int | None) -> None:
    """Set the permissions of an open file. The owner can always write to it, so that a later try can resume.

    :param mode: None: those that any new file gets in that folder
    :raises OSError: if ``mode`` cannot be set
    """
    has = stat.S_IMODE(os.fstat(number).st_mode)
    if mode is None and has != PRIVATE:
        return  # the file system gives all files the same permissions
    try:
        wanted = new_file_mode(path.parent) if mode is None else mode
        if has not in (wanted, wanted | PRIVATE):
            os.fchmod(number, wanted | PRIVATE)
    except OSError as error:
        if mode is not None:
            raise
        log.warning("%s keeps the permissions %04o, because they could not be changed: %s", path, has, reason(error))


def flush(number: int, path: Path) -> None:
    """Flush an open file to the disk. If the file system cannot flush files, log a warning.

    :raises FlushFailed: if the disk fails; the file is then removed
    """
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno in REFUSED:
            log.warning("%s: this file system cannot flush files (%s); a power cut may lose it", path, reason(error))
            return
        # Linux reports this only once, and then treats the pages as written, so reading them proves nothing. The report
        # may come after the transfer has ended. The lock is still held then, and the next try, in another process, can
        # notice the failure only because the file is gone.
        with suppress(OSError):
            os.ftruncate(number, 0)
        with suppress(OSError):
            os.unlink(path)
        raise FlushFailed(f"{path} could not be flushed to the disk, so it was removed: {reason(error)}") from error


def move_to_free_name(source: Path, target: Path) -> None:
    """Rename a file without overwriting another one.

    ``renameat2`` guarantees that on local disks, a hard link on NFS. If the file system has neither, an empty file
    takes the name first; then only a file that replaces it within microseconds is overwritten.

    :raises TargetChanged: if a file has the name
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
    """Call ``renameat2`` with ``RENAME_NOREPLACE``. Errors are OSErrors; ENOSYS if the system has no such call."""
    import ctypes  # here, because few transfers need it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def new_file_mode(folder: Path) -> int:
    """Return the permissions of a new file in a folder, from the umask or the folder's default ACL."""
    umask = re.search(rb"\nUmask:\s*([0-7]+)", _read("/proc/self/status"))  # os.umask() changes it for all threads
    if umask and not _has_default_acl(folder):
        return 0o666 & ~int(umask[1], 8)
    probe = (
        folder / f".{os.urandom(8).hex()}.ossresume-part"
    )  # if the process is killed here, the janitor finds it by its name
    number = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)
        os.unlink(probe)


def _has_default_acl(folder: Path) -> bool:
    try:
        return bool(os.getxattr(folder, "system.posix_acl_default"))
    except (OSError, AttributeError):  # there is none, or it cannot be read; macOS has no such function
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b""


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that a rename is kept. Errors are ignored: some file systems cannot do it."""
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
        if not os.path.samestat(
            os.lstat(source), os.lstat(target)
        ):  # NFS: the link may exist, and only the answer be lost
            raise
    os.unlink(source)


def _taken(target: Path) -> TargetChanged:
    return TargetChanged(f"{target} was created during the download, and if_exists='fail' forbids overwriting it")


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
