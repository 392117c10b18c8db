"""Walks through a folder in the order in which OSS lists keys. Memory grows only with the largest single folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.entries import Entry, LeftOut, file_identity, printable
from airflow_provider_ossresume.model.file_errors import reason
from airflow_provider_ossresume.model.set_names import OWN_FOLDER, why_too_deep
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.open_below import (
    NOT_A_FOLDER,
    open_folder,
    open_folder_below,
    opened_below,
    resolve_links,
)
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter, is_part_file
from airflow_provider_ossresume.sets.ports import ScanItem, Watch

NAMES_PER_WATCH = 64  # names between two calls of the watch
FOLDER_KIND = "Folder"  # kind of the entry that represents an empty folder

_OWN_FOLDER = f"{OWN_FOLDER}/".encode()
_PART_FILE_SUFFIX = b".ossresume-part"


class _Kind(IntEnum):
    FILE = 0
    FOLDER = 1
    LINK = 2
    LINK_TO_FOLDER = 3
    SPECIAL = 4


@dataclass(frozen=True)
class _Level:
    """A folder that the walk is in.

    :ivar name: relative, with a slash at its end; empty for the top folder
    :ivar key: device and inode
    :ivar rows: names of its files and folders, in order; names of folders end with a slash
    """

    descriptor: int
    name: str
    key: tuple[int, int]
    rows: Iterator[tuple[bytes, _Kind]]


class Walk:
    """One walk through a folder. Each folder is opened from the one above it, so no link is followed by accident.

    :param root: the folder's descriptor, which the caller closes
    :param path: the folder's path, to resolve links
    :param source_filter: decides what a source leaves out; None for a target
    :param work: device and inode of a folder that is left out with all its contents
    """

    def __init__(
        self,
        root: int,
        path: bytes,
        options: SetOptions,
        *,
        source_filter: SourceFilter | None,
        work: tuple[int, int] | None,
        watch: Watch,
    ) -> None:
        self._root = root
        self._path = path
        self._options = options
        self._source_filter = source_filter
        self._work = work
        self._watch = watch
        self._levels: list[_Level] = []

    def found(self) -> Iterator[ScanItem]:
        """Yield the items. When the iterator ends or is closed, it closes all folders that it has opened.

        :raises LocalFileError: as soon as a folder cannot be read
        """
        try:
            self._enter(os.dup(self._root), "")
            count = 0
            while self._levels:
                level = self._levels[-1]
                row = next(level.rows, None)
                if row is None:
                    os.close(self._levels.pop().descriptor)
                    continue
                count += 1
                if not count % NAMES_PER_WATCH:
                    self._watch()
                try:
                    found = self._visit(level, *row)
                except OSError as error:
                    raise self._local_error(error, level.name, row[0]) from error
                if found is not None:
                    yield found
        finally:
            for level in self._levels:
                os.close(level.descriptor)

    def _visit(self, level: _Level, raw: bytes, kind: _Kind) -> ScanItem | None:
        """Return the item of a name; None for a folder that is not empty, because the walk enters it."""
        try:
            name = level.name + raw.decode()
        except UnicodeDecodeError:
            name = level.name + raw.decode("utf-8", "surrogateescape")
            return self._left_out(name, "bad_name", "the name is not UTF-8, and OSS keys must be")
        try:
            if kind is _Kind.FILE:
                return self._file(level.descriptor, name, raw)
            if kind in (_Kind.FOLDER, _Kind.LINK_TO_FOLDER):
                return self._folder(level, name, raw, is_link=kind is _Kind.LINK_TO_FOLDER)
            if kind is _Kind.LINK:
                return self._link(name)
            os.stat(raw, dir_fd=level.descriptor, follow_symlinks=False)
            return self._left_out(name, "special", "it is a pipe, a socket or a device, not a file")
        except FileNotFoundError:
            return self._left_out(name, "vanished", "it disappeared during the scan")

    # --- files --------------------------------------------------------------------------------------------------------

    def _file(self, folder: int, name: str, raw: bytes) -> ScanItem | None:
        if raw.endswith(_PART_FILE_SUFFIX) and is_part_file(name):
            return self._left_out(name, "part_file") if self._source_filter else None
        found = os.stat(raw, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return self._left_out(name, "vanished", "it was replaced by something that is not a file during the scan")
        return self._accepted(file_entry(name, found))

    def _link(self, name: str) -> ScanItem | None:
        if not self._follows_links:
            return self._left_out(name, "symlink", "it is a symbolic link")
        if not (names := resolve_links(self._path, name)):
            return self._left_out(name, "symlink", "it is a symbolic link that leads out of the folder, or to nothing")
        *folders, last = names
        with opened_below(self._root, folders) as folder:
            found = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return self._left_out(name, "special", "it is a symbolic link to something that is not a file")
        return self._accepted(file_entry(name, found))

    # --- folders ------------------------------------------------------------------------------------------------------

    def _folder(self, level: _Level, name: str, raw: bytes, *, is_link: bool) -> ScanItem | None:
        if raw == _OWN_FOLDER:
            return None
        if why := why_too_deep(name):
            return self._left_out(name, "bad_name", why)
        if self._source_filter and self._options.filters.excludes_folder(name[:-1]):
            return self._left_out(name, "filtered", "by its name")
        if not is_link:
            return self._enter(open_folder(level.descriptor, raw[:-1]), name)
        if not self._follows_links:
            return self._left_out(name, "symlink", "it is a symbolic link to a folder")
        names = resolve_links(self._path, name)
        if names is None:
            return self._left_out(name, "symlink", "it is a symbolic link that leads out of the folder, or to nothing")
        return self._enter(open_folder_below(self._root, names), name, is_link=True)

    def _enter(self, descriptor: int, name: str, *, is_link: bool = False) -> ScanItem | None:
        """Enter a folder and take over its descriptor; return the item for an empty one."""
        found = os.fstat(descriptor)
        key = found.st_dev, found.st_ino
        left_out: ScanItem | None = None
        if is_link and any(level.key == key for level in self._levels):
            left_out = self._left_out(name, "loop", "it is a symbolic link to a folder that contains it")
        elif key != self._work or not name:
            try:
                rows = self._rows(descriptor)
            except OSError as error:
                os.close(descriptor)
                raise self._local_error(error, name) from error
            except BaseException:
                os.close(descriptor)
                raise
            if rows or not name:
                self._levels.append(_Level(descriptor, name, key, iter(rows)))
                return None
            left_out = self._empty(name, found)
        os.close(descriptor)
        return left_out

    def _rows(self, folder: int) -> list[tuple[bytes, _Kind]]:
        """Return the names in a folder, in the order of all the keys below them."""
        rows: set[tuple[bytes, _Kind]] = set()  # a folder that changes meanwhile may list a name twice
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if not count % NAMES_PER_WATCH:
                    self._watch()
                kind = self._kind(folder, entry)
                raw = os.fsencode(entry.name)
                rows.add((raw + b"/" if kind in (_Kind.FOLDER, _Kind.LINK_TO_FOLDER) else raw, kind))
        return sorted(rows)

    def _kind(self, folder: int, entry: os.DirEntry[str]) -> _Kind:
        if entry.is_symlink():
            with suppress(OSError):
                if stat.S_ISDIR(os.stat(entry.name, dir_fd=folder).st_mode):
                    return _Kind.LINK_TO_FOLDER
            return _Kind.LINK
        if entry.is_dir(follow_symlinks=False):
            return _Kind.FOLDER
        return _Kind.FILE if entry.is_file(follow_symlinks=False) else _Kind.SPECIAL

    def _empty(self, name: str, found: os.stat_result) -> ScanItem | None:
        if self._options.empty_folders == "ignore":
            return self._left_out(name, "empty_folder") if self._source_filter else None
        return self._accepted(file_entry(name, found, size=0, kind=FOLDER_KIND))

    # --- items --------------------------------------------------------------------------------------------------------

    @property
    def _follows_links(self) -> bool:
        return self._source_filter is not None and self._options.symlinks == "follow"

    def _accepted(self, entry: Entry) -> ScanItem:
        return (
            entry
            if self._source_filter is None
            else self._source_filter.check_filters(entry) or self._source_filter.accept(entry)
        )

    def _left_out(self, name: str, reason: str, detail: str = "") -> LeftOut:
        left_out = LeftOut.of(name, reason, detail)
        return left_out if self._source_filter is None else self._source_filter.prefer_filter(left_out)

    def _local_error(self, error: OSError, name: str, raw: bytes = b"") -> LocalFileError:
        shown = printable(os.path.join(self._path, name.encode("utf-8", "surrogateescape"), raw))
        if error.errno in NOT_A_FOLDER:
            return LocalFileError(f"{shown} was replaced by a link or a file during the scan; run the task again")
        return LocalFileError(f"{shown} cannot be read: {reason(error)}")


def file_entry(name: str, found: os.stat_result, *, size: int | None = None, kind: str = "") -> Entry:
    """Return the entry of a file."""
    return Entry(
        name, found.st_size if size is None else size,
        file_identity(inode=found.st_ino, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns),
        modified=found.st_mtime, kind=kind,
    )  # fmt: skip
