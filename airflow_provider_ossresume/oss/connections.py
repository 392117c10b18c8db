"""Connections to OSS with their timeouts, proxies and certificates, and one HTTP exchange over one of them.

requests finds proxies and certificates, because it knows the environment variables for them; http.client parses
unusual responses. Requests are written here and idle connections are kept here. A requests session would do what a
client of OSS must not do: keep cookies, follow redirects, read ~/.netrc. urllib3 would send a body under the connect
timeout, and would use an idle connection however old it is.
"""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain

import requests

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.deadlines import LONGEST_WORK, BodyLimit, ExchangeFailed, Limit
from airflow_provider_ossresume.oss.dialing import Route, tls_context
from airflow_provider_ossresume.oss.origin_pool import OriginPool
from airflow_provider_ossresume.oss.proxies import Proxies, Proxy
from airflow_provider_ossresume.oss.response import Response, read_head
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop
from airflow_provider_ossresume.oss.wire import Wire

SEND_SIZE = 256 * 1024  # bytes that must be sent within the send timeout
OUT_OF_FILES = 0.05  # seconds after which a process with too many open files looks for an idle connection again
LONGEST_IDLE = 30.0  # seconds; firewalls forget a connection after minutes, OSS closes it after about one

Piece = bytes | memoryview


@dataclass(frozen=True)
class Settings:
    """Proxies and TLS, as the arguments and the environment set them.

    :ivar tls: returns the TLS context
    """

    proxies: Proxies
    tls: Callable[[], ssl.SSLContext]


def environment_settings(url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str) -> Settings:
    """Return the settings for requests to the URL and to hosts below it. Reads the environment.

    :raises ArgumentError: if the CA bundle cannot be read, or the proxy for the URL cannot be used
    """
    found = Proxies(proxies)
    found.to(url)
    with requests.Session() as session:
        verify = session.merge_environment_settings(url, {}, None, verify_tls, None)["verify"]
    if isinstance(verify, str):
        bundle = _read_bundle(verify, is_given=verify == verify_tls)
        return Settings(found, lambda: bundle)
    return Settings(found, partial(tls_context, verify is not False))


def _read_bundle(path: str, *, is_given: bool) -> ssl.SSLContext:
    variable = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
    argument = "ca_bundle" if is_given else variable
    step = "correct it" if is_given else "correct it in the environment of this worker"
    try:
        return tls_context(path)
    except FileNotFoundError:
        raise ArgumentError(argument, path, f"there is no such file on this worker; {step}") from None
    except (OSError, ExchangeFailed) as error:
        why = getattr(error, "strerror", None) or error.__cause__ or error
        raise ArgumentError(argument, path, f"it contains no readable certificates ({why}); {step}") from None


