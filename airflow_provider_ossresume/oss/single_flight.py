"""Calls that hear of no stop. Each is made by a thread of its own, and shared by all that ask for the same meanwhile.

A stop, or a time that is over, ends the wait of one caller. The call goes on: others may wait for it.
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
    """One kind of call, by keys: at most one is under way for each key, and at most ``most`` in all.

    Those for which no thread is left wait for their turn. Only the threads that make the calls do the bookkeeping, so
    a signal whose handler raises leaves nothing taken.

    :param name: of the threads, which are daemons: a process that ends waits for none
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self.begin_anew()
        _all.add(self)

    def begin_anew(self) -> None:
        """Forget what is under way, in a forked child: its parent's threads are not there."""
        self._calls: dict[Hashable, _Call[T]] = {}  # the methods of both are atomic
        self._turns: deque[None] = deque((None,) * self._most)

    def begin(self, key: Hashable, function: Callable[[], T]) -> None:
        """Have the call made, and do not wait for it.

        :raises RuntimeError: when the system gives no more threads
        """
        self._begin(key, function)

    def ask(self, key: Hashable, function: Callable[[], T], stop: Stop, *, within: float | None = None) -> T:
        """Return what the function returns, or raise what it raises: this one, or that of the call under way.

        :param within: seconds to wait for it; who asks after that does not join this call, but has one of its own
        :raises TimeoutError: when they are over
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
            # Two callers may each start one: the second thread finds nothing to do and ends.
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return call

    def _serve(self) -> None:
        while waiting := [(key, call) for key, call in self._calls.copy().items() if not call.has_begun]:
            try:
                self._turns.pop()
            except IndexError:  # the threads that have them look again
                return
            for key, call in waiting:
                call.make(partial(self._forget, key, call))
            self._turns.append(None)  # before the next look: of a call that is put between, one of us knows

    def _forget(self, key: Hashable, call: _Call[T]) -> None:
        if self._calls.get(key) is call:
            self._calls.pop(key, None)


class _Call(Generic[T]):
    """One call, and who waits for its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._token: deque[None] = deque((None,))  # who takes it makes the call
        self._waiting: list[SimpleQueue[None]] = []
        self._outcome: Callable[[], T] | None = None

    @property
    def has_begun(self) -> bool:
        return not self._token

    def make(self, at_its_end: Callable[[], None]) -> None:
        """Make it, unless another thread does; ``at_its_end`` is called before those that wait go on."""
        try:
            self._token.pop()
        except IndexError:
            return
        try:
            result = self._function()
        except BaseException as error:  # whatever it is, those that wait raise it
            self._outcome = partial(_raise, error)
        else:
            self._outcome = lambda: result
        at_its_end()
        for each in self._waiting.copy():
            each.put(None)

    def wait(self, stop: Stop, within: float | None) -> Callable[[], T] | None:
        """Return what returns the result or raises the error; None when the time is over."""
        woken: SimpleQueue[None] = SimpleQueue()
        self._waiting.append(woken)  # before the look: of an end that comes between the two, one of us knows
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
    """Raise a copy, as each thread that raises an error adds its own traceback and context to it."""
    own = error
    with suppress(Exception):  # not each class makes another one of what it holds
        own = copy.copy(error)
    if type(own) is not type(error):
        own = error
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    raise own.with_traceback(error.__traceback__)


_all: weakref.WeakSet[SingleFlight[Any]] = weakref.WeakSet()


def _begin_anew() -> None:
    for each in _all:
        each.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
