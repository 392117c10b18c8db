"""A stop ends every wait at once, and what comes after it never begins."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.transfer.stop import Stop

FOREVER = 3600.0


def test_a_wait_lasts_its_time_when_no_stop_comes() -> None:
    stop = Stop()

    stop.wait(0.01)

    assert not stop.is_given
    stop.check()


def test_a_stop_ends_a_wait_at_once() -> None:
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stop.wait, FOREVER)
        stop.give()

        with pytest.raises(TransferStopped):
            waiting.result()


def test_a_stop_shuts_down_the_socket_that_a_thread_waits_on() -> None:
    stop = Stop()
    ours, theirs = socket.socketpair()
    is_guarded = threading.Event()

    def receive() -> bytes:
        with stop.guard(lambda: ours.shutdown(socket.SHUT_RDWR)):
            is_guarded.set()
            return ours.recv(1)

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        received = pool.submit(receive)
        is_guarded.wait()
        stop.give()

        assert received.result() == b""


def test_what_is_guarded_may_come_to_its_end_when_a_stop_is_announced() -> None:
    stop = Stop()
    ours, theirs = socket.socketpair()

    with ours, theirs, stop.guard(lambda: ours.shutdown(socket.SHUT_RDWR)):
        stop.announce()
        theirs.sendall(b"1")

        assert ours.recv(1) == b"1"
        with pytest.raises(TransferStopped):
            stop.check()


def test_nothing_that_is_guarded_begins_after_the_stop() -> None:
    stop = Stop()
    stop.give()

    with pytest.raises(TransferStopped), stop.guard(lambda: None):
        pytest.fail("it began")


def test_what_is_guarded_no_more_is_left_alone() -> None:
    stop = Stop()
    shut: list[str] = []
    with stop.guard(lambda: shut.append("ended before the stop")):
        pass
    with stop.guard(lambda: shut.append("under way")):
        stop.give()

    assert shut == ["under way"]


def test_what_cannot_be_shut_down_any_more_keeps_nothing_else_from_it() -> None:
    stop = Stop()
    shut: list[str] = []

    def fail() -> None:
        raise OSError("not connected")

    with stop.guard(fail), stop.guard(lambda: shut.append("the next")):
        stop.give()

    assert shut == ["the next"]