class Connections:
    """One client's connections, for any number of threads. They stay open between exchanges.

    An idle connection is used again within 30 seconds, unless its peer has closed it. If an exchange fails, all idle
    connections are dropped, because the others may be dead too, for example if a firewall has forgotten them.

    :param max_connections: how many idle connections are kept
    :param connect_timeout: seconds to make a connection, and again for the proxy's response and for TLS
    :param send_timeout: seconds to send 256 KiB of a body
    :param read_timeout: seconds without a byte after which a response is given up
    :param stall_timeout: seconds from a response's first byte until all its headers must be there, and within which a
        body must move 64 KiB
    :param longest_idle: seconds after which an idle connection is not used again
    :param longest_work: seconds for a response while OSS reports, by 1xx responses or blanks, that it is still working
    """

    def __init__(
        self,
        settings: Settings,
        *,
        max_connections: int,
        connect_timeout: float,
        send_timeout: float,
        read_timeout: float,
        stall_timeout: float,
        longest_idle: float = LONGEST_IDLE,
        longest_work: float = LONGEST_WORK,
    ) -> None:
        self._settings = settings
        self._connect_timeout = connect_timeout
        self._send_timeout = send_timeout
        self._read_timeout = read_timeout
        self._stall_timeout = stall_timeout
        self._longest_idle = longest_idle
        self._longest_work = longest_work
        self._max_connections = max_connections
        self._forget_all()

    def _forget_all(self) -> None:
        self._pools: dict[str, OriginPool] = {}  # by origin: one for the endpoint, or one for each bucket
        self._process = os.getpid()

    def close(self) -> None:
        """Close idle connections. New ones are made when they are needed."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def exchange(
        self,
        method: str,
        origin: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Callable[[], Iterable[Piece]] = b"",
        *,
        stop: Stop | None = None,
    ) -> Response:
        """Send a request and return its response, whose body is not read yet. Use it as a context manager.

        An idle connection may be dead without any sign. If a request over one fails before a byte of the response has
        arrived, it is sent again over a new connection, unless it is a POST that timed out.

        :param origin: scheme, host and port
        :param path: path and query, sent unchanged: a key's dot segments must not be normalised
        :param headers: headers of the request and its body, except Host
        :param body: bytes, or a function that opens the body for each attempt; its errors are raised unchanged
        :param stop: ends the exchange, the response's body included
        :raises ExchangeFailed: if no response comes
        """
        if self._process != os.getpid():
            self._forget_all()  # in a forked child, which would read its parent's responses
        stop = stop or NeverStopped()
        pool = self._pool_of(origin)
        head = _head(method, pool.before_path + path, {"Host": pool.host, **headers, **pool.headers})
        stop.check()
        for other in tuple(self._pools.values()):
            other.sweep()
        if wire := pool.take():
            try:
                return self._exchange(pool, wire, method, head, body, stop)
            except _NoResponse as error:
                stop.check()
                if error.failure.is_timeout and method == "POST":  # OSS may have received it, and would do it twice
                    raise error.failure from error.failure.__cause__
        try:
            return self._exchange(pool, self._new(pool, stop), method, head, body, stop)
        except _NoResponse as error:
            raise error.failure from error.failure.__cause__

    def _new(self, pool: OriginPool, stop: Stop) -> Wire:
        """Return a new connection, or one that another exchange gives back if this process has too many open files."""
        ends = time.monotonic() + self._connect_timeout
        while True:
            try:
                return pool.route.dial(stop)
            except ExchangeFailed as error:
                if not _is_out_of_files(error) or time.monotonic() >= ends:
                    raise
            pool.sweep()
            if wire := pool.take():
                return wire
            stop.wait(OUT_OF_FILES)

    def _exchange(
        self,
        pool: OriginPool,
        wire: Wire,
        method: str,
        head: bytes,
        body: bytes | Callable[[], Iterable[Piece]],
        stop: Stop,
    ) -> Response:
        guard = ExitStack()
        finish = _Finish(pool, wire, guard)
        try:
            guard.enter_context(wire.guarded(stop))
            stop.check()
            is_sent = self._send(wire, head, body)
            silence = Limit("no response", silence=self._read_timeout, total=self._longest_work)
            head_read = read_head(wire, method, first=silence, whole=self._whole_head)
            if head_read.status < 300 and not is_sent:
                raise ExchangeFailed("the server reported success before it had received the whole request")
        except ExchangeFailed as failure:
            finish(is_clean=False, is_broken=True)
            if not wire.has_answered:
                raise _NoResponse(failure) from None
            raise
        except BaseException:
            finish(is_clean=False, is_broken=False)
            raise
        response = Response(head_read, wire, finish)
        if not is_sent:
            response.set_last()
        return response

    def _send(self, wire: Wire, head: bytes, body: bytes | Callable[[], Iterable[Piece]]) -> bool:
        """Send in steps, each with the whole timeout: a link may be slow, but must not stall.

        Return False if the peer hung up, or has responded already. It may do that without waiting for the body.
        """
        pieces = (head + body,) if isinstance(body, bytes) else chain((head,), body())
        stall = max(self._stall_timeout, self._send_timeout)
        flow = BodyLimit("256 KiB could not be sent", silence=self._send_timeout, stall=stall)
        sent = 0
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(view), SEND_SIZE):
                if sent >= SEND_SIZE and wire.is_answered():
                    return False
                if not wire.send(view[start : start + SEND_SIZE], flow):
                    return False
                sent += min(SEND_SIZE, len(view) - start)
        return True

    def _whole_head(self) -> Limit:
        return Limit("the response headers did not arrive completely", total=self._stall_timeout)

    def body_limit(self) -> Limit:
        """Return the limit for a response's body."""
        return BodyLimit("no more data came", silence=self._read_timeout, stall=self._stall_timeout)

    def slow_response_limit(self) -> Limit:
        """Return the limit for a response that OSS starts before its work is done, and continues with blanks."""
        return Limit("OSS did not finish its work", silence=self._read_timeout, total=self._longest_work)

    def proxy_to(self, origin: str) -> Proxy | None:
        """Return the proxy for an origin; None if there is none."""
        return self._settings.proxies.to(origin)

    def _pool_of(self, origin: str) -> OriginPool:
        if (pool := self._pools.get(origin)) is None:
            proxy = self.proxy_to(origin)
            route = Route(origin, proxy=proxy, tls=self._settings.tls, timeout=self._connect_timeout)
            pool = OriginPool(route, origin, most=self._max_connections, longest_idle=self._longest_idle)
            pool = self._pools.setdefault(origin, pool)
        return pool


def _is_out_of_files(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__
    return False


class _NoResponse(Exception):
    """Not a single byte of a response arrived."""

    def __init__(self, failure: ExchangeFailed) -> None:
        self.failure = failure


class _Finish:
    """Ends an exchange, once: the connection is kept or closed, and a stop does not affect it any more."""

    def __init__(self, pool: OriginPool, wire: Wire, guard: ExitStack) -> None:
        self._pool: OriginPool | None = pool
        self._wire = wire
        self._guard = guard

    def __call__(self, *, is_clean: bool, is_broken: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._guard.close()
            pool.give_back(self._wire, is_clean=is_clean)
            if is_broken:
                pool.drop_idle()


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join((*lines, "", ""))
    if not head.count("\n") == head.count("\r") == len(lines) + 1:
        raise ValueError("the path or a header of the request contains a line break")
    return head.encode()  # OSS takes UTF-8
