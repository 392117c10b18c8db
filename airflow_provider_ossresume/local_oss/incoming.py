"""Reads a request from the connection: parses the head, and passes the body on as it arrives."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, unquote_plus

from airflow_provider_ossresume.local_oss.answers import Refusal, invalid_argument

MAX_HEAD_SIZE = 64 * 1024  # bytes; OSS allows 8 KiB of metadata and a key of 1,023 bytes, the rest is headroom
MAX_XML_SIZE = 4 * 1024 * 1024  # 10,000 parts take about 1 MiB
STEP = 512 * 1024  # bytes of a body that are read, hashed and written at once

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SINGLE_HEADERS = ("authorization", "content-length", "host", "transfer-encoding")


class ConnectionLost(Exception):
    """The connection ends: the client has disconnected, the server is closing, or a fault ends it.

    ``reset``: the client gets a reset instead of an orderly end.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


class Source(Protocol):
    """Where a body's bytes come from."""

    def read(self, limit: int) -> memoryview:
        """Return at least one and at most ``limit`` bytes, valid until the next call."""

    def line(self) -> bytes:
        """Return one line without its end."""


class Stream:
    """The bytes that a client sends: heads and bodies, in order. All bodies are read into one buffer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._early = bytearray()  # bytes that arrived together with what was read before
        self._buffer: memoryview | None = None

    def head(self) -> bytes | None:
        """Return the bytes of a request up to its empty line; None if the client has closed the connection."""
        while (end := self._early.find(b"\r\n\r\n")) < 0:
            if len(self._early) > MAX_HEAD_SIZE:
                raise Refusal(400, "RequestHeaderTooLarge", f"The request's head is over {MAX_HEAD_SIZE} bytes.")
            try:
                self._early += self._received(64 * 1024)
            except ConnectionLost:
                return None
        if end > MAX_HEAD_SIZE:
            raise Refusal(400, "RequestHeaderTooLarge", f"The request's head is over {MAX_HEAD_SIZE} bytes.")
        head = bytes(self._early[:end])
        del self._early[: end + 4]
        return head

    def read(self, limit: int) -> memoryview:
        """Return at least one and at most ``limit`` bytes, valid until the next read."""
        if self._early:
            data = bytes(self._early[:limit])
            del self._early[:limit]
            return memoryview(bytearray(data))
        if self._buffer is None:
            self._buffer = memoryview(bytearray(STEP))
        try:
            count = self._sock.recv_into(self._buffer, min(limit, STEP))
        except OSError as error:
            raise ConnectionLost from error
        if not count:
            raise ConnectionLost
        return self._buffer[:count]

    def line(self) -> bytes:
        """Return one line without its end."""
        while (end := self._early.find(b"\r\n")) < 0:
            if len(self._early) > MAX_HEAD_SIZE:
                raise Refusal(400, "InvalidArgument", "A line of the chunked body is too long.")
            self._early += self._received(4096)
        line = bytes(self._early[:end])
        del self._early[: end + 2]
        return line

    def _received(self, limit: int) -> bytes:
        try:
            data = self._sock.recv(limit)
        except OSError as error:
            raise ConnectionLost from error
        if not data:
            raise ConnectionLost
        return data


class Body:
    """The body of a request. Iterating yields it in steps; each is valid until the next one."""

    def __init__(self, source: Source, headers: Mapping[str, str], *, before_first: Callable[[], None]) -> None:
        self._source = source
        self._before_first = before_first  # sends the 100 Continue that the client may be waiting for
        self.chunked = "transfer-encoding" in headers
        self.length = None if self.chunked else _content_length(headers)
        self.declared = self.chunked or "content-length" in headers
        self.received = 0
        self._left = 0 if self.length is None else self.length
        self._ended = self.length == 0

    @property
    def finished(self) -> bool:
        """True when nothing is left to read."""
        return self._ended

    @property
    def left(self) -> int | None:
        """The number of bytes left to read; None if it is not known before the end."""
        return None if self.chunked and not self._ended else self._left

    def read_through(self, wrap: Callable[[Source], Source]) -> None:
        """Wrap the source of the body's bytes."""
        self._source = wrap(self._source)

    def __iter__(self) -> Iterator[memoryview]:
        while step := self.read(STEP):
            yield step

    def read(self, limit: int) -> memoryview:
        """Return up to ``limit`` bytes, none at the end. Raises ConnectionLost if the client disconnects early."""
        if not self._ended and not self.received:
            self._before_first()
        if self.chunked and not self._left and not self._ended:
            self._left = self._next_chunk()
        if self._ended:
            return memoryview(b"")
        step = self._source.read(min(limit, self._left))
        self.received += len(step)
        self._left -= len(step)
        if self.chunked and not self._left and self._source.line():
            raise _malformed_chunk()
        self._ended = not self.chunked and not self._left
        return step

    def whole(self) -> bytes:
        """Return all of a small body, such as an XML document."""
        data = bytearray()
        for step in self:
            data += step
            if len(data) > MAX_XML_SIZE:
                raise Refusal(400, "MalformedXML", f"The body is over {MAX_XML_SIZE} bytes.")
        return bytes(data)

    def _next_chunk(self) -> int:
        size_text = self._source.line().split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size_text):
            raise _malformed_chunk()
        size = int(size_text, 16)
        if not size:
            self._ended = True
            while self._source.line():  # trailers
                pass
        return size


