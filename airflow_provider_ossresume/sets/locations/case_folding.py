"""Tells whether a folder's file system takes two names for one that differ only in case, or in their Unicode form."""

from __future__ import annotations

import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from airflow_provider_ossresume.sets.locations.open_below import NO_LINK
from airflow_provider_ossresume.transfer.publishing import PRIVATE


def folds_names(folder: Path) -> bool:
    """Make a private file in the folder, look for it under other names, and remove it.

    A folder that does not exist yet is taken to be as the one above it. Where no file can be made, nothing tells.
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    # A part file's name, so that the janitor removes what a process has left that was killed in between.
    name = f".é.{secrets.token_hex(6)}.ossresume-part"
    path = folder / name
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | NO_LINK, PRIVATE)
    except OSError:
        return False
    try:
        made = os.fstat(descriptor)
        return any(_is(folder / other, made) for other in (_raised(name), unicodedata.normalize("NFD", name)))
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(path)


def _raised(name: str) -> str:
    """Return a name with its plain letters in upper case; not all file systems know the case of others."""
    return "".join(each.upper() if each.isascii() else each for each in name)


def _is(path: Path, made: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), made)
    except OSError:
        return False
