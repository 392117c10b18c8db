"""An HTTP response: its status and headers (the head), and its body."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse, parse_headers
from types import TracebackType
from typing import cast

from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.wire import MAX_HEAD, Wire

MAX_INFORMATIONAL = 10_000  # 1xx responses; one a second while OSS works reaches this after three hours
MAX_LINES = 90  # parsed at once; http.client refuses more than 100, and OSS's 8 KiB of metadata may take more

_LINE_END = re.compile(rb"\r?\n(?![ \t])")  # the end of a field with its continuation lines
_NO_TEXT = re.compile(rb"\r(?!\n)|\0")
# A status with a body, and fields whose values neither begin nor end with a blank.
_PLAIN = re.compile(
    rb"HTTP/1\.1 (20[06]|[45][0-9]{2}) ([ -~]*)\r\n((?:[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)*"
    rb"[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?)\r\n\r\n"
)
_LENGTH = re.compile(r"[0-9]{1,18}")
MAX_PLAIN = 8 * 1024  # bytes of a head
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


class Response:
    """A response whose body has not been read yet. Leaving its context frees the connection.

    :ivar fields: headers by lower-case name; several of one name are joined by commas
    :ivar length: how many bytes of the body are still to come; None if only the end of the connection shows it
    """

    def __init__(self, head: ResponseHead, wire: Wire, finish: Callable[..., None]) -> None:
        self.status, self.reason, self.fields = head.status, head.reason, head.fields
        self.length = head.length
        self._chunked = head.chunked
        self._is_last = head.is_last
        self._is_at_end = self._is_broken = False
        self._wire = wire
        self._finish = finish

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the connection. It is kept if the body was read to its end, else closed."""
        self._finish(is_clean=self.is_read and not self._is_last, is_broken=False)

    @property
    def is_read(self) -> bool:
        return self.length == 0 or self._is_at_end

    def set_last(self) -> None:
        """Close the connection after this response."""
        self._is_last = True

    def read_into(self, buffer: memoryview, limit: Limit) -> int:
        """Read from the body into the buffer, with one call to the socket. Return the number of bytes, 0 at the end.

        :raises ExchangeFailed: if the connection breaks, or ends before the body does
        """
        if self.is_read:
            return 0
        if self._is_broken:
            raise ExchangeFailed("the response was cut short")
        try:
            size = self._read(buffer, limit)
        except BaseException:
            self._is_broken = True
            self._finish(is_clean=False, is_broken=True)
            raise
        if not size:
            self._is_at_end = True
        return size

    def _read(self, buffer: memoryview, limit: Limit) -> int:
        if self._chunked is not None:
            return self._read_chunk(self._chunked, buffer, limit)
        if self.length is None:
            return self._wire.read_into(buffer, limit)
        size = self._wire.read_into(buffer[: self.length], limit)
        if not size:
            raise ExchangeFailed(f"the connection ended {self.length} bytes before the end of the body")
        self.length -= size
        return size

    def _read_chunk(self, response: HTTPResponse, buffer: memoryview, limit: Limit) -> int:
        if not isinstance(response.fp, _Chunks):
            response.fp = cast("io.BufferedReader", _Chunks(self._wire))
        cast("_Chunks", response.fp).limit = limit
        try:
            data = response.read1(len(buffer))
        except (HTTPException, ValueError) as error:
            raise ExchangeFailed(str(error) or type(error).__name__) from error
        limit.moved(len(data), 0.0)
        buffer[: len(data)] = data
        return len(data)

    def pieces(self, size: int, limit: Limit) -> Iterator[bytes]:
        """Yield the body as it arrives, at most ``size`` bytes at once. Raises as :meth:`read_into` does."""
        if self.is_read:
            return
        buffer = memoryview(bytearray(size))
        while read := self.read_into(buffer, limit):
            yield bytes(buffer[:read])


