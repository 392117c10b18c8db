"""Outcomes of the items of a crew: results and errors, handed to the thread that iterates."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Outcome = Callable[[], R]  # returns the result or raises the error


def finished(outcomes: Iterable[Outcome[R] | None]) -> Iterator[R]:
    """Yield all results, so that a failure or a stop loses none of them; then raise the first error."""
    errors = []
    for outcome in filter(None, outcomes):
        try:
            result = outcome()
        except BaseException as error:  # raised below, after all results
            errors.append(error)
        else:
            yield result
    if errors:
        raise errors[0]


def rest_of(done: SimpleQueue[Outcome[R] | None]) -> Iterator[Outcome[R] | None]:
    """Yield what is in the queue now."""
    with suppress(Empty):
        while True:
            yield done.get_nowait()


def work(function: Callable[[T], R], item: T, done: SimpleQueue[Outcome[R] | None], failed: threading.Event) -> None:
    """Put the outcome of one item into ``done``; None if another item failed before this one started."""
    if failed.is_set():
        done.put(None)
        return
    try:
        result = function(item)
    except BaseException as error:  # whatever it is, the iterating thread raises it
        failed.set()
        done.put(partial(raising, error))
    else:
        done.put(lambda: result)


def raising(error: BaseException) -> NoReturn:
    """The outcome of a failure."""
    raise error
