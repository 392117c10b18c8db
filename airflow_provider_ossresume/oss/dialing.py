"""Makes connections: resolves the name, passes the proxy, sets up TLS. Each step has a limit, and a stop ends it.

This uses sockets directly, because a stop must be able to close a socket before it is connected; urllib3 gives access
only afterwards. urllib3 and requests still set up TLS, do TLS within TLS, and write the headers for a proxy.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_auth_from_url
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProxyError
from urllib3.util import parse_url, ssl_wrap_socket
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.wait import wait_for_write

from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.proxies import Proxy
from airflow_provider_ossresume.oss.response import read_head
from airflow_provider_ossresume.oss.single_flight import SingleFlight
from airflow_provider_ossresume.oss.stop import Stop
from airflow_provider_ossresume.oss.wire import Wire, shut_after

# Statuses with which a proxy may refuse CONNECT only for now. Any other one below 500 is caused by a setting.
_TRANSIENT = (408, 425, 429)
_MAX_RESOLVERS = 8  # threads of the process that wait for name servers; lookups of the same name share one
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

_resolutions: SingleFlight[list[Any]] = SingleFlight("resolver", most=_MAX_RESOLVERS)


@dataclass(frozen=True)
class HostAddress:
    """The host and port that a connection goes to.

    :ivar host: an IPv6 address has no brackets here
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> HostAddress:
        parts = parse_url(url)
        scheme, host = parts.scheme or "http", (parts.host or "").strip("[]")
        return cls(scheme, host, parts.port or _PORTS[scheme])

    @property
    def name(self) -> str:
        """Host and port, as CONNECT sends them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Route:
    """How connections to one origin are made: directly or through a proxy, with or without TLS.

    :param timeout: seconds for each step: the connection, the proxy's response, TLS
    :ivar is_forwarded: the proxy gets the requests themselves, each with the whole URL
    :ivar proxy_headers: headers for the proxy, sent with a request or with CONNECT
    """

    def __init__(self, origin: str, *, proxy: Proxy | None, tls: Callable[[], ssl.SSLContext], timeout: float) -> None:
        self._target = HostAddress.of(origin)
        self._proxy = HostAddress.of(proxy.url) if proxy else None
        self._proxy_url = proxy.url if proxy else ""
        self._tls = tls
        self._timeout = timeout
        self._is_socks = self._proxy is not None and self._proxy.scheme.startswith("socks")
        self.is_forwarded = self._proxy is not None and not self._is_socks and self._target.scheme == "http"
        self.proxy_headers: dict[str, str] = (
            HTTPAdapter().proxy_headers(proxy.url) if proxy and not self._is_socks else {}
        )

    def dial(self, stop: Stop) -> Wire:
        """Return a new connection to the origin.

        :raises ExchangeFailed: if none can be made
        """
        wire = Wire()
        try:
            with wire.guarded(stop), _as_exchange_failed():
                if self._proxy is None:
                    self._connect(wire, stop, self._target)
                else:
                    with _as_proxy_error():
                        self._pass_proxy(wire, stop, self._proxy)
                if self._target.scheme == "https":
                    self._begin_tls(wire, stop, self._target)
        except BaseException:
            wire.close()
            raise
        return wire

    def _limit(self, what: str) -> Limit:
        return Limit(what, total=self._timeout)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _connect(self, wire: Wire, stop: Stop, peer: HostAddress) -> None:
        limit = self._limit("no connection")
        addresses = _resolve(peer, stop, limit)
        for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            share = limit.left() / (len(addresses) - number + 1)
            try:
                wire.attach(socket.socket(family, kind, protocol))  # the system may not support the family
                stop.check()
                _connect_within(share, wire.sock, address, stop)
                return
            except OSError as error:
                wire.close()
                if number == len(addresses):
                    if isinstance(error, TimeoutError):
                        raise limit.over() from ConnectTimeoutError()
                    raise

    def _pass_proxy(self, wire: Wire, stop: Stop, proxy: HostAddress) -> None:
        if self._is_socks:
            self._pass_socks(wire, stop, proxy)
            return
        self._connect(wire, stop, proxy)
        if proxy.scheme == "https":
            self._begin_tls(wire, stop, proxy)
        if not self.is_forwarded:
            self._tunnel(wire, stop)

    def _tunnel(self, wire: Wire, stop: Stop) -> None:
        stop.check()
        name, limit = self._target.name, self._limit("no response from the proxy")
        lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}", *(f"{k}: {v}" for k, v in self.proxy_headers.items())]
        wire.send("\r\n".join((*lines, "", "")).encode("latin-1"), limit)
        response = read_head(wire, "CONNECT", first=limit, whole=lambda: limit)
        if response.status != 200:
            raise ExchangeFailed(
                f"Tunnel connection failed: {response.status} {response.reason}",
                is_lasting=response.status < 500 and response.status not in _TRANSIENT,
            )
        if wire.has_read:
            raise ExchangeFailed("the proxy sent more than its response to CONNECT")

    def _pass_socks(self, wire: Wire, stop: Stop, proxy: HostAddress) -> None:
        socks: Any = import_module("socks")  # PySocks, which requests uses too
        user, password = get_auth_from_url(self._proxy_url)
        kind = socks.SOCKS5 if proxy.scheme.startswith("socks5") else socks.SOCKS4
        limit = self._limit("no connection")
        host, family = self._target.host, 0 if kind == socks.SOCKS5 else socket.AF_INET
        if not (is_resolved_there := proxy.scheme in ("socks4a", "socks5h")):
            host = _resolve(self._target, stop, limit, family)[0][4][0]
        addresses = _resolve(proxy, stop, limit)
        for number, (family, _, _, _, address) in enumerate(addresses, 1):
            sock = socks.socksocket(family)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.set_proxy(kind, *address[:2], is_resolved_there, user or None, password or None)
            sock.settimeout(limit.left() / (len(addresses) - number + 1))
            wire.attach(sock)
            stop.check()
            try:
                with shut_after(limit, wire):
                    sock.connect((host, self._target.port))
                return
            except OSError as error:
                # PySocks wraps one error in another.
                if isinstance(getattr(error, "socket_err", error), socks.SOCKS5AuthError):
                    raise ExchangeFailed(str(error), is_lasting=True) from error
                wire.close()
                if number == len(addresses):
                    raise

    def _begin_tls(self, wire: Wire, stop: Stop, peer: HostAddress) -> None:
        context, host = self._tls(), peer.host.rstrip(".")
        limit = self._limit("no TLS handshake")
        wire.sock.settimeout(limit.left())
        try:
            if isinstance(wire.sock, ssl.SSLSocket):  # TLS within TLS: through a proxy
                stop.check()
                with shut_after(limit, wire):
                    wire.attach(ssl_wrap_socket(wire.sock, ssl_context=context, server_hostname=host, tls_in_tls=True))
            else:
                wire.attach(context.wrap_socket(wire.sock, server_hostname=host, do_handshake_on_connect=False))
                stop.check()  # an earlier one has shut down the socket that TLS has replaced
                wire.sock.do_handshake()
        except TimeoutError as error:
            raise limit.over() from error
        except ssl.SSLCertVerificationError as error:
            raise ExchangeFailed(str(error), is_lasting=True) from error


@contextmanager
def _as_exchange_failed() -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError, ValueError) as error:
        raise ExchangeFailed(str(error), is_timeout=isinstance(error, TimeoutError)) from error


@contextmanager
def _as_proxy_error() -> Iterator[None]:
    """Put a ProxyError into the chain of causes, so that the error's next step is about the proxy."""
    try:
        with _as_exchange_failed():
            yield
    except ExchangeFailed as error:
        cause = ProxyError("the proxy made no connection", error)
        cause.__cause__ = error
        raise ExchangeFailed(str(error), is_timeout=error.is_timeout, is_lasting=error.is_lasting) from cause


