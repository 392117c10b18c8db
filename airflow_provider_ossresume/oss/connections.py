"""The way to OSS: connections with their timeouts, proxies and certificates, and one exchange over one of them.

requests finds the way: its adapter knows proxies, certificates and their environment, and keeps the connections. What
goes over a connection is written and read here: a session would add what a client of OSS must not have (cookies,
redirects that are followed, a look into ~/.netrc), and it is what takes most of a small request's time.
"""

from __future__ import annotations

import io
import os
import re
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from http.client import HTTPException, HTTPResponse, IncompleteRead
from itertools import chain
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3.exceptions import HTTPError, ProxyError
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.proxies import Proxies, Proxy

ERRORS = (OSError, HTTPException, HTTPError, CertificateError)  # what goes wrong in an exchange; requests' are OSErrors
SEND_SIZE = 256 * 1024  # what has to be sent within the send timeout

Piece = bytes | memoryview


def environment_settings(url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str) -> dict[str, Any]:
    """Return proxies, verify and cert for requests to the URL and what lies below it; the environment is read here.

    :raises ArgumentError: when the CA bundle cannot be read, or the proxy to the URL cannot be used
    """
    found = Proxies(proxies)
    found.to(url)
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, verify_tls, None)
    verify = settings["verify"]
    if isinstance(verify, str):
        _check_bundle(verify, is_given=verify == verify_tls)
    return {"proxies": found, "verify": verify, "cert": settings["cert"]}


def _check_bundle(path: str, *, is_given: bool) -> None:
    variable = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
    argument = "ca_bundle" if is_given else variable
    step = "correct it" if is_given else "the environment of this worker holds it; correct it"
    try:
        _bundle(path)
    except FileNotFoundError:
        raise ArgumentError(argument, path, f"there is no such file on this worker; {step}") from None
    except OSError as error:  # an ssl.SSLError is one
        why = getattr(error, "strerror", None) or error
        raise ArgumentError(argument, path, f"no certificates can be read there ({why}); {step}") from None


