"""Single flight: callers that ask for the same thing at the same time share one call, made by a thread of its own.

For calls that cannot be stopped. A stop or a timeout ends one caller's wait; the call continues for the others.
"""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NoReturn, TypeVar

from airflow_provider_ossresume.oss.stop import Stop

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls of one kind, by key: at most one at a time for each key, and at most ``most`` in total.

    Further calls wait until a thread is free. Only the threads that make the calls do the bookkeeping, so a signal
    handler that raises in a caller cannot leave a slot occupied.

    :param name: the threads' name; they are daemons, so the end of the process does not wait for them
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self.forget_calls()
        _all.add(self)

    def forget_calls(self) -> None:
        """Forget all calls. For a forked child, which does not have its parent's threads."""
        self._calls: dict[Hashable, _Call[T]] = {}  # the methods of both are atomic
        self._turns: deque[None] = deque((None,) * self._most)

    def begin(self, key: Hashable, function: Callable[[], T]) -> None:
        """Start the call and do not wait for it.

        :raises RuntimeError: if the system allows no more threads
        """
        self._begin(key, function)

    def ask(self, key: Hashable, function: Callable[[], T], stop: Stop, *, within: float | None = None) -> T:
        """Return what the function returns, or raise what it raises. If a call for this key is running, share it.

        :param within: seconds to wait; after that, new callers get a call of their own
        :raises TimeoutError: after that time
        """
        stop.check()
        try:
            call = self._begin(key, function)
        except RuntimeError:  # no more threads
            return function()
        if (outcome := call.wait(stop, within)) is not None:
            return outcome()
        if call.has_begun:
            self._forget(key, call)
        raise TimeoutError

    def _begin(self, key: Hashable, function: Callable[[], T]) -> _Call[T]:
        call = self._calls.setdefault(key, _Call(function))
        if not call.has_begun and self._turns:
            # Two callers may both start a thread; the second thread finds nothing to do and ends.
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return call

    def _serve(self) -> None:
        while waiting := [(key, call) for key, call in self._calls.copy().items() if not call.has_begun]:
            try:
                self._turns.pop()
            except IndexError:  # all slots are taken; their threads look again
                return
            for key, call in waiting:
                call.make(partial(self._forget, key, call))
            self._turns.append(None)  # before the next look, so that either this thread or its caller sees a new call

    def _forget(self, key: Hashable, call: _Call[T]) -> None:
        if self._calls.get(key) is call:
            self._calls.pop(key, None)


class _Call(Generic[T]):
    """One call and the callers that wait for its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._token: deque[None] = deque((None,))  # the thread that takes it makes the call
        self._waiting: list[SimpleQueue[None]] = []
        self._outcome: Callable[[], T] | None = None

    @property
    def has_begun(self) -> bool:
        return not self._token

    def make(self, at_its_end: Callable[[], None]) -> None:
        """Make the call, unless another thread does. ``at_its_end`` runs before the waiting callers continue."""
        try:
            self._token.pop()
        except IndexError:
            return
        try:
            result = self._function()
        except BaseException as error:  # the waiting callers raise it, whatever it is
            self._outcome = partial(_raise, error)
        else:
            self._outcome = lambda: result
        at_its_end()
        for each in self._waiting.copy():
            each.put(None)

    def wait(self, stop: Stop, within: float | None) -> Callable[[], T] | None:
        """Return a function that returns the result or raises the error; None after the time is over."""
        woken: SimpleQueue[None] = SimpleQueue()
        self._waiting.append(woken)  # before the look, so that an end in between is not missed
        try:
            if self._outcome is None:
                with stop.guard(partial(woken.put, None)), suppress(Empty):
                    woken.get(timeout=within)
            if self._outcome is None:
                stop.check()
            return self._outcome
        finally:
            with suppress(ValueError):
                self._waiting.remove(woken)


def _raise(error: BaseException) -> NoReturn:
    """Raise a copy, because each thread that raises an error adds its own traceback and context."""
    own = error
    with suppress(Exception):  # not every class can be copied
        own = copy.copy(error)
    if type(own) is not type(error):
        own = error
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    raise own.with_traceback(error.__traceback__)


_all: weakref.WeakSet[SingleFlight[Any]] = weakref.WeakSet()


def _forget_calls() -> None:
    for each in _all:
        each.forget_calls()


os.register_at_fork(after_in_child=_forget_calls)
