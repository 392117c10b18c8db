"""The janitor keeps the uploads that a checkpoint names, where it can read them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.stale_uploads import Staleness
from airflow_provider_ossresume.operators.janitor import OSSAbortMultipartUploadsOperator
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.work_checkpoints import WorkFolderCheckpoints
from tests.world import BUCKET, PART, a_client, a_file

pytestmark = pytest.mark.usefixtures("database")

DAY = 86_400
KEY, OTHER = "a" * 40, "b" * 40

needs_listing = pytest.mark.skipif(
    not _airflow.can_list_variables(), reason="on Airflow 3.0 to 3.2 no task can list Variables"
)


@pytest.fixture
def ahead() -> list[float]:
    """By how many seconds the server's clock is ahead: one number, which a test may set."""
    return [0.0]


@pytest.fixture
def oss(ahead: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalOSS]:
    with LocalOSS(buckets=(BUCKET,), clock=lambda: time.time() + ahead[0]) as server:
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", server.airflow_connection())
        yield server


@pytest.fixture
def old_upload(oss: LocalOSS, ahead: list[float]) -> Callable[[str], str]:
    """Begins an upload eight days ago, and returns its upload ID."""

    def begin(key: str) -> str:
        ahead[0] -= 8 * DAY
        client = a_client(oss, clock=lambda: time.time() + ahead[0])
        upload_id = client.initiate(ObjectRef(BUCKET, key))
        client.close()
        ahead[0] += 8 * DAY
        return upload_id

    return begin


@pytest.fixture
def abort(dag: Any, oss: LocalOSS) -> Callable[..., Any]:
    """Runs the operator as the task ``abort``."""
    from tests.airflow import runs

    def run(**options: Any) -> Any:
        with dag:
            OSSAbortMultipartUploadsOperator(
                task_id="abort",
                **{"bucket_name": BUCKET, "older_than": "7d", "is_dry_run": False, "retries": 0, **options},
            )
        return runs.run(dag)

    return run


def left(oss: LocalOSS) -> set[str]:
    return {key for key, _ in oss.uploads(BUCKET)}


def a_checkpoint(upload_id: str, key: str = "key") -> str:
    return encode(UploadCheckpoint(BUCKET, key, upload_id, 5 * PART, PART, "0", Owner(1, "a try")))


def set_variable(name: str, text: str) -> None:
    from airflow.models import Variable

    Variable.set(name, text, description="a test")  # noqa: AIR311  not in a task


@needs_listing
def test_an_upload_that_a_failed_task_may_go_on_with_is_kept_as_long_as_its_checkpoint_is_there(
    dag: Any, oss: LocalOSS, ahead: list[float], tmp_path: Path
) -> None:
    from tests.airflow import runs

    oss.fail("UploadPart", nth=3, times=None, fault=Fault("status", status=503))
    with dag:
        upload = OSSResumableUploadOperator(
            task_id="upload",
            file=str(a_file(tmp_path)),
            key=f"oss://{BUCKET}/exports/key",
            checkpoint="variable",
            transfer_config={"part_size": PART, "multipart_threshold": PART, "part_retries": 0},
            retries=0,
        )
        arguments: dict[str, Any] = {"bucket_name": BUCKET, "older_than": "7d", "is_dry_run": False}
        first = OSSAbortMultipartUploadsOperator(
            task_id="first",
            trigger_rule="all_done",
            pre_execute=lambda context: ahead.__setitem__(0, 8.0 * DAY),
            **arguments,
        )
        second = OSSAbortMultipartUploadsOperator(
            task_id="second", pre_execute=lambda context: runs.forget_checkpoints(), **arguments
        )
        upload >> first >> second

    run = runs.run(dag)

    assert run.instance("upload")[0] == "failed"
    assert (run.xcom("first")["kept_checkpointed"], run.xcom("first")["aborted"]) == (1, 0)
    assert (run.xcom("second")["kept_checkpointed"], run.xcom("second")["aborted"]) == (0, 1)
    assert left(oss) == set()


