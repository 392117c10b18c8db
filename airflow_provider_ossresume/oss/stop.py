"""The interface of a stop, which ends a client's requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stop(Protocol):
    """Ends what a client is doing: its waits, its attempts and its exchanges.

    If it also has a method ``slow_down``, that is called after each response and each timeout that calls for fewer
    requests.
    """

    def check(self) -> None:
        """Raise the stop's own error if it is set."""

    def wait(self, seconds: float) -> None:
        """Sleep, but only until the stop is set; then raise as ``check`` does."""

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``shut``, from any thread, if the stop is set within the block."""


class NeverStopped:
    """A stop that is never set, for clients without one.

    :param sleep: waits
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def check(self) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> None:
        self._sleep(seconds)

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()