class Connections:
    """One client's connections, for any number of threads; they are kept open from exchange to exchange.

    urllib3 would send a request's body under the connect timeout: too short for a slow link that many workers share.
    And each byte that comes begins its read timeout anew, so headers that trickle would hold a worker for hours.

    :param settings: those of :func:`environment_settings`
    :param max_connections: how many are kept
    :param connect_timeout: seconds for a connection to be made
    :param send_timeout: seconds that sending 256 KiB of a body may take
    :param read_timeout: seconds of silence after which an answer is given up
    :param lines_timeout: seconds from the first byte of an answer within which all its headers must have come; the same
        holds for a chunk's size and for trailers
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        max_connections: int,
        connect_timeout: float,
        send_timeout: float,
        read_timeout: float,
        lines_timeout: float,
    ) -> None:
        self._settings = settings
        self._timeouts = (connect_timeout, send_timeout, read_timeout)
        self._lines_timeout = lines_timeout
        self._max_connections = max_connections
        self._begin()

    def _begin(self) -> None:
        self._adapter = HTTPAdapter()
        self._ways: dict[str, _Way] = {}  # by origin: an endpoint has one, or one for each bucket
        self._finding = threading.Lock()
        self._process = os.getpid()

    def close(self) -> None:
        """Close those that wait; they are made anew when they are needed."""
        ways, self._ways = self._ways, {}
        for way in ways.values():
            way.close()
        self._adapter.close()

    def exchange(
        self,
        method: str,
        origin: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[Piece] = b"",
    ) -> Answer:
        """Send a request and return its answer, read up to its body; to be left as a context manager.

        It raises what ``ERRORS`` names, and what the body raises while it is sent.

        :param origin: scheme, host and port
        :param path: with the query, sent as it is: nobody may normalise the dot segments of a key
        :param headers: of the request and its body, but for Host
        """
        if self._process != os.getpid():
            self._begin()  # a child that was forked: over its parent's connections each would read the other's answers
        way = self._ways.get(origin) or self._way_to(origin)
        head = _head(method, way.before_path + path, {"Host": way.host, **headers, **way.headers})
        connect_timeout, send_timeout, read_timeout = self._timeouts
        connection = way.take(connect_timeout)
        try:
            connection.sock.settimeout(send_timeout)
            is_sent = _send(connection.sock, head, body)
            connection.sock.settimeout(read_timeout)
            answer = Answer(connection.sock, method, self._lines_timeout, partial(way.give_back, connection))
            try:
                answer.begin()
                if answer.status < 300 and not is_sent:
                    raise ConnectionResetError("a success was answered before the whole request was there")
            except BaseException:
                answer.close()  # else it would hold the socket open
                raise
            answer.will_close |= not is_sent
        except BaseException:
            way.give_back(connection, is_clean=False)
            raise
        return answer

    def proxy_to(self, origin: str) -> Proxy | None:
        """Return the proxy by which an origin is asked."""
        proxies: Proxies = self._settings["proxies"]
        return proxies.to(origin)

    def _way_to(self, origin: str) -> _Way:
        ways = self._ways
        with self._finding:
            if origin not in ways:
                ways[origin] = self._find_way(origin)
            return ways[origin]

    def _find_way(self, origin: str) -> _Way:
        request = PreparedRequest()
        request.method, request.url = "GET", f"{origin}/"
        verify, cert, proxy = self._settings["verify"], self._settings["cert"], self.proxy_to(origin)
        proxies = {"http": proxy.url, "https": proxy.url} if proxy else {}
        pool: Any = self._adapter.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        self._adapter.cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
        if pool.proxy is None or pool.proxy.scheme == "http":  # to a proxy by TLS urllib3 wants the bundle itself
            _read_bundle(pool)
        is_forwarded = self._adapter.request_url(request, proxies) != "/"
        return _Way(pool, origin, is_forwarded=is_forwarded, most=self._max_connections)


def _read_bundle(pool: Any) -> None:
    """Read the CA bundle once for all connections; each would read it for itself, which takes 16 ms."""
    file, folder = getattr(pool, "ca_certs", None), getattr(pool, "ca_cert_dir", None)
    if path := file or folder:  # else there is nothing to verify
        pool.conn_kw["ssl_context"] = _bundle(path)
        pool.ca_certs = pool.ca_cert_dir = None


def _bundle(path: str) -> ssl.SSLContext:
    found = os.stat(path)
    return _read_at(path, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=8)
def _read_at(path: str, _: tuple[int, ...]) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(*((None, path) if os.path.isdir(path) else (path, None)))
    return context


class _Way:
    """The connections to one origin, perhaps by a proxy.

    :param pool: urllib3's, which makes them. They wait here: a signal whose handler raises, as Airflow's do, may leave
        the lock of urllib3's own queue taken for good
    :param most: how many wait for the next exchange
    """

    def __init__(self, pool: Any, origin: str, *, is_forwarded: bool, most: int) -> None:
        self._pool = pool
        self._most = most
        self._waiting: deque[Any] = deque()  # its methods are atomic
        weakref.finalize(self, _close_all, self._waiting)
        self._is_tunnel = pool.proxy is not None and not is_forwarded
        self.host = origin.partition("://")[2]
        self.before_path = origin if is_forwarded else ""  # a proxy that forwards is told the whole URL
        self.headers: Mapping[str, str] = pool.proxy_headers if is_forwarded else {}

    def close(self) -> None:
        self._most = 0
        _close_all(self._waiting)

    def take(self, timeout: float) -> Any:
        """Return a connection that is made; one that waited is looked at whether its peer has closed it."""
        with suppress(IndexError):
            connection = self._waiting.pop()
            if connection.is_connected:
                return connection
            connection.close()
        connection = self._pool._new_conn()
        connection.timeout = timeout
        try:
            if self._is_tunnel:
                self._pool._prepare_proxy(connection)
            else:
                connection.connect()
        except BaseException as error:
            is_proxys = connection.proxy is not None and not connection.has_connected_to_proxy
            self.give_back(connection, is_clean=False)
            if is_proxys and isinstance(error, ERRORS):
                raise ProxyError("the proxy made no connection", error) from error
            raise
        return connection

    def give_back(self, connection: Any, *, is_clean: bool) -> None:
        if is_clean and len(self._waiting) < self._most:
            self._waiting.append(connection)
        else:
            connection.close()


def _close_all(waiting: deque[Any]) -> None:
    with suppress(IndexError):
        while True:
            waiting.pop().close()


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join((*lines, "", ""))
    if not head.count("\n") == head.count("\r") == len(lines) + 1:
        raise ValueError("the path or a header of a request has a line break in it")
    return head.encode()  # OSS takes UTF-8


def _send(sock: socket.socket, head: bytes, body: bytes | Iterable[Piece]) -> bool:
    """Send in steps, each with the whole timeout: a link may be slow, it may not stand still.

    Returns False when the peer hung up, as it may after an answer that did not wait for the body.
    """
    pieces = (head + body,) if isinstance(body, bytes) else chain((head,), body)
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), SEND_SIZE):
            try:
                sock.sendall(view[start : start + SEND_SIZE])
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return False
    return True


class Answer(HTTPResponse):
    """An answer whose body is still to be read. Leaving its context frees the connection.

    :ivar fields: its headers, by their lower-case names; several of one name are joined by commas
    """

    fields: Mapping[str, str]

    def __init__(self, sock: socket.socket, method: str, lines_timeout: float, give_back: Callable[..., None]) -> None:
        super().__init__(sock, method=method)
        self._is_head = method == "HEAD"
        self._lines_timeout = lines_timeout
        self._give_back = give_back

    def __exit__(self, *_: object) -> None:
        is_clean = self._is_read and not self.will_close
        self.close()
        self._give_back(is_clean=is_clean)

    @property
    def _is_read(self) -> bool:
        return self.length == 0 or (self.isclosed() and not self.length)

    def begin(self, **options: Any) -> None:
        file = self.fp
        start = file.peek(1)  # asks the socket once
        if (end := start.find(b"\r\n\r\n")) >= 0 and self._take(start[:end]):
            file.read(end + 4)
            return
        lines = _Lines(file, self._lines_timeout)
        self.fp = lines  # type: ignore[assignment]  # it has all that http.client asks for
        super().begin(**options)
        while self.status < 200:  # http.client takes the first but 100 for the answer, and leaves that to the next
            self.headers = None  # type: ignore[assignment]  # or it would not begin again
            super().begin(**options)
        lines.deadline = None
        self.fields = _joined(self.headers.items())

    def _take(self, head: bytes) -> bool:
        """Take a head that is whole and plain; False leaves it to http.client, which takes ten times as long."""
        first, *lines = head.decode("latin-1").split("\r\n")
        status = _STATUS.fullmatch(first)
        matches = [_FIELD.fullmatch(line) for line in lines]
        fields = _joined((match[1], match[2].strip(" \t")) for match in matches if match)
        length = _LENGTH.fullmatch(fields.get("content-length", ""))
        if status is None or None in matches or "transfer-encoding" in fields:
            return False
        if self._is_head or status[1] in ("204", "304"):
            self.length = 0
        elif length:
            self.length = int(length[0])
        else:
            return False
        self.version, self.status, self.reason = 11, int(status[1]), status[2]
        self.fields = fields
        self.chunked, self.will_close = False, "close" in fields.get("connection", "").lower()
        return True

    def read_into(self, buffer: memoryview) -> int:
        """Read of the body what one call to the socket gives, into the buffer; return its size, 0 at the end.

        :raises OSError, HTTPException: when the connection breaks, or ends before the body does
        """
        if self.fp is None or self.length == 0:
            return 0
        if self.chunked or self.length is None:
            try:
                data = self.read1(len(buffer))
            except BaseException:
                self.will_close = True  # http.client closes its file after a chunk without a size, as at the end
                raise
            buffer[: len(data)] = data
            return len(data)
        size = self.fp.readinto1(buffer[: self.length])
        if not size:
            raise IncompleteRead(b"", self.length)
        self.length -= size
        return size

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the body as it comes in, at most so many bytes at once; errors as in :meth:`read_into`."""
        buffer = memoryview(bytearray(size if self.length is None else min(size, self.length)))
        while read := self.read_into(buffer):
            yield bytes(buffer[:read])


