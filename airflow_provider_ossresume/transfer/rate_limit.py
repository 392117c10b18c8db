"""Limits the bandwidth of one worker."""

from __future__ import annotations

import time

from airflow_provider_ossresume.transfer.stop import Stop

MIN_PIECE_SIZE = 2**14  # bytes; of a transfer whose bandwidth is limited


class RateLimiter:
    """Keeps one attempt of one worker within its share of the bandwidth.

    :param bytes_per_second: None is unlimited
    """

    def __init__(self, bytes_per_second: float | None, stop: Stop) -> None:
        self._rate = bytes_per_second
        self._stop = stop
        self._began = time.monotonic()
        self._moved = 0

    def consume(self, size: int) -> None:
        """Count bytes that were moved, and wait until the limit allows as many as were moved so far.

        :raises TransferStopped: if the stop is given
        """
        self._moved += size
        if self._rate:
            self._stop.wait(max(0.0, self._began + self._moved / self._rate - time.monotonic()))
        self._stop.check()


def piece_size(max_size: int, rate: float | None) -> int:
    """Return how many bytes to move at once: ``max_size``, or fewer if they take a quarter of a second at ``rate``."""
    return max_size if rate is None else max(MIN_PIECE_SIZE, min(max_size, int(rate / 4)))
