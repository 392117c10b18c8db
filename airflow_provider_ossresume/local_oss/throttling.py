"""How many calls a second are let through."""

from __future__ import annotations


class Throttle:
    """Lets so many calls a second through, and as many of them at once after a second of quiet, but at least one."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = self._most = max(1.0, per_second)
        self._asked: float | None = None

    def delay(self, now: float) -> float:
        """Return 0 for a call that is let through, or the seconds after which one will be. ``now`` is in seconds."""
        passed = 0.0 if self._asked is None else max(0.0, now - self._asked)
        self._asked = now
        self._left = min(self._most, self._left + passed * self._per_second)
        if self._left < 1 - 1e-6:  # a client that waits as long as it was told does not fail by a rounding
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
