"""A worker that is killed in mid-transfer costs only what was in flight, whichever store holds the checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, decode
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import (
    KillInTheMiddle,
    Task,
    checkpoints_of,
    fetched_parts,
    finished_parts,
    killing,
    requests_of_last_try,
    requests_of_try,
    sent_parts,
    stored_parts,
)
from tests.end_to_end.processes import has_ended, wait_until
from tests.world import some_bytes

pytestmark = pytest.mark.end_to_end

DAG_ID = "transfer"
BUCKET = "bucket"
PARTS = 20
PART = MIB
RUN_SECONDS = 240
STORES = [*(["task_state"] if AIRFLOW_3 else []), "variable", "xcom", "file"]


@pytest.mark.parametrize("store", STORES)
def test_both_transfers_survive_a_sigkill_in_their_middle(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, store: str
) -> None:
    key = f"killed/{store} ü+%.bin"
    source, target, folder = tmp_path / "source", tmp_path / "target", tmp_path / "checkpoints"
    source.write_bytes(some_bytes(PARTS * PART, seed=7))
    upload, download = Task(DAG_ID, store, "upload"), Task(DAG_ID, store, "download")
    kills = (
        KillInTheMiddle(airflow, upload, operation="UploadPart", key=key, nth=PARTS // 2),
        KillInTheMiddle(
            airflow, download, operation="GetObject", key=key, nth=PARTS // 2, once=has_progress(store, folder)
        ),
    )

    with killing(airflow_oss, *kills):
        checkpoint = f"file:{folder}" if store == "file" else store
        conf = {"source": str(source), "target": str(target), "key": key, "checkpoint": checkpoint}
        airflow.trigger(DAG_ID, run_id=store, conf=conf)
        assert airflow.wait_for_run(DAG_ID, store, timeout=RUN_SECONDS) == "success"

    assert target.read_bytes() == source.read_bytes()
    assert [found.store for kill in kills for found in kill.found] == ([store] * 2 if store != "file" else [])
    requests = airflow_oss.requests
    kept = set(stored_parts(requests_of_try(airflow, upload, 1, requests), key))
    assert_resumed(airflow, upload, sent=sent_parts(requests_of_last_try(airflow, upload, requests), key), kept=kept)
    fetched = fetched_parts(requests_of_last_try(airflow, download, requests), key, part_size=PART)
    assert_resumed(airflow, download, sent=fetched, kept=set(range(1, PARTS + 1)) - set(fetched))
    assert checkpoints_of(airflow, DAG_ID, store, key=key) == []
    assert not folder.exists() or list(folder.iterdir()) == []
    assert airflow_oss.uploads(BUCKET) == []


def test_a_task_that_is_terminated_stops_at_once_and_resumes(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    """SIGTERM is what a person's "clear" or a lost pod sends; on Airflow 3 execute() may go on after it."""
    key = "terminated"
    source = tmp_path / "source"
    source.write_bytes(some_bytes(PARTS * PART, seed=8))
    upload = Task(DAG_ID, key, "upload")
    terminated: list[int] = []

    def terminate_in_the_middle(request: Request) -> None:
        if (request.operation, request.key, request.part_number) == ("UploadPart", key, PARTS // 2) and not terminated:
            process = airflow.task_process(*upload).task
            terminated.append(process.pid)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: has_ended(process), timeout=180, what="the terminated task to end")

    airflow_oss.on_request = terminate_in_the_middle
    conf = {"source": str(source), "target": str(tmp_path / "target"), "key": key, "checkpoint": "auto"}
    airflow.trigger(DAG_ID, run_id=key, conf=conf)
    assert airflow.wait_for_run(DAG_ID, key, timeout=RUN_SECONDS) == "success"
    airflow_oss.on_request = None

    assert terminated
    assert [each.state for each in airflow.tries(*upload)] == ["failed", "success"]
    kept = set(stored_parts(requests_of_try(airflow, upload, 1, airflow_oss.requests), key))
    sent = sent_parts(requests_of_try(airflow, upload, 2, airflow_oss.requests), key)
    assert_resumed(airflow, upload, sent=sent, kept=kept)
    assert airflow_oss.object(BUCKET, key) == source.read_bytes()
    assert "Traceback" in airflow.task_log(*upload[:3], 1) or "TransferStopped" in airflow.task_log(*upload[:3], 1)


def assert_resumed(airflow: RealAirflow, task: Task, *, sent: list[int], kept: set[int]) -> None:
    """The next try kept every part that was there, moved each other one once, and reported that."""
    report = airflow.xcom(*task[:3], "report")
    assert report["parts_kept"] == len(kept) > 0
    assert report["parts_sent"] == len(sent) == PARTS - len(kept)
    assert sorted([*sent, *kept]) == list(range(1, PARTS + 1))
    assert (report["tries"], report["size"], report["parts"]) == (2, PARTS * PART, PARTS)


def has_progress(store: str, folder: Path) -> Callable[[list], object]:
    """Return what tells whether a download's checkpoint names finished parts."""
    if store != "file":
        return finished_parts

    def of_folder(_: object) -> bool:
        checkpoints = [decode(file.read_text()) for file in folder.glob("*.json")]
        return any(isinstance(each, DownloadCheckpoint) and each.runs for each in checkpoints)

    return of_folder
