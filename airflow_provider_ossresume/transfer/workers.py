"""Threads for a stream: what they do is waited for one by one, in the order in which it was begun."""

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
    """A call that a worker makes, or has made."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = function
        self._done: SimpleQueue[Outcome[T]] = SimpleQueue()
        self._outcome: Outcome[T] | None = None

    def make(self) -> None:
        """Make the call; the worker does."""
        function, self._function = self._function, None  # what it holds is not kept for longer
        if function is None:
            return
        try:
            result = function()
        except BaseException as error:  # whatever it is, the thread that asks raises it
            self._done.put(partial(raising, error))
        else:
            self._done.put(lambda: result)

    @property
    def is_done(self) -> bool:
        return self._outcome is not None or not self._done.empty()

    def result(self) -> T:
        """Wait for it, and return what the function returned or raise what it raised; one thread at a time may ask."""
        if self._outcome is None:
            self._outcome = self._done.get()
        return self._outcome()


class Workers:
    """Up to ``most`` threads, started when there is something to do and gone when there is nothing more.

    They are daemons: one that hangs holds no interpreter. Only the thread that owns this begins calls.

    :ivar stop: ends what is under way, for a client that is bound to it
    """

    def __init__(self, most: int) -> None:
        self.stop = Stop()
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._turns: deque[None] = deque((None,) * most)  # its methods are atomic

    def begin(self, function: Callable[[], T]) -> Pending[T]:
        """Have the call made as soon as a worker is free."""
        pending = Pending(function)
        self._work.put(pending.make)
        try:
            self._turns.pop()
        except IndexError:  # all are at work, and look again when they are done
            return pending
        try:
            Thread(target=self._serve, name="ossresume-stream", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            self._serve()
        return pending

    def _serve(self) -> None:
        while True:
            try:
                while True:
                    self._work.get_nowait()()
            except Empty:
                self._turns.append(None)
            if self._work.empty():
                return
            try:
                self._turns.pop()
            except IndexError:  # who has it looks again
                return
