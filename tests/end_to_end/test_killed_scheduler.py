"""The scheduler is killed in mid-transfer and starts again: the transfer goes on, or its next try resumes.

The supervisors of running tasks are children of the scheduler (3.3: LocalExecutor's workers; 2.11: the processes
`airflow tasks run` of the SequentialExecutor) and become orphans. Their tasks have lost nothing: each still has its
supervisor, which reports to Airflow by itself. So a transfer that ends before the next scheduler looks is simply done.

A scheduler looks for what a dead one has left, at its start and every `orphaned_tasks_check_interval`; dead is one that
gave no heartbeat for `scheduler_health_check_threshold` (30 s by default). Neither executor adopts what still runs: the
task instance is reset and begins a new try, which costs none of its `retries`. The older try runs on beside it until
the next heartbeat of its supervisor is refused (3.3: that one stops the task). On 2.11 the supervisor stops the task
when two heartbeats find that it is not running any more; once the newer try runs, they find another process ID, and it
only warns. Then the older try goes on until it sees the new owner in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.conftest import DAGS
from tests.end_to_end.holding import (
    HOLD_SECONDS,
    OF_A_PART,
    PARTS,
    a_held_transfer,
    assert_delivered,
    kept_parts,
    moved_parts,
)
from tests.end_to_end.killing import Task, checkpoints_of
from tests.end_to_end.processes import has_ended, wait_until

pytestmark = pytest.mark.end_to_end

SETTINGS = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "1",
}


@pytest.fixture(scope="module")
def restless(tmp_path_factory: pytest.TempPathFactory, airflow_oss: LocalOSS) -> Iterator[RealAirflow]:
    """An Airflow whose next scheduler finds out within seconds that the one before it is dead."""
    home = tmp_path_factory.mktemp("airflow")
    connections = {"oss_default": airflow_oss.airflow_connection()}
    with RealAirflow(home, dags=[DAGS / "transfer.py"], connections=connections, env=SETTINGS) as running:
        yield running


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_transfer_goes_on_while_there_is_no_scheduler(
    restless: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"alone-{task_id}", task_id)
    with a_held_transfer(restless, airflow_oss, tmp_path, task) as held:
        process = restless.task_process(*task).task
        restless.kill("scheduler")
        held.let_go.set()
        wait_until(lambda: has_ended(process), timeout=180, what="the end of the task")
        wait_until(lambda: restless.task_instance(*task).state == "success", timeout=180, what="its success")
    restless.start_again("scheduler")

    assert_delivered(restless, airflow_oss, tmp_path, task)
    assert [(each.try_number, each.state) for each in restless.tries(*task)] == [(1, "success")]
    assert sorted(moved_parts(airflow_oss.requests, task)) == list(range(1, PARTS + 1))


@pytest.mark.parametrize("task_id", OF_A_PART)
def test_a_transfer_that_the_next_scheduler_gives_up_for_lost_resumes_beside_the_older_try(
    restless: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, task_id: str
) -> None:
    task = Task("transfer", f"reset-{task_id}", task_id)
    with a_held_transfer(restless, airflow_oss, tmp_path, task) as held:
        older = restless.task_process(*task).task
        kept = kept_parts(restless, airflow_oss, task)
        restless.kill("scheduler")
        restless.start_again("scheduler")
        # What the log says is no sign: on 2.11 the older try may be over before the newer one begins, which then waits
        # for nothing; and a try that says that it waits has not yet told the older one to let go of the part file.
        wait_until(lambda: 2 in owners(restless, task), timeout=HOLD_SECONDS, what="the second try's checkpoint")
        held.let_go.set()
        wait_until(lambda: has_ended(older), timeout=180, what="the older try to stop")

    assert_delivered(restless, airflow_oss, tmp_path, task)
    assert f"Resuming the {task_id}" in restless.task_log(*task[:3], 2)
    tries = [(1, "failed"), (2, "success")] if AIRFLOW_3 else [(2, "success")]  # 2.11 keeps no history of a reset
    assert [(each.try_number, each.state) for each in restless.tries(*task)] == tries
    moved = moved_parts(airflow_oss.requests, task)
    assert sorted(number for number in moved if number in kept) == sorted(kept)
    report = restless.xcom(*task[:3], "report")
    assert report["parts_kept"] >= len(kept) > 0
    assert report["parts_kept"] + report["parts_sent"] == PARTS


def owners(airflow: RealAirflow, task: Task) -> set[int]:
    """Return the numbers of the tries that the task's checkpoint belongs to."""
    return {found.checkpoint.owner.try_number for found in checkpoints_of(airflow, *task[:2], key=task.run_id)}
