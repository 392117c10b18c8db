"""The harness keeps its word with Celery: a worker is lost with all that ran in it, and its tasks are retried."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.gate import a_task_at_a_gate, assert_the_second_try_finds_what_the_first_left
from tests.end_to_end.processes import has_ended, processes_of

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not AIRFLOW_3, reason="the environment of 2.11 has no Celery"),
]
WORKERS = ("worker-1", "worker-2")


def test_a_task_is_retried_in_the_worker_that_is_left_when_its_own_is_lost(spread: RealAirflow, tmp_path: Path) -> None:
    with a_task_at_a_gate(spread, "left", tmp_path / "gate") as first:
        lost = spread.component_of(first.task)
        spread.kill_all_of(lost)
        assert has_ended(first.task)
        assert has_ended(first.supervisor)
        assert processes_of(spread.home, component=lost) == []
    assert_the_second_try_finds_what_the_first_left(spread, "left", first)
    spread.start_again(lost)


def test_a_task_is_retried_in_its_own_worker_that_was_lost_and_came_back(spread: RealAirflow, tmp_path: Path) -> None:
    with a_task_at_a_gate(spread, "back", tmp_path / "gate") as first:
        lost = spread.component_of(first.task)
        (other,) = set(WORKERS) - {lost}
        for worker in (lost, other):
            spread.kill_all_of(worker)
        assert has_ended(first.task)
        spread.start_again(lost)
    assert_the_second_try_finds_what_the_first_left(spread, "back", first)
    spread.start_again(other)
