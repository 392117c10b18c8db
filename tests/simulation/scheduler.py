"""Threads that run one at a time, and a clock that only they move.

Every thread of a run, those of the engine's crews too, waits at a gate of its own. Whoever comes to a switch point
chooses the next one and opens its gate, so which thread runs when is a matter of the seed alone. When all of them wait
for time to pass, the clock jumps to the first deadline.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any

Ready = Callable[[], bool]


class Killed(BaseException):
    """kill -9: raised at every further step that the process would take."""


class TaskTimeout(BaseException):
    """What Airflow raises in the task's thread when ``execution_timeout`` is over."""


class Process:
    """The threads that one kill -9 ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_frozen = False
        self.stopped_at: float | None = None  # when its own thread last told the others to stop
        self.failed_at: float | None = None  # when one of the others did, since it had failed

    def __str__(self) -> str:
        return self.name


class Thread:
    """One thread; has as much of ``threading.Thread`` as the engine's crew uses."""

    def __init__(
        self,
        scheduler: Scheduler,
        process: Process | None,
        target: Callable[[], Any] | None,
        *,
        is_worker: bool = False,
    ) -> None:
        self.scheduler = scheduler
        self.is_worker = is_worker
        self.process = process
        self.ready: Ready | None = None  # what it waits for; None: nothing
        self.deadline: float | None = None
        self.is_over = False
        self.errand: Any = None  # the request that it has under way
        self.gate = threading.Lock()
        self.gate.acquire()
        self._target = target

    def start(self) -> None:
        self.scheduler.threads.append(self)
        threading.Thread(target=self._run, daemon=True).start()

    def join(self, timeout: float | None = None) -> None:
        deadline = None if timeout is None else self.scheduler.now + timeout
        self.scheduler.pause(lambda: self.is_over, deadline)

    def is_alive(self) -> bool:
        return not self.is_over

    def can_run(self, now: float) -> bool:
        if self.process is not None:
            if self.process.is_dead:
                return True
            if self.process.is_frozen:
                return False
        return self.ready is None or self.ready() or (self.deadline is not None and self.deadline <= now)

    def _run(self) -> None:
        self.gate.acquire()
        try:
            assert self._target is not None
            self._target()
        except Killed:
            pass
        except BaseException as error:  # the engine's threads hand their errors over; this one is nobody's
            self.scheduler.stray_errors.append(error)
        self.is_over = True
        self.scheduler.leave(self)


class Scheduler:
    """Runs the threads of one run.

    :param pick: chooses one of several threads that can run; the second argument is the one that runs now, if any
    """

    def __init__(self, pick: Callable[[list[Thread], Thread | None], Thread]) -> None:
        self.now = 1_000_000.0
        self.threads: list[Thread] = []
        self.stray_errors: list[BaseException] = []
        self._pick = pick
        self._driver = Thread(self, None, None)
        self.current = self._driver

    @property
    def process(self) -> Process | None:
        return self.current.process

    def run_until(self, done: Ready) -> bool:
        """Let the threads run until it is done or nothing can move any more; called by the test's own thread."""
        driver = self._driver
        driver.ready = done
        self._hand_over(driver)
        return done()

    def pause(self, ready: Ready | None = None, deadline: float | None = None) -> None:
        """A switch point: let others run, until ready or the deadline.

        :raises Killed: when the process has been killed
        """
        me = self.current
        me.ready, me.deadline = ready, deadline
        self._hand_over(me)
        me.ready = me.deadline = None
        if me.process is not None and me.process.is_dead:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.pause(lambda: False, self.now + seconds)

    def leave(self, me: Thread) -> None:
        self.threads.remove(me)
        self.current = self._choose(None)
        self.current.gate.release()

    def _hand_over(self, me: Thread) -> None:
        chosen = self._choose(me if me is not self._driver else None)
        if chosen is not me:
            self.current = chosen
            chosen.gate.release()
            me.gate.acquire()

    def _choose(self, me: Thread | None) -> Thread:
        assert self._driver.ready is not None
        if self._driver.ready():
            return self._driver
        while True:
            able = [thread for thread in self.threads if thread.can_run(self.now)]
            for thread in able:
                if thread.process is not None and thread.process.is_dead:
                    return thread  # the dead go first: nothing that they held survives them
            if able:
                return able[0] if len(able) == 1 else self._pick(able, me)
            deadlines = [
                thread.deadline
                for thread in self.threads
                if thread.deadline is not None and not (thread.process and thread.process.is_frozen)
            ]
            if not deadlines:
                return self._driver
            self.now = max(self.now, min(deadlines))


class Queue:
    """``queue.SimpleQueue``, as far as the engine's crew uses it."""

    def __init__(self, scheduler: Scheduler, interrupt: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._interrupt = interrupt
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)

    def get(self, timeout: float | None = None) -> Any:
        if timeout is not None:  # the try's own thread waits, and there signals strike
            self._interrupt()
        deadline = None if timeout is None else self._scheduler.now + timeout
        while not self._items:
            if deadline is not None and self._scheduler.now >= deadline:
                raise Empty
            self._scheduler.pause(lambda: bool(self._items), deadline)
        return self._items.popleft()

    def get_nowait(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.popleft()


class Event(threading.Event):
    """``threading.Event`` whose waits are switch points."""

    scheduler: Scheduler

    def set(self) -> None:
        if (process := self.scheduler.process) is not None and not self.is_set():
            if self.scheduler.current.is_worker:
                process.failed_at = self.scheduler.now
            else:
                process.stopped_at = self.scheduler.now
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        self.scheduler.pause(self.is_set, None if timeout is None else self.scheduler.now + timeout)
        return self.is_set()


class Runtime:
    """What stands in for ``threading``, ``time`` and ``queue`` in the engine's modules.

    :param interrupt: called where a signal may strike the thread that waits for the others
    """

    def __init__(self, scheduler: Scheduler, *, interrupt: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._interrupt = interrupt
        self.Event = type("Event", (Event,), {"scheduler": scheduler})

    def Thread(self, *, target: Callable[[], Any], name: str, daemon: bool) -> Thread:
        return Thread(self._scheduler, self._scheduler.process, target, is_worker=True)

    def SimpleQueue(self) -> Queue:
        return Queue(self._scheduler, self._interrupt)

    def monotonic(self) -> float:
        return self._scheduler.now

    def process_time(self) -> float:
        return 0.0  # the processor idles, so a crew may grow
