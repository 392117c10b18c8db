"""The cleanup of part files inside a real task."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.operators.janitor import OSSPartFileCleanupOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.world import BUCKET, PART, some_bytes

pytestmark = pytest.mark.usefixtures("database")

AT_ONCE = 0.001  # seconds


@pytest.fixture
def clean(dag: Any) -> Callable[..., Any]:
    """Runs the operator as the task ``clean``, in a DAG run of its own; no connection exists."""
    from tests.airflow import runs

    def run(*, conf: dict[str, Any] | None = None, **options: Any) -> Any:
        with dag:
            OSSPartFileCleanupOperator(**{"task_id": "clean", "older_than": AT_ONCE, "retries": 0, **options})
        return runs.run(dag, **(conf or {}))

    return run


def a_part_file(folder: Path, name: str = "model.bin") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / part_file_name(name, "key")
    path.write_bytes(b"x" * 10)
    return path


def test_what_a_failed_download_leaves_is_removed_and_what_it_fetched_beside_it_stays(
    dag: Any, connected: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.airflow import runs

    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    connected.put(BUCKET, "model.bin", some_bytes(5 * PART))
    connected.fail("GetObject", nth=3, times=None, fault=Fault("status", status=503))
    (tmp_path / "model.bin").write_bytes(b"of yesterday")
    with dag:
        download = OSSResumableDownloadOperator(
            task_id="download",
            key=f"oss://{BUCKET}/model.bin",
            file=str(tmp_path / "model.bin"),
            transfer_config={"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0},
            retries=0,
        )
        arguments: dict[str, Any] = {"folder": str(tmp_path), "trigger_rule": "all_done"}
        looked = OSSPartFileCleanupOperator(task_id="looked", older_than=AT_ONCE, **arguments)
        young = OSSPartFileCleanupOperator(task_id="young", older_than="7d", is_dry_run=False, **arguments)
        done = OSSPartFileCleanupOperator(task_id="done", older_than=AT_ONCE, is_dry_run=False, **arguments)
        download >> looked >> young >> done

    run = runs.run(dag)

    assert run.instance("download")[0] == "failed"
    assert (run.xcom("looked")["would_remove"], run.xcom("looked")["removed"]) == (1, 0)
    assert run.xcom("young")["kept_young"] == 1
    report = run.xcom("done")
    assert (report["found"], report["removed"], report["would_remove"]) == (1, 1, 0)
    assert report["bytes"] >= 2 * PART
    assert os.listdir(tmp_path) == ["model.bin"]
    assert (tmp_path / "model.bin").read_bytes() == b"of yesterday"
    [removed] = [line for line in caplog.messages if line.startswith("Removed ")]
    assert report["files"][0] in removed


def test_every_argument_may_be_a_template(clean: Any, tmp_path: Path) -> None:
    a_part_file(tmp_path / "sub")

    done = clean(
        conf={"folder": str(tmp_path), "age": AT_ONCE, "deep": True, "dry": False},
        folder=["{{ dag_run.conf.folder }}"],
        older_than="{{ dag_run.conf.age }}",
        recursive="{{ dag_run.conf.deep }}",
        is_dry_run="{{ dag_run.conf.dry }}",
    )

    assert done.xcom("clean")["removed"] == 1


def test_a_part_file_in_use_is_kept(clean: Any, tmp_path: Path) -> None:
    with PartFile(a_part_file(tmp_path)) as file:
        assert file.lock()
        report = clean(folder=str(tmp_path), is_dry_run=False).xcom("clean")

    assert (report["removed"], report["kept_locked"]) == (0, 1)


def test_a_folder_that_is_not_on_this_worker_is_named_at_the_end_and_the_others_are_cleaned(
    clean: Any, tmp_path: Path
) -> None:
    part_file = a_part_file(tmp_path)
    seen: list[BaseException] = []

    done = clean(
        folder=[str(tmp_path / "typo"), str(tmp_path)],
        is_dry_run=False,
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )

    assert done.instance("clean") == ("failed", 1)
    assert not part_file.exists()
    assert f"{tmp_path}/typo: the folder cannot be read on this worker: No such file or directory" in str(seen[0])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"folder": "{{ '' }}"}, "folder=''"),
        ({"folder": "/"}, "folder='/'"),
        ({"folder": "data"}, "folder='data'"),
        ({"folder": "['/data/a', '/data/b']"}, "folder="),
        ({"folder": None}, "folder="),
        ({"older_than": ""}, "older_than=''"),
        ({"older_than": 0}, "older_than=0"),
        ({"recursive": ""}, "recursive=''"),
        ({"is_dry_run": "{{ none }}"}, "is_dry_run='None'"),
    ],
)
def test_a_wrong_argument_fails_at_once_and_nothing_is_removed(
    clean: Any, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    part_file = a_part_file(tmp_path)
    seen: list[BaseException] = []

    done = clean(
        **{"folder": str(tmp_path), "is_dry_run": False, "retries": 3, **options},
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )

    assert done.instance("clean") == ("failed", 1)
    assert str(seen[0]).startswith(named)
    assert part_file.exists()


def test_no_folder_is_nothing_to_do(clean: Any) -> None:
    assert clean(folder=[], is_dry_run=False).xcom("clean")["found"] == 0


def test_the_hook_does_the_same_without_a_connection(tmp_path: Path) -> None:
    part_file = a_part_file(tmp_path)
    hook = OSSResumeHook("no_such_connection")
    while time.time() < part_file.stat().st_ctime + 0.01:  # the file system's clock may lag behind
        pass
    age = timedelta(milliseconds=1)

    assert hook.clean_part_files(tmp_path, older_than=age).fates["would remove"] == 1
    assert hook.clean_part_files([str(tmp_path)], older_than=age, dry_run=False).fates["removed"] == 1
    assert not part_file.exists()
