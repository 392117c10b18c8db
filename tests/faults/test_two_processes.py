"""Two processes that make the same transfer at once: they may waste work, and never harm."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from tests.faults.kills import PARTS, Place
from tests.faults.nursery import DEADLINE, Child, Nursery

STEPS = {
    "upload": [("InitiateMultipartUpload", 1), ("UploadPart", 1), ("UploadPart", 3), ("CompleteMultipartUpload", 1)],
    "download": [("GetObject", 1), ("GetObject", 2), ("GetObject", 3), ("GetObject", PARTS)],
}
TAKEN_OVER = ("TrySuperseded", "has taken over this transfer")


@pytest.mark.parametrize("other_key", ["", "another"], ids=["one checkpoint", "two checkpoints"])
@pytest.mark.parametrize(
    ("direction", "operation", "nth"), [(direction, *step) for direction, steps in STEPS.items() for step in steps]
)
@pytest.mark.parametrize("until", ["begun", "ended"])
def test_a_second_process_that_comes_while_the_first_is_at_it(
    oss: LocalOSS,
    tmp_path: Path,
    nursery: Nursery,
    direction: str,
    operation: str,
    nth: int,
    other_key: str,
    until: str,
) -> None:
    """The first is held in a call until the second has begun, or ended."""
    place = Place(tmp_path, oss, nursery, direction)
    hold = Hold(operation, nth)
    oss.on_request = hold
    first = place.start()
    assert hold.reached.wait(DEADLINE)
    if until == "ended" and direction == "download" and not other_key and nth > 1:
        until = "begun"  # it waits for the first to let go of the part file
    hold.release_at_next = until == "begun"
    second = place.start(store_key=other_key)
    if until == "ended":
        second.wait()
        hold.release()

    first.wait()
    second.wait()

    all_is_well(place, first, second)


@pytest.mark.parametrize("other_key", ["", "another"], ids=["one checkpoint", "two checkpoints"])
@pytest.mark.parametrize("direction", ["upload", "download"])
@pytest.mark.parametrize("workers", [1, 3])
def test_two_processes_that_start_together(
    oss: LocalOSS, tmp_path: Path, nursery: Nursery, direction: str, other_key: str, workers: int
) -> None:
    place = Place(tmp_path, oss, nursery, direction)
    first, second = place.start(workers=workers), place.start(workers=workers, store_key=other_key)

    first.wait()
    second.wait()

    all_is_well(place, first, second)


class Hold:
    """Holds the nth call of an operation, for a LocalOSS's ``on_request``."""

    def __init__(self, operation: str, nth: int) -> None:
        self.reached = threading.Event()
        self.release_at_next = False
        self._released = threading.Event()
        self._operation = operation
        self._left = nth

    def __call__(self, request: Request) -> None:
        if self.reached.is_set():
            if self.release_at_next:
                self.release()
            return
        self._left -= request.operation == self._operation
        if not self._left:
            self.reached.set()
            assert self._released.wait(DEADLINE)

    def release(self) -> None:
        self._released.set()


def all_is_well(place: Place, first: Child, second: Child) -> None:
    place.oss.on_request = None
    outcomes = [first.outcome, second.outcome]
    losers = [outcome for outcome in outcomes if "error" in outcome]
    assert len(losers) < 2, losers
    for loser in losers:
        assert loser["error"] == TAKEN_OVER[0], loser
        assert TAKEN_OVER[1] in loser["text"]
        winner = second if loser is outcomes[0] else first
        assert f"pid {winner.pid}" in loser["text"]
    place.settle()
    assert place.is_right()
    assert place.lost_initiates() == 0
    assert not place.litter()
