"""Worker threads for one reader, which waits for each call separately.

A :class:`~airflow_provider_ossresume.transfer.crew.Crew` is for the calls of one transfer: it lasts for a block, ticks,
and starts no call after a failure. A file that is read may stay open for hours, and a failed read may be repeated. So
these threads end when they are idle, and a failed call stops no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from airflow_provider_ossresume.transfer.outcomes import Outcome, raising
from airflow_provider_ossresume.transfer.stop import Stop

T = TypeVar("T")


class Pending(Generic[T]):
    """The result of a call that a worker makes or has made."""

    def __init__(self) -> None:
        self._done: SimpleQueue[Outcome[T]] = SimpleQueue()
        self._outcome: Outcome[T] | None = None

    def make(self, function: Callable[[], T]) -> None:
        """Make the call, in the worker."""
        try:
            result = function()
        except BaseException as error:  # any error is raised in the thread that asks for the result
            self._done.put(partial(raising, error))
        else:
            self._done.put(lambda: result)

    def result(self) -> T:
        """Wait for the call, and return its result or raise its error. Only one thread at a time may call this."""
        if self._outcome is None:
            self._outcome = self._done.get()
        return self._outcome()


class Workers:
    """Up to ``count`` threads. They are started when there is work, and end when there is none.

    They are daemons, so one that hangs does not block the exit of the process. Only the owner's thread begins calls.

    :ivar stop: ends the running calls of a client that is bound to it
    """

    def __init__(self, count: int) -> None:
        self.stop = Stop()
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._slots: deque[None] = deque((None,) * count)  # its methods are atomic

    def begin(self, function: Callable[[], T]) -> Pending[T]:
        """Queue a call for the next free worker."""
        pending = Pending[T]()
        self._work.put(partial(pending.make, function))
        try:
            self._slots.pop()
        except IndexError:  # all workers are busy, and check the queue when they are done
            return pending
        try:
            Thread(target=self._serve, name="ossresume-stream", daemon=True).start()
        except RuntimeError:  # the system allows no more threads
            self._serve()
        return pending

    def _serve(self) -> None:
        while True:
            try:
                while True:
                    self._work.get_nowait()()
            except Empty:
                self._slots.append(None)
            if self._work.empty():
                return
            try:
                self._slots.pop()
            except IndexError:  # another worker has the slot, and checks the queue again
                return
