"""An object that is open for reading."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fsspec.caching import BaseCache
from fsspec.spec import AbstractBufferedFile

from airflow_provider_ossresume.filesystem.fetching import fill
from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.filesystem.paths import object_at
from airflow_provider_ossresume.transfer.read_ahead import ReadAhead
from airflow_provider_ossresume.transfer.stop import Stop

if TYPE_CHECKING:
    from airflow_provider_ossresume.filesystem.finding import FindingFileSystem

DEFAULT_CACHE = "oss"
LINE_BLOCK = 64 * 1024  # of what is fetched for lines


class OssReader(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """The bytes that the object had when it was opened: once it has changed, a read fails and mixes nothing.

    :param cache_type: one of fsspec's caches; by default one that fetches ahead, by requests at once, for who reads on,
        and just what is asked for else
    :param etag: the one that it must have, when that is known
    """

    loc: int

    def __init__(
        self,
        fs: FindingFileSystem,
        path: str,
        *,
        block_size: int | str | None,
        cache_type: str,
        cache_options: dict[str, Any] | None,
        etag: str | None = None,
        size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Open it: OSS is asked for its size and its ETag."""
        self._target = object_at(path)
        self._client = fs.client
        if etag is None or size is None:
            self._details = fs.look_at(path)
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
        self.kwargs = {**kwargs, "etag": etag}  # for a copy in another process, which reads the same bytes
        self._block, self._block_start = b"", 0  # of who reads by lines
        if cache_type == DEFAULT_CACHE:
            self.cache = _ReadAheadCache(self)

    def read(self, length: int | None = -1) -> bytes:
        """Return the next bytes.

        :raises FileSystemError: when the object has changed since it was opened, or cannot be read
        """
        self._check_open()
        wanted = self.size - self.loc if length is None or length < 0 else length
        held = self._held(wanted)
        with os_errors():
            data: bytes = super().read(wanted - len(held)) if wanted > len(held) else b""
        return held + data if held else data

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line, with its end; what is fetched for it serves the lines that follow."""
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
            line += self._held(min(most - len(line), (end or len(self._block)) - at))
            if end:
                break
        return line

    def close(self) -> None:
        """Hold nothing any more."""
        super().close()
        self._block = b""

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _held(self, most: int) -> bytes:
        """Return what is held of the next bytes, and go on behind them."""
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
    fs: FindingFileSystem, path: str, block_size: int, position: int, size: int, etag: str, cache_type: str
) -> Any:
    file = fs.open(path, "rb", block_size=block_size, size=size, etag=etag, cache_type=cache_type)
    file.seek(position)
    return file


class _ReadAheadCache(BaseCache):  # type: ignore[misc]  # fsspec has no types
    """What fsspec calls a cache: it fetches ahead."""

    name = DEFAULT_CACHE

    def __init__(self, file: OssReader) -> None:
        super().__init__(file.blocksize, file._fetch_range, file.size)
        self._target, self._etag, self._client = file._target, file._etag, file._client
        self._memory, self._max_workers = file.fs.file_memory, file.fs.max_workers
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._ahead = ReadAhead(self._fill, self.size, memory=self._memory, max_workers=self._max_workers)

    def _fill(self, start: int, buffer: bytearray, order: Stop) -> None:
        client = self._client.with_stop(order)
        fill(client, self._target, start, buffer, etag=self._etag, total=self.size)
        self.total_requested_bytes += len(buffer)

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        if self._process != os.getpid():  # a fork's child has none of the threads
            self._begin()
        self.miss_count += 1
        return self._ahead.read(start or 0, self.size if stop is None else stop)

    def close(self) -> None:
        """End what is under way."""
        self._ahead.close()
