"""When a failed request is sent again: tenacity, as a value."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import tenacity

from airflow_provider_ossresume.errors import CredentialsError, IntegrityError, RequestError

log = logging.getLogger(__name__)

FIRST_WAIT = 0.2  # seconds; OSS's SDKs begin with this too
LONGEST_WAIT = 20.0  # seconds; and never wait longer


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long one request is tried.

    Waits are random between 0 and 0.2 s times 2^n, at most 20 s (full jitter), or as long as OSS asks with Retry-After.

    :ivar attempts: 1 means no retry
    :ivar total: seconds from the first attempt after which no further one begins
    """

    attempts: int = 8
    total: float = 300.0
    sleep: Callable[[float], None] = time.sleep

    def retrying(self) -> tenacity.Retrying:
        """Return the tenacity loop, for any number of requests and threads; the last error comes out as it is."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_retryable),
            stop=tenacity.stop_after_attempt(self.attempts) | tenacity.stop_before_delay(self.total),
            wait=_wait,
            sleep=self.sleep,
            before_sleep=self._log,
            reraise=True,
        )

    def _log(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0
        log.warning("Attempt %s of %s failed, again in %.1f s: %s", state.attempt_number, self.attempts, wait, error)


_jitter = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    asked = getattr(state.outcome.exception() if state.outcome else None, "retry_after", None)
    return max(_jitter(state), asked or 0.0)


def _is_retryable(error: BaseException) -> bool:
    # A changed source or a stop is worth a later try, not another attempt at this request.
    return isinstance(error, (RequestError, IntegrityError, CredentialsError)) and error.retryable
