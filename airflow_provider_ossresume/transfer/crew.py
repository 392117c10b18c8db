"""Runs a function over many items in threads, while the caller's own thread keeps watch.

The workers only return values. The thread that iterates owns all state, and is never blocked for longer than a tick,
so it can stop the transfer, save a checkpoint or log progress whatever the workers are waiting for.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TypeVar

from airflow_provider_ossresume.transfer.concurrency import SAMPLE, Concurrency
from airflow_provider_ossresume.transfer.outcomes import Outcome, finished, raising, rest_of, work
from airflow_provider_ossresume.transfer.stop import Stop
from airflow_provider_ossresume.transfer.turns import Turns

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

TICK = 0.25  # seconds; on_kill must end a try in under 5
LOOK = 0.05  # seconds between two looks while more workers may be due
GRACE = 0.5  # seconds that a stop leaves to what is under way
FINISHING = 5.0  # seconds that a failure leaves to it: what gets finished needs not be moved again by the next try


class Crew:
    """``workers`` threads, or up to ``most`` where that brings throughput, for the time of a ``with`` block.

    A thread is started when there is something to do for it. When it is done it waits for more until the block is left.
    That ends those that wait at once, gives the stop, and waits half a second for those that are at work. They are
    daemons, so one that hangs holds the interpreter as little as the caller.

    Each worker needs a turn to be at work. There are as many turns as workers are wanted; when they become fewer, a
    worker ends what it has in hand, and then waits until it gets a turn again.

    A client may take the crew for its stop. A worker whose request failed then lends its turn to another one until it
    tries again.

    :param most: see :class:`~airflow_provider_ossresume.transfer.concurrency.Concurrency`; ``workers`` by default
    :param tick: called by the iterating thread at least four times a second; what it raises ends the iteration
    :param stop: ends the workers and, within a tick, the iteration; one for each crew
    :param traffic: bytes that the workers have moved until now, and how many of their attempts have failed; it is asked
        after each tick
    :param processor_time: seconds of the processor that this process has used
    """

    def __init__(
        self,
        *,
        workers: int,
        most: int | None = None,
        tick: Callable[[], None],
        stop: Stop | None = None,
        traffic: Callable[[], tuple[int, int]] = lambda: (0, 0),
        processor_time: Callable[[], float] = lambda: time.process_time(),
    ) -> None:
        self.stop = stop or Stop()
        self._tick = tick
        self._traffic = traffic
        self._processor_time = processor_time
        self._concurrency = Concurrency(workers, most or workers)
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None, once and for all, at the end
        self._turns = Turns()
        self._overloads: deque[None] = deque()  # its methods are atomic
        self._finished = self._moved_before = 0  # in the present run
        _, self._failed_before = traffic()
        self._grace_ends: float | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A worker that is about to write has written by then, so whoever closes the file next does no harm.
        self._wind_up()

    @property
    def wanted(self) -> int:
        """How many workers may be at work now."""
        return self._concurrency.wanted

    def run(self, function: Callable[[T], R], items: Iterable[T], *, ahead: int | None = None) -> Iterator[R]:
        """Yield ``function(item)`` of each item as it is done, in any order; raise the first error.

        All items are queued at once and begun in their order, so the workers go on while this thread waits for a store;
        after a failure none is begun any more, and what is under way has five seconds to finish. What ends the
        iteration from outside, a tick, a signal or the stop, is raised after the grace, when all that got finished
        within it has been yielded.

        :param ahead: how many items are queued or under way at once, where they cost memory: the next one is asked for
            when there is room, by this thread. What it raises ends the iteration, as a tick's error does
        """
        done: SimpleQueue[Outcome[R] | None] = SimpleQueue()  # None for an item that was not begun
        failed = threading.Event()
        failure: Outcome[R] | None = None
        give_up_at = math.inf
        under_way = 0
        waiting = iter(items)
        for item in waiting if ahead is None else ():
            self._work.put(partial(work, function, item, done, failed))
            under_way += 1
        self._begin(under_way)
        while time.monotonic() < give_up_at:
            taken: list[Outcome[R] | None] = []
            try:
                for item in islice(waiting, 0 if failed.is_set() else max(0, (ahead or 0) - under_way)):
                    self._work.put(partial(work, function, item, done, failed))
                    under_way += 1
                    self._provide(under_way)
                    self._tick()
                if not under_way:
                    break
                with suppress(Empty):
                    taken.append(done.get(timeout=LOOK if self._may_grow(under_way) else TICK))
                self._tick()
                if not taken:
                    self.stop.check()
                self._adapt(under_way)
            except BaseException as error:  # raised when what is finished has been taken
                self._wind_up()
                end: Outcome[R] = partial(raising, error)
                yield from finished([end, *taken, *rest_of(done)])
            for outcome in taken:
                under_way -= 1
                self._finished += 1
                try:
                    results = [outcome()] if outcome else []
                except BaseException as error:  # raised below
                    results = []
                    if not failure:
                        failure = partial(raising, error)
                        give_up_at = time.monotonic() + FINISHING
                yield from results
        if failure:
            yield from finished([failure, *rest_of(done)])

    def call(self, function: Callable[[], R]) -> R:
        """Return ``function()``, called in a worker."""
        [result] = self.run(lambda _: function(), (None,))
        return result

    def join(self) -> None:
        """Stop the workers and wait until each has let go of what it had in hand, still ticking."""
        self._stop()
        for thread in self._threads:
            while thread.is_alive():
                self._tick()
                thread.join(TICK)

    # --- what a client needs of a stop --------------------------------------------------------------------------------

    def check(self) -> None:
        """:raises TransferStopped: when the stop is given"""
        self.stop.check()

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        """See :meth:`~airflow_provider_ossresume.transfer.stop.Stop.guard`."""
        return self.stop.guard(shut)

    def wait(self, seconds: float) -> None:
        """Let a worker wait before it tries again, and until it has a turn.

        :raises TransferStopped: as soon as the stop is given
        """
        self._turns.give_back()
        try:
            self.stop.wait(seconds)
        finally:
            self._turns.take()

    def slow_down(self) -> None:
        """OSS delays requests or refuses them as too many: want fewer workers. Any thread may say so."""
        self._overloads.append(None)

    # --- how many -----------------------------------------------------------------------------------------------------

    def _may_grow(self, under_way: int) -> bool:
        return self.wanted < min(under_way, self._concurrency.most)

    def _begin(self, under_way: int) -> None:
        self._finished = 0
        self._moved_before, _ = self._traffic()
        # One item tells nothing of how many would be better, and some systems take long to tell the processor's time.
        self._concurrency.begin(time.monotonic(), used=self._processor_time() if under_way > 1 else 0.0)
        self._provide(under_way)

    def _adapt(self, under_way: int) -> None:
        now = time.monotonic()
        moved, failed = self._traffic()
        self._concurrency.shrink(now, failed=failed - self._failed_before + len(self._overloads))
        if under_way >= self.wanted:  # else some have nothing to do, and the others cannot tell what the link can
            # Where no bytes are counted, as when OSS copies, the finished items tell.
            moved = moved - self._moved_before or self._finished * SAMPLE
            self._concurrency.look(now, moved=moved, used=self._processor_time())
        self._provide(under_way)

    def _provide(self, under_way: int) -> None:
        """Have as many turns as workers are wanted, and a thread for each that has something to do."""
        self._turns.provide(self.wanted)
        while (count := len(self._threads)) < min(self.wanted, under_way):
            thread = threading.Thread(target=self._serve, name=f"ossresume-{count}", daemon=True)
            self._threads.append(thread)  # before it starts: a signal whose handler raises must leave none unknown
            try:
                thread.start()
            except RuntimeError as error:  # a container's limit; those that there are can do all the work
                self._threads.pop()
                if not count:
                    raise
                log.warning("Cannot start another thread (%s); continuing with %s", error, count)
                self._concurrency.limit(count)  # the turns follow at the next look
                return

    def _serve(self) -> None:
        """Do what is queued, now and later, until the crew ends."""
        while (do := self._work.get()) is not None:
            self._turns.take()
            if self.stop.is_given:  # nothing is begun any more
                return
            do()
            del do  # else what it was done for would live as long as this waits
            self._turns.give_back()
        self._work.put(None)  # for the next one

    # --- the end ------------------------------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """Stop the workers, and wait for them until the grace is over; there is one, however often it is asked.

        What waits for an answer gets it, if it comes within the grace. Then all sockets are shut down, and nothing is
        sent or written any more.
        """
        self._stop()
        if self._grace_ends is None:
            self._grace_ends = time.monotonic() + GRACE
        self._join_until(self._grace_ends)
        self.stop.give()
        self._join_until(self._grace_ends + GRACE)

    def _join_until(self, end: float) -> None:
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def _stop(self) -> None:
        self.stop.announce()
        self._work.put(None)
        self._turns.wake(len(self._threads))


class Deadline:
    """A tick that raises TimeoutError once its seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("it took too long")
