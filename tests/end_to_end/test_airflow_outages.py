"""Airflow's own services fail in mid-transfer: the bytes go on moving, and the run ends well."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import Task, checkpoints_of, fetched_parts
from tests.end_to_end.processes import wait_until
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end

PARTS = 20
CONTENT = some_bytes(PARTS * MIB, seed=12)
RUN_SECONDS = 300


@pytest.mark.parametrize("store", ["auto", "variable"])
def test_a_download_goes_on_while_its_checkpoint_store_is_out_of_reach(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, store: str
) -> None:
    task = Task("transfer", f"outage-{store}", "download")
    key, source, target = task.run_id, tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    reached, let_go = threading.Event(), threading.Event()

    def hold_at_part_5(request: Request) -> None:
        if (request.operation, request.key) == ("GetObject", key) and len(fetched(airflow_oss, key)) >= 4:
            reached.set()
            let_go.wait(120)

    airflow_oss.on_request = hold_at_part_5
    conf = {"source": str(source), "target": str(target), "key": key, "checkpoint": store}
    airflow.trigger(task.dag_id, run_id=task.run_id, conf=conf)
    assert reached.wait(RUN_SECONDS), airflow.diagnosis()
    with the_store_out_of_reach(airflow):
        let_go.set()
        wait_until(lambda: len(fetched(airflow_oss, key)) == PARTS, timeout=120, what="all parts to be fetched")
    airflow_oss.on_request = None

    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    assert target.read_bytes() == CONTENT
    assert [each.state for each in airflow.tries(*task)] == ["success"]
    assert airflow.xcom(*task[:3], "report")["parts_sent"] == PARTS
    assert checkpoints_of(airflow, *task[:2], key=key) == []


@contextmanager
def the_store_out_of_reach(airflow: RealAirflow) -> Iterator[None]:
    """Freeze the API server that tasks of Airflow 3 talk to, or lock the database that those of 2.11 write to."""
    if not AIRFLOW_3:
        with closing(sqlite3.connect(airflow.home / "airflow.db", isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        return
    frozen = [
        process for process in airflow.processes() if "api_server" in " ".join(process.cmdline()).replace("-", "_")
    ]
    assert frozen
    for process in frozen:
        process.suspend()
    try:
        yield
    finally:
        for process in frozen:
            process.resume()


def fetched(oss: LocalOSS, key: str) -> set[int]:
    """The parts that the server has sent as a whole."""
    whole = [each for each in oss.requests if each.bytes_sent == MIB]
    return set(fetched_parts(whole, key, part_size=MIB))
