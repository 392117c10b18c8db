"""Temporary credentials: refreshed in time, by one thread for all, and never a reason to fail while they hold."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_ossresume.errors import CredentialsError, CredentialsUnavailable, TransferStopped
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.temporary_credentials import (
    EARLY,
    PAUSE,
    RefreshingCredentials,
    TemporaryCredentials,
)
from airflow_provider_ossresume.transfer.stop import Stop

HOUR = 3600.0
MANY = 16


def numbered(number: int) -> Credentials:
    return Credentials(f"id-{number}", f"secret-{number}", f"token-{number}")


class Source:
    """Issues set after set; ``fails`` makes it fail, ``before`` runs first."""

    def __init__(self, *, lifetime: float = HOUR) -> None:
        self.lifetime = lifetime
        self.fails: CredentialsError | None = None
        self.before: Callable[[], None] = lambda: None
        self.issued = 0
        self.asked = 0

    def __str__(self) -> str:
        return "the source"

    def fetch(self) -> TemporaryCredentials:
        self.asked += 1
        self.before()
        if self.fails:
            raise self.fails
        self.issued += 1
        return TemporaryCredentials(numbered(self.issued), self.lifetime)


class World:
    def __init__(self, **options: float) -> None:
        self.now = 1_000.0
        self.source = Source(**options)
        self.provider = RefreshingCredentials(self.source, clock=lambda: self.now)

    def settled(self) -> Credentials:
        """What there is when all is done that this moment asks for."""
        self.provider.get()
        landed()
        return self.provider.get()


def landed() -> None:
    """Wait until no source is asked any more."""
    for thread in threading.enumerate():
        if thread.name == "credentials":
            thread.join(30)
            assert not thread.is_alive()


def blocked(source: Source) -> tuple[threading.Event, threading.Event]:
    """Let the source answer only when told; return the events that it was asked, and that it may go on."""
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        assert go_on.wait(30)

    source.before = wait
    return asked, go_on


# --- when -------------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_before_it_is_needed_and_then_once() -> None:
    world = World()
    assert world.source.asked == 0

    assert [world.provider.get() for _ in range(3)] == [numbered(1)] * 3
    assert world.source.asked == 1


@pytest.mark.parametrize(
    ("lifetime", "early"), [(HOUR, EARLY), (12 * HOUR, EARLY), (900, 225), (400, 100), (100, 25)], ids=str
)
def test_others_are_asked_for_before_the_end(lifetime: float, early: float) -> None:
    world = World(lifetime=lifetime)
    world.provider.get()

    world.now += lifetime - early - 1
    assert world.settled() == numbered(1)
    world.now += 1
    assert world.settled() == numbered(2)


@pytest.mark.parametrize("lifetime", [0.0, -HOUR, 5.0])
def test_credentials_that_come_as_good_as_over_are_tried_for_a_moment(lifetime: float) -> None:
    """The worker's clock or the service's may be wrong: OSS is the judge, and the source is not asked each time."""
    world = World(lifetime=lifetime)

    assert [world.provider.get() for _ in range(3)] == [numbered(1)] * 3

    world.now += 10
    assert world.provider.get() == numbered(2)


def test_a_source_that_gives_the_same_again_is_left_in_peace_for_a_while() -> None:
    world = World(lifetime=HOUR)
    world.provider.get()
    world.source.lifetime = 60.0  # it keeps what it has until that is over
    world.now += HOUR - 60
    world.settled()

    world.now += 59
    world.settled()

    assert world.source.asked == 2


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [CredentialsUnavailable("is down"), CredentialsError("answered 403")])
def test_a_failed_early_refresh_harms_nothing_and_is_tried_again(
    failure: CredentialsError, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.provider.get()
    world.source.fails = failure
    world.now += HOUR - EARLY

    with caplog.at_level(logging.WARNING):
        assert [world.settled() for _ in range(3)] == [numbered(1)] * 3
    assert world.source.asked == 2
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        f"The credentials could not be refreshed; the current ones are valid for another 900 s: {failure}"
    ]

    world.source.fails = None
    world.now += PAUSE
    assert world.settled() == numbered(2)


@pytest.mark.parametrize("failure", [CredentialsUnavailable("is down"), CredentialsError("answered 403")])
def test_once_they_are_over_the_failure_is_told(failure: CredentialsError) -> None:
    world = World()
    world.provider.get()
    world.source.fails = failure
    world.now += HOUR

    for _ in range(2):
        with pytest.raises(type(failure), match=str(failure)) as told:
            world.provider.get()
        assert told.value.retryable == failure.retryable

    world.source.fails = None
    assert world.provider.get() == numbered(2)


def test_a_mistake_of_the_source_leaves_the_way_free_for_the_next() -> None:
    world = World()

    def fail() -> None:
        raise ZeroDivisionError

    world.source.before = fail
    with pytest.raises(ZeroDivisionError):
        world.provider.get()

    world.source.before = lambda: None
    assert world.provider.get() == numbered(1)


# --- renewed because OSS says so --------------------------------------------------------------------------------------


def test_others_are_had_when_oss_calls_them_expired() -> None:
    world = World()
    first = world.provider.get()

    assert world.provider.renew(first) == numbered(2) == world.provider.get()
    assert world.provider.renew(first) == numbered(2)  # a thread that comes late
    assert world.source.asked == 2


def test_a_source_that_fails_then_says_why() -> None:
    world = World()
    first = world.provider.get()
    world.source.fails = CredentialsUnavailable("is down")

    with pytest.raises(CredentialsUnavailable, match="is down"):
        world.provider.renew(first)


# --- many threads -----------------------------------------------------------------------------------------------------


def test_many_threads_begin_with_one_request() -> None:
    world = World()
    asked, go_on = blocked(world.source)
    with ThreadPoolExecutor(MANY) as threads:
        got = [threads.submit(world.provider.get) for _ in range(MANY)]
        assert asked.wait(30)
        go_on.set()

    assert [future.result() for future in got] == [numbered(1)] * MANY
    assert world.source.asked == 1


def test_many_threads_of_a_forked_process_begin_with_one_request() -> None:
    """The request of the parent's, which is under way just then, never comes to an end in the child."""
    world = World()

    def count() -> None:
        asked, go_on = blocked(world.source)
        with ThreadPoolExecutor(MANY) as threads:
            got = [threads.submit(world.provider.get) for _ in range(MANY)]
            asked.wait(30)
            go_on.set()
        sys.exit(0 if [future.result() for future in got] == [numbered(1)] * MANY else 1)

    asked, go_on = blocked(world.source)
    with ThreadPoolExecutor(1) as thread:
        getting = thread.submit(world.provider.get)
        assert asked.wait(30)
        child = multiprocessing.get_context("fork").Process(target=count)
        child.start()
        child.join(60)
        go_on.set()

    assert child.exitcode == 0
    assert getting.result() == numbered(1)


