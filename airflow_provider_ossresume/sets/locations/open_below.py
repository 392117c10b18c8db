"""Opens files and folders below a folder, one path segment at a time and without following symbolic links.

So no name can lead out of the folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow_provider_ossresume.errors import LocalFileError, SourceChanged
from airflow_provider_ossresume.model.entries import printable
from airflow_provider_ossresume.model.file_errors import reason

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_FOLLOW = os.O_NOFOLLOW

# What Linux, macOS and FreeBSD answer if O_NOFOLLOW meets a link, or O_DIRECTORY something that is not a folder.
NOT_A_FOLDER = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})


def open_root(path: bytes) -> int:
    """Open the top folder. Its own path may contain links.

    :raises OSError: if it does not exist, is not a folder, or cannot be read
    """
    return os.open(path, FOLDER_FLAGS)


def open_folder(folder: int, name: bytes) -> int:
    """Open a folder within a folder.

    :raises OSError: also if it is a link
    """
    return os.open(name, FOLDER_FLAGS | NO_FOLLOW, dir_fd=folder)


@contextmanager
def opened_below(root: int, names: Sequence[bytes], *, make: bool = False) -> Iterator[int]:
    """Keep a folder below another one open during the block; errors as for :func:`open_folder_below`."""
    folder = open_folder_below(root, names, make=make)
    try:
        yield folder
    finally:
        os.close(folder)


def open_folder_below(root: int, names: Sequence[bytes], *, make: bool = False) -> int:
    """Open a folder below another one and return its descriptor, which the caller closes.

    :param names: of each folder in the path
    :param make: create folders that do not exist, with the default permissions of the process
    :raises OSError: if one of them is not a folder, or is a link
    """
    folder = os.dup(root)
    for name in names:
        try:
            inner = _open_or_make(folder, name) if make else open_folder(folder, name)
        finally:
            os.close(folder)
        folder = inner
    return folder


def resolve_links(root: bytes, name: str) -> list[bytes] | None:
    """Return the path segments that a name leads to below a folder; None if it leads out of it, or to nothing.

    Open the result without following links. Then a link that is created later cannot lead out of the folder.
    """
    top = os.path.realpath(root)
    path = os.path.realpath(os.path.join(top, name.rstrip("/").encode("utf-8", "surrogateescape")))
    if not os.path.lexists(path) or os.path.islink(path):
        return None
    if path == top:
        return []
    below = top if top.endswith(b"/") else top + b"/"
    return path[len(below) :].split(b"/") if path.startswith(below) else None


def _open_or_make(folder: int, name: bytes) -> int:
    try:
        return open_folder(folder, name)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another worker created it first
            os.mkdir(name, dir_fd=folder)
        return open_folder(folder, name)


def open_file(folder: int, name: bytes) -> int:
    """Open a regular file in a folder for reading. It never blocks, not even on a pipe.

    :raises SourceChanged: if it is not a regular file, such as a link
    :raises OSError: if it does not exist, or cannot be read
    """
    _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))  # opening a device may have side effects
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | NO_FOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise SourceChanged("it was replaced by a symbolic link") from error
        raise
    try:
        _check_regular(os.fstat(file))
    except BaseException:
        os.close(file)
        raise
    return file


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "something that is not a file"
        raise SourceChanged(f"it was replaced by {kind}")


def local_error(what: str, error: OSError) -> LocalFileError:
    """Return the LocalFileError for an OSError at a path below a folder."""
    if error.errno in NOT_A_FOLDER:
        segment = printable(os.fsencode(error.filename)) if error.filename else "a folder in its path"
        permanent = LocalFileError(f"{what}: {segment} is a symbolic link or a file, not a folder; move it away")
        permanent.retryable = False
        return permanent
    return LocalFileError(f"{what}: {reason(error)}")
