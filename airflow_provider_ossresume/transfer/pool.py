"""Runs a function over many items in threads, while the caller's own thread keeps watch.

The workers only return values. The thread that iterates owns all state, and is never blocked for longer than a tick,
so it can stop the transfer, save a checkpoint or log progress whatever the workers are waiting for.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import NoReturn, TypeVar

from airflow_provider_ossresume.transfer.concurrency import Concurrency
from airflow_provider_ossresume.transfer.stop import Stop
from airflow_provider_ossresume.transfer.worker import Worker

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

Outcome = Callable[[], R]  # returns the result or raises the error

TICK = 0.25  # seconds; on_kill must end a try in under 5
LOOK = 0.05  # seconds between two looks while more workers may be due
GRACE = 0.5  # seconds that a stop leaves to what is under way
FINISHING = 5.0  # seconds that a failure leaves to it: what gets finished needs not be moved again by the next try


class Pool:
    """``workers`` threads, or up to ``most`` where that brings throughput, for the time of a ``with`` block.

    Leaving the block tells them to stop and gives them half a second; one that hangs in a socket ends with its
    timeout. The threads are daemons, so they never hold the interpreter either.

    :param most: see :class:`~airflow_provider_ossresume.transfer.concurrency.Concurrency`; ``workers`` by default
    :param traffic: how many bytes the workers have moved until now, and how many of their attempts have failed
    :param tick: called by the iterating thread at least four times a second; what it raises ends the iteration
    :param processor_time: seconds of the processor that this process has used
    :ivar wanted: the number of workers now; one with a higher number ends when it has done what it has in hand
    :ivar stopped: set when the block is left; functions look at it before each piece that they read or write
    """

    def __init__(
        self,
        *,
        workers: int,
        most: int | None = None,
        tick: Callable[[], None],
        traffic: Callable[[], tuple[int, int]] = lambda: (0, 0),
        processor_time: Callable[[], float] = lambda: time.process_time(),
    ) -> None:
        self.stopped = threading.Event()
        self.stop = Stop()  # the same, for those who wait
        self._most = most or workers
        self._concurrency = Concurrency(workers, self._most)
        self._tick = tick
        self._traffic = traffic
        self._processor_time = processor_time
        self.wanted = 0
        self._threads: dict[int, Worker] = {}
        self._grace_ends: float | None = None
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A worker that is about to write has written by then, so whoever closes the file next does no harm.
        self._wind_up()

    def run(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield ``function(item)`` of each item as it is done, in any order; raise the first error.

        All items are queued at once and begun in their order, so the workers go on while this thread waits for a store;
        after a failure none is begun any more, and what is under way has five seconds to finish. What ends the
        iteration from outside, a tick or a signal, is raised after the grace, when all that got finished within it has
        been yielded.
        """
        done: SimpleQueue[Outcome[R] | None] = SimpleQueue()  # None for an item that was not begun
        failed = threading.Event()
        failure: Outcome[R] | None = None
        give_up_at = math.inf
        under_way = 0
        for item in items:
            self._work.put(partial(_work, function, item, done, failed))
            under_way += 1
        self._adapt(under_way)
        while under_way and time.monotonic() < give_up_at:
            may_grow = self.wanted < min(under_way, self._most)  # then a look is due sooner
            taken: list[Outcome[R] | None] = []
            try:
                with suppress(Empty):
                    taken.append(done.get(timeout=LOOK if may_grow else TICK))
                self._tick()
                self._adapt(under_way)
            except BaseException as error:  # raised when what is finished has been taken
                self._wind_up()
                end: Outcome[R] = partial(_raise, error)
                yield from _finished([end, *taken, *_rest_of(done)])
            for outcome in taken:
                under_way -= 1
                try:
                    results = [outcome()] if outcome else []
                except BaseException as error:  # raised below
                    results = []
                    if not failure:
                        failure = partial(_raise, error)
                        give_up_at = time.monotonic() + FINISHING
                yield from results
        if failure:
            yield from _finished([failure, *_rest_of(done)])

    def call(self, function: Callable[[], R]) -> R:
        """Return ``function()``, called in a worker."""
        [result] = self.run(lambda _: function(), (None,))
        return result

    def join(self) -> None:
        """Stop the workers and wait until each has let go of what it had in hand, still ticking."""
        self._stop()
        for thread in self._threads.values():
            while thread.is_alive():
                self._tick()
                thread.join(TICK)

    def _adapt(self, under_way: int) -> None:
        """Have as many workers as are wanted now, but start none that has nothing to do."""
        moved, retries = self._traffic()
        self.wanted = self._concurrency.look(
            time.monotonic(), moved=moved, retries=retries, used=self._processor_time()
        )
        for number in range(min(self.wanted, under_way, self._most)):
            if number not in self._threads or not self._threads[number].is_alive():
                self._start(number)

    def _start(self, number: int) -> None:
        thread = Worker(target=partial(self._serve, number), name=f"ossresume-{number}")
        self._threads[number] = thread
        try:
            thread.start()
        except RuntimeError as error:  # a container's limit; those that there are can do all the work
            del self._threads[number]
            if not self._threads:
                raise
            log.warning("No further worker can be started (%s), going on with %s", error, number)
            self._most = number

    def _serve(self, number: int) -> None:
        while number < self.wanted or self.stopped.is_set():
            work = self._work.get()
            if self.stopped.is_set():  # nothing is begun any more
                return
            work()

    def _wind_up(self) -> None:
        """Stop the workers, and wait for them until the grace is over; there is one, however often it is asked."""
        self._stop()
        if self._grace_ends is None:
            self._grace_ends = time.monotonic() + GRACE
        for thread in self._threads.values():
            thread.join(max(0.0, self._grace_ends - time.monotonic()))

    def _stop(self) -> None:
        self.stopped.set()
        self.stop.give()
        for _ in self._threads:
            self._work.put(lambda: None)  # wakes one that waits


class Deadline:
    """A tick that raises TimeoutError once its seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("it took too long")


def _finished(outcomes: Iterable[Outcome[R] | None]) -> Iterator[R]:
    """Yield what is finished, so that a failure or a stop drops nothing of it; then raise the first error."""
    errors = []
    for outcome in filter(None, outcomes):
        try:
            result = outcome()
        except BaseException as error:  # raised below, when what is finished has been taken
            errors.append(error)
        else:
            yield result
    if errors:
        raise errors[0]


def _rest_of(done: SimpleQueue[Outcome[R] | None]) -> Iterator[Outcome[R] | None]:
    with suppress(Empty):
        while True:
            yield done.get_nowait()


def _work(function: Callable[[T], R], item: T, done: SimpleQueue[Outcome[R] | None], failed: threading.Event) -> None:
    if failed.is_set():
        done.put(None)
        return
    try:
        result = function(item)
    except BaseException as error:  # whatever it is, the iterating thread raises it
        failed.set()
        done.put(partial(_raise, error))
    else:
        done.put(lambda: result)


def _raise(error: BaseException) -> NoReturn:
    raise error