def test_many_threads_renew_with_one_request() -> None:
    world = World()
    first = world.provider.get()
    asked, go_on = blocked(world.source)
    with ThreadPoolExecutor(MANY) as threads:
        got = [threads.submit(world.provider.renew, first) for _ in range(MANY)]
        assert asked.wait(30)
        go_on.set()

    assert [future.result() for future in got] == [numbered(2)] * MANY
    assert world.source.asked == 2


def test_a_stop_ends_the_wait_of_its_own_users_and_nobody_elses() -> None:
    world = World()
    asked, go_on = blocked(world.source)
    stop = Stop()
    with ThreadPoolExecutor(3) as threads:
        stopped = [threads.submit(world.provider.with_stop(stop).get) for _ in range(2)]
        assert asked.wait(30)
        other = threads.submit(world.provider.with_stop(Stop()).get)
        stop.give()
        failures = [future.exception(30) for future in stopped]
        go_on.set()

    assert [type(failure) for failure in failures] == [TransferStopped] * 2
    assert other.result() == numbered(1) == world.provider.get()
    assert world.source.asked == 1


def test_a_stop_ends_a_renewal() -> None:
    world = World()
    first = world.provider.get()
    asked, go_on = blocked(world.source)
    stop = Stop()
    with ThreadPoolExecutor(1) as thread:
        renewing = thread.submit(world.provider.with_stop(Stop()).with_stop(stop).renew, first)
        assert asked.wait(30)
        stop.give()
        failure = renewing.exception(30)
        go_on.set()

    assert isinstance(failure, TransferStopped)
    assert world.provider.renew(first) == numbered(2)
    assert world.source.asked == 2


