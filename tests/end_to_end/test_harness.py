"""The harness keeps its word on the installed Airflow: killed tasks are retried, and nothing outlives stop()."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end import processes
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.gate import (
    DAG_ID,
    RUN_SECONDS,
    TASK_ID,
    a_task_at_a_gate,
    assert_the_second_try_finds_what_the_first_left,
)
from tests.end_to_end.processes import has_ended, processes_of, wait_until

pytestmark = pytest.mark.end_to_end

DAGS = Path(__file__).parent / "dags"


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_task_that_gets_a_signal_is_retried_and_finds_the_variable_of_its_first_try(
    airflow: RealAirflow, tmp_path: Path, signal_number: signal.Signals
) -> None:
    run_id = signal_number.name
    with a_task_at_a_gate(airflow, run_id, tmp_path / "gate") as first:
        first.task.send_signal(signal_number)
    assert_the_second_try_finds_what_the_first_left(airflow, run_id, first)


def test_a_task_whose_supervisor_is_killed_is_retried_beside_its_orphan(airflow: RealAirflow, tmp_path: Path) -> None:
    with a_task_at_a_gate(airflow, "orphan", tmp_path / "gate") as first:
        first.supervisor.kill()
        wait_until(lambda: has_ended(first.supervisor), timeout=30, what="the supervisor's end")
        airflow.let_heartbeat_expire(DAG_ID, "orphan", TASK_ID)
        assert_the_second_try_finds_what_the_first_left(airflow, "orphan", first)
        assert first.task in airflow.processes()
        first.task.kill()


def test_a_task_that_is_cleared_after_its_success_runs_again(airflow: RealAirflow, tmp_path: Path) -> None:
    with a_task_at_a_gate(airflow, "cleared", tmp_path / "gate"):
        pass
    assert airflow.wait_for_run(DAG_ID, "cleared", timeout=RUN_SECONDS) == "success"

    airflow.clear(DAG_ID, "cleared", TASK_ID)

    assert airflow.wait_for_run(DAG_ID, "cleared", timeout=RUN_SECONDS) == "success"
    tries = airflow.tries(DAG_ID, "cleared", TASK_ID)
    assert [(each.try_number, each.state) for each in tries] == [(1, "success"), (2, "success")]


def test_stop_ends_running_and_orphaned_tasks(tmp_path: Path) -> None:
    airflow = RealAirflow(tmp_path / "home", dags=[DAGS / "harness_gate.py"])
    with airflow, a_task_at_a_gate(airflow, "orphan", tmp_path / "gate") as process:
        process.supervisor.kill()
        wait_until(lambda: process.task.parent() != process.supervisor, timeout=30, what="the task to lose its parent")
        assert process.task in airflow.processes()
        airflow.stop()
        assert airflow.processes() == []


def test_a_dag_that_cannot_be_parsed_makes_start_fail_and_leaves_no_process(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("from airflow.providers.common.compat.sdk import DAG\n1 / 0\n")
    airflow = RealAirflow(tmp_path / "home", dags=[broken])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        airflow.start()
    assert airflow.processes() == []


def test_the_guard_ends_everything_when_whoever_holds_it_is_gone(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(
        (sys.executable, "-c", "import signal; signal.pause()"),
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        start_new_session=True,
    )
    guard = subprocess.Popen((sys.executable, processes.__file__, str(tmp_path)), stdin=subprocess.PIPE)
    wait_until(lambda: processes_of(tmp_path), timeout=30, what="the process to start")
    guard.stdin.close()
    assert guard.wait(30) == 0
    assert sleeper.wait(30) < 0
