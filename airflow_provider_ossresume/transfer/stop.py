"""The stop: one signal that ends workers, waits and open sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event

from airflow_provider_ossresume.errors import TransferStopped


class Stop:
    """Ends everything that one transfer is doing. It is given once and cannot be taken back.

    A worker checks it before each piece that it moves. It waits with :meth:`wait`, never with ``time.sleep``. What can
    block in the operating system, such as a socket, is guarded: the stop shuts it down.
    """

    def __init__(self) -> None:
        self._given = Event()
        self._guarded: dict[object, Callable[[], None]] = {}  # its methods are atomic

    def announce(self) -> None:
        """End every wait and let nothing start. Guarded calls may still finish, until the stop is given."""
        self._given.set()

    def give(self) -> None:
        """End every wait, and shut down everything that is guarded. A second call does no harm."""
        self._given.set()
        for shut in list(self._guarded.values()):
            with suppress(OSError):  # it has ended meanwhile
                shut()

    @property
    def is_given(self) -> bool:
        return self._given.is_set()

    def check(self) -> None:
        """:raises TransferStopped: if the stop is given"""
        if self._given.is_set():
            raise TransferStopped("the transfer was stopped")

    def wait(self, seconds: float) -> None:
        """Sleep, but end when the stop is given.

        :raises TransferStopped: as soon as the stop is given
        """
        self._given.wait(seconds)
        self.check()

    @contextmanager
    def guard(self, shut: Callable[[], None]) -> Iterator[None]:
        """Call ``shut`` if the stop is given within the block; the thread that gives it makes the call.

        :param shut: ends what may block in the block, for example shuts down a socket; its OSErrors are ignored
        :raises TransferStopped: if the stop is given already
        """
        mark = object()
        self._guarded[mark] = shut  # before the check: a stop that comes between the two is noticed by one of them
        try:
            self.check()
            yield
        finally:
            del self._guarded[mark]
