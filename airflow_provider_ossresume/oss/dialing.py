"""Makes connections: the name's addresses, a proxy, TLS. Each step has a limit, and a stop ends each at once.

It is done here, on sockets, as the stop has to know a socket before it is connected; urllib3 tells of it afterwards.
What is urllib3's to know stays there: how TLS is set up, how it goes within TLS, and what a proxy is sent.
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

# What a proxy answers to CONNECT and may response otherwise the next time; what else is under 500 is a setting's fault.
_MAY_PASS = (408, 425, 429)
_MAX_RESOLVERS = 8  # threads of the process that wait for name servers; all that ask for one name share a thread
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

_resolutions: SingleFlight[list[Any]] = SingleFlight("resolver", most=_MAX_RESOLVERS)


@dataclass(frozen=True)
class Place:
    """A host that connections are made to.

    :ivar host: without the brackets of an IPv6 address
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Place:
        parts = parse_url(url)
        scheme, host = parts.scheme or "http", (parts.host or "").strip("[]")
        return cls(scheme, host, parts.port or _PORTS[scheme])

    @property
    def name(self) -> str:
        """Host and port, as CONNECT has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Route:
    """The way to one origin.

    :param timeout: seconds for each of its steps: a connection, to whichever address, the proxy's response, TLS
    :ivar is_forwarded: a proxy is sent the requests themselves, with the whole URL in each
    :ivar proxy_headers: what the proxy is sent with a request, or before it
    """

    def __init__(self, origin: str, *, proxy: Proxy | None, tls: Callable[[], ssl.SSLContext], timeout: float) -> None:
        self._target = Place.of(origin)
        self._proxy = Place.of(proxy.url) if proxy else None
        self._proxy_url = proxy.url if proxy else ""
        self._tls = tls
        self._timeout = timeout
        self._is_socks = self._proxy is not None and self._proxy.scheme.startswith("socks")
        self.is_forwarded = self._proxy is not None and not self._is_socks and self._target.scheme == "http"
        self.proxy_headers: dict[str, str] = (
            HTTPAdapter().proxy_headers(proxy.url) if proxy and not self._is_socks else {}
        )

    def dial(self, stop: Stop) -> Wire:
        """Return a connection to the origin.

        :raises ExchangeFailed: when there is none
        """
        wire = Wire()
        try:
            with wire.guarded(stop), _told_by_one_error():
                if self._proxy is None:
                    self._connect(wire, stop, self._target)
                else:
                    with _told_of_the_proxy():
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

    def _connect(self, wire: Wire, stop: Stop, place: Place) -> None:
        limit = self._limit("no connection")
        addresses = _resolve(place, stop, limit)
        for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            share = limit.left() / (len(addresses) - number + 1)
            try:
                wire.attach(socket.socket(family, kind, protocol))  # the system may not know the family
                stop.check()
                _connect_within(share, wire.sock, address, stop)
                return
            except OSError as error:
                wire.close()
                if number == len(addresses):
                    if isinstance(error, TimeoutError):
                        raise limit.over() from ConnectTimeoutError()
                    raise

    def _pass_proxy(self, wire: Wire, stop: Stop, proxy: Place) -> None:
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
                is_lasting=response.status < 500 and response.status not in _MAY_PASS,
            )
        if wire.has_read:
            raise ExchangeFailed("the proxy sent more than its response to CONNECT")

    def _pass_socks(self, wire: Wire, stop: Stop, proxy: Place) -> None:
        socks: Any = import_module("socks")  # PySocks, which requests takes too
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
                # PySocks raises one error, with another in it.
                if isinstance(getattr(error, "socket_err", error), socks.SOCKS5AuthError):
                    raise ExchangeFailed(str(error), is_lasting=True) from error
                wire.close()
                if number == len(addresses):
                    raise

    def _begin_tls(self, wire: Wire, stop: Stop, place: Place) -> None:
        context, host = self._tls(), place.host.rstrip(".")
        limit = self._limit("no TLS handshake")
        wire.sock.settimeout(limit.left())
        try:
            if isinstance(wire.sock, ssl.SSLSocket):  # to a proxy
                stop.check()
                with shut_after(limit, wire):
                    wire.attach(ssl_wrap_socket(wire.sock, ssl_context=context, server_hostname=host, tls_in_tls=True))
            else:
                wire.attach(context.wrap_socket(wire.sock, server_hostname=host, do_handshake_on_connect=False))
                stop.check()  # one that came before shut down what is no socket any more
                wire.sock.do_handshake()
        except TimeoutError as error:
            raise limit.over() from error
        except ssl.SSLCertVerificationError as error:
            raise ExchangeFailed(str(error), is_lasting=True) from error


@contextmanager
def _told_by_one_error() -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError, ValueError) as error:
        raise ExchangeFailed(str(error), is_timeout=isinstance(error, TimeoutError)) from error


@contextmanager
def _told_of_the_proxy() -> Iterator[None]:
    """Put a ProxyError into the chain of causes; the next step is about the proxy then."""
    try:
        with _told_by_one_error():
            yield
    except ExchangeFailed as error:
        cause = ProxyError("the proxy made no connection", error)
        cause.__cause__ = error
        raise ExchangeFailed(str(error), is_timeout=error.is_timeout, is_lasting=error.is_lasting) from cause


def _resolve(place: Place, stop: Stop, limit: Limit, family: int = 0) -> list[Any]:
    """Return what getaddrinfo says; it may take long and hears of no stop."""

    def ask() -> list[Any]:
        return list(socket.getaddrinfo(place.host, place.port, family, socket.SOCK_STREAM))

    if _is_address(place.host):
        found = ask()
    else:
        try:
            found = _resolutions.ask((place, family), ask, stop, within=limit.left())
        except TimeoutError:
            raise ExchangeFailed(f"no name server told the address of {place.host} in time", is_timeout=True) from None
    if not found:
        raise OSError(f"no address of {place.host}")
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
    stop.check()  # one that comes later shuts down a socket that is connecting, which ends the wait
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        if not wait_for_write(sock, seconds):
            raise TimeoutError
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


# --- certificates -----------------------------------------------------------------------------------------------------


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Return how TLS is spoken, read once a process for all clients; each reading of a CA bundle would take 16 ms.

    :param verify: False, or the path of a CA bundle or of a folder; True takes that of requests
    :raises ExchangeFailed: when no certificate can be read there
    """
    if verify is False:
        return _context("", ())
    path = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
    found = os.stat(path)
    try:
        return _context(path, (found.st_mtime_ns, found.st_size, found.st_ino))
    except ssl.SSLError as error:
        raise ExchangeFailed(f"{path} holds no certificates: {error}", is_lasting=True) from error


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
