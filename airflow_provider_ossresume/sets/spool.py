"""Keeps rows in a temporary database while a plan or a finish runs, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from airflow_provider_ossresume.model.batch_assignment import (
    LARGE,
    LargeFileAssigner,
    SmallFileShare,
    small_file_shares,
)
from airflow_provider_ossresume.model.manifest import Fact, Named, Result, Row, Victim
from airflow_provider_ossresume.sets.temporary_database import sqlite_errors, temporary_database

ROWS_PER_WRITE = 1_000  # rows that are in memory before they are written
CACHE_KIB = 8 * 1024  # KiB of memory for pages of the database

_CONTENT = "the rows of a plan"
_TABLES = f"""
PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE small (rank INTEGER PRIMARY KEY, number INTEGER, name TEXT, size INTEGER, identity TEXT, was TEXT);
CREATE TABLE large (number INTEGER PRIMARY KEY, name TEXT, size INTEGER, identity TEXT, was TEXT);
CREATE TABLE dealt (batch INTEGER, number INTEGER, PRIMARY KEY (batch, number)) WITHOUT ROWID;
CREATE TABLE victim (name TEXT, size INTEGER, identity TEXT);
CREATE TABLE named (name TEXT, reason TEXT, detail TEXT);
CREATE TABLE fact (name TEXT PRIMARY KEY, size INTEGER, source TEXT, target TEXT, crc64 TEXT) WITHOUT ROWID;
CREATE TABLE expected (name TEXT PRIMARY KEY, size INTEGER, target TEXT, result TEXT) WITHOUT ROWID;
CREATE TABLE listed (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_SMALL = """
WITH RECURSIVE mine (rank) AS (SELECT :first UNION ALL SELECT rank + :step FROM mine WHERE rank + :step < :count)
SELECT number, name, size, identity, was FROM mine JOIN small USING (rank) WHERE :first < :count
"""
_LARGE = "SELECT number, name, size, identity, was FROM dealt JOIN large USING (number) WHERE batch = ?"


@dataclass(frozen=True)
class ExpectedFile:
    """A file in the target, as the ledger describes it.

    :ivar size: in bytes
    :ivar target: its identity; empty if the identity could not show a later change
    :ivar result: the result of its row
    """

    name: str
    size: int
    target: str
    result: Result


class Spool:
    """A private database in a temporary file. It disappears when the process ends, however it ends.

    :raises LocalFileError: from every method, if the disk for temporary files (``TMPDIR``) is full or fails
    """

    def __init__(self) -> None:
        with sqlite_errors(_CONTENT):
            self._database = temporary_database(_TABLES, cached_statements=32)
        self._unwritten: dict[str, list[tuple[object, ...]]] = {}
        self.rows = self.size = self.victims = self.named = self.facts = 0
        self._small = 0
        self._shares: dict[int, SmallFileShare] = {}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    # --- rows of the batches ------------------------------------------------------------------------------------------

    def add_row(self, *, name: str, size: int, identity: str, was: str | None) -> None:
        """Add a file to move. Files come in the order of their names and are numbered from 1."""
        self.rows += 1
        self.size += size
        if size >= LARGE:
            self._put("large", (self.rows, name, size, identity, was))
        else:
            self._put("small", (self._small, self.rows, name, size, identity, was))
            self._small += 1

    def assign_batches(self, batches: int) -> None:
        """Assign each row to one of the batches."""
        self._write_all()
        dealer = LargeFileAssigner(batches)
        largest_first = self._select("SELECT size, number FROM large ORDER BY size DESC, number")
        with sqlite_errors(_CONTENT):
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO dealt VALUES (?, ?)", dealer.assign(largest_first))
            self._database.execute("COMMIT")
        self._shares = small_file_shares(dealer.emptiest_first())

    def rows_of(self, batch: int) -> Iterator[Row]:
        """Yield the rows of a batch: the large files first, then the others in the order of their names."""
        share = self._shares[batch]
        yield from (Row(*values) for values in self._select(_LARGE, (batch,)))
        named = {"first": share.first, "step": share.step, "count": self._small}
        yield from (Row(*values) for values in self._select(_SMALL, named))

    def first_names(self, count: int) -> list[str]:
        """Return the first names among all rows."""
        query = "SELECT number, name FROM small UNION ALL SELECT number, name FROM large ORDER BY number LIMIT ?"
        return [str(name) for _, name in self._select(query, (count,))]

    # --- the rest -----------------------------------------------------------------------------------------------------

    def add_victim(self, victim: Victim) -> None:
        self.victims += 1
        self._put("victim", (victim.name, victim.size, victim.identity))

    def all_victims(self) -> Iterator[Victim]:
        return (Victim(*values) for values in self._select("SELECT * FROM victim ORDER BY rowid"))

    def remove_victims(self, is_spared: Callable[[str], bool], *, watch: Callable[[], None]) -> int:
        """Remove victims by their names, and return how many were removed."""
        named = enumerate(self._select("SELECT rowid, name FROM victim"))
        spared = []
        for number, (row, name) in named:
            if not number % ROWS_PER_WRITE:
                watch()
            if is_spared(name):
                spared.append((row,))
        with sqlite_errors(_CONTENT):
            self._database.execute("BEGIN")
            self._database.executemany("DELETE FROM victim WHERE rowid = ?", spared)
            self._database.execute("COMMIT")
        self.victims -= len(spared)
        return len(spared)

    def add_named(self, named: Named) -> None:
        self.named += 1
        self._put("named", (named.name, named.reason, named.detail))

    def all_named(self) -> Iterator[Named]:
        return (Named(*values) for values in self._select("SELECT * FROM named ORDER BY rowid"))

    def add_fact(self, fact: Fact) -> None:
        """Add a fact. It replaces an earlier fact of the same name."""
        self.facts += 1
        crc64 = None if fact.crc64 is None else str(fact.crc64)  # SQLite's numbers have a sign
        self._put("fact", (fact.name, fact.size, fact.source, fact.target, crc64))

    def all_facts(self) -> Iterator[Fact]:
        """Yield the files in the order of the names' bytes."""
        for name, size, source, target, crc64 in self._select("SELECT * FROM fact ORDER BY name"):
            yield Fact(name, size, source, target, None if crc64 is None else int(crc64))

    def add_expected(self, expected: ExpectedFile) -> None:
        """Add a file that should be in the target."""
        self._put("expected", (expected.name, expected.size, expected.target, expected.result))

    def all_expected(self) -> Iterator[ExpectedFile]:
        """Yield the files in the order of the names' bytes."""
        return (ExpectedFile(*values) for values in self._select("SELECT * FROM expected ORDER BY name"))

    def add_listed(self, name: bytes) -> None:
        """Add a name of a list. Adding it again changes nothing."""
        self._put("listed", (name,))

    def all_listed(self) -> Iterator[bytes]:
        """Yield the names in the order of their bytes, each once."""
        return (name for (name,) in self._select("SELECT name FROM listed ORDER BY name"))

    # --- the database -------------------------------------------------------------------------------------------------

    def _put(self, table: str, values: tuple[object, ...]) -> None:
        waiting = self._unwritten.setdefault(table, [])
        waiting.append(values)
        if len(waiting) >= ROWS_PER_WRITE:
            self._write(table)

    def _write(self, table: str) -> None:
        waiting = self._unwritten.pop(table)
        places = ", ".join("?" * len(waiting[0]))
        with sqlite_errors(_CONTENT):
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", waiting)  # noqa: S608
            self._database.execute("COMMIT")

    def _write_all(self) -> None:
        for table in list(self._unwritten):
            self._write(table)

    def _select(self, query: str, values: Sequence[int] | Mapping[str, int] = ()) -> Iterator[Any]:
        self._write_all()
        cursor = self._database.cursor()
        with sqlite_errors(_CONTENT):
            cursor.execute(query, values)
        while True:
            with sqlite_errors(_CONTENT):
                found = cursor.fetchmany(ROWS_PER_WRITE)
            if not found:
                return
            yield from found
