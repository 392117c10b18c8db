"""OSS's time. A request that is signed with a time more than 15 minutes off is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

MAX_OFFSET = 100 * 365 * 24 * 3600  # seconds; a board without a battery starts in 1970, no clock is further off
LEAST_OFFSET = 60  # seconds; a smaller difference does not matter to OSS


class OssClock:
    """OSS's time, learned from a response that refused this machine's time. All copies of a client share one.

    :param clock: this machine's time, in seconds since 1970
    :ivar offset: how many seconds OSS's clock is ahead of this machine's
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.offset = 0.0

    def now(self) -> float:
        return self._clock() + self.offset

    def adopt(self, server_time: float, *, used_offset: float) -> bool:
        """Use OSS's time from now on.

        :param used_offset: the offset that the refused request was signed with
        :return: whether another attempt would be signed with a different time
        """
        offset = server_time - self._clock()
        if abs(offset) > MAX_OFFSET or abs(offset - used_offset) < LEAST_OFFSET:
            return False
        if abs(offset - self.offset) >= LEAST_OFFSET:  # else another thread has adopted it already
            log.warning(
                "This worker's clock differs from OSS's by %.0f s, so requests use OSS's time; set the clock",
                -offset,
            )
            self.offset = offset
        return True
