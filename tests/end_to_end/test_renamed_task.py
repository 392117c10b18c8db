"""A task gets another ID while its try is up for retry: another task, with a transfer and a checkpoint of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.holding import CONTENT, PARTS, RUN_SECONDS, a_held_transfer
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import wait_until

pytestmark = pytest.mark.end_to_end


def test_a_renamed_task_begins_its_own_transfer_and_leaves_the_old_ones_checkpoint_alone(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    old, new = Task("renamed", "renamed", "upload"), Task("renamed", "renamed", "send")
    airflow.wait_until_parsed()  # or the old version may be written after the new one, on 2.11
    before = set(airflow.variables())

    with a_held_transfer(airflow, airflow_oss, tmp_path, old, checkpoint="variable"):
        airflow.task_process(*old).task.kill()
        wait_until(
            lambda: airflow.task_instance(*old).state == "up_for_retry", timeout=180, what="the old task's failure"
        )
    variables, uploads = airflow.variables(), airflow_oss.uploads("bucket")
    (checkpoint,) = set(variables) - before
    edited = airflow.home / "dags" / "renamed.py"
    edited.write_text(edited.read_text().replace('task_id="upload"', 'task_id="send"'))
    airflow.cli("dags", "reserialize")

    assert airflow.wait_for_run(*new[:2], timeout=RUN_SECONDS) == "success"
    assert airflow.task_instance(*old).state == "removed"
    log, report = airflow.task_log(*new[:3], 1), airflow.xcom(*new[:3], "report")
    assert airflow.variables() == variables
    airflow.cli("variables", "delete", checkpoint)

    assert "A new upload to oss://bucket/renamed: there is no checkpoint" in log
    assert (report["parts_kept"], report["parts_sent"], report["tries"]) == (0, PARTS, 1)
    assert airflow_oss.object("bucket", "renamed") == CONTENT
    assert (tmp_path / "target").read_bytes() == CONTENT
    left = [each for each in airflow_oss.uploads("bucket") if each[0] == "renamed"]
    assert left == [each for each in uploads if each[0] == "renamed"]
    assert len(left) == 1
