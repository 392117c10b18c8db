"""Connections to OSS with their timeouts, proxies and certificates, and one exchange over one of them.

Which way leads to a host is asked of requests, which knows proxies, certificates and their environment; answers are
read by http.client. What is written is written here, and connections wait here: a session would add what a client of
OSS must not have (cookies, redirects that are followed, a look into ~/.netrc), urllib3 sends a body under the connect
timeout, and keeps a connection that waits however old it is.
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
from airflow_provider_ossresume.oss.deadlines import LONGEST_WORK, ExchangeFailed, Flow, Limit
from airflow_provider_ossresume.oss.dialing import Route, tls_context
from airflow_provider_ossresume.oss.origin_pool import OriginPool
from airflow_provider_ossresume.oss.proxies import Proxies, Proxy
from airflow_provider_ossresume.oss.response import Response, read_head
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop
from airflow_provider_ossresume.oss.wire import Wire

SEND_SIZE = 256 * 1024  # what has to be sent within the send timeout
OUT_OF_FILES = 0.05  # seconds until a process that may open no more files looks again
LONGEST_IDLE = 30.0  # seconds; firewalls forget a connection after minutes, OSS closes one after about one

Piece = bytes | memoryview


@dataclass(frozen=True)
class Settings:
    """How hosts are reached, once the environment has been read.

    :ivar tls: returns how TLS is spoken
    """

    proxies: Proxies
    tls: Callable[[], ssl.SSLContext]


def environment_settings(url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str) -> Settings:
    """Return the settings for requests to the URL and what lies below it; the environment is read here.

    :raises ArgumentError: when the CA bundle cannot be read, or the proxy to the URL cannot be used
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
    step = "correct it" if is_given else "the environment of this worker holds it; correct it"
    try:
        return tls_context(path)
    except FileNotFoundError:
        raise ArgumentError(argument, path, f"there is no such file on this worker; {step}") from None
    except (OSError, ExchangeFailed) as error:
        why = getattr(error, "strerror", None) or error.__cause__ or error
        raise ArgumentError(argument, path, f"no certificates can be read there ({why}); {step}") from None


class Connections:
    """One client's connections, for any number of threads; they are kept open from exchange to exchange.

    One that has waited is used again within 30 seconds, unless its peer has closed it. When an exchange fails the
    others that wait are dropped: what has become of one may have become of all, as when a firewall forgets them.

    :param max_connections: how many are kept
    :param connect_timeout: seconds for a connection to be made, and for a proxy's response and TLS
    :param send_timeout: seconds that sending 256 KiB of a body may take
    :param read_timeout: seconds of silence after which a response is given up
    :param stall_timeout: seconds from the first byte of a response within which all its headers must have come, and
        within which a body must move 64 KiB
    :param longest_idle: seconds after which one that waits is not used again
    :param longest_work: seconds for a response that is announced by others, or by blanks, until OSS's work is done
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
        self._begin()

    def _begin(self) -> None:
        self._pools: dict[str, OriginPool] = {}  # by origin: an endpoint has one, or one for each bucket
        self._process = os.getpid()

    def close(self) -> None:
        """Close those that wait; they are made anew when they are needed."""
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
        """Send a request and return its response, read up to its body; to be left as a context manager.

        A connection that has waited may be dead without anybody knowing. What fails over such a one before a byte of
        the response has come is sent again over a new one.

        :param origin: scheme, host and port
        :param path: with the query, sent as it is: nobody may normalise the dot segments of a key
        :param headers: of the request and its body, but for Host
        :param body: opens what is sent, anew each time; what it raises comes out as it is
        :param stop: ends the exchange, its response's body included
        :raises ExchangeFailed: when no response comes
        """
        if self._process != os.getpid():
            self._begin()  # a child that was forked: over its parent's connections each would read the other's answers
        stop = stop or NeverStopped()
        pool = self._pool_of(origin)
        head = _head(method, pool.before_path + path, {"Host": pool.host, **headers, **pool.headers})
        stop.check()
        for other in tuple(self._pools.values()):
            other.sweep()
        if wire := pool.take():
            try:
                return self._exchange(pool, wire, method, head, body, stop)
            except _NoAnswer as error:
                stop.check()
                if error.failure.is_timeout and method == "POST":  # it may have come, and be done twice
                    raise error.failure from error.failure.__cause__
        try:
            return self._exchange(pool, self._new(pool, stop), method, head, body, stop)
        except _NoAnswer as error:
            raise error.failure from error.failure.__cause__

    def _new(self, pool: OriginPool, stop: Stop) -> Wire:
        """Return a new connection; where this process may open no more files, one that another exchange gives back."""
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
            answered = read_head(wire, method, first=silence, whole=self._whole_head)
            if answered.status < 300 and not is_sent:
                raise ExchangeFailed("a success was answered before the whole request was there")
        except ExchangeFailed as failure:
            finish(is_clean=False, is_broken=True)
            if not wire.has_answered:
                raise _NoAnswer(failure) from None
            raise
        except BaseException:
            finish(is_clean=False, is_broken=False)
            raise
        response = Response(answered, wire, finish)
        if not is_sent:
            response.is_last()
        return response

    def _send(self, wire: Wire, head: bytes, body: bytes | Callable[[], Iterable[Piece]]) -> bool:
        """Send in steps, each with the whole timeout: a link may be slow, it may not stand still.

        Returns False when the peer hung up, or has answered, as it may without waiting for the body.
        """
        pieces = (head + body,) if isinstance(body, bytes) else chain((head,), body())
        stall = max(self._stall_timeout, self._send_timeout)
        flow = Flow("256 KiB could not be sent", silence=self._send_timeout, stall=stall)
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

    def flow(self) -> Limit:
        """Return the limit for a response's body."""
        return Flow("nothing more came", silence=self._read_timeout, stall=self._stall_timeout)

    def work(self) -> Limit:
        """Return the limit for the body of a response that OSS begins before its work is done, and goes on with."""
        return Limit("OSS was at work and did not end it", silence=self._read_timeout, total=self._longest_work)

    def proxy_to(self, origin: str) -> Proxy | None:
        """Return the proxy by which an origin is asked."""
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


class _NoAnswer(Exception):
    """Not a byte of a response came."""

    def __init__(self, failure: ExchangeFailed) -> None:
        self.failure = failure


class _Finish:
    """Ends an exchange, once: the connection is kept or closed, and no stop concerns it any more."""

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
        raise ValueError("the path or a header of a request has a line break in it")
    return head.encode()  # OSS takes UTF-8
