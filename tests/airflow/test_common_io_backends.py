"""common.io's backends for XComs and for task state, on OSS: DAG runs in an Airflow that is configured so."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.installed.runs import DagRunner

pytestmark = pytest.mark.airflow

BUCKET = "my-bucket"
DAGS = Path(__file__).with_name("backend_dags")
MIB = 2**20


@pytest.fixture
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=[BUCKET]) as server:
        yield server


@contextmanager
def airflow_with(
    oss: LocalOSS, python: str, env: dict[str, str], tmp_path: Path, **settings: object
) -> Iterator[DagRunner]:
    """Start an Airflow with settings of the section common.io, and others by their whole name."""
    named = {name if name.isupper() else f"AIRFLOW__COMMON_IO__{name.upper()}": str(v) for name, v in settings.items()}
    connection = {"AIRFLOW_CONN_OSS_DEFAULT": oss.airflow_connection(), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS)}
    runner = DagRunner(python, {**env, **connection, **named}, tmp_path / "airflow.log")
    try:
        yield runner
    finally:
        runner.close()


XCOMS = {
    "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
    "xcom_objectstorage_path": f"oss://oss_default@{BUCKET}/xcoms",
    "xcom_objectstorage_threshold": 1_000,
}


def test_large_xcoms_lie_in_oss_and_small_ones_in_the_database(
    oss: LocalOSS, airflow_python: str, airflow_env: dict[str, str], tmp_path: Path
) -> None:
    with airflow_with(oss, airflow_python, airflow_env, tmp_path, **XCOMS) as airflow:
        small, large = (airflow.run("xcoms", size=size) for size in (10, 100_000))

    assert [small.state, large.state] == ["success", "success"]
    [key] = oss.objects(BUCKET)
    assert key.startswith("xcoms/xcoms/")
    assert json.loads(oss.object(BUCKET, key)) == {"text": "x" * 100_000}
    assert key in large.xcom("make")
    assert "text" in small.xcom("make")
    assert [int(run.xcom("count")) for run in (small, large)] == [10, 100_000]


def test_xcoms_may_be_compressed(
    oss: LocalOSS, airflow_python: str, airflow_env: dict[str, str], tmp_path: Path
) -> None:
    settings = {**XCOMS, "xcom_objectstorage_compression": "gzip"}
    with airflow_with(oss, airflow_python, airflow_env, tmp_path, **settings) as airflow:
        run = airflow.run("xcoms", size=100_000)

    assert run.state == "success"
    [key] = oss.objects(BUCKET)
    assert json.loads(gzip.decompress(oss.object(BUCKET, key))) == {"text": "x" * 100_000}
    assert int(run.xcom("count")) == 100_000


def test_an_xcom_that_oss_does_not_take_fails_its_task_and_leaves_nothing(
    oss: LocalOSS, airflow_python: str, airflow_env: dict[str, str], tmp_path: Path
) -> None:
    oss.fail("PutObject", times=None, fault=Fault("status", status=403, code="AccessDenied"))
    with airflow_with(oss, airflow_python, airflow_env, tmp_path, **XCOMS) as airflow:
        run = airflow.run("xcoms", size=100_000)

    assert run.state == "failed"
    assert run.tries("make") == {-1: ("failed", 2)}
    assert oss.objects(BUCKET) == []


@pytest.mark.skipif(not AIRFLOW_3, reason="the task state store comes with Airflow 3.3")
def test_task_state_and_our_checkpoints_in_it_lie_in_oss_and_a_retry_resumes_by_them(
    oss: LocalOSS, airflow_python: str, airflow_env: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("airflow.sdk.state", reason="the task state store comes with Airflow 3.3")
    settings = {
        "AIRFLOW__WORKERS__STATE_STORE_BACKEND": "airflow.providers.common.io.state_store.backend."
        "StateStoreObjectStorageBackend",
        "state_store_objectstorage_path": f"oss://oss_default@{BUCKET}/state",
    }
    source, seen = tmp_path / "source", set()
    source.write_bytes(bytes(3 * MIB))
    oss.fail("CompleteMultipartUpload", fault=Fault("status", status=404, code="NoSuchUpload"))
    oss.on_request = lambda request: seen.add(request.key) if request.operation == "PutObject" else None
    with airflow_with(oss, airflow_python, airflow_env, tmp_path, **settings) as airflow:
        run = airflow.run("task_state", file=str(source))

    assert run.state == "success"
    assert run.tries("upload") == {-1: ("success", 2)}
    assert oss.object(BUCKET, "uploaded") == source.read_bytes()
    assert sorted(request.part_number or 0 for request in oss.calls("UploadPart")) == [1, 2, 3]
    assert [key for key in seen if f"{run.run_id.replace(':', '%3A').replace('+', '%2B')}/upload/" in key]
    kept = [key for key in oss.objects(BUCKET) if key.startswith("state/")]
    assert [key.rpartition("/")[2] for key in kept if "/keep/" in key] == ["position"]
    assert not [key for key in kept if "/upload/" in key and "progress" not in key]
    assert json.loads(json.dumps(run.xcom("keep"))) in ({"row": 7}, '{"row": 7}')
    [stored] = _stored(Path(airflow_env["AIRFLOW_HOME"]) / "airflow.db")
    assert f"oss://oss_default@{BUCKET}/state" in stored


def _stored(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT value FROM task_state_store WHERE key = 'position'")
        return [str(value) for (value,) in rows]
