"""Two tries of one task at once, on one file and one key, each with a living supervisor: the older one says who won.

It comes about where heartbeats do not get through, as over a broken network, or are late, as on a worker that was
frozen: Airflow gives the try up for lost and begins the next. Here supervisors send no heartbeats, and those of the
older tries expire.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.conftest import DAGS
from tests.end_to_end.holding import (
    OF_A_PART,
    PARTS,
    RUN_SECONDS,
    Held,
    assert_delivered,
    kept_parts,
    moved_parts,
    trigger,
)
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import has_ended, wait_until
from tests.postgres import a_postgres

pytestmark = pytest.mark.end_to_end

SETTINGS = {
    # A supervisor may wait this long after its task has ended, and a worker of the executor with it: one for each try.
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3600",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "3600",  # of the newer tries, however slow the machine is
}
MEETS = {"upload": "Resuming the upload", "download": "is being written by another process"}


@pytest.mark.skipif(
    not AIRFLOW_3, reason="on 2.11 the newer try would be given up as well; test_orphans.py has both tries there"
)
def test_the_older_try_says_who_has_taken_over_and_the_newer_one_delivers(
    airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    tasks = [Task("transfer", f"twice-{task_id}", task_id) for task_id in OF_A_PART]
    helds = {task: Held(task) for task in tasks}
    airflow_oss.on_request = lambda request: [held(request) for held in helds.values()]
    connections = {"oss_default": airflow_oss.airflow_connection()}

    with (
        a_postgres() as postgres,
        RealAirflow(
            tmp_path / "airflow",
            dags=[DAGS / "transfer.py"],
            connections=connections,
            env=SETTINGS,
            database=postgres.url,
        ) as airflow,
    ):
        for task in tasks:
            (tmp_path / task.task_id).mkdir()
            trigger(airflow, tmp_path / task.task_id, task, checkpoint="variable")
        kept = {task: parts_kept_when_held(airflow, airflow_oss, held) for task, held in helds.items()}
        older = {task: airflow.task_process(*task).task for task in tasks}
        for task in tasks:
            airflow.let_heartbeat_expire(*task)
        for task in tasks:
            assert_the_older_try_says_who_won(airflow, task, older[task])
        for held in helds.values():
            held.let_go.set()

        for task in tasks:
            assert_delivered(airflow, airflow_oss, tmp_path / task.task_id, task)
            assert [(each.try_number, each.state) for each in airflow.tries(*task)] == [(1, "failed"), (2, "success")]
            report = airflow.xcom(*task[:3], "report")
            assert report["parts_kept"] >= len(kept[task])
            assert report["parts_kept"] + report["parts_sent"] == PARTS
            moved = moved_parts(airflow_oss.requests, task)
            assert sorted(number for number in moved if number in kept[task]) == sorted(kept[task])
    airflow_oss.on_request = None


def parts_kept_when_held(airflow: RealAirflow, oss: LocalOSS, held: Held) -> set[int]:
    assert held.reached.wait(RUN_SECONDS), airflow.diagnosis()
    return wait_until(lambda: kept_parts(airflow, oss, held.task), timeout=180, what="parts that a next try can keep")


def assert_the_older_try_says_who_won(airflow: RealAirflow, task: Task, older: psutil.Process) -> None:
    """Both stand still at their next part; only their checkpoint tells the older one."""
    wait_until(
        lambda: MEETS[task.task_id] in airflow.task_log(*task[:3], 2),
        timeout=RUN_SECONDS,
        what=lambda: f"the second try beside the first\n{airflow.diagnosis()}",
    )
    owner = r"transfer \S+ \w+ -1 on \S+ pid \d+ \w+"
    says = rf"try 2 \({owner}\) has taken over this transfer; this try stops and leaves it alone"
    wait_until(
        lambda: re.search(says, airflow.task_log(*task[:3], 1)),
        timeout=180,
        what=lambda: f"the older try to say who won\n{airflow.diagnosis()}",
    )
    wait_until(lambda: has_ended(older), timeout=180, what="the older try to stop")
