"""Turns: the right of a worker to be at work."""

from __future__ import annotations

from collections import deque
from queue import SimpleQueue


class Turns:
    """As many turns as are provided, for any number of threads; all but :meth:`provide` is for any of them."""

    def __init__(self) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        self._withdrawn: deque[None] = deque()  # end when they are given back; its methods are atomic
        self._count = 0

    def provide(self, count: int) -> None:
        """Have so many from now on. Those that are taken, and are too many, end when they are given back."""
        for _ in range(self._count, count):
            self.give_back()
        self._withdrawn.extend([None] * (self._count - count))
        self._count = count

    def take(self) -> None:
        """Wait for a free one."""
        self._free.get()

    def give_back(self) -> None:
        try:
            self._withdrawn.pop()
        except IndexError:
            self._free.put(None)

    def wake(self, threads: int) -> None:
        """Let so many threads through that wait for a turn."""
        for _ in range(threads):
            self._free.put(None)
