"""The DAG of each task page is run by the installed Airflow, against a local OSS server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.docs.pages import DOCS, blocks_of
from tests.installed.runs import DagRunner

pytestmark = pytest.mark.airflow

PAGES = (
    "upload", "download", "move-a-folder", "copy", "sensor", "resume-after-a-kill", "kubernetes", "celery",
    "checkpoint-stores", "secrets-backends", "proxies-and-endpoints",
)  # fmt: skip
SOME_BYTES = b"0123456789" * 2**21  # 20 MiB, which is more than one part


@pytest.fixture(scope="module")
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=["my-bucket", "my-archive"]) as server:
        yield server


@pytest.fixture(scope="module")
def airflow(
    airflow_python: str, airflow_env: dict[str, str], oss: LocalOSS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagRunner]:
    """Airflow, with the first Python block of each page as a DAG file."""
    folder = tmp_path_factory.mktemp("dags")
    for page in PAGES:
        (folder / f"{page.replace('-', '_')}.py").write_text(blocks_of(DOCS / f"{page}.md", "python")[0].text)
    env = {
        **airflow_env,
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW_CONN_OSS_DEFAULT": oss.airflow_connection(),
        **a_secrets_backend(oss, tmp_path_factory.mktemp("secrets") / "connections.json"),
    }
    runner = DagRunner(airflow_python, env, tmp_path_factory.mktemp("log") / "airflow.log")
    yield runner
    runner.close()


def a_secrets_backend(oss: LocalOSS, file: Path) -> dict[str, str]:
    """The environment of the backend that docs/secrets-backends.md shows, with a connection to the local server."""
    connection = json.loads(oss.airflow_connection())
    connection["extra"]["bucket"] = "my-bucket"
    file.write_text(json.dumps({"oss_exports": connection}))
    [block] = blocks_of(DOCS / "secrets-backends.md", "bash")
    [backend] = re.findall(r"AIRFLOW__SECRETS__BACKEND=(\S+)", block.text)
    return {
        "AIRFLOW__SECRETS__BACKEND": backend,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(file)}),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "export.parquet"
    path.write_bytes(SOME_BYTES)
    return path


def the_day(key: str) -> str:
    """Return the run's {{ ds }}, which is in a key."""
    [day] = re.findall(r"\d{4}-\d\d-\d\d", key)
    return day


def test_each_page_has_one_dag(airflow: DagRunner) -> None:
    assert not airflow.parsed["errors"]
    assert len(airflow.parsed["dags"]) == len(PAGES)


@pytest.mark.parametrize("dag_id", ["upload_export", "backup", "stores", "with_a_secrets_backend", "upload_inside"])
def test_a_file_is_uploaded(airflow: DagRunner, oss: LocalOSS, file: Path, dag_id: str) -> None:
    run = airflow.run(dag_id, file=str(file))
    assert run.state == "success"
    key = run.xcom("upload").removeprefix("oss://my-bucket/")
    assert "{{" not in key
    assert oss.object("my-bucket", key) == SOME_BYTES


def test_a_file_is_downloaded(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put("my-bucket", "models/current.bin", SOME_BYTES)
    run = airflow.run("download_model", file=str(tmp_path / "models" / "current.bin"))
    assert run.state == "success"
    assert (tmp_path / "models" / "current.bin").read_bytes() == SOME_BYTES


def test_a_folder_is_moved_to_oss_and_back(airflow: DagRunner, oss: LocalOSS, file: Path, tmp_path: Path) -> None:
    run = airflow.run("move_folder", **{"from": str(file.parent), "to": str(tmp_path / "scratch")})
    assert run.state == "success"
    assert oss.object("my-bucket", f"raw/{file.name}") == SOME_BYTES
    assert (tmp_path / "scratch" / file.name).read_bytes() == SOME_BYTES


def test_an_object_is_copied(airflow: DagRunner, oss: LocalOSS, file: Path) -> None:
    airflow.run("upload_export", file=str(file))
    run = airflow.run("archive_exports")
    assert run.state == "success"
    assert oss.object("my-archive", run.xcom("archive").removeprefix("oss://my-archive/")) == SOME_BYTES


def test_objects_are_waited_for(airflow: DagRunner, oss: LocalOSS, file: Path) -> None:
    day = the_day(airflow.run("upload_export", file=str(file)).xcom("upload"))
    for name in ("orders.csv", "_SUCCESS"):
        oss.put("my-bucket", f"incoming/{day}/{name}", b"1")
    run = airflow.run("wait_for_orders")
    assert run.state == "success"
    assert run.xcom("wait") == [f"oss://my-bucket/incoming/{day}/{name}" for name in ("orders.csv", "_SUCCESS")]


@pytest.mark.parametrize("dag_id", ["on_kubernetes", "on_celery"])
def test_a_file_goes_to_oss_and_back_through_a_shared_folder(airflow: DagRunner, file: Path, dag_id: str) -> None:
    run = airflow.run(dag_id, folder=str(file.parent))
    assert run.state == "success"
    assert Path(run.xcom("download")).read_bytes() == SOME_BYTES
