"""A worker's share of the bandwidth."""

from __future__ import annotations

import time

from airflow_provider_ossresume.transfer.stop import Stop

LEAST_PIECE_SIZE = 2**14  # of a transfer whose bandwidth is limited


class Pace:
    """Holds one attempt of one worker to its share of the bandwidth."""

    def __init__(self, bytes_per_second: float | None, stop: Stop) -> None:
        self._rate = bytes_per_second
        self._stop = stop
        self._began = time.monotonic()
        self._moved = 0

    def moved(self, size: int) -> None:
        """Wait as long as the bytes moved so far should have taken.

        :raises TransferStopped: when the stop is given
        """
        self._moved += size
        if self._rate:
            self._stop.wait(max(0.0, self._began + self._moved / self._rate - time.monotonic()))
        self._stop.check()


def piece_size(most: int, rate: float | None) -> int:
    """Return how many bytes to move at once; of a worker held to a rate, what it may move in a quarter second."""
    return most if rate is None else max(LEAST_PIECE_SIZE, min(most, int(rate / 4)))