def _malformed_chunk() -> Refusal:
    return Refusal(400, "InvalidArgument", "The chunked body is malformed.")


def _content_length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise invalid_argument("Content-Length", text)
    return int(text)


@dataclass(frozen=True)
class IncomingRequest:
    """A request: its head parsed, its body still to be read.

    ``headers`` have lower-case names, ``query`` decoded names and values. A bucket-level request has no key.
    """

    method: str
    bucket: str | None
    key: str | None
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    keep_alive: bool
    scheme: str = "http"

    @property
    def host(self) -> str:
        """The Host header; empty if there is none."""
        return self.headers.get("host", "")

    @property
    def bucket_url(self) -> str:
        """The URL of the bucket as the client addressed it: with the bucket in the host, or in the path."""
        path = f"/{self.bucket}" if _bucket_of(self.host) is None else ""
        return f"{self.scheme}://{self.host}{path}"

    @property
    def target(self) -> tuple[str, str]:
        """Bucket and key of a request that is routed to an object's operation."""
        return self.bucket or "", self.key or ""


def parse_head(head: bytes, *, body_of: Callable[[Mapping[str, str]], Body], scheme: str = "http") -> IncomingRequest:
    """Parse a head and return the request. Raises Refusal if it is not HTTP/1.x."""
    first, *lines = _text(head).split("\r\n")
    method, target, version = _request_line(first)
    headers = _headers(lines)
    host, path, query_text = _split_target(target, headers.get("host", ""))
    bucket, key = _bucket_and_key(host, path)
    return IncomingRequest(
        method=method,
        bucket=bucket,
        key=key,
        query=_query(query_text),
        headers=headers,
        body=body_of(headers),
        keep_alive=_keep_alive(version, headers.get("connection", "").lower()),
        scheme=scheme,
    )


def _text(head: bytes) -> str:
    try:
        return head.decode()
    except UnicodeDecodeError:
        return head.decode("latin-1")  # the encoding that HTTP clients use for other headers


def _request_line(line: str) -> tuple[str, str, str]:
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not _TOKEN.fullmatch(method) or not target or " " in target or version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refusal(400, "InvalidRequest", "This is not an HTTP/1.1 request.")
    return method, target, version


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not _TOKEN.fullmatch(name) or "\0" in value or "\n" in value or "\r" in value:
            raise Refusal(400, "InvalidRequest", "A header of the request is malformed.")
        if name in headers and name in _SINGLE_HEADERS:
            raise Refusal(400, "InvalidRequest", f"The header {name} is given twice.")
        value = value.strip(" \t")  # the only whitespace that HTTP allows here
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if "transfer-encoding" in headers and (
        headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers
    ):
        raise Refusal(400, "InvalidRequest", "The request's length is ambiguous.")
    return headers


def _split_target(target: str, host: str) -> tuple[str, str, str]:
    if not target.startswith("/"):
        _, scheme, rest = target.partition("://")
        if not scheme:
            raise Refusal(400, "InvalidRequest", "The request target is malformed.")
        host, _, path = rest.partition("/")
        target = f"/{path}"
    path, _, query = target.partition("?")
    return host, path, query


def _bucket_and_key(host: str, path: str) -> tuple[str | None, str | None]:
    bucket = _bucket_of(host)
    path = path[1:]
    if bucket is None:
        name, _, path = path.partition("/")
        bucket = _decoded(name) or None
    return bucket, _decoded(path) or None


def _bucket_of(host: str) -> str | None:
    """Return the bucket in a virtual host name; None for an endpoint, where the path names the bucket."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    first, dot, rest = name.partition(".")
    if not dot or is_address(name):
        return None
    is_endpoint = first == "oss" or (first.startswith("oss-") and not rest.startswith("oss-"))
    return None if is_endpoint else first


def is_address(name: str) -> bool:
    """Return True for an IP address, False for a host name."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Refusal(400, "InvalidObjectName", "The name is not UTF-8.") from error


def _query(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    try:
        return {unquote_plus(name, errors="strict"): unquote_plus(value, errors="strict") for name, _, value in pairs}
    except UnicodeDecodeError as error:
        raise invalid_argument("query", "", message="The query is not UTF-8.") from error


def _keep_alive(version: str, connection: str) -> bool:
    if version == "HTTP/1.0":
        return "keep-alive" in connection
    return "close" not in connection
