"""Opens what lies below a folder, segment by segment, through no symbolic link: so nothing leads out of the folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow_provider_ossresume.errors import LocalFileError, SourceChanged
from airflow_provider_ossresume.model.file_errors import reason

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_LINK = os.O_NOFOLLOW

# What Linux, macOS and FreeBSD answer when a link stands where O_NOFOLLOW meets it, or no folder where one is wanted.
NOT_A_FOLDER = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})


def open_root(path: bytes) -> int:
    """Open the folder that a set lies in; its own path may lead through links.

    :raises OSError: when it is not there, is no folder, or cannot be read
    """
    return os.open(path, FOLDER)


def open_folder(folder: int, name: bytes) -> int:
    """Open a folder in a folder.

    :raises OSError: also when it is a link
    """
    return os.open(name, FOLDER | NO_LINK, dir_fd=folder)


@contextmanager
def opened_below(root: int, names: Sequence[bytes], *, make: bool = False) -> Iterator[int]:
    """Open a folder below another one for the time of the block; errors as in :func:`take_folder_below`."""
    folder = take_folder_below(root, names, make=make)
    try:
        yield folder
    finally:
        os.close(folder)


def take_folder_below(root: int, names: Sequence[bytes], *, make: bool = False) -> int:
    """Open a folder below another one, and return its descriptor, which is the caller's to close.

    :param names: of the folders on the way, and of the last one
    :param make: those that do not exist, with the permissions that the process gives to new folders
    :raises OSError: when there is something else in one's place, a link too
    """
    folder = os.dup(root)
    for name in names:
        try:
            inner = _made(folder, name) if make else open_folder(folder, name)
        finally:
            os.close(folder)
        folder = inner
    return folder


def names_behind(root: bytes, name: str) -> list[bytes] | None:
    """Return where a name leads to below a folder, by the links that there are now; None for elsewhere and nowhere.

    Whoever opens it goes through no link any more: so one that is made afterwards leads nowhere either.
    """
    top = os.path.realpath(root)
    path = os.path.realpath(os.path.join(top, name.rstrip("/").encode("utf-8", "surrogateescape")))
    if not os.path.lexists(path) or os.path.islink(path):
        return None
    if path == top:
        return []
    below = top if top.endswith(b"/") else top + b"/"
    return path[len(below) :].split(b"/") if path.startswith(below) else None


def _made(folder: int, name: bytes) -> int:
    try:
        return open_folder(folder, name)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another worker was faster
            os.mkdir(name, dir_fd=folder)
        return open_folder(folder, name)


def open_file(folder: int, name: bytes) -> int:
    """Open a regular file of a folder for reading. It waits for nobody, as for the writer of a pipe.

    :raises SourceChanged: when it is something else, such as a link
    :raises OSError: when it is not there, or cannot be read
    """
    _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))  # opening a device may already do something
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | NO_LINK, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise SourceChanged("a symbolic link has taken its place") from error
        raise
    try:
        _check_regular(os.fstat(file))
    except BaseException:
        os.close(file)
        raise
    return file


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "something else than a file"
        raise SourceChanged(f"{kind} has taken its place")


def refused(what: str, error: OSError) -> LocalFileError:
    """Return what an error of the system means for a path below a folder."""
    if error.errno in NOT_A_FOLDER:
        permanent = LocalFileError(f"{what}: a symbolic link, or a file, is in the place of a folder on the way to it")
        permanent.retryable = False
        return permanent
    return LocalFileError(f"{what}: {reason(error)}")
