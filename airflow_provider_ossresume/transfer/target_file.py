"""Checks the path of a download before a byte moves."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError
from airflow_provider_ossresume.model.file_errors import is_passing, reason


class TargetChanged(LocalFileError):
    """The file at the final name is not the one that was there when the download began."""


def check_target_file(file: str | os.PathLike[str], *, create_parents: bool) -> Path:
    """Return the absolute path of the file to download.

    :raises ArgumentError: if it is a folder, or its folder is missing or not writable
    :raises LocalFileError: if its mount has crashed, or does not answer now
    """
    path = Path(file).absolute()
    text = os.fspath(file)
    if "\0" in text:
        raise ArgumentError("file", text, "a path cannot contain a NUL character; remove it")
    if _found(path.parent, text) is None and create_parents:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError("file", text, f"its folder cannot be created: {reason(error)}") from error
    kind = _found(path, text)
    if text.endswith(os.sep) or kind == stat.S_IFDIR:
        raise ArgumentError("file", text, "it is a folder; name a file")
    if kind not in (None, stat.S_IFREG):
        raise ArgumentError(
            "file", text, "it is not a regular file, and a download would replace it; name another path"
        )
    folder = _found(path.parent, text)
    if folder is None:
        raise ArgumentError("file", text, f"the folder {path.parent} does not exist; create it or set create_parents")
    if folder != stat.S_IFDIR:
        raise ArgumentError("file", text, f"its folder cannot be created: {path.parent} exists and is not a folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ArgumentError(
            "file",
            text,
            f"the folder {path.parent} is not writable for this worker's user; choose another one",
        )
    return path


def check_replaceable(path: Path) -> None:
    """:raises ArgumentError: if the existing file is a mount point, which no other file can replace"""
    try:
        is_mounted = _mount(path, os.O_NOFOLLOW) != _mount(path.parent)
    except OSError:  # there is no file, or the mount cannot be read
        return
    if is_mounted:
        raise ArgumentError(
            "file", str(path), "this file is a mount point (a bind mount, a Docker or Kubernetes subPath), so a "
            "download cannot replace it; mount its folder instead, or download to another path and copy the bytes",
        )  # fmt: skip


def _found(path: Path, text: str) -> int | None:
    """Return the type of the file, such as ``stat.S_IFREG``; None if there is none."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        if is_passing(error):
            raise LocalFileError(f"the file system could not look up {path}: {reason(error)}") from error
        # for example because the name is too long
        raise ArgumentError("file", text, f"no file can be created there: {reason(error)}") from error


def _mount(path: Path, flags: int = 0) -> object:
    """Return what identifies the mount of a file: its mount ID on Linux, else the device."""
    number = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | flags)
    try:
        try:
            with open(f"/proc/self/fdinfo/{number}", "rb", buffering=0) as file:
                facts = file.read(1024)
        except OSError:
            facts = b""
        # The device is not enough: a bind mount may be on the same one.
        found = re.search(rb"mnt_id:\s*(\d+)", facts)
        return int(found[1]) if found else os.fstat(number).st_dev
    finally:
        os.close(number)
