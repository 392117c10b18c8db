"""Sensors that are deferred to a real triggerer, with their connection in the database and in the environment.

One run of the DAG `deferred` shows all of it. Its tasks have two retries, at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.processes import wait_until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1200)]  # the first test waits for the run

DAG_ID, RUN_ID = "deferred", "run"
SILENT = [f"silent/{number}" for number in range(8)]
RUN_SECONDS = 600
DEATHS = ("Trigger runner process has died", "Trigger runner failed")  # how 3.1 and 3.0 tell it


@dataclass(frozen=True)
class Outcome:
    """A run that is over.

    :ivar runners: the processes of the triggerer, before the run and after it
    """

    airflow: RealAirflow
    oss: LocalOSS
    folder: Path
    runners: tuple[set[psutil.Process], set[psutil.Process]]

    def states(self, task_id: str, map_index: int = -1) -> list[str | None]:
        """Return the state of each try."""
        return [each.state for each in self.airflow.tries(DAG_ID, RUN_ID, task_id, map_index)]

    def told(self, task_id: str) -> dict[str, object]:
        """Return what the task's callback saw of its last failure."""
        return dict(json.loads(self.folder.joinpath(task_id).read_text()))


@pytest.fixture(scope="module")
def done(airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    airflow.cli("connections", "add", "oss_in_database", "--conn-json", airflow_oss.airflow_connection())
    return the_run(airflow, airflow_oss, tmp_path_factory.mktemp("told"))


def the_run(airflow: RealAirflow, oss: LocalOSS, folder: Path) -> Outcome:
    """Let eight sensors meet an OSS that keeps silent, measure beside them, and let all that may come come then."""
    begin = folder / "begin"
    # The first look is the worker's.
    busy = Fault("status", status=503, code="ServiceUnavailable", retry_after=1)
    oss.fail("HeadObject", 2, busy, key="busy_once")
    oss.fail("HeadObject", 2, busy, times=None, key="busy")
    oss.fail("HeadObject", 2, Fault("status", status=404, code="NoSuchBucket"), times=None, key="no_bucket")
    before = runners(airflow)
    airflow.trigger(DAG_ID, run_id=RUN_ID, conf={"begin": str(begin), "folder": str(folder)})

    def looks_at(key: str) -> int:
        return len([request for request in oss.calls("HeadObject") if request.key == key])

    def asked(key: str, *, times: int) -> bool:
        return looks_at(key) >= times

    def wait_for(what: str, condition: Callable[[], object]) -> None:
        wait_until(condition, timeout=RUN_SECONDS, what=lambda: f"{what}\n{airflow.diagnosis()}")

    wait_for("all sensors to be in the triggerer", lambda: all(asked(key, times=2) for key in SILENT))
    # A sensor bears with silence for a minute or so: it begins for all at once, and lasts no longer than it has to.
    with ExitStack() as silence:
        for key in SILENT:
            silence.enter_context(oss.failing("HeadObject", fault=Fault("stall"), key=key))
        looks = {key: looks_at(key) for key in SILENT}
        wait_for("all looks at the silent OSS", lambda: all(asked(key, times=looks[key] + 1) for key in SILENT))
        begin.touch()
        wait_for("the measurement", lambda: airflow.task_instance(DAG_ID, RUN_ID, "somebody_elses").state == "success")
    for key in SILENT:
        oss.put("bucket", key, b"")
    wait_for("a second try", lambda: airflow.task_instance(DAG_ID, RUN_ID, "busy").try_number > 1)
    wait_for("a third look", lambda: asked("busy_once", times=3))
    oss.clear_faults()
    for key in ("busy_once", "busy"):
        oss.put("bucket", key, b"")
    airflow.wait_for_run(DAG_ID, RUN_ID, timeout=RUN_SECONDS)
    return Outcome(airflow, oss, folder, (before, runners(airflow)))


def runners(airflow: RealAirflow) -> set[psutil.Process]:
    """Return the triggerer's process and, on Airflow 3, the one in which it runs the triggers."""

    def is_one(process: psutil.Process) -> bool:
        try:
            return "triggerer" in " ".join(process.cmdline())
        except psutil.Error:  # it has just ended
            return False

    return set(filter(is_one, airflow.processes()))


def test_the_triggerer_lives_through_it_all(done: Outcome) -> None:
    before, after = done.runners

    assert before
    assert after == before
    log = (done.airflow.home / "triggerer.log").read_text(errors="replace")
    assert [text for text in DEATHS if text in log] == []


def test_objects_that_come_are_found_by_the_first_try(done: Outcome) -> None:
    assert [done.states("silent", number) for number in range(len(SILENT))] == [["success"]] * len(SILENT)
    assert [done.airflow.xcom(DAG_ID, RUN_ID, "silent", "return_value", number) for number in range(8)] == [
        [f"oss://bucket/{key}"] for key in SILENT
    ]


def test_a_trigger_of_somebody_else_does_not_wait_for_eight_sensors_on_a_silent_oss(done: Outcome) -> None:
    assert done.states("somebody_elses") == ["success"]
    measured = done.airflow.xcom(DAG_ID, RUN_ID, "somebody_elses", "return_value")
    assert measured["longest"] < 4  # seconds; a silent look takes ten


def test_a_passing_failure_is_left_to_the_next_look(done: Outcome) -> None:
    assert done.states("busy_once") == ["success"]


def test_a_failure_that_lasts_is_left_to_the_next_try_and_its_retry_policy(done: Outcome) -> None:
    *failed, last = done.states("busy")

    assert set(failed) <= {"failed", "up_for_retry"}
    assert failed
    assert last == "success"
    told = done.told("busy")
    assert (told["class"], told["status"], told["code"], told["retry_after"]) == (
        "ServiceError", 503, "ServiceUnavailable", 1
    )  # fmt: skip


def test_what_waiting_does_not_mend_fails_and_burns_no_retry(done: Outcome) -> None:
    assert done.states("no_bucket") == ["failed"]  # under soft_fail, too
    told = done.told("no_bucket")
    assert (told["seen"], told["class"], told["status"], told["code"]) == (
        "AirflowFailException", "NoSuchBucket", 404, "NoSuchBucket"
    )  # fmt: skip


def test_a_timeout_burns_no_retry(done: Outcome) -> None:
    assert done.states("never") == ["failed"]
    assert done.told("never")["seen"] == "AirflowSensorTimeout"


@pytest.mark.parametrize("task_id", ["never_softly", "never_fails"])
def test_a_timeout_is_a_skip_where_the_sensor_is_not_to_fail(done: Outcome, task_id: str) -> None:
    assert done.states(task_id) == ["skipped"]
