"""Rules for the names that a prefix or a folder can have, for one scan of the source."""

from __future__ import annotations

import logging
import sqlite3

from airflow_provider_ossresume.model.entries import Entry, printable
from airflow_provider_ossresume.model.set_names import (
    Ancestors,
    composed,
    folded,
    is_folder_marker,
    why_no_key,
    why_no_path,
)
from airflow_provider_ossresume.sets.temporary_database import sqlite_errors, temporary_database

log = logging.getLogger(__name__)

_TABLE = "CREATE TABLE names (form TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID"
_OF_FORM = "SELECT name FROM names WHERE form = ?"


class KeyNameRules:
    """The rules for objects below a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._twins = _UnicodeTwins()

    def why_refused(self, entry: Entry) -> str:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`."""
        if why := why_no_key(self._prefix, entry.name):
            return why
        self._twins.warn_of_twin(entry.name)
        return ""

    def is_taken(self, name: str) -> bool:
        """Return False: OSS never treats two keys as one."""
        return False


class PathNameRules:
    """The rules for files below a folder: no name leads out of it, and no two names are the same file.

    :param folds: the folder's file system treats names that differ only in case as one
    """

    def __init__(self, *, folds: bool) -> None:
        self._folds = folds
        self._files: Ancestors[str] = Ancestors()
        self._twins = _UnicodeTwins()
        self._folded = _FirstNames()
        self._folder = ""

    def why_refused(self, entry: Entry) -> str:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`. The first of two colliding names is accepted.

        :raises LocalFileError: if the disk for temporary files is full or fails
        """
        name = entry.name
        if why := why_no_path(name):
            return why
        if (file := self._files.of(entry.place)) is not None:
            return f"{printable(file)} is a file, so it cannot also be a folder"
        if self._folds and (other := self._collides(name)):
            return f"the folder's file system treats it and {printable(other)} as one name"
        if not is_folder_marker(name):
            self._files.add(entry.place, name)
        if not self._folds:
            self._twins.warn_of_twin(name)
        return ""

    def is_taken(self, name: str) -> bool:
        """See :class:`~airflow_provider_ossresume.sets.ports.NameRules`."""
        return self._folds and self._folded.has(folded(name))

    def _collides(self, name: str) -> str:
        """Return an earlier name for the same file, or for a folder above it; empty if there is none."""
        folder = name.rpartition("/")[0]
        if folder != self._folder:  # most files are in the same folder as the file before
            for each in _folders(folder):
                if (other := self._folded.first(folded(each), each)) != each:
                    return other
            self._folder = folder
        if is_folder_marker(name):
            return ""
        other = self._folded.first(folded(name), name)
        return "" if other == name else other


def _folders(folder: str) -> list[str]:
    """Return a folder and all folders above it, from the top down."""
    names = folder.split("/") if folder else []
    return ["/".join(names[: count + 1]) for count in range(len(names))]


class _UnicodeTwins:
    """Warns once about two names that look the same: é as one character, or as e and an accent."""

    def __init__(self) -> None:
        self._seen = _FirstNames()
        self._has_warned = False

    def warn_of_twin(self, name: str) -> None:
        if self._has_warned or (form := composed(name)) is None:
            return
        if (other := self._seen.first(form, name)) != name:
            self._has_warned = True
            log.warning(
                "%s and %s differ only in their Unicode form (NFC or NFD); both are transferred, but some systems "
                "treat them as one name", _escaped(other), _escaped(name)
            )  # fmt: skip


def _escaped(name: str) -> str:
    """Return a name in ASCII, because the two names would look the same otherwise."""
    return printable(name).encode("ascii", "backslashreplace").decode()


class _FirstNames:
    """The first name of each form. They are in a temporary file, because there may be millions."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def first(self, form: str, name: str) -> str:
        """Return the first name of this form; the given name if it is the first."""
        with sqlite_errors("names"):
            if self._database is None:
                self._database = temporary_database(_TABLE)
                self._database.execute("BEGIN")
            added = self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (form, name)).rowcount
            if added:
                return name
            [(first,)] = self._database.execute(_OF_FORM, (form,))
            return str(first)

    def has(self, form: str) -> bool:
        """Return True if a name of this form was added."""
        with sqlite_errors("names"):
            return self._database is not None and self._database.execute(_OF_FORM, (form,)).fetchone() is not None
