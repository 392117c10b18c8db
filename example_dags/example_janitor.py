"""Remove, once a day, what failed tasks have left in a bucket or on a disk and nobody will go on with.

When you want it: uploads of tasks that failed for good, or whose DAG is gone, keep their parts, and those cost storage
until somebody aborts them. A lifecycle rule of the bucket does that by itself; this DAG is for buckets whose rules are
not yours to set, for a report of what is there, for the checkpoints that go with the uploads, and for the hidden part
files of downloads. It removes nothing before you run it with ``is_dry_run`` switched off.

The third task runs on a worker that has the folder; with several workers give it a ``queue``.

On Airflow 3.0 to 3.2 no task can list Variables: give the parameter ``checkpoints`` a ``file:FOLDER`` there, or leave
the second task out.
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
