"""Calls that hear of no stop: one for all that ask meanwhile, by few threads; who stops waiting stops nobody else."""

from __future__ import annotations

import errno
import multiprocessing
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from queue import Empty

import pytest

from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.oss.single_flight import SingleFlight
from airflow_provider_ossresume.oss.stop import NeverStopped
from airflow_provider_ossresume.transfer.stop import Stop
from tests.end_to_end.processes import wait_until

MANY = 8


class Waiter(Stop):
    """A stop that tells when its user is about to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
        self.waits.set()
        return super().guard(shut)


class Slow:
    """A function that takes until it is told to return; it returns how often it was called."""

    def __init__(self) -> None:
        self.called = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> int:
        self.called += 1
        number = self.called
        self.has_begun.set()
        assert self.may_end.wait(60)
        return number


def asked(
    pool: ThreadPoolExecutor, calls: SingleFlight[int], key: object, function: Callable[[], int], stop: Waiter
) -> Future[int]:
    """Ask in a thread; return when it waits for the outcome."""
    future = pool.submit(calls.ask, key, function, stop)
    assert stop.waits.wait(30)
    return future


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_all_that_ask_meanwhile_share_one_call_and_the_next_one_has_its_own() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=4)
    slow = Slow()
    with ThreadPoolExecutor(MANY) as pool:
        futures = [asked(pool, calls, "key", slow, Waiter()) for _ in range(MANY)]
        slow.may_end.set()

    assert [future.result() for future in futures] == [1] * MANY
    assert calls.ask("key", slow, NeverStopped()) == 2


def test_a_stop_ends_one_wait_and_no_other() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=4)
    slow, stop = Slow(), Waiter()
    with ThreadPoolExecutor(2) as pool:
        stopped, other = (asked(pool, calls, "key", slow, each) for each in (stop, Waiter()))
        stop.give()
        failure = stopped.exception(30)
        slow.may_end.set()

    assert isinstance(failure, TransferStopped)
    assert other.result() == 1


def test_after_a_stop_nothing_is_called() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=4)
    slow, stop = Slow(), Stop()
    stop.give()

    with pytest.raises(TransferStopped):
        calls.ask("key", slow, stop)

    assert not slow.called


def test_who_waits_no_longer_leaves_the_call_to_those_that_do() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=4)
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        patient = asked(pool, calls, "key", slow, Waiter())
        with pytest.raises(TimeoutError):
            calls.ask("key", slow, NeverStopped(), within=0.01)
        slow.may_end.set()

    assert patient.result() == 1


def test_what_took_too_long_is_joined_by_nobody_any_more() -> None:
    """It may never end, and a new one may at once."""
    calls: SingleFlight[int] = SingleFlight("slow", most=4)
    slow = Slow()
    calls.begin("key", slow)
    assert slow.has_begun.wait(30)
    with pytest.raises(TimeoutError):
        calls.ask("key", slow, NeverStopped(), within=0.01)

    assert calls.ask("key", lambda: 7, NeverStopped()) == 7
    slow.may_end.set()


def test_calls_for_which_no_thread_is_left_wait_for_their_turn() -> None:
    calls: SingleFlight[int] = SingleFlight("few", most=2)
    slow = [Slow() for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        futures = [asked(pool, calls, number, each, Waiter()) for number, each in enumerate(slow)]
        assert all(each.has_begun.wait(30) for each in slow[:2])
        wait_until(lambda: len(threads_named("few")) == 2, timeout=30, what="the end of those that have no turn")
        begun = [each.has_begun.is_set() for each in slow]
        for each in slow:
            each.may_end.set()

    assert begun == [True] * 2 + [False] * (MANY - 2)
    assert [future.result() for future in futures] == [1] * MANY


def test_whatever_is_raised_is_raised_where_it_is_waited_for_and_is_no_answer_to_the_next() -> None:
    calls: SingleFlight[int] = SingleFlight("broken", most=1)

    def fail() -> int:
        raise SystemExit("it is not for this thread")

    for _ in range(2):
        with pytest.raises(SystemExit):
            calls.ask("key", fail, NeverStopped())
    assert calls.ask("key", lambda: 7, NeverStopped()) == 7


def test_a_call_that_nobody_waits_for_is_made_all_the_same() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=1)
    slow = Slow()
    calls.begin("key", slow)
    calls.begin("key", slow)
    slow.may_end.set()

    assert calls.ask("another", lambda: 7, NeverStopped()) == 7
    assert slow.called == 1


def test_where_there_are_no_more_threads_the_caller_makes_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: SingleFlight[int] = SingleFlight("none", most=1)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        assert calls.ask("key", lambda: 7, NeverStopped()) == 7
        with pytest.raises(RuntimeError):
            calls.begin("key", lambda: 7)

    assert calls.ask("key", lambda: 7, NeverStopped()) == 7


def test_a_forked_child_waits_for_no_call_of_its_parents() -> None:
    calls: SingleFlight[int] = SingleFlight("slow", most=1)
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        future = asked(pool, calls, "key", slow, Waiter())
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: sys.exit(calls.ask("key", lambda: 7, NeverStopped())))
        child.start()
        child.join(60)
        slow.may_end.set()

    assert child.exitcode == 7
    assert future.result() == 1


def test_each_that_waits_is_raised_an_error_of_its_own() -> None:
    """One object in two threads would hold the frames of both, and what is told of one would be told of the other."""
    calls: SingleFlight[int] = SingleFlight("broken", most=1)
    slow = Slow()

    def fail() -> int:
        slow()
        raise PermissionError(errno.EACCES, "not for you") from KeyError("cause")

    with ThreadPoolExecutor(2) as pool:
        futures = [asked(pool, calls, "key", fail, Waiter()) for _ in range(2)]
        slow.may_end.set()
        first, second = (future.exception() for future in futures)

    assert slow.called == 1
    assert isinstance(first, PermissionError)
    assert isinstance(second, PermissionError)
    assert first is not second
    assert (first.errno, first.strerror) == (second.errno, second.strerror) == (errno.EACCES, "not for you")
    assert isinstance(second.__cause__, KeyError)
    assert [name_of_frames(error).count("_raise") for error in (first, second)] == [1, 1]
    assert name_of_frames(first)[-1] == name_of_frames(second)[-1] == "fail"


def test_an_error_that_cannot_be_copied_is_raised_all_the_same() -> None:
    class Odd(Exception):
        def __init__(self, one: str, *, two: str) -> None:
            super().__init__(f"{one} {two}")

    calls: SingleFlight[int] = SingleFlight("broken", most=1)

    def fail() -> int:
        raise Odd("told", two="as it is")

    with pytest.raises(Odd, match="told as it is"):
        calls.ask("key", fail, NeverStopped())


def test_what_a_call_raises_is_not_taken_for_a_time_that_is_over() -> None:
    calls: SingleFlight[int] = SingleFlight("broken", most=1)

    def fail() -> int:
        raise Empty

    with pytest.raises(Empty):
        calls.ask("key", fail, NeverStopped())


def name_of_frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
