"""The order to end, as far as requests have to hear it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stop(Protocol):
    """Ends what a client has under way: its waits, its attempts and its sockets.

    One that has a method ``slow_down`` too is told of each response, and of each timeout, that asks for fewer requests.
    """

    def check(self) -> None:
        """Raise an error of its own when the stop is given."""

    def wait(self, seconds: float) -> None:
        """Wait, as a sleep does, but no longer than until the stop is given; raise then as ``check`` does."""

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        """Have ``shut`` called, by any thread, when the stop is given within the block."""


class NeverStopped:
    """The stop of a client that has none.

    :param sleep: how it waits
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def check(self) -> None:
        """Nobody stops it."""

    def wait(self, seconds: float) -> None:
        self._sleep(seconds)

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()
