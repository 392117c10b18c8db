"""A filesystem's bytes: read and written in memory, and by open files."""

from __future__ import annotations

import io
from typing import Any, cast

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.filesystem.fetching import END, GAP, RangeOf, fetch_ranges, fetch_whole
from airflow_provider_ossresume.filesystem.finding import FindingFileSystem
from airflow_provider_ossresume.filesystem.moving import nothing
from airflow_provider_ossresume.filesystem.os_errors import as_os_error, os_errors
from airflow_provider_ossresume.filesystem.paths import object_at, strip
from airflow_provider_ossresume.filesystem.reading import DEFAULT_CACHE, OssReader
from airflow_provider_ossresume.filesystem.writing import CompressedWriter, OssWriter, TextWriter
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.objects import check_choice
from airflow_provider_ossresume.transfer.crew import Crew

AT_ONCE = 8  # objects that are made of bytes
TEXT_OPTIONS = ("encoding", "errors", "newline")


class OpeningFileSystem(FindingFileSystem):
    """Reads and writes bytes."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of an object, or a slice of them; negative numbers count from its end.

        All of it is compared with OSS's CRC-64, and a large object comes by several requests at once, of one ETag.
        """
        target = object_at(path)
        with os_errors():
            if not start and end is None:
                return fetch_whole(self.client, target, max_workers=self.max_workers)
        [data] = self.cat_ranges([path], [start], [end], on_error="raise")
        return cast(bytes, data)

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Return the bytes of an object; of many, as a list or a pattern names them, a dict by path, read at once.

        :param recursive: those below directories too
        :param on_error: ``raise`` the first error, ``omit`` what cannot be read, or ``return`` the errors
        """
        check_choice("on_error", on_error, ("raise", "omit", "return"))
        found: list[str] = self.expand_path(path, recursive=recursive)
        if isinstance(path, str) and found == [strip(path)] and not recursive:
            return self.cat_file(path, **kwargs)
        files = [each for each in found if not self.isdir(each)]
        mode = "raise" if on_error == "raise" else "return"
        read = self.cat_ranges(files, kwargs.get("start"), kwargs.get("end"), on_error=mode)
        pairs = zip(files, read, strict=True)
        return {each: data for each, data in pairs if on_error != "omit" or isinstance(data, bytes)}

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return the bytes of many ranges of many objects, by up to 32 requests at once.

        Ranges of one object are all of one ETag: else each of them is an error.

        :param max_gap: most bytes between two ranges of one object that are read in vain to save a request; 16 KiB by
            default
        :param on_error: ``return`` the errors in the place of bytes, or ``raise`` the first
        """
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        check_choice("on_error", on_error, ("return", "raise"))
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("paths, starts and ends have one length")
        with os_errors():
            found = fetch_ranges(
                self.client,
                [self._range_of(*each) for each in zip(paths, first, last, strict=True)],
                gap=GAP if max_gap is None else max_gap,
                max_workers=self.max_workers,
                fails_at_once=on_error == "raise",
            )
        return [each if isinstance(each, bytes) else as_os_error(each) for each in found]

    def _range_of(self, path: str, start: int | None, end: int | None) -> RangeOf:
        target = object_at(path)
        start, end = start or 0, END if end is None else end
        if start < 0 or end < 0:
            size = self.look_at(path)["size"]
            start = max(0, size + start) if start < 0 else start
            end = size + end if end < 0 else end
        return RangeOf(target, start, end)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Make an object of bytes; of one part's size by one request.

        :param mode: ``create`` to fail when it exists, which OSS guards
        :param kwargs: the object's options, such as ``content_type`` and ``metadata``
        :raises FileIsThere: when it exists
        """
        check_choice("mode", mode, ("overwrite", "create"))
        with self.open(path, "xb" if mode == "create" else "wb", **kwargs) as file:
            file.write(value)

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> None:
        """Make an object of bytes, or many at once of a dict of paths and bytes; see :meth:`pipe_file`."""
        if not isinstance(path, dict) or self._intrans:
            super().pipe(path, value, **kwargs)
            return
        with Crew(workers=AT_ONCE, tick=nothing) as crew:
            for _ in crew.run(lambda each: self.pipe_file(*each, **kwargs), path.items()):
                pass

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty object.

        :param truncate: False to leave one that exists as it is; its time cannot be changed
        """
        if truncate or not self.exists_now(path):
            self.pipe_file(path, b"", **kwargs)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return an open file: ``rb`` and ``r``, ``wb`` and ``w``, ``xb`` and ``x``.

        An exception that leaves the ``with`` block of one that is written publishes nothing.

        :param block_size: of a file that is written, the bytes of its first parts; 8 MiB by default, and at most half
            of ``file_memory``
        :param compression: such as ``gzip``, or ``infer`` to tell it by the name
        :param kwargs: ``encoding``, ``errors``, ``newline``; of a file that is written, the object's options
        :raises NotImplementedError: for ``ab``: an object cannot be added to, or only by a kind that cannot be copied
            in a bucket with versions
        """
        if "a" in mode or "+" in mode:
            raise NotImplementedError(
                f"mode {mode!r}: OSS cannot add to an object or change a part of it; write another one, or all anew"
            )
        is_text = "b" not in mode
        text = {name: kwargs.pop(name) for name in TEXT_OPTIONS if name in kwargs} if is_text else {}
        binary = mode.replace("t", "").replace("b", "") + "b"
        if binary == "rb":
            file = super().open(
                path, "rb", block_size=block_size, cache_options=cache_options, compression=compression, **kwargs
            )
            return io.TextIOWrapper(file, **text) if is_text else file
        opened = super().open(path, binary, block_size=block_size, **kwargs)
        file = opened
        if compression is not None:
            from fsspec.compression import compr
            from fsspec.core import get_compression

            name = get_compression(strip(path), compression)
            file = CompressedWriter(compr[name](opened, mode="w"), opened) if name else opened
        return TextWriter(file, **text) if is_text else file

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = DEFAULT_CACHE,
        **kwargs: Any,
    ) -> Any:
        with os_errors():
            if mode == "rb":
                return OssReader(
                    self, path, block_size=block_size, cache_type=cache_type, cache_options=cache_options, **kwargs
                )
            if mode not in ("wb", "xb"):
                raise ArgumentError("mode", mode, "choose one of rb, wb and xb, or r, w and x")
            return OssWriter(
                self,
                path,
                is_exclusive=mode == "xb",
                block_size=block_size,
                autocommit=autocommit,
                headers=object_headers(object_at(path).key, cast(ObjectOptions, kwargs)),
            )
