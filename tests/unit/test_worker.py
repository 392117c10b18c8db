"""The pool's threads: one that has just become free is used again, and none stays for long."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_ossresume.transfer import worker
from airflow_provider_ossresume.transfer.worker import IDLE_NAME, Worker

LONG = 30.0  # seconds; only a test that fails waits for them


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    wait_until_all_are_gone()  # those of the tests before
    yield
    wait_until_all_are_gone()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a thread stay until it has been used again, however busy the machine is."""
    monkeypatch.setattr(worker, "LINGER", LONG)
    monkeypatch.setattr(threading, "excepthook", lambda raised: None)
    yield
    threads = idle_threads()
    for _ in threads:
        Worker(target=sys.exit, name="ends").start()
    for thread in threads:
        thread.join(LONG)


@pytest.mark.usefixtures("patient")
def test_a_thread_that_has_become_free_is_used_again() -> None:
    assert thread_of("first") is thread_of("second")


@pytest.mark.usefixtures("patient")
def test_a_thread_that_is_busy_is_left_alone() -> None:
    release = threading.Event()
    busy, first = begun(lambda: release.wait(LONG), "busy")

    second = thread_of("second")
    release.set()
    busy.join(LONG)

    assert second is not first


@pytest.mark.usefixtures("patient")
def test_many_callers_get_a_thread_each() -> None:
    barrier = threading.Barrier(8)
    for _ in range(50):
        workers = [Worker(target=lambda: barrier.wait(LONG) and None, name=str(number)) for number in range(8)]
        for each in workers:
            each.start()
        for each in workers:
            each.join(LONG)
        assert not any(each.is_alive() for each in workers)

    assert len(idle_threads()) == 8


def test_a_thread_that_nobody_wants_ends() -> None:
    thread = thread_of("only")
    thread.join(LONG)

    assert not thread.is_alive()
    assert thread_of("next") is not thread


@pytest.mark.usefixtures("patient")
def test_a_thread_that_stays_lets_go_of_what_it_has_called() -> None:
    class Held:
        pass

    held = Held()
    kept = weakref.ref(held)
    gc.disable()
    try:
        done, thread = begun(lambda held=held: None, "holds")  # type: ignore[misc]
        del held
        done.join(LONG)
        assert thread_of("next") is thread
        assert kept() is None
    finally:
        gc.enable()


def test_a_thread_has_its_workers_name_only_while_it_works() -> None:
    names: list[str] = []
    done, thread = begun(lambda: names.append(threading.current_thread().name), "ossresume-7")
    done.join(LONG)

    assert names == ["ossresume-7"]
    assert thread.name == IDLE_NAME
    assert thread.daemon


def test_a_join_that_is_in_vain_returns_in_time_and_the_worker_is_alive() -> None:
    release = threading.Event()
    busy, _ = begun(lambda: release.wait(LONG), "busy")

    busy.join(0.01)
    was_alive = busy.is_alive()
    release.set()
    busy.join(LONG)

    assert was_alive
    assert not busy.is_alive()


def test_an_error_ends_the_thread_and_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: errors.append(raised.exc_value))

    def fail() -> None:
        raise KeyError("x")

    failed, thread = begun(fail, "fails")
    failed.join(LONG)
    thread.join(LONG)

    assert [type(error) for error in errors] == [KeyError]
    assert not failed.is_alive()
    assert idle_threads() == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.usefixtures("patient")
def test_a_child_that_is_forked_begins_with_threads_of_its_own() -> None:
    thread_of("the parent's")
    child = os.fork()
    if not child:
        works = Worker(target=lambda: None, name="the child's")
        works.start()
        works.join(LONG)
        os._exit(works.is_alive())

    _, status = os.waitpid(child, 0)

    assert status == 0


# --- helpers ----------------------------------------------------------------------------------------------------------


def begun(target: Callable[[], object], name: str) -> tuple[Worker, threading.Thread]:
    """Return a worker that has begun, and its thread."""
    threads: list[threading.Thread] = []
    has_begun = threading.Event()

    def call() -> None:
        threads.append(threading.current_thread())
        has_begun.set()
        target()

    started = Worker(target=call, name=name)
    started.start()
    assert has_begun.wait(LONG)
    return started, threads[0]


def thread_of(name: str) -> threading.Thread:
    """Return the thread that a worker ran in, when it is done."""
    done, thread = begun(lambda: None, name)
    done.join(LONG)
    return thread


def idle_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == IDLE_NAME]


def wait_until_all_are_gone() -> None:
    for thread in idle_threads():
        thread.join(LONG)
    assert idle_threads() == []
