"""Which names can come to a prefix and to a folder, for one scan of what is to come."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.entries import Entry, printable
from airflow_provider_ossresume.model.set_names import (
    Above,
    composed,
    folded,
    is_folder_marker,
    why_no_key,
    why_no_path,
)

log = logging.getLogger(__name__)

_OF_FORM = "SELECT name FROM names WHERE form = ?"


class KeyNames:
    """Names of objects below a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._forms = _Forms()

    def why_not(self, entry: Entry) -> str:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`."""
        if why := why_no_key(self._prefix, entry.name):
            return why
        self._forms.look(entry.name)
        return ""

    def has_taken(self, name: str) -> bool:
        """See the same: OSS tells all keys apart."""
        return False


class PathNames:
    """Names of files below a folder: none leads out of it, and no two are one file's.

    :param folds: the folder's file system takes names for one that differ in upper and lower case only
    """

    def __init__(self, *, folds: bool) -> None:
        self._folds = folds
        self._files: Above[str] = Above()
        self._forms = _Forms()
        self._folded = _SeenNames()
        self._folder = ""

    def why_not(self, entry: Entry) -> str:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`; of two names that collide, the first is good.

        :raises LocalFileError: when the disk for temporary files does not take them
        """
        name = entry.name
        if why := why_no_path(name):
            return why
        if (file := self._files.of(entry.place)) is not None:
            return f"{printable(file)} is a file, so it cannot be a folder as well"
        if self._folds and (other := self._collides(name)):
            return f"the folder takes it and {printable(other)} for one name"
        if not is_folder_marker(name):
            self._files.add(entry.place, name)
        if not self._folds:
            self._forms.look(name)
        return ""

    def has_taken(self, name: str) -> bool:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`."""
        return self._folds and self._folded.has(folded(name))

    def _collides(self, name: str) -> str:
        """Return the name that the same file, or one of the folders above it, already has; nothing for a new one."""
        folder = name.rpartition("/")[0]
        if folder != self._folder:  # nearly all files are in the folder of the one before
            for each in _folders(folder):
                if (other := self._folded.first(folded(each), each)) != each:
                    return other
            self._folder = folder
        if is_folder_marker(name):
            return ""
        other = self._folded.first(folded(name), name)
        return "" if other == name else other


def _folders(folder: str) -> list[str]:
    """Return a folder and all above it, the top one first."""
    names = folder.split("/") if folder else []
    return ["/".join(names[: count + 1]) for count in range(len(names))]


class _Forms:
    """Warns, once, of two names that people and some systems take for one: é is one character, or e and an accent."""

    def __init__(self) -> None:
        self._seen = _SeenNames()
        self._has_warned = False

    def look(self, name: str) -> None:
        if self._has_warned or (form := composed(name)) is None:
            return
        if (other := self._seen.first(form, name)) != name:
            self._has_warned = True
            log.warning(
                "%s and %s differ only in how Unicode writes their letters; both are transferred, and some systems "
                "take them for one", _escaped(other), _escaped(name)
            )  # fmt: skip


def _escaped(name: str) -> str:
    """Return a name in ASCII: in any other way both would look the same."""
    return printable(name).encode("ascii", "backslashreplace").decode()


class _SeenNames:
    """The first name of each form, in a temporary file, as there may be millions."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def first(self, form: str, name: str) -> str:
        """Return the name that was the first one of the form; this one, when there was none."""
        with _explained():
            if self._database is None:
                self._database = _temporary_database()
            added = self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (form, name)).rowcount
            if added:
                return name
            [(first,)] = self._database.execute(_OF_FORM, (form,))
            return str(first)

    def has(self, form: str) -> bool:
        """True when there was a name of the form."""
        with _explained():
            return self._database is not None and self._database.execute(_OF_FORM, (form,)).fetchone() is not None


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LocalFileError(f"names cannot be kept in a temporary file: {error}") from error


def _temporary_database() -> sqlite3.Connection:
    database = sqlite3.connect("", isolation_level=None)  # SQLite: an empty name is a file of its own, deleted at once
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE names (form TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID")
    database.execute("BEGIN")
    return database