def test_who_comes_just_behind_a_defect_of_the_source_is_not_left_without_credentials() -> None:
    """They would be None, which signs nothing: an anonymous request."""
    world = World()

    class BehindAnother(Stop):
        """Its user is held up until another one's flight has come to nothing."""

        is_first = True

        def check(self) -> None:
            if self.is_first:
                self.is_first = False
                world.source.before = broken
                with pytest.raises(ZeroDivisionError):
                    world.provider.get()
                world.source.before = lambda: None

    def broken() -> None:
        raise ZeroDivisionError("a defect of the source")

    assert world.provider.get(BehindAnother()) == numbered(1)
    assert world.source.asked == 2


def test_after_a_stop_nothing_is_asked_for() -> None:
    world = World()
    stop = Stop()
    stop.give()

    with pytest.raises(TransferStopped):
        world.provider.with_stop(stop).get()

    assert world.source.asked == 0


def test_where_there_are_no_more_threads_the_first_ones_are_had_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert world.provider.get() == numbered(1) == world.provider.get()
    assert world.source.asked == 1


def test_who_waited_for_a_request_that_fails_shares_its_failure() -> None:
    world = World()
    asked, go_on = blocked(world.source)
    world.source.fails = CredentialsUnavailable("is down")
    seen = world.provider._state
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(world.provider.get)
        assert asked.wait(30)
        second = threads.submit(world.provider._fetched, seen, None)  # it saw what the first one saw
        go_on.set()
        failures = [first.exception(), second.exception()]

    assert [str(failure) for failure in failures] == ["is down"] * 2
    assert failures[0] is not failures[1]  # each with a traceback of its own
    assert world.source.asked == 1


def test_nobody_waits_for_an_early_refresh() -> None:
    world = World()
    world.provider.get()
    world.now += HOUR - EARLY
    asked, go_on = blocked(world.source)

    meanwhile = [world.provider.get() for _ in range(MANY)]
    assert asked.wait(30)
    go_on.set()

    assert meanwhile == [numbered(1)] * MANY
    assert world.settled() == numbered(2)
    assert world.source.asked == 2


def test_a_thread_whose_credentials_oss_refuses_waits_for_the_early_refresh_that_is_under_way() -> None:
    world = World()
    first = world.provider.get()
    world.now += HOUR - EARLY
    asked, go_on = blocked(world.source)
    world.provider.get()
    assert asked.wait(30)
    with ThreadPoolExecutor(1) as thread:
        renewing = thread.submit(world.provider._fetched, world.provider._state, None)
        go_on.set()

    assert renewing.result() == numbered(2) == world.provider.renew(first)
    assert world.source.asked == 2


def test_an_early_refresh_that_breaks_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.provider.get()
    world.source.before = lambda: [][0]
    world.now += HOUR - EARLY

    assert [world.settled() for _ in range(3)] == [numbered(1)] * 3
    assert "The credentials could not be refreshed: IndexError" in caplog.text
    assert world.source.asked == 2

    world.source.before = lambda: None
    world.now += PAUSE
    assert world.settled() == numbered(2)


def test_where_there_are_no_more_threads_the_present_ones_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.provider.get()
    world.now += HOUR - EARLY

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        assert [world.provider.get() for _ in range(3)] == [numbered(1)] * 3

    assert world.settled() == numbered(2)


def test_neither_the_provider_nor_its_log_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.DEBUG):
        world.provider.get()

    assert caplog.messages == ["New credentials from the source, valid for 3600 s"]
    assert repr(world.provider) == "RefreshingCredentials(the source)"
    assert not any(secret in f"{vars(world.provider)}" for secret in ("secret-1", "token-1"))
