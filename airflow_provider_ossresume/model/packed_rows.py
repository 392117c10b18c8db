"""Packs rows for files of a work folder: one row in each line, compressed with gzip as a stream."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from airflow_provider_ossresume.errors import ManifestUnreadable

PIECE = 256 * 1024  # bytes
_GZIP = 31  # zlib: a header and a checksum as gzip's, a window of 32 KiB


class HasLine(Protocol):
    """A row."""

    def line(self) -> str: ...


class RowPacker:
    """Packs rows into the bytes of a file. The same rows give the same bytes.

    Only compressed rows are kept in memory.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._compress = zlib.compressobj(6, wbits=_GZIP)
        self._packed = bytearray()
        self._waiting: list[str] = []

    def add(self, row: HasLine) -> None:
        self.rows += 1
        self._waiting.append(row.line())
        if len(self._waiting) == 256:
            self._take()

    def bytes(self) -> bytes:
        """Return the file's bytes. After that, no more rows can be added."""
        self._take()
        return bytes(self._packed + self._compress.flush())

    def _take(self) -> None:
        if self._waiting:
            self._packed += self._compress.compress(("\n".join(self._waiting) + "\n").encode())
            self._waiting = []


def pack_rows(rows: Iterable[HasLine]) -> bytes:
    """Return the bytes of a file with these rows."""
    packer = RowPacker()
    for row in rows:
        packer.add(row)
    return packer.bytes()


def unpack_rows(data: bytes, *, may_be_torn: bool = False) -> Iterator[str]:
    """Yield the lines of a file of rows.

    :param may_be_torn: the end may be missing; an incomplete last line is then left out
    :raises ManifestUnreadable: if the bytes are not such a file, are damaged, or end too early
    """
    decompress = zlib.decompressobj(wbits=_GZIP)
    rest, left, text = b"", data, b"x"
    while (left or text) and not decompress.eof:  # zlib may have consumed all bytes before it has returned all
        try:
            text = decompress.decompress(left, PIECE)
        except zlib.error as error:
            raise ManifestUnreadable(f"this is not a file of rows, or it is damaged: {error}") from error
        left = decompress.unconsumed_tail
        *lines, rest = (rest + text).split(b"\n")
        for line in lines:
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise ManifestUnreadable("a line is not UTF-8") from error
    if may_be_torn:
        return
    if not decompress.eof or rest or decompress.unused_data:
        raise ManifestUnreadable("the end of the file is missing, or there is something after it")