class _Chunks:
    """The part of a file that http.client needs to read chunks.

    http.client reads trailers until a blank line comes, however many there are. Here they are limited as headers are.

    :ivar limit: for the next read
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._line_bytes = 0  # since the last chunk: more than the size of a chunk is trailers
        self.limit: Limit

    def readline(self, most: int) -> bytes:
        line = self._wire.line(most, self.limit)
        self._line_bytes += len(line)
        if self._line_bytes > MAX_HEAD:
            raise HTTPException(f"the trailers are longer than {MAX_HEAD} bytes")
        return line

    def read(self, size: int) -> bytes:
        self._line_bytes = 0
        data = b""
        while len(data) < size and (more := self._wire.read(size - len(data), self.limit)):
            data += more
        return data

    def read1(self, size: int) -> bytes:
        if size < 0:
            raise HTTPException("a chunk has a negative size")
        self._line_bytes = 0
        return self._wire.read(size, self.limit)

    def close(self) -> None:
        """Do nothing: the connection decides when the socket is closed."""


class ResponseHead:
    """The head of a response: status and headers.

    A plain head, which cannot be read in two ways, is parsed here. http.client parses all others. It takes seven times
    as long: 0.13 of the 0.9 ms of CPU time that a file of 100 KiB takes in a transfer of a folder.

    :ivar length: how many bytes the body has; None if only the end of the connection shows it
    :ivar chunked: http.client's response, which reads the body if it comes in chunks
    :ivar is_last: the connection must not be used again
    :raises ExchangeFailed: if it is not a valid head
    """

    status: int
    reason: str
    fields: Mapping[str, str]
    length: int | None
    chunked: HTTPResponse | None = None
    is_last: bool

    def __init__(self, head: bytes, method: str) -> None:
        if not self._read_plain(head, method):
            self._read(head, method)

    def _read_plain(self, head: bytes, method: str) -> bool:
        """Parse a head in printable ASCII that has Content-Length and no field twice. Return False for any other."""
        if len(head) > MAX_PLAIN or not (found := _PLAIN.fullmatch(head)):
            return False
        lines = found[3].decode("ascii").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = fields.get("content-length", "")
        if len(fields) < len(lines) or "transfer-encoding" in fields or not _LENGTH.fullmatch(length):
            return False
        self.status, self.reason, self.fields = int(found[1]), found[2].decode("ascii").strip(), fields
        self.length = 0 if method == "HEAD" else int(length)
        self.is_last = "close" in fields.get("connection", "").lower()
        return True

    def _read(self, head: bytes, method: str) -> None:
        first, *fields = _LINE_END.split(head.rstrip(b"\r\n"))
        if _NO_TEXT.search(head) or b"\n" in first:
            raise ExchangeFailed("the response headers contain a character that is not allowed")
        rest: list[bytes] = []
        if head.count(b"\n") > MAX_LINES:
            fields.sort(
                key=lambda field: field.partition(b":")[0].lower() not in _FRAMING
            )  # the others keep their order
            fields, rest = fields[:MAX_LINES], fields[MAX_LINES:]
        try:
            response = HTTPResponse(cast("socket.socket", _SocketOfBytes(_lines(first, *fields))), method=method)
            response.begin()
            items = list(response.headers.items())
            for start in range(0, len(rest), MAX_LINES):
                items += parse_headers(io.BytesIO(_lines(*rest[start : start + MAX_LINES]))).items()
        except (HTTPException, ValueError) as error:
            raise ExchangeFailed(f"the response headers cannot be parsed: {error!r}") from error
        # http.client stops reading at a broken line.
        if len(items) != len(fields) + len(rest):
            raise ExchangeFailed("the response headers contain a broken line")
        self.status, self.reason = response.status, response.reason
        self.fields = _joined(items)
        self.length, self.is_last = response.length, bool(response.will_close)
        self.chunked = response if response.chunked else None
        lengths = {value.strip() for name, value in items if name.lower() == "content-length"}
        if len(lengths) + ("transfer-encoding" in self.fields) > 1:
            raise ExchangeFailed("the response headers give the length in two ways")


class _SocketOfBytes:
    """Looks to http.client like a socket that brings these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _lines(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


def _joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in fields:
        name, value = name.lower(), _FOLD.sub(" ", value).strip(" \t")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


_FOLD = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_INFORMATIONAL = re.compile(rb"HTTP/1\.[0-9] 1[0-9][0-9][ \r\n]")


def read_head(wire: Wire, method: str, *, first: Limit, whole: Callable[[], Limit]) -> ResponseHead:
    """Return the head of the response. Informational responses (1xx) that come before it are skipped.

    :param first: the limit for each head's first byte
    :param whole: makes the limit for the rest of a head
    :raises ExchangeFailed: if none comes, or not all of it
    """
    for _ in range(MAX_INFORMATIONAL):
        first.left()  # also if a head has arrived together with the one before
        head = wire.head(first, whole)
        if not _INFORMATIONAL.match(head):
            response = ResponseHead(head, method)
            if response.status < 200:
                raise ExchangeFailed("the status line of the response cannot be parsed")
            return response
    raise ExchangeFailed(f"{MAX_INFORMATIONAL} informational responses (1xx) came, and no final one")
