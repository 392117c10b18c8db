"""The one order to end: workers, waits and open sockets all hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event

from airflow_provider_ossresume.errors import TransferStopped


class Stop:
    """Ends what one transfer has under way. It is given once, and never taken back.

    A worker asks it before each piece that it moves and waits by it, never by ``time.sleep``. What may block in the
    operating system, such as a socket, is guarded: the stop shuts it down.
    """

    def __init__(self) -> None:
        self._given = Event()
        self._guarded: dict[object, Callable[[], None]] = {}  # its methods are atomic

    def announce(self) -> None:
        """End every wait, and let nothing begin; what is guarded may come to its end until the stop is given."""
        self._given.set()

    def give(self) -> None:
        """End every wait, and shut down everything that is guarded; to give it again does no harm."""
        self._given.set()
        for shut in list(self._guarded.values()):
            with suppress(OSError):  # it has ended meanwhile
                shut()

    @property
    def is_given(self) -> bool:
        return self._given.is_set()

    def check(self) -> None:
        """:raises TransferStopped: when the stop is given"""
        if self._given.is_set():
            raise TransferStopped("the transfer was stopped")

    def wait(self, seconds: float) -> None:
        """Wait, as a sleep does, but for the stop.

        :raises TransferStopped: as soon as the stop is given
        """
        self._given.wait(seconds)
        self.check()

    @contextmanager
    def guard(self, shut: Callable[[], None]) -> Iterator[None]:
        """Have ``shut`` called, by the thread that gives the stop, when it is given within the block.

        :param shut: ends what may block in the block, such as the shutdown of a socket; its OSErrors are ignored
        :raises TransferStopped: when the stop is given already
        """
        mark = object()
        self._guarded[mark] = shut  # before the look: a stop that comes between the two is heard by one of them
        try:
            self.check()
            yield
        finally:
            del self._guarded[mark]
