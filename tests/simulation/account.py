"""What the attempts at one request have cost, by the judge's own account."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import Try, World


class Waits:
    """Stands in for ``random`` in ``oss.retry``.

    :ivar planned: seconds that the last request to fail is to wait
    """

    def __init__(self, rng: random.Random) -> None:
        self.planned = 0.0
        self._rng = rng

    def uniform(self, least: float, most: float) -> float:
        self.planned = self._rng.uniform(least, most)
        return self.planned


class Account:
    """Invariants 5 and 8: no request is given up before its attempts or its time are used up, and none goes on then.

    Attempts count since what came last needs not come again. Time counts while nothing moves, and between attempts.
    """

    def __init__(self, world: World, process: Try, operation: str) -> None:
        self._world = world
        self._try = process
        self._operation = operation
        self._made = self._in_vain = 0
        self._spent = 0.0
        self._quiet_since = self._now

    def begin(self) -> None:
        """An attempt begins."""
        if self._in_vain >= self._world.attempts:
            self._violate(f"(5) {self._try} begins another {self._operation} after {self._in_vain} in vain")
        if self._made:
            self._spent += self._now - self._quiet_since
        self._made += 1
        self._in_vain += 1
        self._quiet_since = self._now

    def moved(self) -> None:
        self._quiet_since = self._now

    def progressed(self) -> None:
        self._in_vain = 0
        self._try.progress += self._world.attempts

    def failed(self) -> None:
        """An attempt has failed."""
        self._spent += self._now - self._quiet_since
        self._quiet_since = self._now

    def check_given_up(self) -> None:
        """The request has failed for good, though another attempt might have helped."""
        if max(self._in_vain, 1) >= self._world.attempts:
            return
        spent = self._spent + self._world.waits.planned
        if self._made < 2 or spent <= self._world.profile.retry_total:
            self._violate(
                f"(8) {self._try} gives a {self._operation} up after {self._made} attempts and {spent:.0f} s in vain"
            )

    @property
    def _now(self) -> float:
        return self._world.scheduler.now

    def _violate(self, what: str) -> None:
        self._world.ledger.violate(what)
