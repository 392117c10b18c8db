"""Decides how many parts move at once: more while that increases the throughput, fewer when the link is overloaded.

The speed of a link is not known beforehand. A gigabyte per second needs dozens of connections. A link of a megabit, or
one that many tasks share, breaks down under them: each connection is so slow that its attempt times out. So the number
grows only while the measured throughput grows, and is halved when attempts fail.
"""

from __future__ import annotations

# Measured on links of 1 Mbit/s to 10 Gbit/s (docs/performance).
PLENTY = 2**20  # bytes per second; a worker this fast is far from a timeout
LEAST = 2**14  # bytes per second that each worker must keep; an attempt fails at a quarter of it (256 KiB a minute)
LEAP = 4  # growth factor while each worker is fast
STEP = 2  # growth factor otherwise; the next measurement shows whether it helped
SAMPLE = 2**20  # bytes of each worker before a number is judged: more than the buffer of a socket holds
SHORTEST = 0.05  # seconds before a number is judged; for fast links
SETTLED = 1.1  # if the throughput grew by a smaller factor, return to the former number
WORTHWHILE = 0.5  # if the throughput grew by a smaller share of the growth in workers, the link is nearly full
PAUSE = 30.0  # seconds until the number may grow again
RECOVERY = 5.0  # seconds in which all failures count as one: the parts of one overload fail together
BUSY = 0.5  # of one core; above that, the processor is the limit and more workers do not help


class Concurrency:
    """The number of workers of one transfer. It uses no clock and no threads: the caller passes in what it measured.

    :param first: the number at the start
    :ivar most: the upper limit
    :ivar wanted: the current number, at least 1
    """

    def __init__(self, first: int, most: int) -> None:
        self.wanted = first
        self.most = most
        self._failed = 0
        self._grows_from = self._recovers_at = 0.0
        self.begin(0.0, used=0.0)

    def begin(self, now: float, *, used: float) -> None:
        """Start a new measurement, with bytes counted from 0; the number stays. Arguments as in :meth:`look`."""
        self._before: tuple[int, float] | None = None  # the number before the last growth, and its bytes per second
        self._is_settling = True  # new connections are slow, and first fill buffers
        self._sample_from(now, 0, used)

    def limit(self, most: int) -> None:
        """Lower the upper limit."""
        self.most, self.wanted = most, min(self.wanted, most)

    def shrink(self, now: float, *, failed: int) -> None:
        """Halve the number if attempts have failed since the last call.

        :param failed: number of all attempts that have failed so far
        """
        if failed > self._failed and now >= self._recovers_at:
            self._set(max(1, self.wanted // 2))
            self._before = None
            self._grows_from, self._recovers_at = now + PAUSE, now + RECOVERY
        self._failed = failed

    def look(self, now: float, *, moved: int, used: float) -> None:
        """Judge the number if enough bytes have moved. Call it several times a second while all workers are busy.

        :param now: seconds of a monotonic clock
        :param moved: bytes moved since :meth:`begin`
        :param used: CPU seconds that this process has used so far
        """
        seconds, size = now - self._began, moved - self._moved
        if seconds < SHORTEST or size < self.wanted * SAMPLE:
            return
        if self._is_settling:
            self._is_settling = False
        else:
            self._judge(now, size / seconds, is_busy=used - self._used >= BUSY * seconds)
        self._sample_from(now, moved, used)

    def _sample_from(self, now: float, moved: int, used: float) -> None:
        self._began, self._moved, self._used = now, moved, used

    def _judge(self, now: float, rate: float, *, is_busy: bool) -> None:
        before, self._before = self._before, None
        if before is not None:
            number, former_rate = before
            gain, proportional = rate / former_rate, self.wanted / number
            if gain < SETTLED:
                self._set(number)
            if gain < 1 + WORTHWHILE * (proportional - 1):
                self._grows_from = now + PAUSE
        if now >= self._grows_from and not is_busy:
            self._grow(rate)

    def _grow(self, rate: float) -> None:
        if rate >= PLENTY * LEAP * self.wanted:
            more = LEAP * self.wanted
        elif self._grows_from:  # an earlier failure or measurement has shown roughly what the link can carry
            more = self.wanted + max(1, self.wanted // 4)
        else:
            more = STEP * self.wanted
        if (more := min(more, self.most, int(rate / LEAST))) > self.wanted:
            self._before = (self.wanted, rate)
            self._set(more)

    def _set(self, number: int) -> None:
        self.wanted = number
        self._is_settling = True
