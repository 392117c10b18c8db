"""Tells whether a folder's file system treats names that differ only in case or Unicode form as the same name."""

from __future__ import annotations

import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from airflow_provider_ossresume.sets.locations.open_below import NO_FOLLOW
from airflow_provider_ossresume.transfer.publishing import PRIVATE


def folds_names(folder: Path) -> bool:
    """Return True if names are folded. It creates a private file, looks it up by other names, and removes it.

    If the folder does not exist yet, the nearest one above it is tested. If no file can be created, it returns False.
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    # It has the name of a part file, so that the janitor removes it if the process is killed here.
    name = f".é.{secrets.token_hex(6)}.ossresume-part"
    path = folder / name
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | NO_FOLLOW, PRIVATE)
    except OSError:
        return False
    try:
        made = os.fstat(descriptor)
        return any(
            _is_same_file(folder / other, made) for other in (_in_upper_case(name), unicodedata.normalize("NFD", name))
        )
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(path)


def _in_upper_case(name: str) -> str:
    """Return a name with its ASCII letters in upper case; some file systems ignore the case of ASCII letters only."""
    return "".join(each.upper() if each.isascii() else each for each in name)


def _is_same_file(path: Path, made: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), made)
    except OSError:
        return False
