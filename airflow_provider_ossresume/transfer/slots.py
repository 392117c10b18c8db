"""Slots for workers: how many may be at work at the same time."""

from __future__ import annotations

from collections import deque
from queue import SimpleQueue


class WorkerSlots:
    """A semaphore whose size can change. Any thread may call its methods; only one thread may call :meth:`resize`."""

    def __init__(self) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        self._surplus: deque[None] = deque()  # removed when a worker releases its slot; its methods are atomic
        self._count = 0

    def resize(self, count: int) -> None:
        """Set the number of slots. A surplus slot that is in use is removed when its worker releases it."""
        for _ in range(self._count, count):
            self.release()
        self._surplus.extend([None] * (self._count - count))
        self._count = count

    def acquire(self) -> None:
        """Wait for a free slot."""
        self._free.get()

    def release(self) -> None:
        try:
            self._surplus.pop()
        except IndexError:
            self._free.put(None)

    def wake(self, threads: int) -> None:
        """Let this many waiting threads through, whether or not a slot is free."""
        for _ in range(threads):
            self._free.put(None)
