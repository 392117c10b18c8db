"""How many parts to move at once: more while that brings throughput, fewer when the way to OSS is overloaded.

A link tells nobody what it can do. One that carries a gigabyte per second wants dozens of connections. One of a
megabit, or one that many tasks share, breaks down under them: each gets so little that its attempt times out. So the
number grows by evidence, and is halved when attempts fail.
"""

from __future__ import annotations

# Measured on links of 1 Mbit/s to 10 Gbit/s (docs/performance).
PLENTY = 2**20  # bytes per second; a worker that keeps as much, even if nothing is gained, is in no danger
LEAST = 2**14  # bytes per second that each has to keep; the wire gives up 256 KiB that take a minute, a quarter of it
LEAP = 4  # times as many workers, while each keeps plenty
STEP = 2  # times as many, where only the outcome can tell
SAMPLE = 2**20  # bytes of each worker until a number is judged: more than a socket's buffer takes in before it sends
SHORTEST = 0.05  # seconds; the same for fast links
SETTLED = 1.1  # times the throughput; less is no gain, and the former number did
WORTHWHILE = 0.5  # of what would be proportional; with less the link is nearly full
PAUSE = 30.0  # seconds until a number is put to the test again
RECOVERY = 5.0  # seconds in which what fails counts as one failure: parts of one overload fail together
BUSY = 0.5  # of one core: more workers would move nothing more and only cost


class Concurrency:
    """The number of workers of one transfer. It knows no clock and no thread; it is told what has happened.

    :param first: to begin with
    :ivar most: never more
    :ivar wanted: the number now, at least 1
    """

    def __init__(self, first: int, most: int) -> None:
        self.wanted = first
        self.most = most
        self._failed = 0
        self._grows_from = self._recovers_at = 0.0
        self.begin(0.0, used=0.0)

    def begin(self, now: float, *, used: float) -> None:
        """Something else is moved from now on, and counted from 0; the number stays. Arguments as in :meth:`look`."""
        self._before: tuple[int, float] | None = None  # the number before the last growth, and its bytes per second
        self._is_settling = True  # connections begin slowly, and fill buffers
        self._sample_from(now, 0, used)

    def limit(self, most: int) -> None:
        """There cannot be more."""
        self.most, self.wanted = most, min(self.wanted, most)

    def shrink(self, now: float, *, failed: int) -> None:
        """Want half as many, if attempts have failed since the last call.

        :param failed: attempts that have ever failed
        """
        if failed > self._failed and now >= self._recovers_at:
            self._set(max(1, self.wanted // 2))
            self._before = None
            self._grows_from, self._recovers_at = now + PAUSE, now + RECOVERY
        self._failed = failed

    def look(self, now: float, *, moved: int, used: float) -> None:
        """Judge the number, when enough was moved; to be called several times a second while all workers are busy.

        :param now: seconds of any clock that never goes back
        :param moved: bytes that have been moved since the beginning
        :param used: seconds of the processor that this process has used until now
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
        elif self._grows_from:  # the link has shown what it can do
            more = self.wanted + max(1, self.wanted // 4)
        else:
            more = STEP * self.wanted
        if (more := min(more, self.most, int(rate / LEAST))) > self.wanted:
            self._before = (self.wanted, rate)
            self._set(more)

    def _set(self, number: int) -> None:
        self.wanted = number
        self._is_settling = True
