"""Threads for what blocks an event loop, apart from those that all of its coroutines share."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import cache, partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

MOST_THREADS = 128  # of all pools of a process; a pool's first one comes on top
_started: list[str] = []
os.register_at_fork(after_in_child=_started.clear)


class DaemonThreads(Executor):
    """Runs calls in a few threads, in the order in which they come; no thread holds up the end of the process.

    The threads of :class:`~concurrent.futures.ThreadPoolExecutor` do: the interpreter waits for their last call. A call
    that is cancelled before its turn is never begun. One event loop submits.

    :param most: how many threads, while all pools of the process together have no more than ``MOST_THREADS``
    """

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._started = 0
        self._unanswered = 0
        self._lock = threading.Lock()
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Return what will have the function's answer. It sees the caller's context variables, by which logs are told
        apart.

        :raises RuntimeError: when the process can start no thread, and none runs yet
        """
        future: Future[T] = Future()
        with self._lock:
            may_start = not self._started or len(_started) < MOST_THREADS
            if may_start and self._started < min(self._unanswered + 1, self._most):
                self._start_thread()
            self._unanswered += 1
        self._calls.put((future, partial(contextvars.copy_context().run, function, *args, **kwargs)))
        return future

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads to give
            if not self._started:
                raise
            return  # those that run take the call; the next call tries again
        self._started += 1
        _started.append(thread.name)

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # as in any executor: whoever waits for the answer gets it
                    future.set_exception(error)
            del future, call  # else what they hold would live until the next call
            with self._lock:
                self._unanswered -= 1


def threads(name: str, *, most: int) -> DaemonThreads:
    """Return this process's threads of that name; a child that was forked begins without its parent's."""
    return _threads(os.getpid(), name, most)


@cache  # what is forgotten would leave its threads behind
def _threads(process: int, name: str, most: int) -> DaemonThreads:
    return DaemonThreads(most, name=f"oss-{name}")
