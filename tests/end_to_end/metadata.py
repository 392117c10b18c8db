"""Airflow's metadata database, read behind Airflow's back: a SQLite file, or PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
SQLITE = "sqlite:///"


class Metadata:
    """Queries have `?` for values. One connection a query: callers come from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url

    def prepare(self) -> None:
        """Called when the tables are made."""
        if self._is_sqlite:
            # Readers and the writer do not wait for each other; kept in the file.
            self._in_sqlite("PRAGMA journal_mode = WAL", mode="rw")

    def rows(self, query: str, *values: str | int) -> Sequence[Row]:
        if self._is_sqlite:
            return self._in_sqlite(query, *values, mode="ro")
        import psycopg2
        from psycopg2 import extras

        dsn = self.url.replace("+psycopg2", "")
        with closing(psycopg2.connect(dsn, cursor_factory=extras.RealDictCursor)) as connection:
            for register in (extras.register_default_json, extras.register_default_jsonb):
                register(connection, loads=str)  # JSON as a text, as SQLite gives it
            with connection.cursor() as cursor:
                cursor.execute(query.replace("?", "%s"), values)
                return [{name: _plain(value) for name, value in row.items()} for row in cursor.fetchall()]

    def write(self, statement: str, *values: str | int) -> None:
        """For SQLite only."""
        self._in_sqlite(statement, *values, mode="rw")

    def has_table(self, name: str) -> bool:
        table, column = ("sqlite_master", "name") if self._is_sqlite else ("information_schema.tables", "table_name")
        return bool(self.rows(f"SELECT 1 FROM {table} WHERE {column} = ?", name))

    @property
    def _is_sqlite(self) -> bool:
        return self.url.startswith(SQLITE)

    def _in_sqlite(self, query: str, *values: str | int, mode: str) -> list[Row]:
        file = Path(self.url.removeprefix(SQLITE)).as_uri()
        with closing(sqlite3.connect(f"{file}?mode={mode}", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            with connection:
                return [dict(row) for row in connection.execute(query, values).fetchall()]


def as_utc(value: str | datetime | None) -> datetime | None:
    if not value:
        return None
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