def _joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


_STATUS = re.compile(r"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([^\n]*))?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


class _Lines:
    """What a socket brings; lines that follow each other have to come within a time.

    Such are an answer's head, and in a chunked body a chunk's size and the trailers. http.client reads them for as long
    as they come, and begins the read timeout anew with every byte.

    :ivar deadline: of the lines that are being read; None when the next line is the first
    """

    def __init__(self, file: io.BufferedReader, timeout: float) -> None:
        self._file = file
        self._timeout = timeout
        self.deadline: float | None = None

    def readline(self, limit: int) -> bytes:
        line = b""
        while len(line) < limit and not line.endswith(b"\n"):
            waiting = self._file.peek(1)  # asks the socket once at most
            if not waiting:
                break
            now = time.monotonic()
            self.deadline = self.deadline or now + self._timeout
            if now > self.deadline:
                raise TimeoutError(f"the answer's lines did not come within {self._timeout:g} s")
            size = waiting.find(b"\n") + 1 or len(waiting)
            line += self._file.read(min(size, limit - len(line)))
        return line

    def read1(self, size: int = -1) -> bytes:
        if size < 0:
            raise HTTPException("a chunk has a negative size")
        self.deadline = None
        return self._file.read1(size)

    def read(self, size: int = -1) -> bytes:
        self.deadline = None
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
