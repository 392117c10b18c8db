"""How long each phase of an exchange may take. The error of a phase that takes too long names what did not happen.

A socket's own timeout starts again with every byte, so a peer that sends one byte at a time could hold a worker for
hours. Here each wait for a socket gets only the time that its phase has left.
"""

from __future__ import annotations

import math
import time

from airflow_provider_ossresume.model.parts import STALL_SIZE

LONGEST_WORK = 1800.0  # seconds for one request that OSS reports to be working on; a copy takes minutes

LONGEST_END = 1.0  # seconds for the end of a response whose result is complete


class ExchangeFailed(Exception):
    """An HTTP exchange failed: the connection, TLS, a proxy, or the response. Its cause is the error of the socket.

    :ivar is_timeout: something did not arrive in time
    :ivar is_lasting: it will fail again until a setting is changed
    """

    def __init__(self, text: str, *, is_timeout: bool = False, is_lasting: bool = False) -> None:
        super().__init__(text)
        self.is_timeout = is_timeout
        self.is_lasting = is_lasting


class Limit:
    """The time limit of one phase.

    :param what: what has not happened when time is up; the error adds "within n s"
    :param total: seconds for the whole phase, from now on
    :param silence: seconds for each wait
    """

    def __init__(self, what: str, *, total: float = math.inf, silence: float = math.inf) -> None:
        self._what = what
        self._total = total
        self._silence = silence
        self._ends = time.monotonic() + total
        self._said = silence

    def left(self) -> float:
        """Return how many seconds the next wait may take.

        :raises ExchangeFailed: if no time is left
        """
        left, self._said = self._silence, self._silence
        if self._ends < math.inf and (until := self._ends - time.monotonic()) < left:
            left, self._said = until, self._total
        if left <= 0:
            raise self.over()
        return left

    def moved(self, size: int, waited: float) -> None:
        """Note that ``size`` bytes have moved, after ``waited`` seconds of waiting."""

    def over(self) -> ExchangeFailed:
        """Return the error for a wait that has used up the time."""
        return ExchangeFailed(f"{self._what} within {self._said:g} s", is_timeout=True)


class BodyLimit(Limit):
    """The limit of a body: it must not be silent, nor move less than 64 KiB in ``stall`` seconds.

    Only time spent waiting for the peer counts. The caller may take as long as it likes between two reads or writes.
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
        return ExchangeFailed(f"the transfer stalled: {self._moved} bytes in {self._stall:.0f} s", is_timeout=True)
