"""Airflow's metadata database, read behind Airflow's back: a SQLite file, or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
SQLITE = "sqlite:///"


class Metadata:
    """Queries have `?` for values. Callers come from several threads.

    One connection a query to SQLite, one a thread to PostgreSQL, which starts a process for each.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._tables: dict[str, bool] = {}
        self._of_thread = threading.local()

    def prepare(self) -> None:
        """Called when the tables are made."""
        if self._is_sqlite:
            # Readers and the writer do not wait for each other; kept in the file.
            self._in_sqlite("PRAGMA journal_mode = WAL", mode="rw")

    def rows(self, query: str, *values: str | int) -> Sequence[Row]:
        if self._is_sqlite:
            return self._in_sqlite(query, *values, mode="ro")
        return [{name: _plain(value) for name, value in row.items()} for row in self._in_postgres(query, *values) or ()]

    def write(self, statement: str, *values: str | int) -> None:
        if self._is_sqlite:
            self._in_sqlite(statement, *values, mode="rw")
        else:
            self._in_postgres(statement, *values)

    def has_table(self, name: str) -> bool:
        """Return whether it is there; asked once of each, when all tables are made."""
        if name not in self._tables:
            of = ("sqlite_master", "name") if self._is_sqlite else ("information_schema.tables", "table_name")
            self._tables[name] = bool(self.rows(f"SELECT 1 FROM {of[0]} WHERE {of[1]} = ?", name))
        return self._tables[name]

    @property
    def _is_sqlite(self) -> bool:
        return self.url.startswith(SQLITE)

    def _in_sqlite(self, query: str, *values: str | int, mode: str) -> list[Row]:
        file = Path(self.url.removeprefix(SQLITE)).as_uri()
        with closing(sqlite3.connect(f"{file}?mode={mode}", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            with connection:
                return [dict(row) for row in connection.execute(query, values).fetchall()]

    def _in_postgres(self, query: str, *values: str | int) -> list[Row] | None:
        """Return the rows, None for a statement that has none. A connection that was cut is made anew, once."""
        import psycopg2

        try:
            return self._by_connection(query, *values)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._of_thread.connection = None
            return self._by_connection(query, *values)

    def _by_connection(self, query: str, *values: str | int) -> list[Row] | None:
        import psycopg2
        from psycopg2 import extras

        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            dsn = self.url.replace("+psycopg2", "")
            connection = psycopg2.connect(dsn, cursor_factory=extras.RealDictCursor)
            connection.autocommit = True
            for register in (extras.register_default_json, extras.register_default_jsonb):
                register(connection, loads=str)  # JSON as a text, as SQLite gives it
            self._of_thread.connection = connection
        with connection.cursor() as cursor:
            cursor.execute(query.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else None


def as_utc(value: str | datetime | None) -> datetime | None:
    if not value:
        return None
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
