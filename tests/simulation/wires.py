"""Connections that only the simulation has: they are forgotten, and share a link with a rate.

The engine's own pool (``oss.connections``) makes, keeps and drops them. What goes over one is in ``errand``.
"""

from __future__ import annotations

import itertools
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.oss import connections
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.dialing import tls_context
from airflow_provider_ossresume.oss.proxies import Proxies
from airflow_provider_ossresume.oss.stop import Stop

if TYPE_CHECKING:
    from tests.simulation.errand import Errand
    from tests.simulation.world import Try, World

READ_TIMEOUT = 12.0  # seconds of silence, or for 64 KiB of a body, after which an attempt is given up
LINK_STEP = 8 * 1024  # bytes that go over a shared link at once
# Bytes per second that one connection needs: a body goes in pieces of 40 KiB, and 64 KiB have to move in time.
NEEDED = 80 * 1024 / READ_TIMEOUT
NARROW = 2.4 * NEEDED  # two connections can use such a link, and no four
WIDE = 50 * NEEDED

_NO_PROXY = connections.Settings(Proxies({"all": ""}), lambda: tls_context(False))


class Link:
    """What all connections of one try share, first come, first served.

    :ivar rate: bytes per second; None is as many as you like
    """

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._is_free_at = 0.0

    def takes(self, size: int, now: float) -> float:
        """Return after how many seconds so many bytes have gone over it, behind all that are under way."""
        if self.rate is None:
            return 0.0
        self._is_free_at = max(now, self._is_free_at) + size / self.rate
        return self._is_free_at - now


class Wire:
    """One connection of a try: as much of ``oss.wire.Wire`` as the pool uses.

    :ivar is_forgotten: what is sent over it arrives nowhere, and nothing comes; nobody is told
    """

    numbers = itertools.count(1)

    def __init__(self, world: World, process: Try) -> None:
        self.idle_since = 0.0
        self.has_answered = self.is_forgotten = self.was_reused = False
        self.is_silent = True
        self._world = world
        self._try = process
        self._number = next(self.numbers)
        self._is_shut = False

    # --- what the pool asks -------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        self._try.wires.discard(self)

    def begin(self) -> None:
        """Invariant 8: taken by another exchange."""
        self.has_answered, self.was_reused = False, True
        waited = self._world.scheduler.now - self.idle_since
        if waited > connections.LONGEST_IDLE:
            self._world.ledger.violate(f"(8) {self._try} uses a connection that has waited for {waited:.0f} s")
        if self.idle_since < self._try.connection_failed_at:
            self._world.ledger.violate(f"(8) {self._try} uses a connection that waited when another one failed")

    @contextmanager
    def guarded(self, stop: Stop) -> Iterator[None]:
        with stop.guard(self._shut):
            yield

    def _shut(self) -> None:
        self._is_shut = True

    def is_answered(self) -> bool:
        return False

    def send(self, data: bytes | memoryview, limit: Limit) -> bool:
        """Send the request, then its body piece by piece; False when it is answered before its end."""
        return self.errand.send(self, data, limit)

    # --- what an errand does ------------------------------------------------------------------------------------------

    @property
    def errand(self) -> Errand[Any]:
        errand: Errand[Any] = self._world.scheduler.current.errand
        return errand

    def sleep(self, seconds: float) -> None:
        """Let time pass that nobody limits.

        :raises ExchangeFailed: when a stop has shut the socket down meanwhile
        """
        self._world.scheduler.sleep(seconds)
        self._check()

    def carry(self, size: int, limit: Limit) -> None:
        """Let so many bytes of a body pass.

        :raises ExchangeFailed: when they take too long, or the connection is forgotten
        """
        waited = 0.0
        for start in range(0, size, LINK_STEP):
            step = min(LINK_STEP, size - start)
            seconds = self._try.link.takes(step, self._world.scheduler.now)
            if self.is_forgotten or waited + seconds > limit.left():
                self.time_out(limit, waited=waited)
            if seconds:
                self.sleep(seconds)
            waited += seconds
        limit.moved(size, waited)

    def time_out(self, limit: Limit, *, waited: float = 0.0) -> None:
        """Wait for what never comes.

        :raises ExchangeFailed: in the end, or when a stop shuts the socket down
        """
        scheduler = self._world.scheduler
        scheduler.pause(lambda: self._is_shut, scheduler.now + max(limit.left() - waited, 0.0))
        self._check()
        raise limit.over()

    def _check(self) -> None:
        if self._is_shut:
            raise ExchangeFailed("the socket was shut down")


class Network:
    """What stands in for sockets in ``oss.connections``."""

    POLLIN = select.POLLIN

    def __init__(self, world: World) -> None:
        self._world = world

    def connections(self) -> connections.Connections:
        """Return the pool of one try."""
        return connections.Connections(
            _NO_PROXY,
            max_connections=32,
            connect_timeout=READ_TIMEOUT,
            send_timeout=READ_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            stall_timeout=READ_TIMEOUT,
        )

    def Route(self, origin: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(dial=self._dial, is_forwarded=False)

    def _dial(self, stop: Stop) -> Wire:
        process = self._world.current_try
        wire = Wire(process.world, process)
        process.wires.add(wire)
        return wire

    def read_head(self, wire: Wire, method: str, *, first: Limit, whole: Callable[[], Limit]) -> SimpleNamespace:
        return wire.errand.answer(wire, first)

    def poll(self) -> SimpleNamespace:
        """``select.poll``: none of these connections is ever closed by its peer."""
        return SimpleNamespace(register=lambda number, events: None, poll=lambda timeout: [])


def head(status: int) -> SimpleNamespace:
    """Return the head of an answer that has no body for the pool: what came is handed over beside it."""
    return SimpleNamespace(status=status, reason="", fields={}, length=0, chunked=None, is_last=False)
