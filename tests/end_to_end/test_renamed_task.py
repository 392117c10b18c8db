"""A task gets another ID while its try is up for retry: another task, with a transfer and a checkpoint of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.conftest import DAGS
from tests.end_to_end.holding import CONTENT, PARTS, RUN_SECONDS, a_held_transfer
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import wait_until

pytestmark = pytest.mark.end_to_end

SETTINGS = {  # or an edited DAG is seen half a minute later
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "1",  # on 2.11 the old version may be written after the new one
}


def test_a_renamed_task_begins_its_own_transfer_and_leaves_the_old_ones_checkpoint_alone(
    airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    dag = tmp_path / "transfer.py"
    dag.write_text(DAGS.joinpath("transfer.py").read_text().replace("timedelta(0)", "timedelta(hours=1)"))
    folder = tmp_path / "files"
    folder.mkdir()
    connections = {"oss_default": airflow_oss.airflow_connection()}
    old, new = Task("transfer", "renamed", "upload"), Task("transfer", "renamed", "send")

    with RealAirflow(tmp_path / "airflow", dags=[dag], connections=connections, env=SETTINGS) as airflow:
        with a_held_transfer(airflow, airflow_oss, folder, old, checkpoint="variable"):
            airflow.task_process(*old).task.kill()
            wait_until(
                lambda: airflow.task_instance(*old).state == "up_for_retry", timeout=180, what="the old task's failure"
            )
        checkpoint, uploads = airflow.variables(), airflow_oss.uploads("bucket")
        edited = airflow.home / "dags" / "transfer.py"
        edited.write_text(edited.read_text().replace('task_id="upload"', 'task_id="send"'))
        airflow.cli("dags", "reserialize")

        assert airflow.wait_for_run("transfer", "renamed", timeout=RUN_SECONDS) == "success"
        assert airflow.task_instance(*old).state == "removed"
        log, report = airflow.task_log(*new[:3], 1), airflow.xcom(*new[:3], "report")
        assert (airflow.variables(), len(checkpoint)) == (checkpoint, 1)

    assert "A new upload to oss://bucket/renamed: there is no checkpoint" in log
    assert (report["parts_kept"], report["parts_sent"], report["tries"]) == (0, PARTS, 1)
    assert airflow_oss.object("bucket", "renamed") == CONTENT
    assert (folder / "target").read_bytes() == CONTENT
    left = [each for each in airflow_oss.uploads("bucket") if each[0] == "renamed"]
    assert left == [each for each in uploads if each[0] == "renamed"]
    assert len(left) == 1
