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
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from tests.airflow.runs import run
from tests.world import BUCKET, a_file

ODD = "a folder/50%?#+=é.bin"  # a key, and a file's name
TASKS = ("by_hook", "copies", "upload", "download", "skips", "denied", "copy")


def main(folder: Path) -> None:
    source = a_file(folder)
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
    dag.params.update({"folder": str(folder), "bucket": BUCKET})
    done = run(dag)
    states = {task_id: done.instance(task_id)[0] for task_id in TASKS}
    (folder / "states.json").write_text(json.dumps(states))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
