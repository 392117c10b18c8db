"""Limits the calls per second."""

from __future__ import annotations


class Throttle:
    """Lets ``per_second`` calls through in a second. After a quiet second as many may come at once, at least one."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = self._most = max(1.0, per_second)
        self._asked: float | None = None

    def delay(self, now: float) -> float:
        """Return 0 if a call may pass now, else the seconds to wait. ``now`` is in seconds."""
        passed = 0.0 if self._asked is None else max(0.0, now - self._asked)
        self._asked = now
        self._left = min(self._most, self._left + passed * self._per_second)
        if self._left < 1 - 1e-6:  # a client that waits exactly as long as told must not fail because of rounding
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