@needs_listing
def test_variables_are_looked_into_by_default_and_not_when_that_is_switched_off(
    abort: Any, old_upload: Any, oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    set_variable(f"ossresume-{KEY}", a_checkpoint(old_upload("kept")))
    set_variable("of-somebody", a_checkpoint(old_upload("stale")))

    report = abort().xcom("abort")

    assert left(oss) == {"kept"}
    assert (report["found"], report["aborted"], report["kept_checkpointed"]) == (2, 1, 1)
    assert "Only older_than protects uploads whose checkpoints are not in Variable" in caplog.messages


@needs_listing
def test_a_checkpoint_that_this_version_cannot_read_spares_what_it_may_name(
    abort: Any, old_upload: Any, oss: LocalOSS
) -> None:
    newer = a_checkpoint(old_upload("kept")).replace('"ossresume": 1', '"ossresume": 2')
    set_variable(f"ossresume-{KEY}", newer)
    old_upload("stale")

    abort()

    assert left(oss) == {"kept"}


def test_nothing_is_spared_by_checkpoints_when_no_store_is_named(abort: Any, old_upload: Any, oss: LocalOSS) -> None:
    set_variable(f"ossresume-{KEY}", a_checkpoint(old_upload("stale")))

    assert abort(spare_checkpoints=[]).xcom("abort")["aborted"] == 1


def test_checkpoints_in_a_folder_spare_their_uploads(
    abort: Any, old_upload: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    (tmp_path / f"{KEY}.json").write_text(a_checkpoint(old_upload("kept")))
    old_upload("stale")

    report = abort(spare_checkpoints=f"file:{tmp_path}").xcom("abort")

    assert left(oss) == {"kept"}
    assert report["kept_checkpointed"] == 1


def test_several_stores_may_be_named_and_each_may_be_a_template(
    abort: Any, old_upload: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    for folder, key in (("one", "a"), ("two", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{KEY}.json").write_text(a_checkpoint(old_upload(key)))

    abort(spare_checkpoints=[f"file:{tmp_path}/one", f"file:{tmp_path}/{{{{ 'two' }}}}"])

    assert left(oss) == {"a", "b"}


def test_where_no_task_can_list_variables_age_alone_decides_and_the_log_says_so(
    abort: Any, old_upload: Any, oss: LocalOSS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    monkeypatch.setattr(_airflow, "can_list_variables", lambda: False)  # as on Airflow 3.0 to 3.2
    old_upload("stale")

    assert abort().xcom("abort")["aborted"] == 1

    line = "No checkpoints were read; only older_than protects uploads"
    assert caplog.messages.count(line) == 1


def test_outside_a_task_age_alone_decides(old_upload: Any, oss: LocalOSS) -> None:
    old_upload("stale")

    report = OSSResumeHook().abort_stale_uploads(BUCKET, staleness=Staleness(timedelta(days=7)), dry_run=False)

    assert report.fates == {"aborted": 1}


@needs_listing
def test_nothing_is_aborted_when_the_variables_cannot_be_read(
    abort: Any, old_upload: Any, oss: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("the database is down")

    set_variable(f"ossresume-{KEY}", a_checkpoint(old_upload("kept")))
    monkeypatch.setattr(_airflow, "get_variable", fail)
    seen: list[BaseException] = []

    done = abort(on_failure_callback=lambda context: seen.append(context["exception"]))

    assert done.instance("abort")[0] == "failed"
    assert "the database is down" in str(seen[0])
    assert left(oss) == {"kept"}


def test_nothing_is_aborted_when_the_folder_is_not_on_this_worker(
    abort: Any, old_upload: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    old_upload("kept")
    seen: list[BaseException] = []

    done = abort(
        spare_checkpoints=f"file:{tmp_path}/typo",
        retries=1,
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )

    assert done.instance("abort") == ("failed", 2)  # another worker may have it
    assert "this folder does not exist on this worker" in str(seen[0])
    assert left(oss) == {"kept"}


def test_nothing_is_aborted_when_a_checkpoint_in_the_folder_cannot_be_read(
    abort: Any, old_upload: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    old_upload("kept")
    (tmp_path / f"{KEY}.json").mkdir()

    assert abort(spare_checkpoints=f"file:{tmp_path}").instance("abort")[0] == "failed"

    assert left(oss) == {"kept"}


@pytest.mark.parametrize("choice", ["", "task_state", "xcom", "memory", "redis", "my.Store", None, ["variable", ""]])
def test_a_store_that_cannot_be_listed_is_refused_and_nothing_is_aborted(
    abort: Any, old_upload: Any, oss: LocalOSS, choice: Any
) -> None:
    old_upload("kept")
    seen: list[BaseException] = []

    done = abort(
        spare_checkpoints=choice, retries=2, on_failure_callback=lambda context: seen.append(context["exception"])
    )

    assert done.instance("abort") == ("failed", 1)
    assert "spare_checkpoints=" in str(seen[0]) or "checkpoint=" in str(seen[0])
    assert left(oss) == {"kept"}


def test_a_cleanup_of_files_takes_what_interrupted_saves_have_left(dag: Any, tmp_path: Path) -> None:
    from airflow_provider_ossresume.operators.janitor import OSSCheckpointCleanupOperator
    from tests.airflow import runs

    temporary = tmp_path / f".{KEY}.ab1_cd2e"
    temporary.write_text("{half of a check")
    for name in (f".{KEY}.short", f".{KEY[1:]}.ab1_cd2e", "notes"):
        (tmp_path / name).write_text("another's")
    with dag:
        for task_id, age, is_dry in (("looked", 0.001, True), ("young", "1d", False), ("done", 0.001, False)):
            OSSCheckpointCleanupOperator(
                task_id=task_id, checkpoint=f"file:{tmp_path}", older_than=age, is_dry_run=is_dry, retries=0
            )
    dag.get_task("looked") >> dag.get_task("young") >> dag.get_task("done")

    run = runs.run(dag)

    assert [run.xcom(task)["temporary_files"] for task in ("looked", "young", "done")] == [1, 0, 1]
    assert sorted(os.listdir(tmp_path)) == sorted([f".{KEY}.short", f".{KEY[1:]}.ab1_cd2e", "notes"])


@pytest.mark.parametrize("place", ["oss", "disk"])
def test_the_uploads_of_large_files_that_a_work_folder_names_are_kept(
    abort: Any, old_upload: Any, oss: LocalOSS, tmp_path: Path, place: str
) -> None:
    where = f"oss://{BUCKET}/work/" if place == "oss" else str(tmp_path / "work")
    checkpoints = WorkFolderCheckpoints(open_work_folder(where, a_client(oss)))
    checkpoints.save(KEY, a_checkpoint(old_upload("kept")))
    old_upload("stale")

    report = abort(spare_checkpoints=f"work_folder:{where}").xcom("abort")

    assert left(oss) == {"kept"}
    assert (report["aborted"], report["kept_checkpointed"]) == (1, 1)
