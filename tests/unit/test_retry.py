"""When a failed request is sent again, and how long that is waited for."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    BadAnswer,
    ConnectionFailed,
    CredentialsError,
    IntegrityError,
    LocalFileError,
    NoSuchKey,
    ServiceError,
    SourceChanged,
    TransferStopped,
)
from airflow_provider_ossresume.oss.retry import LONGEST_WAIT, Attempts, RetryPolicy

WHAT = {"operation": "UploadPart", "target": "oss://b/k"}


def service_error(status: int, code: str = "", *, retry_after: float | None = None) -> ServiceError:
    return ServiceError(**WHAT, status=status, code=code, retry_after=retry_after)


class Function:
    """Raises its errors one after the other, then returns 7; counts its calls."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, attempts: Attempts) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


RETRIED = [
    ConnectionFailed("reset", **WHAT),
    BadAnswer("half an answer", **WHAT),
    IntegrityError("another CRC-64"),
    service_error(408),
    service_error(429, "QpsLimitExceeded"),
    service_error(500, "InternalError"),
    service_error(502),
    service_error(503, "ServiceUnavailable"),
    service_error(599),
    service_error(400, "InvalidDigest"),
    service_error(400, "BadDigest"),
    service_error(400, "BadRequest"),
    service_error(400, "RequestTimeout"),
    service_error(400, "IncompleteBody"),
]
NOT_RETRIED = [
    AccessDenied(**WHAT, status=403, code="AccessDenied"),
    NoSuchKey(**WHAT, status=404, code="NoSuchKey"),
    service_error(301),
    service_error(400, "InvalidArgument"),
    service_error(405),
    service_error(409, "FileAlreadyExists"),
    service_error(411),
    service_error(416, "InvalidRange"),
    # Worth a later try, not another attempt at this request.
    SourceChanged("the file changed"),
    LocalFileError("no space"),
    TransferStopped("on_kill"),
    CredentialsError("none"),
    ValueError("a bug"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", RETRIED, ids=str)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    function = Function(error)

    assert policy().retrying()(function) == 7
    assert function.calls == 2


@pytest.mark.parametrize("error", NOT_RETRIED, ids=repr)
def test_what_will_not_pass_comes_out_at_once(error: BaseException) -> None:
    function, waits = Function(error), []

    with pytest.raises(type(error)) as raised:
        policy(waits=waits).retrying()(function)

    assert raised.value is error
    assert (function.calls, waits) == (1, [])


@pytest.mark.parametrize("attempts", [1, 2, 8])
def test_after_the_last_attempt_its_error_comes_out_as_it_is(attempts: int) -> None:
    errors = [service_error(500, f"Code{number}") for number in range(attempts)]
    function, waits = Function(*errors), []

    with pytest.raises(ServiceError) as raised:
        policy(attempts=attempts, waits=waits).retrying()(function)

    assert raised.value is errors[-1]
    assert (function.calls, len(waits)) == (attempts, attempts - 1)


def test_waits_are_random_and_grow_to_twenty_seconds() -> None:
    rounds: list[list[float]] = []
    for _ in range(50):
        waits: list[float] = []
        policy(attempts=13, total=1e9, waits=waits).retrying()(Function(*[service_error(500)] * 12))
        rounds.append(waits)

    for number, waits_of_attempt in enumerate(zip(*rounds, strict=True)):
        assert 0 <= min(waits_of_attempt) <= max(waits_of_attempt) <= min(0.2 * 2**number, LONGEST_WAIT)
        assert len(set(waits_of_attempt)) > 1
    assert max(waits[-1] for waits in rounds) > 1


def test_oss_may_ask_for_a_longer_wait() -> None:
    waits: list[float] = []

    policy(waits=waits).retrying()(Function(service_error(503, retry_after=31.5)))

    assert waits == [31.5]


def test_a_wait_that_oss_asks_for_is_never_shortened_nor_the_random_one() -> None:
    waits: list[float] = []

    policy(waits=waits).retrying()(Function(service_error(503, retry_after=0.0), ConnectionFailed("x", **WHAT)))

    assert len(waits) == 2
    assert all(0 <= wait <= 0.4 for wait in waits)


def test_no_attempt_begins_after_the_total_time() -> None:
    function, waits = Function(service_error(503, retry_after=3600)), []

    with pytest.raises(ServiceError):
        policy(total=300, waits=waits).retrying()(function)

    assert (function.calls, waits) == (1, [])


def test_each_wait_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        policy(attempts=3).retrying()(Function(service_error(503, retry_after=1.25)))

    assert caplog.messages == ["Attempt 1 of 3 failed; the next one starts in 1.2 s: UploadPart oss://b/k answered 503"]


def test_a_success_at_once_waits_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    waits: list[float] = []

    assert policy(waits=waits).retrying()(Function()) == 7
    assert (waits, caplog.messages) == ([], [])


def test_by_default_a_request_is_tried_eight_times_within_five_minutes() -> None:
    assert (RetryPolicy().attempts, RetryPolicy().total) == (8, 300.0)


def test_one_policy_serves_many_requests() -> None:
    shared = policy(attempts=2)

    assert [shared.retrying()(Function(service_error(500))) for _ in range(3)] == [7, 7, 7]


# --- what the time is spent on ----------------------------------------------------------------------------------------


class Clock:
    """Goes on when it is told to; a wait moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def policy(self, *, attempts: int = 8, total: float = 300.0) -> RetryPolicy:
        return RetryPolicy(attempts=attempts, total=total, sleep=self.sleep, clock=self)


def test_the_time_in_which_bytes_move_is_not_spent() -> None:
    """As of a part of 2 GiB over a slow link, which takes longer than retry_max_time."""
    clock, calls = Clock(), []

    def half_an_hour(attempts: Attempts) -> int:
        calls.append(clock.now)
        for _ in range(30):
            clock.now += 60
            attempts.moved()
        if len(calls) < 4:
            raise ConnectionFailed("reset", **WHAT)
        return 7

    assert clock.policy(total=300).retrying()(half_an_hour) == 7
    assert len(calls) == 4


def test_the_time_in_which_nothing_moves_is() -> None:
    clock, calls = Clock(), []

    def stalls(attempts: Attempts) -> int:
        calls.append(clock.now)
        attempts.moved()
        clock.now += 120
        raise ConnectionFailed("stalled", **WHAT)

    with pytest.raises(ConnectionFailed):
        clock.policy(total=300).retrying()(stalls)
    assert len(calls) == 3


def test_there_are_two_attempts_however_long_the_first_one_took() -> None:
    clock, calls = Clock(), []

    def is_silent(attempts: Attempts) -> int:
        calls.append(clock.now)
        clock.now += 1000
        raise ConnectionFailed("no answer", **WHAT)

    with pytest.raises(ConnectionFailed):
        clock.policy(total=300).retrying()(is_silent)
    assert len(calls) == 2


def test_waits_are_spent_too() -> None:
    clock, function = Clock(), Function(*[service_error(503, retry_after=100.0)] * 7)

    with pytest.raises(ServiceError):
        clock.policy(total=300).retrying()(function)
    assert clock.waits == [100.0, 100.0, 100.0]


def test_an_attempt_that_brought_the_request_further_is_followed_by_as_many_as_at_first() -> None:
    clock, calls, waits = Clock(), [], []

    def breaks(attempts: Attempts) -> int:
        calls.append(None)
        if len(calls) <= 20:
            attempts.progressed()
        raise ConnectionFailed("reset", **WHAT)

    with pytest.raises(ConnectionFailed):
        RetryPolicy(attempts=3, sleep=waits.append, clock=clock).retrying()(breaks)
    assert len(calls) == 23
    assert max(waits[:21]) <= 0.2


def test_without_retries_progress_is_followed_by_none() -> None:
    def breaks(attempts: Attempts) -> int:
        attempts.progressed()
        raise ConnectionFailed("reset", **WHAT)

    with pytest.raises(ConnectionFailed):
        policy(attempts=1).retrying()(breaks)


# --- helpers ----------------------------------------------------------------------------------------------------------


def policy(*, attempts: int = 3, total: float = 300.0, waits: list[float] | None = None) -> RetryPolicy:
    """A policy that notes its waits instead of waiting."""
    return RetryPolicy(attempts=attempts, total=total, sleep=[].append if waits is None else waits.append)
