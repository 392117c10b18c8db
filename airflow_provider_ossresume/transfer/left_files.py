"""Finds files that ended tries have left behind, by their names, and removes those that are old enough.

A file is removed only while this code holds its lock, which is the one that a download holds on its part file. So no
try uses the file, and none can start to. Files with other names, files that are not regular, and everything behind a
symbolic link are ignored.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError
from airflow_provider_ossresume.model.leftover_files import LeftoverFile, LeftoverFilesReport
from airflow_provider_ossresume.transfer.paths import printable_path

log = logging.getLogger(__name__)

# A regular expression for the names that `part_file_name` returns, and for part files on file systems without locks.
# Bytes, because a name need not be UTF-8.
PART_FILE = rb"\.((?s:.+)\.[0-9a-f]{12}|[0-9a-f]{16})\.ossresume-part"


def clean_left_files(
    folders: Iterable[str | os.PathLike[str]],
    *,
    older_than: timedelta,
    recursive: bool = False,
    dry_run: bool = True,
    name: bytes = PART_FILE,
    now: Callable[[], float] = time.time,
    watch: Callable[[], None] = lambda: None,
) -> LeftoverFilesReport:
    """Remove the part files in folders that are older than an age, or report which ones would be removed.

    A file that cannot be removed does not stop the others. If one of ``folders`` cannot be read, it counts as failed; a
    folder below them is only named in the report.

    :param folders: absolute paths; ``~`` is the home folder
    :param older_than: the age counts from the last change of the file's bytes or of its metadata
    :param recursive: also clean the folders below them; symbolic links are not followed
    :param name: a regular expression for the whole name, for other files than part files
    :param now: returns seconds since 1970
    :param watch: called before each folder and file; an error that it raises ends the work
    :raises ArgumentError: if a folder is relative, or is the root of the file system
    """
    report = LeftoverFilesReport(dry_run)
    known: set[tuple[int, int]] = set()
    for top in [_checked(folder) for folder in folders]:
        waiting: list[tuple[str, os.stat_result | None]] = [(top, None)]
        while waiting:
            watch()
            path, expected = waiting.pop()
            try:
                with _opened(path, expected) as folder:
                    found = os.fstat(folder)
                    if (found.st_dev, found.st_ino) in known:  # named twice, or below another one of the folders
                        continue
                    known.add((found.st_dev, found.st_ino))
                    files, folders_below = _listed(folder, name)
                    waiting += [(os.path.join(path, each), seen) for each, seen in folders_below] if recursive else []
                    for each in files:
                        watch()
                        left = _cleaned(folder, path, each, older_than=older_than, dry_run=dry_run, now=now())
                        _log(left)
                        report.add(left)
            except OSError as error:
                reason = LocalFileError(f"the folder cannot be read on this worker: {error.strerror}")
                log.warning("Could not check %s: %s", printable_path(path), reason)
                report.add_unread(printable_path(path), reason, is_named=path == top)
    log.info("Checked %s", str(report))
    report.seal()
    return report


def _checked(folder: str | os.PathLike[str]) -> str:
    path = os.path.expanduser(os.fspath(folder))
    if not os.path.isabs(path) or "\0" in path:
        raise ArgumentError(
            "folder", str(folder), "give an absolute path, because Airflow chooses the working folder of a task"
        )
    if os.path.realpath(path) == os.sep:
        raise ArgumentError(
            "folder", str(folder), "this is the root of the file system; give the folder that your downloads go to"
        )
    return path


@contextmanager
def _opened(path: str, expected: os.stat_result | None) -> Iterator[int]:
    """Open a folder. One below the caller's folders must still be the one that was found there."""
    no_link = 0 if expected is None else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_link)
    try:
        if expected is not None and not os.path.samestat(expected, os.fstat(descriptor)):
            raise OSError(errno.ESTALE, "it was replaced meanwhile")
        yield descriptor
    finally:
        os.close(descriptor)


def _listed(folder: int, name: bytes) -> tuple[list[str], list[tuple[str, os.stat_result]]]:
    """Return the names of matching files in a folder, and the folders in it."""
    files: list[str] = []
    folders: list[tuple[str, os.stat_result]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                try:
                    folders.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
            elif re.fullmatch(name, os.fsencode(entry.name)) and entry.is_file(follow_symlinks=False):
                files.append(entry.name)
    return sorted(files), sorted(folders, key=lambda each: each[0], reverse=True)  # the last one is taken first


def _cleaned(folder: int, path: str, name: str, *, older_than: timedelta, dry_run: bool, now: float) -> LeftoverFile:
    left = LeftoverFile(printable_path(os.path.join(path, name)), "young")
    try:
        seen = _stat(folder, name)
        # A try that ended right before it published has set the part file's mtime to that of the object.
        age = timedelta(seconds=now - max(seen.st_mtime, seen.st_ctime))
        left = replace(left, size=seen.st_size, age=age)
        if age <= older_than:
            return left
        with _held(folder, name) as file:
            if not _stamp(seen) == _stamp(_stat(folder, name)) == _stamp(os.fstat(file)):
                return left  # it changed since
            if not dry_run:
                os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return replace(left, fate="vanished")
    except _Locked as error:
        return replace(left, fate="locked", error=LocalFileError(str(error)))
    except OSError as error:
        return replace(left, fate="failed", error=LocalFileError(f"it cannot be removed: {error.strerror}"))
    return replace(left, fate="would remove" if dry_run else "removed")


class _Locked(Exception):
    """A try uses the file, or may use it."""


@contextmanager
def _held(folder: int, name: str) -> Iterator[int]:
    """Hold a file's lock, which a download holds while it writes.

    :raises _Locked: if a try holds it, or if that cannot be tested
    """
    try:
        file = _opened_file(folder, name)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _Locked(f"its lock cannot be tested: {error.strerror}") from error
    try:
        _lock(file)
        yield file
    finally:
        os.close(file)


def _lock(file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _Locked("a try holds its lock") from error
    except OSError as error:
        raise _Locked(f"its lock cannot be tested: {error.strerror}") from error


def _opened_file(folder: int, name: str) -> int:
    """Open a file, for writing if that is allowed: NFS requires it for the lock."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, os.O_RDWR | flags, dir_fd=folder)
    except PermissionError:
        return os.open(name, os.O_RDONLY | flags, dir_fd=folder)


def _stat(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _log(left: LeftoverFile) -> None:
    if left.fate in ("failed", "locked"):
        log.warning("Kept %s: %s", left, left.error)
    elif left.fate == "removed":
        log.info("Removed %s", left)
    elif left.fate == "would remove":
        log.info("Would remove %s", left)
