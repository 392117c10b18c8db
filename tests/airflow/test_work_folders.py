"""The janitor in real tasks, and work folders of many files: what is old in them is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.operators.folders import OSSUploadFolderOperator
from airflow_provider_ossresume.operators.janitor import (
    OSSAbortMultipartUploadsOperator,
    OSSWorkFolderCleanupOperator,
)
from tests.airflow.runs import run
from tests.airflow.test_operators import endings
from tests.world import BUCKET

pytestmark = pytest.mark.usefixtures("database", "connected")

WORK = f"oss://{BUCKET}/work/"
AT_ONCE = 0.001


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    (root / "small").write_bytes(b"small")
    return root


def test_a_work_folder_that_is_not_there_spares_nothing_silently(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    seen: list[BaseException] = []
    with dag:
        OSSAbortMultipartUploadsOperator(
            task_id="abort", bucket_name=BUCKET, older_than="7d", retries=0, **endings(seen),
            spare_checkpoints=f"work_folder:{tmp_path / 'absent'}",
        )  # fmt: skip

    assert run(dag).instance("abort")[0] == "failed"
    assert "this folder does not exist on this worker" in str(seen[0])


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_old_plans_are_removed(dag: Any, connected: LocalOSS, folder: Path, is_dry_run: bool) -> None:
    with dag:
        OSSUploadFolderOperator(
            task_id="publish", folder=str(folder), prefix=f"oss://{BUCKET}/raw", work_folder=WORK
        ) >> OSSWorkFolderCleanupOperator(
            task_id="tidy", work_folder="{{ params.work }}", older_than="{{ params.age }}", is_dry_run=is_dry_run,
            params={"work": WORK, "age": "0.001"},
        )  # fmt: skip

    done = run(dag)

    assert done.instance("tidy") == ("success", 1)
    report = done.xcom("tidy")
    left = [key for key in connected.objects(BUCKET) if key.startswith("work/")]
    assert (report["removed"], report["would_remove"], bool(left)) == ((0, 1, True) if is_dry_run else (1, 0, False))
    assert connected.object(BUCKET, "raw/small") == b"small"


@pytest.mark.parametrize("nothing", [None, "", "relative", f"oss://{BUCKET}/"])
def test_a_work_folder_that_a_template_did_not_find_is_refused(dag: Any, connected: LocalOSS, nothing: Any) -> None:
    connected.put(BUCKET, "plans/20200101T000000Z-00000000/plan.json", b"of nobody")
    with dag:
        OSSWorkFolderCleanupOperator(task_id="tidy", work_folder=nothing, older_than=AT_ONCE, is_dry_run=False)

    assert run(dag).instance("tidy") == ("failed", 1)
    assert connected.calls("DeleteMultipleObjects") == []
