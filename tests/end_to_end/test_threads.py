"""The hook in threads of the author's own, and in processes that the task forks, under a real supervisor."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.dags.threads import PROCESSES, UPLOADS
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end

RUN_SECONDS = 500
RELEASE = tuple(map(int, version("apache-airflow").split(".")[:2]))


def test_uploads_in_threads_and_in_forked_processes_all_end(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    source = tmp_path / "small"
    source.write_bytes(some_bytes(250_000, seed=31))

    before = set(airflow.variables())
    airflow.trigger("threads", run_id="threads", conf={"source": str(source)})
    state = airflow.wait_for_run("threads", "threads", timeout=RUN_SECONDS)

    assert state == "success", airflow.diagnosis()
    answer = "ArgumentError" if (3, 0) <= RELEASE < (3, 2) else "transferred"  # there nothing locks the way to Airflow
    assert airflow.xcom("threads", "threads", "threads", "return_value") == {
        "auto transferred": UPLOADS,
        f"variable {answer}": UPLOADS,
    }
    assert airflow.xcom("threads", "threads", "forks", "return_value") == {
        "auto transferred": PROCESSES,
        "variable ArgumentError": PROCESSES,
    }
    assert {name for name in airflow.variables() if name.startswith("ossresume-")} <= before
    log = airflow.task_log("threads", "threads", "forks", 1)
    assert "The checkpoint is a file on this worker instead" in log
