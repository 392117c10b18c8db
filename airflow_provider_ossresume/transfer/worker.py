"""A pool's threads, which stay a moment for the next transfer: a new one costs more than the request of a file."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

LINGER = 0.05  # seconds; between transfers that are further apart, a new thread costs a fiftieth of the pause
IDLE_NAME = "idle-ossresume"


class Worker:
    """Calls a function in a daemon thread; has what a pool needs of ``threading.Thread``."""

    def __init__(self, *, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._name = name
        self._running = threading.Lock()

    def start(self) -> None:
        thread = _idle_thread()
        thread.name = self._name
        self._running.acquire()
        thread.given.put((self._target, self._running))
        del self._target  # or what it holds would wait for the garbage collector

    def join(self, timeout: float) -> None:
        if self._running.acquire(timeout=timeout):
            self._running.release()

    def is_alive(self) -> bool:
        return self._running.locked()


class _Thread(threading.Thread):
    """Calls one function after the other, as long as the next one comes soon."""

    def __init__(self) -> None:
        super().__init__(name=IDLE_NAME, daemon=True)
        self.given: SimpleQueue[tuple[Callable[[], None], threading.Lock]] = SimpleQueue()

    def run(self) -> None:
        is_serving = self._serve()
        while is_serving:
            is_serving = self._serve(timeout=LINGER)

    def _serve(self, timeout: float | None = None) -> bool:
        """Call the next function; False when none came in time."""
        try:
            target, running = self.given.get(timeout=timeout)
        except Empty:
            try:
                _idle.remove(self)
            except ValueError:
                return self._serve()  # it was taken in this moment, and is about to be given something
            return False
        try:
            target()
            self.name = IDLE_NAME
            _idle.append(self)  # before it counts as done, so whoever waits for that finds it here
        finally:
            running.release()
        return True


_idle: deque[_Thread] = deque()  # its methods are atomic
os.register_at_fork(after_in_child=_idle.clear)  # the child has none of these threads


def _idle_thread() -> _Thread:
    try:
        return _idle.pop()
    except IndexError:
        thread = _Thread()
        thread.start()
        return thread
