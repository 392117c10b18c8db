"""Looks at single names below a folder, and sees what a walk would see there."""

from __future__ import annotations

import os
import stat

from airflow_provider_ossresume.model.entries import LeftOut
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.folder_walk import FOLDER_KIND, file_entry
from airflow_provider_ossresume.sets.locations.open_below import NOT_A_FOLDER, names_behind, open_folder, opened_below
from airflow_provider_ossresume.sets.ports import Found


class FolderLook:
    """Any number of threads may look.

    :param root: the folder's descriptor, which stays the caller's
    :param path: the folder's path, by which links are resolved
    :param is_source: what is no file comes as left out; of a target only links do
    """

    def __init__(self, root: int, path: bytes, options: SetOptions, *, is_source: bool) -> None:
        self._root = root
        self._path = path
        self._is_source = is_source
        self._follows = is_source and options.symlinks == "follow"
        self._has_folders = is_source or options.empty_folders == "marker"

    def at(self, name: str) -> Found | None:
        """Return what there is; None for nothing.

        :param name: one that a path below a folder can have
        :raises OSError: when it cannot be looked at
        """
        names = [each.encode() for each in name.removesuffix("/").split("/")]
        try:
            found = self._stat(names)
            if not stat.S_ISLNK(found.st_mode):
                return self._seen(name, names, found)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NOT_A_FOLDER:
                raise
            if not self._is_behind_link(names):  # a file is where the name has a folder
                return None
        return self._behind_link(name)

    def _stat(self, names: list[bytes]) -> os.stat_result:
        *folders, last = names
        with opened_below(self._root, folders) as folder:
            return os.stat(last, dir_fd=folder, follow_symlinks=False)

    def _is_behind_link(self, names: list[bytes]) -> bool:
        folder = os.path.join(os.path.realpath(self._path), *names[:-1])
        return os.path.realpath(folder) != folder

    def _behind_link(self, name: str) -> Found | None:
        if not self._follows:
            return LeftOut.of(name, "symlink", "it is a symbolic link, or lies behind one")
        names = names_behind(self._path, name)
        if not names:
            return LeftOut.of(name, "symlink", "a symbolic link on the way leads out of the folder, or nowhere")
        try:
            return self._seen(name, names, self._stat(names))
        except FileNotFoundError:
            return None

    def _seen(self, name: str, names: list[bytes], found: os.stat_result) -> Found | None:
        if stat.S_ISDIR(found.st_mode):
            return self._folder(name, names, found)
        if is_folder_marker(name):
            return None
        if stat.S_ISREG(found.st_mode):
            return file_entry(name, found)
        detail = "it is neither a file nor a folder, but a pipe, a socket or a device"
        return LeftOut.of(name, "special", detail) if self._is_source else None

    def _folder(self, name: str, names: list[bytes], found: os.stat_result) -> Found | None:
        if not is_folder_marker(name):
            detail = "it is a folder; a list has the names of the files in it"
            return LeftOut.of(name, "bad_name", detail) if self._is_source else None
        if self._is_source and not self._is_empty(names):
            return LeftOut.of(name, "vanished", "it is no empty folder any more")
        return file_entry(name, found, size=0, kind=FOLDER_KIND) if self._has_folders else None

    def _is_empty(self, names: list[bytes]) -> bool:
        *folders, last = names
        with opened_below(self._root, folders) as above:
            folder = open_folder(above, last)
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is None
        finally:
            os.close(folder)
