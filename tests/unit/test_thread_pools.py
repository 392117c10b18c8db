"""The threads of the triggerer: few, in turn, and nobody waits for them."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, wait

import pytest

from airflow_provider_ossresume.hooks.thread_pools import DaemonThreadPool, shared_pool

SECONDS = 30


def test_calls_are_answered_or_raise() -> None:
    pool = DaemonThreadPool(2, name="test")

    assert pool.submit(divmod, 7, 2).result(SECONDS) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 7, 0).result(SECONDS)


def test_no_more_calls_run_at_once_than_there_may_be_threads() -> None:
    pool, running, go = DaemonThreadPool(3, name="test"), threading.Semaphore(0), threading.Event()

    def stand() -> str:
        running.release()
        go.wait(SECONDS)
        return threading.current_thread().name

    calls = [pool.submit(stand) for _ in range(9)]
    for _ in range(3):
        assert running.acquire(timeout=SECONDS)
    assert not running.acquire(blocking=False)
    go.set()

    assert {call.result(SECONDS) for call in calls} == {"test-1", "test-2", "test-3"}


def test_all_pools_together_have_no_more_threads_than_a_process_may_but_each_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.hooks.thread_pools.MAX_THREADS", 3)
    monkeypatch.setattr("airflow_provider_ossresume.hooks.thread_pools._started", [])
    running, go = threading.Semaphore(0), threading.Event()

    def stand() -> str:
        running.release()
        go.wait(SECONDS)
        return threading.current_thread().name

    first, second = DaemonThreadPool(2, name="first"), DaemonThreadPool(2, name="second")
    calls = [pool.submit(stand) for pool in (first, first, second, second)]
    third = DaemonThreadPool(2, name="third")
    calls += [third.submit(stand), third.submit(stand)]
    for _ in range(4):
        assert running.acquire(timeout=SECONDS)
    assert not running.acquire(blocking=False)
    go.set()

    names = {call.result(SECONDS) for call in calls}
    assert names == {"first-1", "first-2", "second-1", "third-1"}


def test_a_call_that_is_cancelled_before_its_turn_is_never_begun() -> None:
    pool, go, begun = DaemonThreadPool(1, name="test"), threading.Event(), []
    first = pool.submit(go.wait, SECONDS)
    second: Future[None] = pool.submit(begun.append, "second")
    third = pool.submit(begun.append, "third")

    assert second.cancel()
    go.set()
    wait([first, third], SECONDS)

    assert begun == ["third"]


def test_a_call_sees_the_context_of_who_asked_for_it() -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose")
    whose.set("mine")

    assert DaemonThreadPool(1, name="test").submit(whose.get).result(SECONDS) == "mine"


def test_a_process_ends_without_waiting_for_a_call() -> None:
    code = (
        "import threading; from airflow_provider_ossresume.hooks.thread_pools import shared_pool\n"
        "begun = threading.Event()\n"
        "shared_pool('test', most=1).submit(lambda: begun.set() or threading.Event().wait())\n"
        "begun.wait()"
    )
    assert subprocess.run((sys.executable, "-c", code), timeout=SECONDS).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_that_was_forked_has_threads_of_its_own() -> None:
    shared_pool("test", most=1).submit(len, "").result(SECONDS)
    assert shared_pool("test", most=1) is shared_pool("test", most=1)

    if (child := os.fork()) == 0:
        answer = shared_pool("test", most=1).submit(len, "child").result(SECONDS)
        os._exit(answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len("child")


def test_a_thread_that_cannot_be_started_loses_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    start, may_start, go = threading.Thread.start, [False], threading.Event()

    def start_if_it_may(thread: threading.Thread) -> None:
        if not may_start[0]:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_it_may)
    pool, made = DaemonThreadPool(2, name="test"), []

    for _ in range(3):
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(made.append, "refused")
    may_start[0] = True
    first = pool.submit(go.wait, SECONDS)
    may_start[0] = False
    second = pool.submit(made.append, "second")  # left to the thread that runs
    may_start[0] = True
    pool.submit(made.append, "third").result(SECONDS)  # in a thread of its own
    go.set()
    wait([first, second], SECONDS)

    assert sorted(made) == ["second", "third"]
