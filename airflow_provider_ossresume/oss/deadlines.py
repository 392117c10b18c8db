"""How long the phases of an exchange may take: each has a limit, whose words an error then says.

A socket's own timeout begins anew with every byte, so a peer that trickles holds a worker for hours. Here each wait for
a socket is given what its phase has left.
"""

from __future__ import annotations

import math
import time

from airflow_provider_ossresume.model.parts import STALL_SIZE

LONGEST_WORK = 1800.0  # seconds that OSS may be at work for one request, as long as it says so; a Copy takes minutes

LONGEST_END = 1.0  # seconds for what is left of a response when all that was asked for is there


class ExchangeFailed(Exception):
    """The way to the peer failed; what was raised on it is its cause.

    :ivar is_timeout: something did not come in time
    :ivar is_lasting: it will fail again until somebody changes something
    """

    def __init__(self, text: str, *, is_timeout: bool = False, is_lasting: bool = False) -> None:
        super().__init__(text)
        self.is_timeout = is_timeout
        self.is_lasting = is_lasting


class Limit:
    """What one phase may wait for.

    :param what: says, before "within n s", what has not happened
    :param total: seconds for the whole phase, from now on
    :param silence: seconds for whatever comes next
    """

    def __init__(self, what: str, *, total: float = math.inf, silence: float = math.inf) -> None:
        self._what = what
        self._total = total
        self._silence = silence
        self._ends = time.monotonic() + total
        self._said = silence

    def left(self) -> float:
        """Return the seconds that the next wait may take.

        :raises ExchangeFailed: when there are none
        """
        left, self._said = self._silence, self._silence
        if self._ends < math.inf and (until := self._ends - time.monotonic()) < left:
            left, self._said = until, self._total
        if left <= 0:
            raise self.over()
        return left

    def moved(self, size: int, waited: float) -> None:
        """Bytes have moved, after so many seconds of waiting."""

    def over(self) -> ExchangeFailed:
        """Return the error for a wait that took all that was left."""
        return ExchangeFailed(f"{self._what} within {self._said:g} s", is_timeout=True)


class Flow(Limit):
    """The limit of a body: neither silent, nor slower than 64 KiB in each ``stall`` seconds.

    Only the time counts that is spent waiting for the peer; who reads or writes the bytes here may take theirs.
    """

    def __init__(self, what: str, *, silence: float, stall: float) -> None:
        super().__init__(what, silence=silence)
        self._stall = stall
        self._waited = 0.0
        self._moved = 0

    def left(self) -> float:
        if self._waited >= self._stall:
            raise self.over()
        return min(self._silence, self._stall - self._waited)

    def moved(self, size: int, waited: float) -> None:
        self._moved += size
        self._waited += waited
        if self._moved >= STALL_SIZE:
            self._waited, self._moved = 0.0, 0

    def over(self) -> ExchangeFailed:
        if self._silence <= self._stall - self._waited:
            return super().over()
        return ExchangeFailed(f"stalled, {self._moved} bytes in {self._stall:.0f} s", is_timeout=True)
