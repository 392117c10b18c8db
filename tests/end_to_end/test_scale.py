"""What `make demo-scale` shows, with fewer files; and the same with its plan cleared where that loses a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import FINAL_STATES, RealAirflow
from tests.end_to_end.demo_scale import PREFIX, ScaleDemo
from tests.end_to_end.losing import running_tries
from tests.end_to_end.many_files import Load
from tests.end_to_end.processes import has_ended, wait_until

pytestmark = pytest.mark.end_to_end

LOAD = Load(files=300, largest=16 * 1024, large=64 * MIB, batch_files=80)
STOP_SECONDS = 120


@pytest.fixture
def running(request: pytest.FixtureRequest) -> RealAirflow:
    """An Airflow that can lose a worker; on 2.11 any can, as there a worker is a process for each task."""
    airflow: RealAirflow = request.getfixturevalue("spread" if AIRFLOW_3 else "airflow")
    return airflow


def test_many_files_reach_oss_though_a_worker_is_lost_among_them_and_the_plan_is_cleared(
    running: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    proven = ScaleDemo(tmp_path, LOAD).run(running, airflow_oss)

    assert [name for name, is_so in proven.items() if not is_so] == []


def test_a_plan_that_is_cleared_among_its_batches_leaves_to_the_next_one_only_what_is_missing(
    running: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    proven = ClearedInTheMiddle(tmp_path, LOAD, name="cleared").run(running, airflow_oss)

    assert [name for name, is_so in proven.items() if not is_so] == []


class ClearedInTheMiddle(ScaleDemo):
    """The plan is cleared while its batches run. The next one has fewer, so map indexes say nothing of what is done."""

    def _move(self, airflow: RealAirflow, oss: LocalOSS) -> dict[str, bool]:
        with self._in_the_middle(airflow, oss) as middle:
            before = oss.requests
            processes = running_tries(airflow, self._batch).values()
            airflow.clear(*self._plan[:3])
            wait_until(lambda: all(map(has_ended, processes)), timeout=STOP_SECONDS, what="the batches to stop")
            wait_until(
                lambda: airflow.tries(*self._plan)[-1].state == "success", timeout=STOP_SECONDS, what="the next plan"
            )
            sealed = airflow.tries(*self._plan)[-1].ended.timestamp()
            in_flight = [it for it in middle.in_flight(oss.requests) if it.when < sealed]
            there = len({it.key for it in before if it.operation == "PutObject" and str(it.key).startswith(PREFIX)})
        self._watch(airflow, until=lambda: airflow.run_state(*self._plan[:2]) in FINAL_STATES)
        verdict = airflow.xcom(*self._finish[:3], "report")
        return {
            "the run was a success": airflow.run_state(*self._plan[:2]) == "success",
            "the verdict is: proven": verdict["outcome"] == "proven",
            "the next plan had only what was missing": 0 < there <= verdict["there"] < LOAD.files,
            "it had fewer batches": "removed" in airflow.states(*self._batch[:3]).values(),
            **self._sending(oss).checks(before, in_flight, parts=len(self._parts), files=LOAD.files),
        }
