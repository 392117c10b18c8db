"""A task whose first try stands at a gate, for whatever a test does to it there: the DAG `harness_gate`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.airflow_process import RealAirflow, TaskProcess

DAG_ID, TASK_ID = "harness_gate", "wait"
RUN_SECONDS = 120


@contextmanager
def a_task_at_a_gate(airflow: RealAirflow, run_id: str, gate: Path) -> Iterator[TaskProcess]:
    """Trigger a run and give the processes of its first try, which waits until the block is left."""
    os.mkfifo(gate)
    airflow.trigger(DAG_ID, run_id=run_id, conf={"gate": str(gate)})
    process = airflow.task_process(DAG_ID, run_id, TASK_ID)
    with gate.open("w"):  # opens when the task has opened its end
        yield process


def assert_the_second_try_finds_what_the_first_left(airflow: RealAirflow, run_id: str, first: TaskProcess) -> None:
    assert airflow.wait_for_run(DAG_ID, run_id, timeout=RUN_SECONDS) == "success", airflow.diagnosis()
    left = f"left by {first.task.pid}"
    assert airflow.variables()[f"gate_{run_id}"] == left
    assert airflow.xcom(DAG_ID, run_id, TASK_ID, "return_value") == left
    tries = airflow.tries(DAG_ID, run_id, TASK_ID)
    assert [(each.try_number, each.state) for each in tries] == [(1, "failed"), (2, "success")]
    assert all(airflow.task_log(DAG_ID, run_id, TASK_ID, number) for number in (1, 2))
