"""Properties that are worked out once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from airflow_provider_ossresume.model.lazy_property import lazy_property
from tests.world import LONG


class Thing:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    @lazy_property
    def made(self) -> object:
        """What is made."""
        return self._make()


def test_the_function_is_called_once_and_its_result_is_kept() -> None:
    calls: list[None] = []
    thing = Thing(lambda: calls.append(None) or object())

    assert thing.made is thing.made
    assert len(calls) == 1
    assert Thing.made.__doc__ == "What is made."


def test_what_fails_is_tried_again() -> None:
    results = iter([None, "made"])

    def make() -> object:
        if (result := next(results)) is None:
            raise LookupError
        return result

    thing = Thing(make)
    with pytest.raises(LookupError):
        _ = thing.made
    assert thing.made == "made"


def test_threads_that_ask_at_once_get_the_same() -> None:
    meeting = threading.Barrier(2)
    thing = Thing(lambda: (meeting.wait(LONG), object()))
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(thing.made)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0] is found[1] is thing.made


@contextmanager
def one_that_is_being_made() -> Iterator[None]:
    begun, go_on = threading.Event(), threading.Event()
    slow = Thing(lambda: (begun.set(), go_on.wait(LONG)))
    thread = threading.Thread(target=lambda: slow.made)
    thread.start()
    begun.wait(LONG)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def test_a_slow_one_holds_up_no_other_object() -> None:
    found: list[object] = []
    with one_that_is_being_made():
        thread = threading.Thread(target=lambda: found.append(Thing(lambda: "made").made), daemon=True)
        thread.start()
        thread.join(LONG)

    assert found == ["made"]


def test_a_child_that_is_forked_while_one_is_made_does_not_wait_for_it() -> None:
    with one_that_is_being_made():
        child = os.fork()
        if not child:
            with suppress(BaseException):
                signal.alarm(int(LONG))
                _ = Thing(lambda: "made").made
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)

    assert status == 0
