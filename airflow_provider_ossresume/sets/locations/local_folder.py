"""A local folder, as the source or the target of a transfer of many files."""

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
from airflow_provider_ossresume.sets.locations.folder_lookup import FolderLookup
from airflow_provider_ossresume.sets.locations.folder_walk import Walk
from airflow_provider_ossresume.sets.locations.name_lookup import left_out_by_name, look_up_each, vanished_item
from airflow_provider_ossresume.sets.locations.name_rules import PathNameRules
from airflow_provider_ossresume.sets.locations.open_below import (
    NOT_A_FOLDER,
    local_error,
    open_file,
    open_folder_below,
    open_root,
    opened_below,
    resolve_links,
)
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter, refuse_unallowed
from airflow_provider_ossresume.sets.ports import NameRules, ScanItem, Watch
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.paths import local_path


class LocalFolder:
    """All files below a folder. No name can lead to a file outside the folder.

    :ivar path: absolute
    :raises ArgumentError: if the path is relative, or cannot be a path
    """

    def __init__(self, path: str | os.PathLike[str], *, argument: str = "folder") -> None:
        self._argument = argument
        expanded = local_path(path, argument=argument)
        if not os.path.isabs(expanded) or "\0" in expanded:
            raise ArgumentError(
                argument, str(path), "give an absolute path; a relative one depends on the worker's current folder"
            )
        self.path = Path(expanded)

    @property
    def uri(self) -> str:
        """``file:///folder/``."""
        uri = self.path.as_uri()
        return uri if uri.endswith("/") else f"{uri}/"

    def __str__(self) -> str:
        return printable(os.fsencode(self.path))

    def name_rules(self) -> NameRules:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`.

        It creates a private file in the folder and removes it at once, to see if the file system ignores case.
        """
        return PathNameRules(folds=folds_names(self.path))

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`. A target that does not exist is empty.

        A file that disappears during the scan is yielded as ``LeftOut``, with the reason ``vanished``.

        :raises ArgumentError: if the source folder does not exist
        :raises LocalFileError: if a folder below it cannot be read
        """
        with self._open_top(is_source=is_source) as root:
            if root is None:
                return
            source_filter = SourceFilter(options, names) if is_source else None
            path = os.fsencode(self.path)
            walk = Walk(root, path, options, source_filter=source_filter, work=_device_and_inode(work_uri), watch=watch)
            yield from refuse_unallowed(walk.found(), options, where=str(self)) if is_source else walk.found()

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`; errors as in :meth:`scan`."""
        source_filter, work = SourceFilter(options, rules), self._name_below(work_uri)

        def known(name: str) -> LeftOut | None:
            return left_out_by_name(name, source_filter, why_no_path, work=work) if is_source else None

        with self._open_top(is_source=is_source) as root:
            if root is None:
                return
            folder = FolderLookup(root, os.fsencode(self.path), options, is_source=is_source)

            def look(name: str) -> ScanItem | None:
                try:
                    return folder.look_up(name)
                except OSError as error:
                    raise local_error(f"{self._printable(name)} cannot be looked up", error) from error

            for name, seen in look_up_each(names, look, crew, known=known):
                if not is_source:
                    if seen is not None:
                        yield seen
                elif isinstance(seen, Entry):
                    yield source_filter.check_filters(seen) or source_filter.accept(seen)
                else:
                    yield source_filter.prefer_filter(seen or vanished_item(name))

    @contextmanager
    def _open_top(self, *, is_source: bool) -> Iterator[int | None]:
        """Keep the folder open during the block; None for a target that does not exist."""
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

    def _name_below(self, uri: str) -> str:
        """Return the name of a work folder below this folder, with a slash at its end; empty if it is elsewhere."""
        if not uri.startswith("file://"):
            return ""
        top = os.path.realpath(self.path).rstrip("/") + "/"
        work = os.path.realpath(unquote(urlsplit(uri).path, errors="surrogateescape")) + "/"
        return work.removeprefix(top) if work.startswith(top) else ""

    def _unreadable(self, error: OSError) -> Exception:
        if os.path.isfile(self.path):
            return ArgumentError(self._argument, str(self), "this is a file; give a folder")
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            missing = ArgumentError(
                self._argument, str(self), "this folder does not exist on this worker; check the path, and that its "
                "share is mounted"
            )  # fmt: skip
            missing.retryable = True  # the next try may run on a worker that has it
            return missing
        return local_error(f"{self} cannot be read", error)

    def open_source(self, name: str, *, follow_links: bool = False) -> int | None:
        """Open a file for reading and return its descriptor, which the caller closes; None if the file is gone.

        :param follow_links: the name may lead through links that stay below the folder, such as a scan with
            ``symlinks="follow"`` finds
        :raises SourceChanged: if it was replaced by something else, such as a link
        :raises LocalFileError: if it cannot be opened
        """
        names: list[bytes] | None = self._split_name(name)
        try:
            if follow_links:
                names = resolve_links(os.fsencode(self.path), name)
            if not names:
                raise SourceChanged("it is gone, or a symbolic link in its path leads out of the folder")
            *folders, last = names
            with self._root() as root, opened_below(root, folders) as folder:
                return open_file(folder, last)
        except SourceChanged as error:
            raise SourceChanged(f"{self._printable(name)}: {error}") from error
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in NOT_A_FOLDER:
                raise SourceChanged(
                    f"{self._printable(name)}: a folder in its path was replaced by a link or a file"
                ) from error
            raise local_error(f"{self._printable(name)} cannot be opened", error) from error

    @contextmanager
    def parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, bytes]]:
        """Open a file's folder during the block. Yield the folder's descriptor and the file's own name.

        :param make: create folders that do not exist, including this one
        :raises LocalFileError: if a folder cannot be opened or created, or is a link or a file
        """
        *folders, last = self._split_name(name)
        try:
            opened = self._take_folder(folders, make=make)
        except OSError as error:
            raise local_error(
                f"the folder of {self._printable(name)} cannot be {'made' if make else 'opened'}", error
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
            return open_folder_below(root, names, make=make)
        finally:
            os.close(root)

    @contextmanager
    def _root(self) -> Iterator[int]:
        root = open_root(os.fsencode(self.path))
        try:
            yield root
        finally:
            os.close(root)

    def _split_name(self, name: str) -> list[bytes]:
        if why := why_no_path(name):
            raise LocalFileError(f"{printable(name)} cannot be a path below {self}: {why}")
        return [each.encode("utf-8", "surrogateescape") for each in name.removesuffix("/").split("/")]

    def _printable(self, name: str) -> str:
        return f"{self}/{printable(name)}"


def _device_and_inode(uri: str) -> tuple[int, int] | None:
    """Return device and inode, which identify a work folder on every path; None for one that is not local."""
    if not uri.startswith("file://"):
        return None
    try:
        found = os.stat(unquote_to_bytes(urlsplit(uri).path))
    except OSError:
        return None
    return found.st_dev, found.st_ino
