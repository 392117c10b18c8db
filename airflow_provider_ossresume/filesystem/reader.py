"""A file object that reads an object."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fsspec.caching import BaseCache
from fsspec.spec import AbstractBufferedFile

from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.filesystem.paths import object_at
from airflow_provider_ossresume.filesystem.range_reads import fill
from airflow_provider_ossresume.transfer.read_ahead import ReadAhead
from airflow_provider_ossresume.transfer.stop import Stop

if TYPE_CHECKING:
    from airflow_provider_ossresume.filesystem.metadata import MetadataFileSystem

DEFAULT_CACHE = "oss"
LINE_BLOCK = 64 * 1024  # bytes read at once for lines


class OssReader(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """Reads the object as it was when it was opened. If the object changes, a read fails; versions are never mixed.

    :param cache_type: one of fsspec's caches. The default reads ahead with several requests while you read
        sequentially, and otherwise fetches only the bytes that you read
    :param etag: the ETag that the object must have; None if unknown
    """

    loc: int

    def __init__(
        self,
        fs: MetadataFileSystem,
        path: str,
        *,
        block_size: int | str | None,
        cache_type: str,
        cache_options: dict[str, Any] | None,
        etag: str | None = None,
        size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Open the object; a HEAD gets its size and ETag."""
        self._target = object_at(path)
        self._client = fs.client
        if etag is None or size is None:
            self._details = fs.object_info(path)
            etag, size = self._details["ETag"], self._details["size"]
        self._etag = etag
        super().__init__(
            fs,
            path,
            "rb",
            block_size=block_size,
            cache_type="none" if cache_type == DEFAULT_CACHE else cache_type,
            cache_options=cache_options if cache_type != DEFAULT_CACHE else None,
            size=size,
            **kwargs,
        )
        self.kwargs = {**kwargs, "etag": etag}  # so that a copy in another process reads the same bytes
        self._block, self._block_start = b"", 0  # for readline()
        if cache_type == DEFAULT_CACHE:
            self.cache = _ReadAheadCache(self)

    def read(self, length: int | None = -1) -> bytes:
        """Return the next bytes.

        :raises FileSystemError: if the object has changed since it was opened, or cannot be read
        """
        self._check_open()
        wanted = self.size - self.loc if length is None or length < 0 else length
        held = self._take_buffered(wanted)
        with os_errors():
            data: bytes = super().read(wanted - len(held)) if wanted > len(held) else b""
        return held + data if held else data

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its line end. Bytes are fetched in blocks, for the following lines too."""
        self._check_open()
        most = self.size - self.loc if size is None or size < 0 else size
        line = b""
        while len(line) < most:
            if not (self._block_start <= self.loc < self._block_start + len(self._block)):
                start = self.loc
                block = self.read(LINE_BLOCK)
                if not block:
                    break
                self._block, self._block_start, self.loc = block, start, start
            at = self.loc - self._block_start
            end = self._block.find(b"\n", at) + 1
            line += self._take_buffered(min(most - len(line), (end or len(self._block)) - at))
            if end:
                break
        return line

    def close(self) -> None:
        """Close the file and free its memory."""
        super().close()
        self._block = b""

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _take_buffered(self, most: int) -> bytes:
        """Return the next bytes that are buffered, and move the position past them."""
        at = self.loc - self._block_start
        if not 0 <= at < len(self._block):
            return b""
        held = self._block[at : at + most]
        self.loc += len(held)
        return held

    def _fetch_range(self, start: int, end: int) -> bytes:
        buffer = bytearray(max(0, min(end, self.size) - start))
        fill(self._client, self._target, start, buffer, etag=self._etag, total=self.size)
        return bytes(buffer)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.fs, self.path, self.blocksize, self.loc, self.size, self._etag, self.cache.name)


def _reopened(
    fs: MetadataFileSystem, path: str, block_size: int, position: int, size: int, etag: str, cache_type: str
) -> Any:
    file = fs.open(path, "rb", block_size=block_size, size=size, etag=etag, cache_type=cache_type)
    file.seek(position)
    return file


class _ReadAheadCache(BaseCache):  # type: ignore[misc]  # fsspec has no types
    """Reads ahead, as an fsspec cache."""

    name = DEFAULT_CACHE

    def __init__(self, file: OssReader) -> None:
        super().__init__(file.blocksize, file._fetch_range, file.size)
        self._target, self._etag, self._client = file._target, file._etag, file._client
        self._memory, self._max_workers = file.fs.file_memory, file.fs.max_workers
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._read_ahead = ReadAhead(self._fill, self.size, memory=self._memory, max_workers=self._max_workers)

    def _fill(self, start: int, buffer: bytearray, order: Stop) -> None:
        client = self._client.with_stop(order)
        fill(client, self._target, start, buffer, etag=self._etag, total=self.size)
        self.total_requested_bytes += len(buffer)

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        if self._process != os.getpid():  # a forked child has none of the threads
            self._start()
        self.miss_count += 1
        return self._read_ahead.read(start or 0, self.size if stop is None else stop)

    def close(self) -> None:
        """Stop all requests."""
        self._read_ahead.close()
