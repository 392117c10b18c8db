"""Retries of one request, with tenacity: how often, and how long between attempts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import tenacity

from airflow_provider_ossresume.errors import CredentialsError, IntegrityError, RequestError

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_WAIT = 0.2  # seconds; the same as in OSS's SDKs
LONGEST_WAIT = 20.0  # seconds, unless OSS asks for more


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long one request is tried.

    Waits are random between 0 and 0.2 s times 2^n, at most 20 s (full jitter), or as long as Retry-After asks for.

    :ivar attempts: how many attempts may fail in a row; 1 means no retry. Progress resets the count, for example if a
        download has received more bytes before it broke
    :ivar total: seconds of waiting and failing after which no further attempt starts; time in which bytes move does not
        count. There are always two attempts, unless OSS asks to wait longer than this
    :ivar sleep: waits; by default until the time is over or a stop is set
    :ivar clock: returns seconds; never goes back
    """

    attempts: int = 8
    total: float = 300.0
    sleep: Callable[[float], None] | None = None
    clock: Callable[[], float] = time.monotonic

    def retrying(
        self,
        *,
        wait: Callable[[float], None] = time.sleep,
        before_wait: Callable[[BaseException | None], None] = lambda _: None,
    ) -> Retrying:
        """Return the retry loop, for any number of requests and threads.

        :param wait: waits, if the policy has no ``sleep``
        :param before_wait: called with each error that is followed by another attempt
        """
        return Retrying(self, self.sleep or wait, before_wait)


class Attempts:
    """The attempts of one request, and the time that they have taken.

    :ivar made: the number of attempts, this one included
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._spent = 0.0
        self._quiet_since = clock()
        self._failed_in_row = 0  # since the last progress
        self.made = 0

    @property
    def failures(self) -> int:
        """How many attempts have failed since the last progress, this one included."""
        return max(self._failed_in_row, 1)

    def begin(self) -> None:
        self._failed_in_row += 1
        self.made += 1
        self._quiet_since = self._clock()

    def moved(self) -> None:
        """Note that bytes have moved, so the time until now does not count."""
        self._quiet_since = self._clock()

    def progressed(self) -> None:
        """Note progress: the bytes that have arrived so far need not be sent again."""
        self._failed_in_row = 0

    def failed(self, wait: float) -> float:
        """Return how many seconds failures and waits have taken so far, the next wait included."""
        self._spent += self._clock() - self._quiet_since + wait
        self._quiet_since = self._clock()
        return self._spent


class Retrying:
    """Calls a function until it succeeds or the policy allows no more; then the last error is raised unchanged."""

    def __init__(
        self, policy: RetryPolicy, sleep: Callable[[float], None], before_wait: Callable[[BaseException | None], None]
    ) -> None:
        self._policy = policy
        self._before_wait = before_wait
        self._tenacity = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_retryable),
            stop=self._is_over,
            wait=_wait,
            sleep=sleep,
            before_sleep=self._log,
            reraise=True,
        )

    def __call__(self, function: Callable[[Attempts], T]) -> T:
        attempts = Attempts(self._policy.clock)
        failed: list[Exception] = []
        try:
            return _begun(function, attempts)
        except Exception as error:  # raised again below, by tenacity
            failed.append(error)
        # Most requests end with their first attempt, and do without tenacity.
        result: T = self._tenacity(partial(_continued, function, failed), attempts)
        return result

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        attempts: Attempts = state.args[0]
        spent = attempts.failed(state.upcoming_sleep)
        if attempts.failures >= self._policy.attempts or state.upcoming_sleep > self._policy.total:
            return True
        return attempts.made > 1 and spent > self._policy.total

    def _log(self, state: tenacity.RetryCallState) -> None:
        error, attempts = _error(state), state.args[0]
        self._before_wait(error)
        log.warning(
            "Attempt %s of %s failed; the next one starts in %.1f s: %s",
            attempts.failures, self._policy.attempts, state.upcoming_sleep, error,
        )  # fmt: skip


def _continued(function: Callable[[Attempts], T], failed: list[Exception], attempts: Attempts) -> T:
    """Raise the error of the first attempt, which was made without tenacity; make the later attempts."""
    if failed:
        raise failed.pop()
    return _begun(function, attempts)


def _begun(function: Callable[[Attempts], T], attempts: Attempts) -> T:
    attempts.begin()
    return function(attempts)


def _wait(state: tenacity.RetryCallState) -> float:
    attempts: Attempts = state.args[0]
    most = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts.failures - 1, 60))
    jitter = random.uniform(0.0, most)  # noqa: S311 - no secret
    return max(jitter, getattr(_error(state), "retry_after", None) or 0.0)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_retryable(error: BaseException) -> bool:
    # A changed source or a stop may be retried by Airflow, but not by another attempt of this request.
    return isinstance(error, (RequestError, IntegrityError, CredentialsError)) and error.retryable
