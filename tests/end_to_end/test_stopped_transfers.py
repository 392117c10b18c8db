"""OSS has stalled and Airflow wants the task to end: it ends at once, keeps what is finished, and the next try resumes.

A task that is told to end by a person is killed the hard way after five seconds, on 3.3 always and here on 2.11, too.
That this was not needed stands in Airflow's own log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.holding import (
    OF_A_PART,
    PARTS,
    RUN_SECONDS,
    assert_delivered,
    kept_parts,
    moved_parts,
    trigger,
)
from tests.end_to_end.killing import Task, checkpoints_of
from tests.end_to_end.processes import has_ended, wait_until

pytestmark = pytest.mark.end_to_end

STALLS_AT = PARTS // 2
SILENCE = {"upload": Fault("stall", after_bytes=-1), "download": Fault("stall", after_bytes=1000)}
TIMES_OUT = "Process timed out"


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_an_execution_timeout_ends_a_stalled_transfer_at_once(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("impatient", f"timeout-{task_id}", task_id)
    with a_stalled_transfer(airflow, airflow_oss, tmp_path, task) as (process, kept):
        wait_until(lambda: has_ended(process), timeout=180, what="the end of the task")

    assert_resumed(airflow, airflow_oss, tmp_path, task, kept)
    first = airflow.tries(*task)[0]
    timed_out = when(airflow.task_log(*task[:3], 1), TIMES_OUT)
    assert 0 <= first.ended.timestamp() - timed_out < 5


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_person_who_marks_a_stalled_transfer_failed_ends_it_at_once_and_for_good(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"marked-{task_id}", task_id)
    with a_stalled_transfer(airflow, airflow_oss, tmp_path, task) as (process, kept):
        airflow.mark_failed(*task[:3])
        wait_until(lambda: has_ended(process), timeout=180, what="the end of the task")
        assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "failed"
        assert [each.state for each in airflow.tries(*task)] == ["failed"]
        assert_ended_by_itself(airflow, task, process)
        assert kept_parts(airflow, airflow_oss, task) >= kept

    airflow.clear_failed(*task[:2])
    wait_until(lambda: len(airflow.tries(*task)) > 1, timeout=180, what="the cleared task to begin")
    assert_resumed(airflow, airflow_oss, tmp_path, task, kept)


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_person_who_clears_a_stalled_transfer_ends_it_at_once_and_it_resumes(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"cleared-{task_id}", task_id)
    with a_stalled_transfer(airflow, airflow_oss, tmp_path, task) as (process, kept):
        airflow.clear(*task[:3])
        wait_until(lambda: has_ended(process), timeout=180, what="the end of the task")

    assert_resumed(airflow, airflow_oss, tmp_path, task, kept)
    assert_ended_by_itself(airflow, task, process)


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_person_who_marks_a_transfer_failed_that_is_to_be_aborted_leaves_nothing(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"aborted-{task_id}", task_id)
    with a_stalled_transfer(airflow, airflow_oss, tmp_path, task, at_the_end="abort") as (process, _):
        airflow.mark_failed(*task[:3])
        wait_until(lambda: has_ended(process), timeout=180, what="the end of the task")
        assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "failed"
        assert_ended_by_itself(airflow, task, process)
        assert_nothing_is_left(airflow, airflow_oss, tmp_path, task)


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_failure_for_good_of_a_transfer_that_is_to_be_aborted_leaves_nothing(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"dropped-{task_id}", task_id)
    denied = Fault("status", status=403, code="AccessDenied")
    airflow_oss.fail(OF_A_PART[task_id], nth=STALLS_AT, times=None, key=task.run_id, fault=denied)
    trigger(airflow, tmp_path, task, at_the_end="abort")

    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "failed"
    airflow_oss.clear_faults()
    assert_nothing_is_left(airflow, airflow_oss, tmp_path, task)


def assert_nothing_is_left(airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task) -> None:
    assert task.run_id not in [key for key, _ in oss.uploads("bucket")]
    assert not list(folder.glob(".*.ossresume-part"))
    assert not checkpoints_of(airflow, *task[:2], key=task.run_id)


@contextmanager
def a_stalled_transfer(
    airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task, **conf: str
) -> Iterator[tuple[psutil.Process, set[int]]]:
    """Trigger a run, and begin the block when the server is silent on both connections; give the task's process, and
    the parts that a next try will keep."""
    operation = OF_A_PART[task.task_id]
    oss.fail(operation, nth=STALLS_AT, times=2, key=task.run_id, fault=SILENCE[task.task_id])
    trigger(airflow, folder, task, **conf)
    process = airflow.task_process(*task, timeout=RUN_SECONDS).task
    wait_until(
        lambda: [each.key for each in oss.calls(operation)].count(task.run_id) > STALLS_AT,
        timeout=RUN_SECONDS,
        what="two calls that stall",
    )
    wait_until(lambda: kept_parts(airflow, oss, task), timeout=180, what="parts that a next try can keep")
    try:
        yield process, kept_parts(airflow, oss, task)
    finally:
        oss.clear_faults()


def assert_resumed(airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task, kept: set[int]) -> None:
    assert_delivered(airflow, oss, folder, task)
    assert [each.state for each in airflow.tries(*task)] == ["failed", "success"]
    moved = moved_parts(oss.requests, task)
    assert sorted(number for number in moved if number in kept) == sorted(kept)
    report = airflow.xcom(*task[:3], "report")
    assert report["parts_kept"] >= len(kept)
    assert report["parts_kept"] + report["parts_sent"] == PARTS


def assert_ended_by_itself(airflow: RealAirflow, task: Task, process: psutil.Process) -> None:
    """Airflow has sent SIGTERM and had no need of more."""
    ended = rf"Process exited .* pid={process.pid} signal_sent=SIGTERM" if AIRFLOW_3 else "terminated with exit code"

    def log() -> str:  # the LocalExecutor's supervisors write to the scheduler's
        return (airflow.home / "scheduler.log").read_text() if AIRFLOW_3 else airflow.task_log(*task[:3], 1)

    wait_until(lambda: re.search(ended, log()), timeout=180, what=f"{ended!r} in the log")
    assert "escalating" not in log()
    assert "Trying SIGKILL" not in log()


def when(log: str, event: str) -> float:
    """Return the time of the line of a task's log that holds the event."""
    [line] = [line for line in log.splitlines() if event in line]
    stamp = json.loads(line)["timestamp"].replace("Z", "+00:00") if AIRFLOW_3 else line[1 : line.index("]")]
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
