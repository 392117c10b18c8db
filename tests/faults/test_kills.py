"""kill -9 at every step and at random times, and SIGTERM: the next try loses nothing and moves nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from tests.faults import kills
from tests.faults.kills import CONTENT, PARTS, Place
from tests.faults.nursery import Child, Nursery
from tests.world import BUCKET, PART, Transfers

RANDOM_KILLS = 200


@dataclass(frozen=True)
class Step:
    """Where a process dies.

    :ivar at: a step of the process itself, see ``children.Steps``
    :ivar before: a call that the process dies in before OSS has seen all of it: (operation, nth)
    :ivar fault: which call fails how, when the process dies of its first failure: (operation, nth, fault)
    :ivar kept: finished parts that the next try keeps; None where that is a matter of milliseconds
    :ivar is_done: True when the bytes are under their final name, and a checkpoint says that there was a try
    :ivar lost_initiates: upload IDs that no checkpoint names
    """

    direction: str
    name: str
    kept: int | None = 0
    is_done: bool = False
    lost_initiates: int = 0
    at: str = ""
    before: tuple[str, int] | None = None
    fault: tuple[str, int, Fault] | None = None

    def __str__(self) -> str:
        return f"{self.direction}-{self.name}".replace(" ", "-")


LOST = Fault("answer-lost")
HALF = PART // 2
STEPS = (
    Step("upload", "before initiate", before=("InitiateMultipartUpload", 1)),
    Step("upload", "initiate's answer lost", lost_initiates=1, fault=("InitiateMultipartUpload", 1, LOST)),
    Step("upload", "before the save", lost_initiates=1, at="before save 1"),
    Step("upload", "after the save", at="after save 1"),
    Step("upload", "before the first part", before=("UploadPart", 1)),
    Step("upload", "in the first part", fault=("UploadPart", 1, Fault("reset-request", after_bytes=HALF))),
    Step("upload", "the first part's answer lost", kept=1, fault=("UploadPart", 1, LOST)),
    Step("upload", "before the third part", kept=2, before=("UploadPart", 3)),
    Step("upload", "in the third part", kept=2, fault=("UploadPart", 3, Fault("reset-request", after_bytes=HALF))),
    Step("upload", "the third part's answer lost", kept=3, fault=("UploadPart", 3, LOST)),
    Step("upload", "the last part's answer lost", kept=PARTS, fault=("UploadPart", PARTS, LOST)),
    Step("upload", "before complete", kept=PARTS, before=("CompleteMultipartUpload", 1)),
    Step("upload", "complete's answer lost", is_done=True, fault=("CompleteMultipartUpload", 1, LOST)),
    Step("upload", "before the delete of the checkpoint", is_done=True, at="before delete 1"),
    Step("upload", "after the delete of the checkpoint", at="after delete 1"),
    Step("copy", "before initiate", before=("InitiateMultipartUpload", 1)),
    Step("copy", "before the save", lost_initiates=1, at="before save 1"),
    Step("copy", "after the save", at="after save 1"),
    Step("copy", "before the third part", kept=2, before=("UploadPartCopy", 3)),
    Step("copy", "the third part's answer lost", kept=3, fault=("UploadPartCopy", 3, LOST)),
    Step("copy", "before complete", kept=PARTS, before=("CompleteMultipartUpload", 1)),
    Step("copy", "complete's answer lost", is_done=True, fault=("CompleteMultipartUpload", 1, LOST)),
    Step("copy", "before the delete of the checkpoint", is_done=True, at="before delete 1"),
    Step("copy", "after the delete of the checkpoint", at="after delete 1"),
    Step("download", "before the first request", before=("GetObject", 1)),
    Step("download", "in the first request", fault=("GetObject", 1, Fault("reset-answer", after_bytes=HALF))),
    Step("download", "before the first save", at="before save 1"),
    Step("download", "after the first save", at="after save 1"),
    Step("download", "before a part is saved", kept=None, at="before save 2"),
    Step("download", "after a part is saved", kept=None, at="after save 2"),
    Step("download", "before the third part", kept=None, before=("GetObject", 3)),
    Step("download", "in the third part", kept=None, fault=("GetObject", 3, Fault("reset-answer", after_bytes=HALF))),
    Step("download", "the last part cut", kept=None, fault=("GetObject", PARTS, Fault("truncated", after_bytes=10))),
    Step("download", "before the rename", kept=None, at="before rename 1"),
    Step("download", "after the rename", is_done=True, at="after rename 1"),
    Step("download", "before the delete of the checkpoint", is_done=True, at="before delete 1"),
    Step("download", "after the delete of the checkpoint", at="after delete 1"),
)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_try_after_a_kill_moves_what_is_missing_and_leaves_the_right_bytes(
    step: Step, oss: LocalOSS, tmp_path: Path, nursery: Nursery
) -> None:
    place = Place(tmp_path, oss, nursery, step.direction)

    killed = a_killed_try(place, step)

    assert killed.was_killed, killed.outcome
    kept = finished_by(place, step)
    oss.clear_requests()
    second = place.start()
    second.wait()
    assert "error" not in second.outcome, second.outcome
    place.settle()
    assert place.is_right()
    assert place.moved_parts() == set(range(1, PARTS + 1)) - kept
    assert place.lost_initiates() == step.lost_initiates
    assert not place.litter()


def test_kills_at_random_times_lose_nothing_and_mix_nothing(tmp_path: Path, nursery: Nursery) -> None:
    figures = kills.kill_at_random_times(tmp_path, nursery, kills=RANDOM_KILLS, seed=1)

    print(figures)
    assert figures.kills == RANDOM_KILLS


@pytest.mark.parametrize("on_sigterm", ["stop", "raise"])
@pytest.mark.parametrize(
    ("direction", "operation", "nth", "fault"),
    [
        ("upload", "InitiateMultipartUpload", 1, Fault("stall", after_bytes=-1)),
        ("upload", "UploadPart", 3, Fault("stall-request", after_bytes=HALF)),
        ("upload", "UploadPart", 3, Fault("stall", after_bytes=-1)),
        ("upload", "CompleteMultipartUpload", 1, Fault("stall", after_bytes=-1)),
        ("copy", "UploadPartCopy", 3, Fault("stall", after_bytes=-1)),
        ("copy", "CompleteMultipartUpload", 1, Fault("stall", after_bytes=-1)),
        ("download", "GetObject", 1, Fault("stall", after_bytes=-1)),
        ("download", "GetObject", 1, Fault("stall", after_bytes=HALF)),
        ("download", "GetObject", 3, Fault("stall", after_bytes=HALF)),
    ],
)
def test_sigterm_ends_a_process_whose_peer_has_stalled_and_keeps_what_is_finished(
    oss: LocalOSS,
    tmp_path: Path,
    nursery: Nursery,
    direction: str,
    operation: str,
    nth: int,
    fault: Fault,
    on_sigterm: str,
) -> None:
    place = Place(tmp_path, oss, nursery, direction)
    oss.fail(operation, nth, fault)
    reached = at_call(oss, operation, nth, lambda child: child.kill(15))
    child = reached(place.start(on_sigterm=on_sigterm, read_timeout=3600))

    child.wait()  # the peer is silent for an hour, so nothing but the signal ends it

    assert child.outcome["error"] == {"stop": "TransferStopped", "raise": "Terminated"}[on_sigterm]
    oss.on_request = None
    oss.clear_faults()
    place.settle()
    finished = place.finished_parts()
    oss.clear_requests()
    second = place.start()
    second.wait()
    place.settle()
    assert place.is_right()
    # The part before may have come in the very moment of the signal, when a download's checkpoint does not yet say so.
    assert len(finished) >= nth - (2 if direction == "download" else 1)
    assert place.moved_parts() == set(range(1, PARTS + 1)) - finished
    assert not place.litter()


def test_a_call_after_one_that_died_between_the_rename_and_the_end_fetches_nothing(
    transfers: Transfers, tmp_path: Path
) -> None:
    """Its checkpoint proves that there was an earlier try; outside Airflow nobody says so."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", CONTENT)
    checkpoints: dict[str, str] = {}
    transfers.download(file, watch=lambda: checkpoints.update(transfers.store.texts))
    transfers.store.texts.update(checkpoints)
    transfers.oss.clear_requests()

    result = transfers.download(file)

    assert (result.outcome, transfers.calls("GetObject")) == ("already there", 0)
    assert not transfers.store.texts


