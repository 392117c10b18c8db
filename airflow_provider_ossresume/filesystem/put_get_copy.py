"""The filesystem's methods that transfer whole files and folders: put, get and copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from airflow_provider_ossresume.errors import ArgumentError, FileMissing, NoSuchBucket, NoSuchKey
from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.bulk import Pair, PairRecorder, check_pairs, check_paths, move_pairs
from airflow_provider_ossresume.filesystem.contents import ContentFileSystem
from airflow_provider_ossresume.filesystem.file_transfers import FileTransfers, Watch, no_watch
from airflow_provider_ossresume.filesystem.metadata import is_pattern
from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.model.arguments import check_choice
from airflow_provider_ossresume.model.copy_options import CopyOptions
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.parts import MIB


class TransferFileSystem(ContentFileSystem):
    """Transfers whole files with the package's engine."""

    @lazy_property
    def _transfers(self) -> FileTransfers:
        return FileTransfers(self.client, self.config, self._checkpoint)

    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        *,
        watch: Watch = no_watch,
        **kwargs: Any,
    ) -> None:
        """Upload a file, a large one part by part. With ``checkpoint``, the next call resumes an interrupted upload.

        :param callback: gets the total bytes and the bytes done
        :param mode: ``create`` to fail if the object exists, which OSS checks
        :param kwargs: the object's options
        :raises FileExists: if it exists
        :raises FileSystemError: if it cannot be stored
        """
        check_choice("mode", mode, ("overwrite", "create"))
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        if self._intrans:  # a transaction that is discarded must leave no object
            super().put_file(lpath, rpath, callback=callback, mode=mode, **kwargs)
            return
        target = paths.object_at(rpath)
        try:
            with os_errors():
                self._transfers.watched(watch).upload(
                    lpath,
                    target,
                    if_exists="fail" if mode == "create" else "overwrite",
                    headers=object_headers(target.key, cast(ObjectOptions, kwargs)),
                    progress=partial(_report_progress, callback),
                )
        finally:
            self.invalidate_cache(rpath)
        _report_progress(callback, os.path.getsize(lpath), os.path.getsize(lpath))

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        *,
        watch: Watch = no_watch,
        **kwargs: Any,
    ) -> None:
        """Download an object, a large one part by part. The file appears whole, in one step.

        :param outfile: an open file to use instead of ``lpath``
        :param callback: gets the total bytes and the bytes done
        :raises FileMissing: if the object does not exist
        """
        if outfile is not None or isfilelike(lpath):
            self._stream(rpath, lpath if outfile is None else outfile, callback)
            return
        found = self.info(rpath)
        if found["type"] == "directory":
            os.makedirs(lpath, exist_ok=True)
            return
        with os_errors():
            size = self._transfers.watched(watch).download(
                paths.object_at(rpath), lpath, size=found["size"], progress=partial(_report_progress, callback)
            )
        _report_progress(callback, size, size)

    def _stream(self, path: str, outfile: Any, callback: Any) -> None:
        with self.open(path, "rb") as file:
            callback.set_size(file.size)
            while data := file.read(MIB):
                outfile.write(data)
                callback.relative_update(len(data))

    def cp_file(self, path1: str, path2: str, *, watch: Watch = no_watch, **kwargs: Any) -> None:
        """Let OSS copy an object of any size within a region. Between regions, copy through this process.

        :param kwargs: ``if_exists="fail"``, and the options of the copy as for the copy operator
        :raises FileMissing: if the object does not exist
        """
        if_exists = kwargs.pop("if_exists", "overwrite")
        bucket, key = paths.split(path1)
        if not bucket:
            raise ArgumentError(
                "path1", path1, "it names no bucket (a template may have rendered to nothing); write bucket/key"
            )
        if not key:
            self.makedirs(path2, exist_ok=True)
            return
        try:
            with os_errors():
                self._transfers.watched(watch).copy(
                    paths.object_at(path1),
                    paths.object_at(path2),
                    if_exists=if_exists,
                    copy_options=cast(CopyOptions, kwargs),
                )
        except FileMissing as error:
            if not isinstance(error.__cause__, NoSuchKey) or not self.isdir(path1):
                raise
            self.makedirs(path2, exist_ok=True)
        finally:
            self.invalidate_cache(path2)

    # --- many files ---------------------------------------------------------------------------------------------------

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files or folders, to the targets that fsspec's rules give; several small ones at once.

        :param callback: gets the number of files; its branches get the bytes of each large file
        :param kwargs: as for :meth:`put_file`
        """
        if self._intrans:
            super().put(lpath, rpath, recursive=recursive, callback=callback, maxdepth=maxdepth, **kwargs)
            return
        check_paths(lpath, rpath, remote=[rpath])
        recorder = PairRecorder(self)
        AbstractFileSystem.put(recorder, lpath, rpath, recursive=recursive, maxdepth=maxdepth)
        check_pairs(
            recorder.pairs,
            source_of=lambda path: (os.path.abspath(path),),
            target_of=paths.strip,
            is_directory=lambda pair: os.path.isdir(pair.source),
        )

        def move(pair: Pair, watch: Watch, child: Any) -> None:
            self.put_file(*pair, callback=child, watch=watch, **kwargs)

        self._move_pairs(move, recorder.pairs, callback, size_of=lambda pair: os.path.getsize(pair.source))

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download objects or directories, in the same way as :meth:`put` uploads them."""
        check_paths(rpath, lpath, remote=[rpath])
        rpath, lpath = self._as_literal(rpath, lpath, is_directory=os.path.isdir)
        recorder = PairRecorder(self)
        AbstractFileSystem.get(recorder, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        check_pairs(
            recorder.pairs,
            source_of=paths.strip,
            target_of=lambda path: id(path) if isfilelike(path) else (os.path.abspath(path),),
            is_directory=lambda pair: self.isdir(pair.source),
        )

        def move(pair: Pair, watch: Watch, child: Any) -> None:
            self.get_file(*pair, callback=child, watch=watch, **kwargs)

        self._move_pairs(move, recorder.pairs, callback, size_of=lambda pair: self.info(pair.source)["size"])

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Let OSS copy objects or directories, to the targets that fsspec's rules give; several at once.

        :param on_error: ``ignore`` objects that no longer exist, which is the default with ``recursive``; or ``raise``
        """
        ignores = (on_error or ("ignore" if recursive else "raise")) == "ignore"

        def move(pair: Pair, watch: Watch, child: Any) -> None:
            try:
                self.cp_file(*pair, watch=watch, **kwargs)
            except FileNotFoundError as error:
                if not ignores or isinstance(error.__cause__, NoSuchBucket):
                    raise

        files, _ = self._copies(path1, path2, recursive, maxdepth)
        self._move_pairs(move, files, DEFAULT_CALLBACK, size_of=lambda _: 0)

    def _copies(self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None) -> tuple[list[Pair], list[Pair]]:
        """Return the pairs of files to copy, and of directories, which may need markers."""
        check_paths(path1, path2, remote=[path1, path2])
        path1, path2 = self._as_literal(path1, path2, is_directory=self.isdir)
        recorder = PairRecorder(self)
        AbstractFileSystem.copy(recorder, path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise")
        check_pairs(
            recorder.pairs,
            source_of=paths.strip,
            target_of=paths.strip,
            is_directory=lambda pair: self.isdir(pair.source),
        )
        parents = {pair.source.rpartition("/")[0] for pair in recorder.pairs}
        directories = [pair for pair in recorder.pairs if pair.source in parents and self.isdir(pair.source)]
        for pair in directories:
            self.makedirs(pair.target, exist_ok=True)
        apart = set(directories)
        return [pair for pair in recorder.pairs if pair not in apart], directories

    def _as_literal(self, source: Any, target: Any, *, is_directory: Callable[[str], bool]) -> tuple[Any, Any]:
        """Return the paths as lists, which fsspec does not expand, if an existing source looks like a pattern."""
        if not isinstance(source, str) or not isinstance(target, str) or not is_pattern(source):
            return source, target
        is_file = not target.endswith("/") and not is_directory(target) and self.isfile(source)
        return ([source], [target]) if is_file else (source, target)

    def _move_pairs(
        self,
        move: Callable[[Pair, Watch, Any], None],
        pairs: list[Pair],
        callback: Any,
        *,
        size_of: Callable[[Pair], int],
    ) -> None:
        def move_small(pair: Pair, watch: Watch) -> None:
            move(pair, watch, DEFAULT_CALLBACK)  # a callback must not be called in a worker

        def move_large(pair: Pair) -> None:
            with callback.branched(*pair) as child:
                move(pair, no_watch, child)

        callback.set_size(len(pairs))
        threshold = self.config.threshold_bytes
        for _ in move_pairs(
            pairs, is_large=lambda pair: size_of(pair) >= threshold, small=move_small, large=move_large
        ):
            callback.relative_update(1)


def _report_progress(callback: Any, done: int, total: int) -> None:
    callback.set_size(total)
    callback.absolute_update(done)
