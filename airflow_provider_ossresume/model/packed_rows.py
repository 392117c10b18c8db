"""Rows as the files of a work folder have them: one a line, compressed by gzip, a little at a time."""

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
    """Takes rows and makes the bytes of their file. The same rows make the same bytes.

    In memory are only the compressed ones.
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
        """Return them; then nothing more can be added."""
        self._take()
        return bytes(self._packed + self._compress.flush())

    def _take(self) -> None:
        if self._waiting:
            self._packed += self._compress.compress(("\n".join(self._waiting) + "\n").encode())
            self._waiting = []


def pack_rows(rows: Iterable[HasLine]) -> bytes:
    """Return rows as their file has them."""
    packer = RowPacker()
    for row in rows:
        packer.add(row)
    return packer.bytes()


def unpack_rows(data: bytes, *, may_be_torn: bool = False) -> Iterator[str]:
    """Yield the lines of a file of rows.

    :param may_be_torn: the end may be missing; then a last line that is not whole is left out
    :raises ManifestUnreadable: when the bytes are no such file, or damaged, or its end is missing
    """
    decompress = zlib.decompressobj(wbits=_GZIP)
    rest, left, text = b"", data, b"x"
    while (left or text) and not decompress.eof:  # zlib may have taken all bytes and not given all yet
        try:
            text = decompress.decompress(left, PIECE)
        except zlib.error as error:
            raise ManifestUnreadable(f"this is no file of rows, or a damaged one: {error}") from error
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
        raise ManifestUnreadable("the end of the file is missing, or something stands behind it")