def a_killed_try(place: Place, step: Step) -> Child:
    """Run a try that dies at the step, and return its process when all is over."""
    if step.at:
        # Slow enough for a save after each part.
        place.oss.fail_after("GetObject", 0, Fault("bandwidth", bytes_per_second=400_000))
        child = place.start(die_at=step.at)
    elif step.fault:
        # Twice: what fails over a connection that had waited is sent again over another one.
        place.oss.fail(*step.fault, times=2)
        child = place.start(die_at="first failure")
    else:
        assert step.before
        place.oss.fail(*step.before, Fault("refuse"))
        reached = at_call(place.oss, *step.before, Child.kill_and_wait)
        child = reached(place.start())
    child.wait()
    place.settle()  # what the server still has in hand meets its fault
    place.oss.on_request = None
    place.oss.clear_faults()
    return child


def at_call(oss: LocalOSS, operation: str, nth: int, act: Callable[[Child], object]) -> Callable[[Child], Child]:
    """Do something with a child when it makes the nth call of an operation; the child is told of afterwards."""
    born: SimpleQueue[Child] = SimpleQueue()
    calls: list[Request] = []

    def on_request(request: Request) -> None:
        if request.operation == operation:
            calls.append(request)
            if len(calls) == nth:
                act(born.get())

    def reached(child: Child) -> Child:
        born.put(child)
        return child

    oss.on_request = on_request
    return reached


def finished_by(place: Place, step: Step) -> set[int]:
    """Return what the next try keeps, once it is clear that it is what the step allows."""
    if step.is_done:
        assert place.is_right()
        return set(range(1, PARTS + 1))
    finished = place.finished_parts()
    if step.kept is not None:
        assert len(finished) == step.kept
    return finished
