"""Looks up single names below a folder, with the same results as a walk."""

from __future__ import annotations

import os
import stat

from airflow_provider_ossresume.model.entries import LeftOut
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.folder_walk import FOLDER_KIND, file_entry
from airflow_provider_ossresume.sets.locations.open_below import NOT_A_FOLDER, open_folder, opened_below, resolve_links
from airflow_provider_ossresume.sets.ports import ScanItem


class FolderLookup:
    """Looks up names; any number of threads may use it.

    :param root: the folder's descriptor, which the caller closes
    :param path: the folder's path, to resolve links
    :param is_source: for a source, return ``LeftOut`` for everything that is not a file; for a target, only for links
    """

    def __init__(self, root: int, path: bytes, options: SetOptions, *, is_source: bool) -> None:
        self._root = root
        self._path = path
        self._is_source = is_source
        self._follows_links = is_source and options.symlinks == "follow"
        self._takes_empty_folders = is_source or options.empty_folders == "marker"

    def look_up(self, name: str) -> ScanItem | None:
        """Return the item at a name; None if there is none.

        :param name: must be a valid path below a folder
        :raises OSError: if it cannot be looked up
        """
        names = [each.encode() for each in name.removesuffix("/").split("/")]
        try:
            found = self._lstat(names)
            if not stat.S_ISLNK(found.st_mode):
                return self._item(name, names, found)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NOT_A_FOLDER:
                raise
            if not self._is_behind_link(names):  # a folder in the name is a file
                return None
        return self._linked_item(name)

    def _lstat(self, names: list[bytes]) -> os.stat_result:
        *folders, last = names
        with opened_below(self._root, folders) as folder:
            return os.stat(last, dir_fd=folder, follow_symlinks=False)

    def _is_behind_link(self, names: list[bytes]) -> bool:
        folder = os.path.join(os.path.realpath(self._path), *names[:-1])
        return os.path.realpath(folder) != folder

    def _linked_item(self, name: str) -> ScanItem | None:
        if not self._follows_links:
            return LeftOut.of(name, "symlink", "it is a symbolic link, or below one")
        names = resolve_links(self._path, name)
        if not names:
            return LeftOut.of(name, "symlink", "a symbolic link in its path leads out of the folder, or to nothing")
        try:
            return self._item(name, names, self._lstat(names))
        except FileNotFoundError:
            return None

    def _item(self, name: str, names: list[bytes], found: os.stat_result) -> ScanItem | None:
        if stat.S_ISDIR(found.st_mode):
            return self._folder_item(name, names, found)
        if is_folder_marker(name):
            return None
        if stat.S_ISREG(found.st_mode):
            return file_entry(name, found)
        detail = "it is a pipe, a socket or a device, not a file"
        return LeftOut.of(name, "special", detail) if self._is_source else None

    def _folder_item(self, name: str, names: list[bytes], found: os.stat_result) -> ScanItem | None:
        if not is_folder_marker(name):
            detail = "it is a folder; list the files in it instead"
            return LeftOut.of(name, "bad_name", detail) if self._is_source else None
        if self._is_source and not self._is_empty(names):
            return LeftOut.of(name, "vanished", "it is no longer an empty folder")
        return file_entry(name, found, size=0, kind=FOLDER_KIND) if self._takes_empty_folders else None

    def _is_empty(self, names: list[bytes]) -> bool:
        *folders, last = names
        with opened_below(self._root, folders) as above:
            folder = open_folder(above, last)
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is None
        finally:
            os.close(folder)
