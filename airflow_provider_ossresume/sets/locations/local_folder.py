"""The files of a folder, as one end of a transfer of many files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, SourceChanged
from airflow_provider_ossresume.model.entries import Entry, LeftOut, printable
from airflow_provider_ossresume.model.set_names import why_no_path
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.case_folding import folds_names
from airflow_provider_ossresume.sets.locations.folder_lookup import FolderLook
from airflow_provider_ossresume.sets.locations.folder_walk import Walk
from airflow_provider_ossresume.sets.locations.name_lookup import absent, each_looked_up, not_looked_at
from airflow_provider_ossresume.sets.locations.name_rules import PathNames
from airflow_provider_ossresume.sets.locations.open_below import (
    NOT_A_FOLDER,
    names_behind,
    open_file,
    open_root,
    opened_below,
    refused,
    take_folder_below,
)
from airflow_provider_ossresume.sets.locations.source_filter import Sieve, refusing
from airflow_provider_ossresume.sets.ports import Found, NameRules, Watch
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.paths import local_path


class LocalFolder:
    """All files below a folder. Whatever a name says, nothing outside the folder is read or written.

    :ivar path: absolute
    :raises ArgumentError: for a path that no folder can have, or a relative one
    """

    def __init__(self, path: str | os.PathLike[str], *, argument: str = "folder") -> None:
        self._argument = argument
        expanded = local_path(path, argument=argument)
        if not os.path.isabs(expanded) or "\0" in expanded:
            raise ArgumentError(argument, str(path), "give an absolute path, as a task's working folder is not yours")
        self.path = Path(expanded)

    @property
    def uri(self) -> str:
        """``file:///folder/``."""
        uri = self.path.as_uri()
        return uri if uri.endswith("/") else f"{uri}/"

    def __str__(self) -> str:
        return printable(os.fsencode(self.path))

    def name_rules(self) -> NameRules:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`.

        Makes a private file in the folder and removes it at once, to see how the file system takes names.
        """
        return PathNames(folds=folds_names(self.path))

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[Found]:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`. A target that does not exist is empty.

        What goes away while the folder is scanned comes as left out, with the reason ``vanished``.

        :raises ArgumentError: when there is no such folder to read from
        :raises LocalFileError: when any folder below it cannot be read
        """
        with self._top(is_source=is_source) as root:
            if root is None:
                return
            sieve = Sieve(options, names) if is_source else None
            path = os.fsencode(self.path)
            walk = Walk(root, path, options, sieve=sieve, work=_device_and_inode(work_uri), watch=watch)
            yield from refusing(walk.found(), options, where=str(self)) if is_source else walk.found()

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[Found]:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`; errors as in :meth:`scan`."""
        sieve, work = Sieve(options, rules), self._name_of(work_uri)

        def known(name: str) -> LeftOut | None:
            return not_looked_at(name, sieve, why_no_path, work=work) if is_source else None

        with self._top(is_source=is_source) as root:
            if root is None:
                return
            folder = FolderLook(root, os.fsencode(self.path), options, is_source=is_source)

            def look(name: str) -> Found | None:
                try:
                    return folder.at(name)
                except OSError as error:
                    raise refused(f"{self._shown(name)} cannot be looked at", error) from error

            for name, seen in each_looked_up(names, look, crew, known=known):
                if not is_source:
                    if seen is not None:
                        yield seen
                elif isinstance(seen, Entry):
                    yield sieve.filtered(seen) or sieve.judged(seen)
                else:
                    yield sieve.seen(seen or absent(name))

    @contextmanager
    def _top(self, *, is_source: bool) -> Iterator[int | None]:
        """Open the folder of all for the time of the block; None for a target that does not exist."""
        try:
            root = open_root(os.fsencode(self.path))
        except OSError as error:
            if is_source or not isinstance(error, FileNotFoundError):
                raise self._unreadable(error) from error
            yield None
            return
        try:
            yield root
        finally:
            os.close(root)

    def _name_of(self, uri: str) -> str:
        """Return a work folder below this one by its name, with a slash at its end; nothing for one elsewhere."""
        if not uri.startswith("file://"):
            return ""
        top = os.path.realpath(self.path).rstrip("/") + "/"
        work = os.path.realpath(unquote(urlsplit(uri).path, errors="surrogateescape")) + "/"
        return work.removeprefix(top) if work.startswith(top) else ""

    def _unreadable(self, error: OSError) -> Exception:
        if os.path.isfile(self.path):
            return ArgumentError(self._argument, str(self), "this is a file; name a folder")
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            missing = ArgumentError(
                self._argument, str(self), "there is no such folder on this worker; check the path, and that its share "
                "is mounted"
            )  # fmt: skip
            missing.retryable = True  # the next try may run on the worker that has it
            return missing
        return refused(f"{self} cannot be read", error)

    def open_source(self, name: str, *, follow_links: bool = False) -> int | None:
        """Open a file for reading, and return its descriptor, which is the caller's to close; None when it is gone.

        :param follow_links: the name may lead through links that stay below the folder, as a scan with
            ``symlinks="follow"`` finds them
        :raises SourceChanged: when something else, such as a link, has taken its place
        :raises LocalFileError: when it cannot be opened
        """
        names: list[bytes] | None = self._names_of(name)
        try:
            if follow_links:
                names = names_behind(os.fsencode(self.path), name)
            if not names:
                raise SourceChanged("it is gone, or a symbolic link on the way leads out of the folder")
            *folders, last = names
            with self._root() as root, opened_below(root, folders) as folder:
                return open_file(folder, last)
        except SourceChanged as error:
            raise SourceChanged(f"{self._shown(name)}: {error}") from error
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in NOT_A_FOLDER:
                raise SourceChanged(f"{self._shown(name)}: a link or a file has taken a folder's place") from error
            raise refused(f"{self._shown(name)} cannot be opened", error) from error

    @contextmanager
    def parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, bytes]]:
        """Open the folder that a file is in, or is to be in; give its descriptor and the file's own name to the block.

        :param make: folders that do not exist are made, the set's own folder among them
        :raises LocalFileError: when a folder cannot be opened or made, or a link or a file stands in one's place
        """
        *folders, last = self._names_of(name)
        try:
            opened = self._take_folder(folders, make=make)
        except OSError as error:
            raise refused(
                f"the folder of {self._shown(name)} cannot be {'made' if make else 'opened'}", error
            ) from error
        try:
            yield opened, last
        finally:
            os.close(opened)

    def _take_folder(self, names: Sequence[bytes], *, make: bool) -> int:
        path = os.fsencode(self.path)
        try:
            root = open_root(path)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(path, exist_ok=True)
            root = open_root(path)
        if not names:
            return root
        try:
            return take_folder_below(root, names, make=make)
        finally:
            os.close(root)

    @contextmanager
    def _root(self) -> Iterator[int]:
        root = open_root(os.fsencode(self.path))
        try:
            yield root
        finally:
            os.close(root)

    def _names_of(self, name: str) -> list[bytes]:
        if why := why_no_path(name):
            raise LocalFileError(f"{printable(name)} is no name below {self}: {why}")
        return [each.encode("utf-8", "surrogateescape") for each in name.removesuffix("/").split("/")]

    def _shown(self, name: str) -> str:
        return f"{self}/{printable(name)}"


def _device_and_inode(uri: str) -> tuple[int, int] | None:
    """Return what tells a work folder from any other, whatever path leads to it; None for one that is not here."""
    if not uri.startswith("file://"):
        return None
    try:
        found = os.stat(unquote_to_bytes(urlsplit(uri).path))
    except OSError:
        return None
    return found.st_dev, found.st_ino
