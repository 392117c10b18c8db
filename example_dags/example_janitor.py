"""Once a day, remove what failed tasks have left in a bucket or on a disk.

When to use it: if a task has failed for good, or its DAG is gone, the parts of its unfinished upload cost storage until
someone aborts it. A lifecycle rule of the bucket can do that. Use this DAG if you cannot set lifecycle rules, if you
want a report, or to clean checkpoints and the hidden part files of downloads too. It removes nothing while the
parameter ``is_dry_run`` is true, the default.

The third task must run on the worker that has ``folder``. If you have several workers, set its ``queue``.

On Airflow 3.0 to 3.2 a task cannot list Variables. There, set the parameter ``checkpoints`` to ``file:FOLDER``, or
remove the second task.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.janitor import (
    OSSAbortMultipartUploadsOperator,
    OSSCheckpointCleanupOperator,
    OSSPartFileCleanupOperator,
)

with DAG(
    dag_id="example_janitor",
    start_date=datetime(2026, 1, 1),
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    params={
        "bucket": "my-bucket",
        "checkpoints": "variable",
        "folder": "/data/downloads",
        "older_than": "7d",
        "is_dry_run": True,
    },
    tags=["oss", "example"],
) as dag:
    OSSAbortMultipartUploadsOperator(
        task_id="abort_stale_uploads",
        bucket_name="{{ params.bucket }}",
        older_than="{{ params.older_than }}",
        count_bytes=True,
        is_dry_run="{{ params.is_dry_run }}",
        retries=2,
    )
    OSSCheckpointCleanupOperator(
        task_id="forget_checkpoints",
        checkpoint="{{ params.checkpoints }}",
        older_than="{{ params.older_than }}",
        gone_uploads=True,
        is_dry_run="{{ params.is_dry_run }}",
        retries=2,
    )
    OSSPartFileCleanupOperator(
        task_id="remove_part_files",
        folder="{{ params.folder }}",
        older_than="{{ params.older_than }}",
        recursive=True,
        is_dry_run="{{ params.is_dry_run }}",
        retries=2,
    )
