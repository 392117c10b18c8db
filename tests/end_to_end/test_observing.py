"""A running Airflow shows a transfer from outside: its entry while it runs, and its metrics on a StatsD server."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.holding import PARTS, RUN_SECONDS, a_held_transfer, assert_delivered, progress_of
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import wait_until
from tests.end_to_end.statsd import StatsdListener
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_the_entry_of_a_running_task_is_there_for_everybody_and_moves_on(
    airflow: RealAirflow, airflow_oss: LocalOSS, statsd: StatsdListener, tmp_path: Path, direction: str
) -> None:
    task = Task("transfer", f"shown-{direction}", direction)
    before = statsd.count()
    with a_held_transfer(airflow, airflow_oss, tmp_path, task) as held:
        wait_until(
            lambda: progress_of(airflow, task).get("parts_done", 0) >= PARTS // 2 - 2,
            timeout=60,
            what=lambda: f"the entry to move on: {progress_of(airflow, task)}",
        )
        running = progress_of(airflow, task)
        held.let_go.set()

    assert_delivered(airflow, airflow_oss, tmp_path, task)
    assert (running["state"], running["direction"], running["uri"]) == (
        "running", direction, f"oss://bucket/{task.run_id}",
    )  # fmt: skip
    assert 0 < running["percent"] < 100
    finished = progress_of(airflow, task)
    assert (finished["state"], finished["percent"], finished["bytes_done"]) == ("finished", 100, PARTS * MIB)
    tags = {"dag_id": "transfer", "task_id": direction, "direction": direction}
    counted = statsd.counted(since=before, tries=1, **tags)
    assert counted["transfers.finished"] == 1
    assert counted["parts.sent"] == PARTS


def test_a_resumed_upload_is_counted_in_the_metrics(
    airflow: RealAirflow, airflow_oss: LocalOSS, statsd: StatsdListener, tmp_path: Path
) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "counted").write_bytes(some_bytes(3 * MIB))
    airflow_oss.fail("UploadPart", nth=1, key="mapped/counted", part_number=2, fault=Fault("status"))
    before = statsd.count()

    airflow.trigger("mapped", run_id="counted", conf={"source": str(folder)})
    assert airflow.wait_for_run("mapped", "counted", timeout=RUN_SECONDS) == "success"
    airflow_oss.clear_faults()

    tags = {"dag_id": "mapped", "task_id": "upload", "direction": "upload"}
    counted = statsd.counted(since=before, tries=2, **tags)
    assert counted.pop("bytes") >= 3 * MIB
    assert counted.pop("checkpoint.saves") >= 1
    assert counted == {
        "parts.sent": 3,
        "parts.kept": 1,
        "transfers.failed": 1,
        "transfers.resumed": 1,
        "transfers.finished": 1,
        "duration": 2,
    }
