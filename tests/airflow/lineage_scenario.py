"""Runs for test_openlineage.py, in a process whose OpenLineage listener writes to a file.

Its argument is a folder: the local files go there, and ``states.json`` with the state of each task.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.folders import (
    OSSCopyPrefixOperator,
    OSSDownloadPrefixOperator,
    OSSUploadFolderOperator,
)
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.operators.sets import oss_transfer_group
from tests.airflow.runs import run
from tests.world import BUCKET, a_file

ODD = "a folder/50%?#+=é.bin"  # a key, and a file's name
TASKS = (
    "by_hook", "copies", "upload", "download", "skips", "denied", "copy",
    "publish", "fetch", "copy_prefix", "dry_run", "publish_denied", "many_by_hook", "move.finish", "move_denied.finish",
)  # fmt: skip


def main(folder: Path) -> None:
    source = a_file(folder)
    many = folder / "many é"
    many.mkdir()
    for name, size in (("a", 10), ("b", 20)):
        a_file(many, name=name, size=size)
    with DAG("of_lineage", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:

        @task
        def by_hook() -> None:
            hook = OSSResumeHook()
            hook.upload_file(source, ODD)
            hook.download_file(f"oss://{BUCKET}/{ODD}", folder / "from hook" / "year=2026" / "é")

        @task
        def copies() -> None:
            OSSResumeHook().copy_object(ODD, f"{ODD} copy")

        # The first, since in one process the collector still holds what tasks before it have reported.
        first = by_hook()
        upload = OSSResumableUploadOperator(
            task_id="upload", file="{{ params.folder }}/source.bin", key=ODD, bucket_name="{{ params.bucket }}"
        )
        download = OSSResumableDownloadOperator(task_id="download", key=ODD, file=str(folder / ODD))
        skips = OSSResumableUploadOperator(
            task_id="skips", file=str(source), key=f"oss://{BUCKET}/{ODD}", if_exists="skip"
        )
        denied = OSSResumableUploadOperator(task_id="denied", file=str(source), key="denied", bucket_name=BUCKET)
        copy = OSSCopyObjectOperator(
            task_id="copy", source=f"oss://{BUCKET}/{ODD}", target=f"{ODD} copy", bucket_name="{{ params.bucket }}"
        )
        first >> upload >> download >> copy >> skips >> denied
        first >> copies()

        @task
        def many_by_hook() -> None:
            hook = OSSResumeHook()
            hook.load_string("text", "loaded é", BUCKET)
            hook.upload_folder(many, "by hook", BUCKET)
            hook.download_prefix(f"oss://{BUCKET}", folder / "whole bucket", include=["by hook/*"])
            hook.upload_folder(many, "dry", BUCKET, is_dry_run=True)

        publish = OSSUploadFolderOperator(
            task_id="publish", folder="{{ params.folder }}/many é/", prefix="raw?", bucket_name="{{ params.bucket }}"
        )
        fetch = OSSDownloadPrefixOperator(task_id="fetch", prefix="raw?/", folder=str(folder / "fetched"))
        copy_prefix = OSSCopyPrefixOperator(
            task_id="copy_prefix", source=f"oss://{BUCKET}/raw?/", target=f"oss://{BUCKET}/copies"
        )
        dry_run = OSSUploadFolderOperator(
            task_id="dry_run", folder=str(many), prefix=f"oss://{BUCKET}/dry/", is_dry_run=True
        )
        move = oss_transfer_group("move", source=str(many), target=f"oss://{BUCKET}/moved/")
        publish_denied = OSSUploadFolderOperator(
            task_id="publish_denied", folder=str(many), prefix=f"oss://{BUCKET}/denied/"
        )
        move_denied = oss_transfer_group("move_denied", source=str(many), target=f"oss://{BUCKET}/denied/")
        first >> publish >> [fetch, copy_prefix, dry_run, many_by_hook(), move, publish_denied, move_denied]
    dag.params.update({"folder": str(folder), "bucket": BUCKET})
    done = run(dag)
    states = {task_id: done.instance(task_id)[0] for task_id in TASKS}
    (folder / "states.json").write_text(json.dumps(states))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
