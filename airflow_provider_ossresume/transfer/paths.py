"""Paths of local files: as people write them, and as text that can be shown."""

from __future__ import annotations

import os
from urllib.parse import unquote

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import refuse_empty


def local_path(file: object, *, argument: str = "file") -> str:
    """Return the path of a local file, with ``~`` or ``~user`` replaced by the home folder.

    :raises ArgumentError: if it is not a path, is empty, or is a name that no file can have; or if the home folder is
        not known
    """
    path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
    if not isinstance(path, str):
        raise ArgumentError(argument, file, f"give a path, not {type(file).__name__}")
    refuse_empty(argument, path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ArgumentError(
            argument, path, "no file can have this name (it has a lone surrogate); correct it"
        ) from None
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        home = path.partition("/")[0]
        raise ArgumentError(
            argument, path, f"this worker has no home folder for {home}; give an absolute path, or ./{path} if "
            "the file has that name"
        )  # fmt: skip
    return expanded


def path_of_uri(uri: str) -> str:
    """Return the path of a ``file://`` URI, as the file system knows it."""
    return unquote(uri.removeprefix("file://"), errors="surrogateescape")


def printable_path(path: str) -> str:
    """Return a path as text that can be shown, with bytes that are not UTF-8 as ``\\xb1``. It cannot be opened."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
