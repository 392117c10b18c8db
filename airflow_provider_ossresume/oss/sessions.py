"""The requests session of a client: its connections, their timeouts, proxies and certificates."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.endpoint import check_proxy


def new_session(*, max_connections: int, send_timeout: float, lines_timeout: float) -> requests.Session:
    """Return a session that keeps no cookies and retries nothing by itself.

    :param send_timeout: seconds that sending one piece of a body may take
    :param lines_timeout: seconds from the first byte of an answer within which all its headers must have come; the same
        holds for a chunk's size and for trailers
    """
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(_pool_classes(send_timeout, lines_timeout), max_connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def environment_settings(
    session: requests.Session, url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str
) -> dict[str, Any]:
    """Return proxies, verify and cert for every request to the URL; the environment is read once, here.

    From then on the session trusts it no more, so that it never looks into ~/.netrc.

    :raises ArgumentError: when the CA bundle is not there, or the proxy is none
    """
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
    session.trust_env = False
    return {name: settings[name] for name in ("proxies", "verify", "cert")}


class _Session(requests.Session):
    """Sees no redirect: requests would build the next request even where it may not follow it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Adapter(HTTPAdapter):
    """Makes connections whose sends and whose answers' lines have timeouts of their own.

    urllib3 sends a request's body under the connect timeout: too short for a slow link that many workers share. And
    each byte that comes begins its read timeout anew, so headers that trickle would hold a worker for hours.
    """

    def __init__(self, pool_classes: dict[str, type[HTTPConnectionPool]], max_connections: int) -> None:
        self._pool_classes = pool_classes
        super().__init__(pool_connections=2, pool_maxsize=max_connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager


def _pool_classes(send_timeout: float, lines_timeout: float) -> dict[str, type[HTTPConnectionPool]]:
    class Response(HTTPResponse):
        def begin(self) -> None:
            lines = _Lines(self.fp, lines_timeout)
            self.fp = lines  # type: ignore[assignment]  # it has all that http.client asks for
            super().begin()
            lines.deadline = None

    class Connection(HTTPConnection):
        response_class = Response

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(send_timeout)

    class SecureConnection(HTTPSConnection):
        response_class = Response

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(send_timeout)

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
