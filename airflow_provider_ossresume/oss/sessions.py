"""The way to OSS: requests' adapter with its connections, their timeouts, proxies and certificates.

The adapter is used without a session. A session would add what a client of OSS must not have: cookies, redirects that
are followed, and a look into ~/.netrc.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.endpoint import check_proxy

SEND_SIZE = 256 * 1024  # what has to be sent within the send timeout


def environment_settings(url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str) -> dict[str, Any]:
    """Return proxies, verify and cert for every request to the URL; the environment is read once, here.

    :raises ArgumentError: when the CA bundle is not there, or the proxy is none
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, dict(proxies or {}), None, verify_tls, None)
    if proxy := select_proxy(url, settings["proxies"]):
        check_proxy(proxy)
    if isinstance(settings["verify"], str) and not os.path.exists(settings["verify"]):
        raise ArgumentError(
            "ca_bundle",
            settings["verify"],
            "there is no such file on this worker; correct the connection's CA bundle, "
            "or the environment's REQUESTS_CA_BUNDLE",
        )
    return {name: settings[name] for name in ("proxies", "verify", "cert")}


class Adapter(HTTPAdapter):
    """Sends prepared requests; its sends and the lines of its answers have timeouts of their own. Retries nothing.

    urllib3 sends a request's body under the connect timeout: too short for a slow link that many workers share. And
    each byte that comes begins its read timeout anew, so headers that trickle would hold a worker for hours.

    :param send_timeout: seconds that sending 256 KiB of a body may take
    :param lines_timeout: seconds from the first byte of an answer within which all its headers must have come; the same
        holds for a chunk's size and for trailers
    """

    def __init__(self, *, max_connections: int, send_timeout: float, lines_timeout: float) -> None:
        self._pool_classes = _pool_classes(send_timeout, lines_timeout)
        self._pool_keys: dict[str, tuple[Any, Any]] = {}
        super().__init__(pool_connections=2, pool_maxsize=max_connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        # One client's certificates are the same for all requests, and requests looks at the disk for each of them.
        origin = _origin(str(request.url))
        if origin not in self._pool_keys:
            self._pool_keys[origin] = super().build_connection_pool_key_attributes(request, verify, cert)
        host, tls = self._pool_keys[origin]
        return dict(host), dict(tls)

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        if proxies:
            return super().request_url(request, proxies)
        return str(request.url).removeprefix(_origin(str(request.url)))


def _origin(url: str) -> str:
    """Return scheme, host and port."""
    return url[: url.index("/", len("https://"))]


def read_into(answer: requests.Response, buffer: memoryview) -> int:
    """Read of the answer's body what one call to the socket gives, into the buffer; return its size, 0 at the end.

    urllib3 would make an object of every read, and its memory new each time: a third of a download's cost.

    :raises OSError, HTTPException: when the connection breaks, or ends before the body does
    """
    # The answer that http.client made; requests reaches for it in the same way.
    return cast("_Answer", answer.raw._original_response).read_into(buffer)


READ_ERRORS = (OSError, HTTPException)  # what read_into raises


class _Answer(HTTPResponse):
    """An answer whose body can be read into a buffer, and whose lines have to come within a time."""

    lines_timeout: float

    def begin(self) -> None:
        file = self.fp
        start = file.peek(1)  # asks the socket once
        if b"\r\n\r\n" in start and start[9:10] != b"1":  # the whole head is here, and it is no "100 Continue"
            super().begin()
            if self.chunked:
                self.fp = _Lines(file, self.lines_timeout)  # type: ignore[assignment]  # as below
            return
        lines = _Lines(file, self.lines_timeout)
        self.fp = lines  # type: ignore[assignment]  # it has all that http.client asks for
        super().begin()
        lines.deadline = None

    def read_into(self, buffer: memoryview) -> int:
        if self.fp is None or self.length == 0:
            return 0
        if self.chunked or self.length is None:
            data = self.read1(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        size = self.fp.readinto1(buffer[: self.length])
        if not size:
            raise IncompleteRead(b"", self.length)
        self.length -= size
        if not self.length:
            self.close()  # the answer; its connection is free for the next request
        return size


def _pool_classes(send_timeout: float, lines_timeout: float) -> dict[str, type[HTTPConnectionPool]]:
    class Answer(_Answer):
        pass

    Answer.lines_timeout = lines_timeout

    class Sending:
        """What both kinds of connection do in their own way."""

        response_class: Any = Answer

        def connect(self) -> None:
            super().connect()  # type: ignore[misc]
            self.sock.settimeout(send_timeout)  # type: ignore[attr-defined]

        def send(self, data: Any) -> None:
            """Send in steps, each with the whole timeout: a link may be slow, it may not stand still."""
            view = memoryview(data)
            for start in range(0, len(view), SEND_SIZE):
                super().send(view[start : start + SEND_SIZE])  # type: ignore[misc]

    class Connection(Sending, HTTPConnection):
        pass

    class SecureConnection(Sending, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


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
        self.deadline = None
        return self._file.read1(size)

    def read(self, size: int = -1) -> bytes:
        self.deadline = None
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
