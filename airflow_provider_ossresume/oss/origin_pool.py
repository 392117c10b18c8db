"""The idle connections to one origin."""

from __future__ import annotations

import select
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from airflow_provider_ossresume.oss.dialing import Route
from airflow_provider_ossresume.oss.wire import Wire


class OriginPool:
    """The idle connections to one origin, directly or through a proxy.

    A deque, not a queue: a signal handler that raises, as Airflow's do, could leave a queue's lock held forever.

    :param most: how many idle connections are kept
    :param longest_idle: seconds after which an idle connection is closed
    """

    def __init__(self, route: Route, origin: str, *, most: int, longest_idle: float) -> None:
        self.route = route
        self._longest_idle = longest_idle
        self._most = most
        self._idle: deque[Wire] = deque()  # its methods are atomic
        weakref.finalize(self, _close_all, self._idle)
        self.host = origin.partition("://")[2]
        self.before_path = origin if route.is_forwarded else ""  # a forwarding proxy needs the whole URL
        self.headers: Mapping[str, str] = route.proxy_headers if route.is_forwarded else {}

    def close(self) -> None:
        self._most = 0
        self.drop_idle()

    def drop_idle(self) -> None:
        _close_all(self._idle)

    def take(self) -> Wire | None:
        """Return an idle connection, or None."""
        with suppress(IndexError):
            wire = self._idle.pop()
            wire.begin()
            return wire
        return None

    def sweep(self) -> None:
        """Close idle connections that have ended, or are too old."""
        if not self._idle:
            return
        poll, waiting = select.poll(), {}
        oldest = time.monotonic() - self._longest_idle
        for wire in self._idle.copy():
            if (number := wire.fileno()) >= 0:
                waiting[number] = wire
                poll.register(number, select.POLLIN)
        ended = [waiting[number] for number, _ in poll.poll(0)] if waiting else []
        for wire in (*ended, *(wire for wire in waiting.values() if wire.idle_since < oldest)):
            with suppress(ValueError):  # another thread has taken it
                self._idle.remove(wire)
                wire.close()

    def give_back(self, wire: Wire, *, is_clean: bool) -> None:
        if is_clean and len(self._idle) < self._most and wire.is_silent:
            wire.idle_since = time.monotonic()
            self._idle.append(wire)
        else:
            wire.close()


def _close_all(idle: deque[Wire]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().close()