def _resolve(peer: HostAddress, stop: Stop, limit: Limit, family: int = 0) -> list[Any]:
    """Return the addresses of a host. A separate thread looks them up: getaddrinfo may block and cannot be stopped."""

    def ask() -> list[Any]:
        return list(socket.getaddrinfo(peer.host, peer.port, family, socket.SOCK_STREAM))

    if _is_address(peer.host):
        found = ask()
    else:
        try:
            found = _resolutions.ask((peer, family), ask, stop, within=limit.left())
        except TimeoutError:
            raise ExchangeFailed(f"no name server resolved {peer.host} in time", is_timeout=True) from None
    if not found:
        raise OSError(f"{peer.host} has no address")
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _connect_within(seconds: float, sock: socket.socket, address: Any, stop: Stop) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    stop.check()  # a later one shuts down the connecting socket, which ends the wait
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        if not wait_for_write(sock, seconds):
            raise TimeoutError
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


# --- certificates -----------------------------------------------------------------------------------------------------


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Return the TLS context. All clients of the process share it, because reading a CA bundle takes 16 ms.

    :param verify: False, or the path of a CA bundle or folder; True uses the bundle of requests
    :raises ExchangeFailed: if it contains no readable certificate
    """
    if verify is False:
        return _context("", ())
    path = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
    found = os.stat(path)
    try:
        return _context(path, (found.st_mtime_ns, found.st_size, found.st_ino))
    except ssl.SSLError as error:
        raise ExchangeFailed(f"{path} contains no certificates: {error}", is_lasting=True) from error


@lru_cache(maxsize=8)
def _context(path: str, _: tuple[int, ...]) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.set_alpn_protocols(["http/1.1"])
    if path:
        context.load_verify_locations(*((None, path) if os.path.isdir(path) else (path, None)))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
