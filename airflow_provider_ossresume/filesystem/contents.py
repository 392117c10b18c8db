"""The filesystem's methods that read and write bytes, in memory or through open files."""

from __future__ import annotations

import io
from typing import Any, cast

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.filesystem.file_transfers import no_watch
from airflow_provider_ossresume.filesystem.metadata import MetadataFileSystem
from airflow_provider_ossresume.filesystem.os_errors import as_os_error, os_errors
from airflow_provider_ossresume.filesystem.paths import object_at, strip
from airflow_provider_ossresume.filesystem.range_reads import (
    GAP,
    PAST_ANY_OBJECT,
    ObjectRange,
    fetch_ranges,
    fetch_whole,
)
from airflow_provider_ossresume.filesystem.reader import DEFAULT_CACHE, OssReader
from airflow_provider_ossresume.filesystem.writer import CompressedWriter, OssWriter, TextWriter
from airflow_provider_ossresume.model.arguments import check_choice
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.transfer.crew import Crew

FILES_AT_ONCE = 8  # objects written at once by pipe()
TEXT_OPTIONS = ("encoding", "errors", "newline")


class ContentFileSystem(MetadataFileSystem):
    """Reads and writes bytes."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of an object, or of a slice. Negative numbers count from the end.

        A whole object is compared with its CRC-64. A large one is read by several requests at once, with one ETag.
        """
        target = object_at(path)
        with os_errors():
            if not start and end is None:
                return fetch_whole(self.client, target, max_workers=self.max_workers)
        [data] = self.cat_ranges([path], [start], [end], on_error="raise")
        return cast(bytes, data)

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Return the bytes of an object. For a list or a pattern, return a dict by path; many are read at once.

        :param recursive: include objects below directories
        :param on_error: ``raise`` the first error, ``omit`` objects that cannot be read, or ``return`` the errors
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
        """Return the bytes of many ranges of many objects, with up to 32 requests at once.

        All ranges of one object have one ETag. If it changes meanwhile, each of them is an error.

        :param max_gap: bytes; ranges of an object with a smaller gap between them share a request; 16 KiB by default
        :param on_error: ``return`` errors in the place of bytes, or ``raise`` the first
        """
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        check_choice("on_error", on_error, ("return", "raise"))
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("paths, starts and ends must have the same length")
        with os_errors():
            found = fetch_ranges(
                self.client,
                [self._parse_range(*each) for each in zip(paths, first, last, strict=True)],
                gap=GAP if max_gap is None else max_gap,
                max_workers=self.max_workers,
                raise_first_error=on_error == "raise",
            )
        return [each if isinstance(each, bytes) else as_os_error(each) for each in found]

    def _parse_range(self, path: str, start: int | None, end: int | None) -> ObjectRange:
        target = object_at(path)
        start, end = start or 0, PAST_ANY_OBJECT if end is None else end
        if start < 0 or end < 0:
            size = self.object_info(path)["size"]
            start = max(0, size + start) if start < 0 else start
            end = size + end if end < 0 else end
        return ObjectRange(target, start, end)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write bytes as an object. Up to the size of one part, this is one request.

        :param mode: ``create`` to fail if the object exists, which OSS checks
        :param kwargs: the object's options, such as ``content_type`` and ``metadata``
        :raises FileExists: if it exists
        """
        check_choice("mode", mode, ("overwrite", "create"))
        with self.open(path, "xb" if mode == "create" else "wb", **kwargs) as file:
            file.write(value)

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> None:
        """Write bytes as an object, or many objects at once from a dict; see :meth:`pipe_file`."""
        if not isinstance(path, dict) or self._intrans:
            super().pipe(path, value, **kwargs)
            return
        with Crew(workers=FILES_AT_ONCE, tick=no_watch) as crew:
            for _ in crew.run(lambda each: self.pipe_file(*each, **kwargs), path.items()):
                pass

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty object.

        :param truncate: False to keep an object that exists; its time is not changed, because OSS cannot do that
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
        """Open a file in mode ``rb``, ``r``, ``wb``, ``w``, ``xb`` or ``x``.

        If an exception leaves the ``with`` block of a written file, nothing is published.

        :param block_size: for writing: bytes of the first parts; 8 MiB by default, and at most half of ``file_memory``
        :param compression: such as ``gzip``, or ``infer`` to choose it by the name
        :param kwargs: ``encoding``, ``errors``, ``newline``; for writing, also the object's options
        :raises NotImplementedError: for ``ab`` and ``r+b``, because an object cannot be changed in place
        """
        if "a" in mode or "+" in mode:
            raise NotImplementedError(
                f"mode {mode!r} is not supported: an object cannot be changed in place; write the whole object again"
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
