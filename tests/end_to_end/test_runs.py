"""Many task instances at once, and what people do to runs: each transfer has its own checkpoint, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.holding import OF_A_PART, PARTS, assert_delivered, kept_parts, trigger
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import wait_until
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end

RUN_SECONDS = 600
INSTANCES = 50 if AIRFLOW_3 else 8  # as many as the executor runs at once


def test_mapped_task_instances_at_once_never_share_a_checkpoint(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for number in range(INSTANCES):
        (folder / f"{number:02}").write_bytes(some_bytes(3 * MIB, seed=number))
        # Each instance fails once, with its first part done.
        airflow_oss.fail("UploadPart", nth=1, key=f"mapped/{number:02}", part_number=2, fault=Fault("status"))
    before = checkpoints(airflow)

    airflow.trigger("mapped", run_id="mapped", conf={"source": str(folder)})
    assert airflow.wait_for_run("mapped", "mapped", timeout=RUN_SECONDS) == "success"
    reports = [airflow.xcom("mapped", "mapped", "upload", "report", index) for index in range(INSTANCES)]
    assert checkpoints(airflow) == before
    airflow_oss.clear_faults()

    assert [(report["tries"], report["parts_kept"], report["parts_sent"]) for report in reports] == [
        (2, 1, 2)
    ] * INSTANCES
    for number in range(INSTANCES):
        assert airflow_oss.object("bucket", f"mapped/{number:02}") == some_bytes(3 * MIB, seed=number)
    assert [key for key, _ in airflow_oss.uploads("bucket") if key.startswith("mapped/")] == []


def checkpoints(airflow: RealAirflow) -> Sequence[str]:
    """Return the names of the Variables that hold one."""
    return sorted(name for name in airflow.variables() if name.startswith("ossresume-"))


def test_a_run_that_is_cleared_after_its_success_moves_nothing_again(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    task = Task("transfer", "cleared", "upload")
    source = tmp_path / "source"
    source.write_bytes(some_bytes(3 * MIB, seed=21))
    conf = {"source": str(source), "target": str(tmp_path / "target"), "key": "cleared", "checkpoint": "auto"}
    airflow.trigger(task.dag_id, run_id=task.run_id, conf=conf)
    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    before = len(airflow_oss.requests)

    airflow.clear(*task[:3])
    wait_until(lambda: airflow.task_instance(*task).try_number == 2, timeout=180, what="the cleared task to run")
    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"

    again = [each.operation for each in airflow_oss.requests[before:] if each.key == "cleared"]
    assert set(again) == {"HeadObject", "GetObjectAcl"}  # looked at, and nothing moved
    assert airflow.xcom(*task[:3], "report")["outcome"] == "already there"


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_failed_transfer_that_a_person_clears_goes_on_from_its_finished_parts(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    """With the default store: from Airflow 3.4 on, the button "Clear" discards what the task state store has."""
    task = Task("transfer", f"denied-{task_id}", task_id)
    denied = Fault("status", status=403, code="AccessDenied")
    airflow_oss.fail(OF_A_PART[task_id], nth=PARTS // 2, times=None, key=task.run_id, fault=denied)
    trigger(airflow, tmp_path, task)
    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "failed", airflow.diagnosis()
    airflow_oss.clear_faults()
    kept = kept_parts(airflow, airflow_oss, task)

    airflow.clear_failed(*task[:2])

    wait_until(lambda: len(airflow.tries(*task)) > 1, timeout=180, what="the cleared task to begin")
    assert_delivered(airflow, airflow_oss, tmp_path, task)
    assert airflow.xcom(*task[:3], "report")["parts_kept"] >= len(kept) > 0


def test_another_run_of_the_same_dag_has_its_own_checkpoint(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(some_bytes(3 * MIB, seed=22))
    for run_id in ("first", "second"):
        conf = {"source": str(source), "target": str(tmp_path / run_id), "key": "again", "checkpoint": "auto"}
        airflow.trigger("transfer", run_id=run_id, conf=conf)
        assert airflow.wait_for_run("transfer", run_id, timeout=RUN_SECONDS) == "success"
        report = airflow.xcom("transfer", run_id, "upload", "report")
        assert (report["outcome"], report["parts_kept"]) == ("transferred", 0)
