"""What a try reports while it runs, in both directions: lines in the log, and snapshots for an observer."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import IntegrityError, ServiceError, StoreUnavailable, TrySuperseded
from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.checkpoint import Owner, decode, encode
from airflow_provider_ossresume.transfer.progress import Snapshot
from tests.world import BUCKET, PART, Transfers, a_file, some_bytes

BUSY = Fault("status", status=503, code="ServiceUnavailable")
DENIED = Fault("status", status=403, code="AccessDenied")
OF_A_PART = {"upload": "UploadPart", "download": "GetObject"}
SIZE = 5 * PART

directions = pytest.mark.parametrize("direction", ["upload", "download"])


class Course:
    """One transfer of five parts, over as many tries as it takes."""

    def __init__(self, transfers: Transfers, folder: Path, direction: str) -> None:
        self.transfers = transfers
        self.direction = direction
        self.file = folder / "file.bin"
        self.snapshots: list[Snapshot] = []
        if direction == "upload":
            a_file(folder, size=SIZE, name="file.bin")
        else:
            transfers.oss.put(BUCKET, "key", some_bytes(SIZE))

    def a_try(self, **options: object) -> None:
        self.snapshots.clear()
        getattr(self.transfers, self.direction)(self.file, observer=self.snapshots.append, **options)

    def a_try_that_fails_after(self, parts: int, *, fault: Fault = BUSY, **options: object) -> None:
        self.transfers.oss.fail_after(OF_A_PART[self.direction], parts, fault)
        with pytest.raises(ServiceError):
            self.a_try(**options)
        self.transfers.oss.clear_faults()

    def change_the_source(self) -> None:
        if self.direction == "upload":
            a_file(self.file.parent, size=SIZE - 1, name=self.file.name)
        else:
            self.transfers.oss.put(BUCKET, "key", some_bytes(SIZE, seed=2))


@pytest.fixture
def course(transfers: Transfers, tmp_path: Path, direction: str) -> Course:
    return Course(transfers, tmp_path, direction)


@directions
def test_the_log_of_a_try_says_why_it_begins_how_far_it_came_and_what_is_left(
    course: Course, direction: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        course.a_try_that_fails_after(3)
        first, _ = list(caplog.messages), caplog.clear()
        course.a_try()
        second = list(caplog.messages)

    upload = direction == "upload"
    preposition = "to" if upload else "of"
    assert first[0].startswith(f"A new {direction} {preposition} oss://bucket/key: there is no checkpoint")
    assert "0 of 5 parts of 100.0 KiB are kept, 5 to" in first[1]
    assert first[-1].startswith(
        f"{direction.capitalize()} {preposition} oss://bucket/key stopped at 60% (3 of 5 parts, "
    )
    assert second[0].startswith(f"Resuming the {direction} {preposition} oss://bucket/key: the checkpoint of try 1 ")
    assert "3 of 5 parts of 100.0 KiB are kept, 2 to" in second[1]
    assert re.match(r"Transferred: 500\.0 KiB, 3 of 5 parts kept and 2 moved .* 0 retries", second[2])
    assert len(second) == 3


@directions
def test_the_log_says_that_the_next_try_resumes_if_the_checkpoint_is_kept(
    course: Course, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    course.transfers.store = FileCheckpointStore(tmp_path / "checkpoints")
    course.a_try_that_fails_after(3)

    assert outlook(caplog) == "The next try resumes from here."


@directions
def test_the_log_says_that_a_new_try_resumes_if_no_retry_would_help(
    course: Course, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    course.transfers.store = FileCheckpointStore(tmp_path / "checkpoints")
    course.a_try_that_fails_after(3, fault=DENIED)

    assert outlook(caplog) == "When the cause is removed, a new try resumes from here."


@directions
def test_the_log_says_that_a_checkpoint_in_memory_ends_with_the_process(
    course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    course.a_try_that_fails_after(3)

    assert (
        outlook(caplog) == "The next try resumes from here, but only in the same process: the checkpoint is in memory."
    )


@directions
def test_the_log_says_that_the_next_try_may_start_from_the_beginning_if_no_checkpoint_was_saved(
    course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    course.transfers.store = SavesNothing()
    course.a_try_that_fails_after(3)

    assert outlook(caplog) == "The checkpoint may not be saved, so the next try may start from the beginning."


@directions
def test_the_log_promises_nothing_if_the_parts_are_dropped(course: Course, caplog: pytest.LogCaptureFixture) -> None:
    course.a_try_that_fails_after(3, drop_when=lambda error: True)

    assert outlook(caplog) == ""


@pytest.mark.parametrize("direction", ["upload"])
def test_the_log_promises_nothing_if_no_part_is_finished(course: Course, caplog: pytest.LogCaptureFixture) -> None:
    course.a_try_that_fails_after(0)

    assert outlook(caplog) == ""


def test_the_log_promises_nothing_if_the_received_bytes_are_wrong(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(SIZE))
    with transfers.oss.failing("GetObject", fault=Fault("flip", after_bytes=5)), pytest.raises(IntegrityError):
        transfers.download(tmp_path / "file.bin")

    assert outlook(caplog) == ""


@pytest.mark.parametrize("direction", ["upload"])
def test_the_log_promises_nothing_if_nothing_proves_the_parts(course: Course, caplog: pytest.LogCaptureFixture) -> None:
    """Without ``verify`` the next try sends every part again."""
    course.a_try_that_fails_after(3, config={"verify": False})

    assert outlook(caplog) == ""


def outlook(caplog: pytest.LogCaptureFixture) -> str:
    """Return what the line on the failed try says of the next one."""
    [line] = [message for message in caplog.messages if " stopped at " in message]
    return line.partition(" retries)")[2].removeprefix(". ")


class SavesNothing(MemoryCheckpointStore):
    def save(self, key: str, text: str) -> None:
        raise StoreUnavailable("no answer from the store")


@directions
def test_the_observer_sees_how_each_try_began_and_how_it_ended(course: Course) -> None:
    course.a_try_that_fails_after(3)
    failed = list(course.snapshots)
    course.a_try()

    assert {(each.started_as, each.state) for each in failed} == {("new", "running"), ("new", "failed")}
    assert failed[-1].state == "failed"
    assert (failed[-1].done, failed[-1].parts_done) == (3 * PART, 3)
    last = course.snapshots[-1]
    assert (last.started_as, last.state, last.percent) == ("resumed", "finished", 100)
    assert (last.parts_kept, last.parts_sent, last.bytes_moved) == (3, 2, 2 * PART)
    assert {each.state for each in course.snapshots[:-1]} == {"running"}


@directions
def test_a_changed_source_is_a_restart(course: Course, caplog: pytest.LogCaptureFixture) -> None:
    course.a_try_that_fails_after(3)
    course.change_the_source()
    course.a_try()

    assert course.snapshots[-1].started_as == "restarted"
    assert (course.snapshots[-1].parts_kept, course.snapshots[-1].parts_sent) == (0, 5)
    assert sum(message.startswith("Restarting the") for message in caplog.messages) == 1


@directions
def test_the_saves_of_the_checkpoint_are_counted(course: Course) -> None:
    course.a_try_that_fails_after(3)

    assert course.snapshots[-1].checkpoint_saves >= 1


@directions
def test_a_try_that_had_nothing_to_do_is_finished(course: Course) -> None:
    course.a_try()
    course.a_try(if_exists="skip")

    [only] = course.snapshots
    assert (only.state, only.percent, only.done, only.bytes_moved) == ("finished", 100, SIZE, 0)


@directions
def test_a_superseded_try_tells_of_no_end(course: Course) -> None:
    course.a_try_that_fails_after(3)
    [(key, text)] = course.transfers.store.texts.items()
    course.transfers.store.texts[key] = encode(replace(decode(text), owner=Owner(9, "newer")))

    with pytest.raises(TrySuperseded):
        course.a_try()

    assert course.snapshots == []
