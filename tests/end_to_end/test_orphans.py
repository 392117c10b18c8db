"""A task whose supervisor was killed lives on as an orphan beside its next try: it notices, stops and harms nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import Task, checkpoints_of, finished_parts, requests_of_try
from tests.end_to_end.processes import has_ended, wait_until
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end

PARTS = 20
CONTENT = some_bytes(PARTS * MIB, seed=11)
RUN_SECONDS = 240
TASKS = [("upload", "UploadPart"), ("download", "GetObject")]


@pytest.mark.parametrize(("task_id", "operation"), TASKS)
def test_an_orphan_stops_by_itself_and_its_successor_goes_on(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str, operation: str
) -> None:
    task = Task("transfer", f"orphan-{task_id}", task_id)
    with a_run_whose_supervisor_is_killed(airflow, airflow_oss, tmp_path, task, operation) as orphan:
        wait_until(lambda: has_ended(orphan), timeout=180, what="the orphan to notice and stop")

    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    assert_harmed_nothing(airflow, airflow_oss, tmp_path, task)
    report = airflow.xcom(*task[:3], "report")
    assert report["parts_kept"] > 0
    assert report["parts_kept"] + report["parts_sent"] == PARTS


@pytest.mark.parametrize(("task_id", "operation"), TASKS)
def test_an_orphan_that_wakes_up_after_its_successors_success_harms_nothing(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str, operation: str
) -> None:
    task = Task("transfer", f"frozen-{task_id}", task_id)
    with a_run_whose_supervisor_is_killed(airflow, airflow_oss, tmp_path, task, operation) as orphan:
        orphan.suspend()

    if task_id == "upload":
        assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    else:  # it holds the lock of the part file, so its successor waits and tries again
        wait_until(lambda: airflow.task_instance(*task).try_number >= 2, timeout=RUN_SECONDS, what="the second try")
    orphan.resume()
    wait_until(lambda: has_ended(orphan), timeout=180, what="the orphan to notice and stop")

    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    assert airflow.task_instance(*task).state == "success"
    assert_harmed_nothing(airflow, airflow_oss, tmp_path, task)


@contextmanager
def a_run_whose_supervisor_is_killed(
    airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task, operation: str
) -> Iterator[psutil.Process]:
    """Kill the supervisor when half of the parts have gone through; the task waits for its next answer meanwhile."""
    key, (source, target) = task.run_id, (folder / "source", folder / "target")
    source.write_bytes(CONTENT)
    reached, let_go = threading.Event(), threading.Event()
    calls: list[int] = []

    def hold(request: Request) -> None:
        if (request.operation, request.key) == (operation, key):
            calls.append(1)
            if len(calls) >= PARTS // 2 and not let_go.is_set():
                reached.set()
                let_go.wait(120)

    oss.on_request = hold
    try:
        conf = {"source": str(source), "target": str(target), "key": key, "checkpoint": "auto"}
        airflow.trigger(task.dag_id, run_id=task.run_id, conf=conf)
        assert reached.wait(RUN_SECONDS), airflow.diagnosis()
        if operation == "GetObject":
            wait_until(
                lambda: finished_parts(checkpoints_of(airflow, *task[:2], key=key)), timeout=180, what="a checkpoint"
            )
        processes = airflow.task_process(*task)
        processes.supervisor.kill()
        wait_until(lambda: processes.task.parent() != processes.supervisor, timeout=180, what="an orphan")
        airflow.let_heartbeat_expire(*task)
        yield processes.task
    finally:
        let_go.set()
        oss.on_request = None


def assert_harmed_nothing(airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task) -> None:
    assert oss.object("bucket", task.run_id) == CONTENT
    assert (folder / "target").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]
    assert checkpoints_of(airflow, *task[:2], key=task.run_id) == []
    assert oss.uploads("bucket") == []
    first = requests_of_try(airflow, task, 1, oss.requests)
    completed = [each for each in first if (each.operation, each.key) == ("CompleteMultipartUpload", task.run_id)]
    assert task.task_id == "download" or completed == []
