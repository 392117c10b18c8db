"""A private database in a temporary file, which disappears when the process ends, however it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_ossresume.errors import LocalFileError


def temporary_database(tables: str, *, cached_statements: int = 128) -> sqlite3.Connection:
    """Return an empty database with these tables, for use in one thread. The caller closes it.

    :param tables: an SQL script
    :param cached_statements: as for ``sqlite3.connect``
    """
    # SQLite: an empty name means a private temporary file.
    database = sqlite3.connect("", isolation_level=None, cached_statements=cached_statements)
    database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {tables}")
    return database


@contextmanager
def sqlite_errors(content: str) -> Iterator[None]:
    """Raise LocalFileError in place of an error of SQLite.

    :param content: what the temporary file is for, for the message
    """
    try:
        yield
    except sqlite3.Error as error:
        raise LocalFileError(
            f"the temporary file for {content} cannot be used: {error}; check that TMPDIR has space"
        ) from error
