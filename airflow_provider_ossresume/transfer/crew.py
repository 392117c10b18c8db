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
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TypeVar

from airflow_provider_ossresume.transfer.concurrency import SAMPLE, Concurrency
from airflow_provider_ossresume.transfer.outcomes import Outcome, finished, raising, rest_of, work
from airflow_provider_ossresume.transfer.slots import WorkerSlots
from airflow_provider_ossresume.transfer.stop import Stop

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

    A worker needs a slot while it works. There are as many slots as workers are wanted. If their number shrinks,
    a worker finishes its current item and then waits for a slot.

    A client may take the crew for its stop. A worker that waits before a retry then releases its slot to another
    worker.

    :param most: see :class:`~airflow_provider_ossresume.transfer.concurrency.Concurrency`; ``workers`` by default
    :param tick: called by the iterating thread at least four times a second; what it raises ends the iteration
    :param stop: ends the workers and, within a tick, the iteration; one for each crew
    :param traffic: bytes that the workers have moved until now, and how many of their attempts have failed; it is asked
        after each tick
    :param processor_time: seconds of the processor that this process has used
    :ivar under_way: calls that were begun by :meth:`begin` and not taken
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
        self._slots = WorkerSlots()
        self._overloads: deque[None] = deque()  # its methods are atomic
        self.under_way = 0
        self._finished = self._moved_before = 0  # in the present run
        _, self._failed_before = traffic()
        self._grace_ends: float | None = None
        self._failed = threading.Event()  # one of the calls that were begun

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    @property
    def wanted(self) -> int:
        """How many workers may be at work now."""
        return self._concurrency.wanted

    def run(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield ``function(item)`` of each item as it is done, in any order; raise the first error.

        All items are queued at once and begun in their order, so the workers go on while this thread waits for a store;
        after a failure none is begun any more, and what is under way has five seconds to finish. What ends the
        iteration from outside, a tick, a signal or the stop, is raised after the grace, when all that got finished
        within it has been yielded.
        """
        done: SimpleQueue[Outcome[R] | None] = SimpleQueue()  # None for an item that was not begun
        failed = threading.Event()
        failure: Outcome[R] | None = None
        give_up_at = math.inf
        under_way = 0
        for item in items:
            self._work.put(partial(work, function, item, done, failed))
            under_way += 1
        self._begin(under_way)
        while under_way and time.monotonic() < give_up_at:
            taken: list[Outcome[R] | None] = []
            try:
                with suppress(Empty):
                    taken.append(self._next(done, under_way))
                self._look(under_way, is_idle=not taken)
            except BaseException as error:  # raised when what is finished has been taken
                self.end()
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

    def begin(self, function: Callable[[], R], done: SimpleQueue[Outcome[R] | None]) -> None:
        """Have ``function()`` called by the next free worker, for a caller whose items come one after the other.

        It ticks once. As soon as a call has failed, none that is queued is begun any more.

        :param done: one queue for all these calls; :meth:`take` takes their results from it
        """
        if not self.under_way:
            self._begin(1)
        self._work.put(partial(work, lambda _: function(), None, done, self._failed))
        self.under_way += 1
        self._provide(self.under_way)
        self._tick()

    def take(self, done: SimpleQueue[Outcome[R] | None]) -> R | None:
        """Wait, still ticking, until one of the calls is done; return its result, or raise its error.

        None is the result of a call that was not begun.

        :raises TransferStopped: when the stop is given
        """
        outcome: list[Outcome[R] | None] = []
        while not outcome:
            with suppress(Empty):
                outcome.append(self._next(done, self.under_way))
            self._look(self.under_way, is_idle=not outcome)
        self.under_way -= 1
        self._finished += 1
        return outcome[0]() if outcome[0] else None

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
        """Let a worker wait before a retry, and until it has a slot again.

        :raises TransferStopped: as soon as the stop is given
        """
        self._slots.release()
        try:
            self.stop.wait(seconds)
        finally:
            self._slots.acquire()

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

    def _next(self, done: SimpleQueue[Outcome[R] | None], under_way: int) -> Outcome[R] | None:
        """:raises Empty: when a tick is due"""
        return done.get(timeout=LOOK if self._may_grow(under_way) else TICK)

    def _look(self, under_way: int, *, is_idle: bool) -> None:
        self._tick()
        if is_idle:
            self.stop.check()
        self._adapt(under_way)

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
        """Provide as many slots as workers are wanted, and a thread for each of them that has something to do."""
        self._slots.resize(self.wanted)
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
                self._concurrency.limit(count)  # the slots follow at the next tick
                return

    def _serve(self) -> None:
        """Do what is queued, now and later, until the crew ends."""
        while (do := self._work.get()) is not None:
            self._slots.acquire()
            if self.stop.is_given:  # nothing is begun any more
                return
            do()
            del do  # else what it was done for would live as long as this waits
            self._slots.release()
        self._work.put(None)  # for the next one

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Stop the workers, and wait for them until the grace is over; there is one, however often it is asked.

        What waits for an answer gets it, if it comes within the grace. Then all sockets are shut down, and nothing is
        sent or written any more: whoever closes a file next does no harm.
        """
        self._stop()
        if self._grace_ends is None:
            self._grace_ends = time.monotonic() + GRACE
        self._join_until(self._grace_ends)
        self.stop.give()
        self._join_until(self._grace_ends + GRACE)

    def end_now(self) -> None:
        """Stop the workers and shut down their sockets, and wait for nothing."""
        self._stop()
        self.stop.give()

    def _join_until(self, end: float) -> None:
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def _stop(self) -> None:
        self.stop.announce()
        self._work.put(None)
        self._slots.wake(len(self._threads))


class Deadline:
    """A tick that raises TimeoutError once its seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("it took too long")
