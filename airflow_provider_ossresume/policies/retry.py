"""A retry policy for tasks that use OSS: it stops useless retries, and sets delays for throttling and network errors.

Airflow has retry policies from 3.3 on. On an older version, importing this module raises an ImportError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.errors import ConnectionFailed, OSSResumeError, ServiceError

if TYPE_CHECKING:
    from airflow_provider_ossresume._airflow import RetryDecision, RetryPolicy
else:
    RetryDecision, RetryPolicy = _airflow.retry_policy_classes()

THROTTLED = (429, 503)  # OSS: TooManyRequests, and ServiceUnavailable with its rate limits
LONGEST_WAIT = timedelta(hours=1)  # unless throttled_delay is longer; OSS's limits are per second


@dataclass(frozen=True)
class OSSRetryPolicy(RetryPolicy):
    """Decides whether and when to retry a task, by the error of OSS. Pass it as a task's ``retry_policy``.

    ====================================  ======================================================================
    the task failed with                  then
    ====================================  ======================================================================
    an error that no retry can fix        it fails now, and its other retries are not used
    429 or 503, so OSS throttles          it waits ``throttled_delay``, doubled at each further try, or as long as
                                          OSS asks for if that is longer; at most an hour
    no response, or an incomplete one     it waits ``network_delay``
    any other error                       as without a policy
    ====================================  ======================================================================

    The task's ``retries`` still limits the number of retries. The policy also reads the causes of an error, so it works
    if your own error wraps one of this provider.

    :param throttled_delay: the delay before the first retry after OSS has throttled. A delay above an hour is not
        doubled
    :param network_delay: the delay after a failed connection. It can be short, because the next try resumes
    """

    throttled_delay: timedelta = timedelta(minutes=5)
    network_delay: timedelta = timedelta(seconds=10)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any | None = None
    ) -> RetryDecision:
        """Return how Airflow handles a failed try: fail the task, retry it after a delay, or as without a policy."""
        error = next((each for each in _causes(exception) if isinstance(each, OSSResumeError)), None)
        if error is None:
            return RetryDecision.default()
        if not error.retryable:
            return RetryDecision.fail(f"no retry can fix this: {error}")
        if isinstance(error, ServiceError) and error.status in THROTTLED:
            return RetryDecision.retry(self._throttled(try_number, error.retry_after), f"OSS throttles: {error}")
        if isinstance(error, ConnectionFailed):
            return RetryDecision.retry(self.network_delay, f"the connection failed: {error}")
        return RetryDecision.default()

    def _throttled(self, try_number: int, asked: float | None) -> timedelta:
        most = max(self.throttled_delay, LONGEST_WAIT)
        doubled: timedelta = self.throttled_delay * 2 ** min(max(try_number - 1, 0), 16)
        return min(max(doubled, timedelta(seconds=min(asked or 0.0, most.total_seconds()))), most)

    def serialize(self) -> dict[str, Any]:
        """Return the policy as a dict for JSON, with both delays in seconds."""
        return {
            "throttled_delay": self.throttled_delay.total_seconds(),
            "network_delay": self.network_delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> OSSRetryPolicy:
        """Return the policy that :meth:`serialize` has written."""
        return cls(
            throttled_delay=timedelta(seconds=data["throttled_delay"]),
            network_delay=timedelta(seconds=data["network_delay"]),
        )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, in the order in which Python follows them for a traceback."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
