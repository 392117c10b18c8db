"""Thread pools for calls that would block an event loop. They are separate from the pool that all coroutines share."""

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

MAX_THREADS = 128  # of all pools of a process together, apart from the first thread of each pool
_started: list[str] = []
os.register_at_fork(after_in_child=_started.clear)


class DaemonThreadPool(Executor):
    """Runs calls in a few daemon threads, in the order in which they were submitted.

    The process can end while a call runs, unlike with :class:`~concurrent.futures.ThreadPoolExecutor`, which waits for
    the last call. A call that is cancelled before its turn never starts. Only one event loop may submit calls.

    :param most: the maximum number of threads; all pools of the process together have at most ``MAX_THREADS``
    """

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._started = 0
        self._unanswered = 0
        self._lock = threading.Lock()
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Return a future for the function's result. The function sees the caller's context variables.

        Airflow uses these variables to send log lines to the right task.

        :raises RuntimeError: if the pool has no thread yet and the process cannot start one
        """
        future: Future[T] = Future()
        with self._lock:
            may_start = not self._started or len(_started) < MAX_THREADS
            if may_start and self._started < min(self._unanswered + 1, self._most):
                self._start_thread()
            self._unanswered += 1
        self._calls.put((future, partial(contextvars.copy_context().run, function, *args, **kwargs)))
        return future

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has reached its limit of threads
            if not self._started:
                raise
            return  # the running threads take the call; the next call tries again to start one
        self._started += 1
        _started.append(thread.name)

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # as in any executor, the future raises it
                    future.set_exception(error)
            del future, call  # otherwise they would keep their objects alive until the next call
            with self._lock:
                self._unanswered -= 1


def shared_pool(name: str, *, most: int) -> DaemonThreadPool:
    """Return this process's pool of that name. A forked child gets pools of its own, not those of its parent."""
    return _pool(os.getpid(), name, most)


@cache  # without a limit: the threads of a pool that is dropped from the cache would never end
def _pool(process: int, name: str, most: int) -> DaemonThreadPool:
    return DaemonThreadPool(most, name=f"oss-{name}")
