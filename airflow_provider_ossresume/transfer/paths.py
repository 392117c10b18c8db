"""Names of local files as people write them, and as they can be shown."""

from __future__ import annotations

import os
from urllib.parse import unquote

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import refuse_empty


def local_path(file: object, *, argument: str = "file") -> str:
    """Return the path of a local file, with the home folder in the place of ``~`` or ``~user``.

    :raises ArgumentError: for what is no path, an empty one, one that no file can have, and a home folder that nobody
        knows
    """
    path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
    if not isinstance(path, str):
        raise ArgumentError(argument, file, f"give a path, not {type(file).__name__}")
    refuse_empty(argument, path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ArgumentError(argument, path, "no file has such a name (a lone surrogate); correct it") from None
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        home = path.partition("/")[0]
        raise ArgumentError(
            argument, path, f"this worker has no home folder for {home}; give an absolute path, or ./{path} for a "
            "file of that name here"
        )  # fmt: skip
    return expanded


def path_of_uri(uri: str) -> str:
    """Return the path that a ``file://`` URI names, as the file system has it."""
    return unquote(uri.removeprefix("file://"), errors="surrogateescape")


def printable_path(path: str) -> str:
    """Return a path as any text can have it: bytes that are not UTF-8 as ``\\xb1``. It then names no file any more."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
