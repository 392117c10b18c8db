"""Runs a function over many items in worker threads, while the caller's own thread watches.

Workers only return values. The thread that iterates owns all state. It never blocks for longer than a tick, so it can
stop the transfer, save a checkpoint or log progress, whatever the workers wait for.
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
LOOK = 0.05  # seconds between two checks while the number of workers may grow
GRACE = 0.5  # seconds that running calls have to finish after a stop
FINISHING = 5.0  # seconds that they have after a failure: the next try need not move again what they finish


class Crew:
    """``workers`` threads, or up to ``most`` if that increases the throughput, for the duration of a ``with`` block.

    A thread is started when there is work for it. Then it waits for more work until the block ends. The end of the
    block ends idle threads at once, gives the stop, and waits half a second for busy threads. The threads are daemons,
    so one that hangs blocks neither the caller nor the exit of the process.

    A worker needs a slot while it works. There are as many slots as workers are wanted. If their number shrinks,
    a worker finishes its current item and then waits for a slot.

    A client can use the crew as its stop. A worker that waits before a retry then releases its slot to another
    worker.

    :param most: see :class:`~airflow_provider_ossresume.transfer.concurrency.Concurrency`; ``workers`` by default
    :param tick: called by the iterating thread at least four times a second; an error that it raises ends the
        iteration
    :param stop: ends the workers and, within a tick, the iteration; each crew needs its own
    :param traffic: returns the bytes that the workers have moved so far, and the number of failed attempts; called
        after each tick
    :param processor_time: returns the CPU seconds that this process has used
    :ivar under_way: calls that :meth:`begin` has queued and :meth:`take` has not returned yet
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
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None: the end
        self._slots = WorkerSlots()
        self._overloads: deque[None] = deque()  # its methods are atomic
        self.under_way = 0
        self._finished = self._moved_before = 0  # items finished in the current run, and bytes moved before it
        _, self._failed_before = traffic()
        self._grace_ends: float | None = None
        self._failed = threading.Event()  # set when a call of begin() has failed

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
        """Yield ``function(item)`` for each item as it finishes, in any order; raise the first error.

        All items are queued at once and started in order, so the workers continue while this thread waits for a
        checkpoint store. After a failure no further item starts, and running ones have five seconds to finish. An error
        of the tick, a signal or the stop ends the iteration too: it is raised after the grace, when all results of that
        time have been yielded.
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
            except BaseException as error:  # raised below, after the results that are finished
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
        """Call ``function()`` in a worker, and return the result."""
        [result] = self.run(lambda _: function(), (None,))
        return result

    def begin(self, function: Callable[[], R], done: SimpleQueue[Outcome[R] | None]) -> None:
        """Queue ``function()`` for the next free worker, for a caller whose items arrive one by one. Ticks once.

        After a failure no queued call starts.

        :param done: the queue for the results, one for all calls; pass it to :meth:`take`
        """
        if not self.under_way:
            self._begin(1)
        self._work.put(partial(work, lambda _: function(), None, done, self._failed))
        self.under_way += 1
        self._provide(self.under_way)
        self._tick()

    def take(self, done: SimpleQueue[Outcome[R] | None]) -> R | None:
        """Wait, with ticks, until one of the calls is done. Return its result or raise its error.

        The result of a call that did not start is None.

        :raises TransferStopped: if the stop is given
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
        """Stop the workers and wait, with ticks, until all of them have ended."""
        self._stop()
        for thread in self._threads:
            while thread.is_alive():
                self._tick()
                thread.join(TICK)

    # --- what a client needs of a stop --------------------------------------------------------------------------------

    def check(self) -> None:
        """:raises TransferStopped: if the stop is given"""
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
        """Use fewer workers, because OSS throttles requests. Any thread may call this."""
        self._overloads.append(None)

    # --- how many -----------------------------------------------------------------------------------------------------

    def _may_grow(self, under_way: int) -> bool:
        return self.wanted < min(under_way, self._concurrency.most)

    def _begin(self, under_way: int) -> None:
        self._finished = 0
        self._moved_before, _ = self._traffic()
        # With one item there is no number of workers to choose, and on some systems the CPU time is slow to read.
        self._concurrency.begin(time.monotonic(), used=self._processor_time() if under_way > 1 else 0.0)
        self._provide(under_way)

    def _next(self, done: SimpleQueue[Outcome[R] | None], under_way: int) -> Outcome[R] | None:
        """:raises Empty: if a tick is due first"""
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
        if under_way >= self.wanted:  # with idle workers, the throughput does not show what the link can carry
            # If OSS copies, no bytes are counted here; then the finished items count.
            moved = moved - self._moved_before or self._finished * SAMPLE
            self._concurrency.look(now, moved=moved, used=self._processor_time())
        self._provide(under_way)

    def _provide(self, under_way: int) -> None:
        """Provide as many slots as workers are wanted, and a thread for each of them that has something to do."""
        self._slots.resize(self.wanted)
        while (count := len(self._threads)) < min(self.wanted, under_way):
            thread = threading.Thread(target=self._serve, name=f"ossresume-{count}", daemon=True)
            self._threads.append(thread)  # before it starts: a signal handler may raise right after the start
            try:
                thread.start()
            except RuntimeError as error:  # the limit of a container; the existing threads can do all the work
                self._threads.pop()
                if not count:
                    raise
                log.warning("Cannot start another thread (%s); continuing with %s", error, count)
                self._concurrency.limit(count)  # the slots follow at the next tick
                return

    def _serve(self) -> None:
        """Make queued calls until the crew ends."""
        while (do := self._work.get()) is not None:
            self._slots.acquire()
            if self.stop.is_given:  # nothing more may start
                return
            do()
            del do  # else its objects would stay in memory while this thread waits
            self._slots.release()
        self._work.put(None)  # for the next thread

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Stop the workers, and wait for them until the grace is over. A second call does not extend it.

        A worker that waits for an answer gets it if it comes within the grace. Then all sockets are shut down. After
        that nothing is sent or written, so the caller can close the files.
        """
        self._stop()
        if self._grace_ends is None:
            self._grace_ends = time.monotonic() + GRACE
        self._join_until(self._grace_ends)
        self.stop.give()
        self._join_until(self._grace_ends + GRACE)

    def end_now(self) -> None:
        """Stop the workers and shut down their sockets, without waiting."""
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
    """A tick that raises TimeoutError after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("it took too long")
