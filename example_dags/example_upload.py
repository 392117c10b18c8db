"""Upload one file; a retry sends only the parts that are missing.

When you want it: a task that pushes a large local file to OSS, such as a nightly export, and that must not begin at
zero when its worker is lost. What a first try has sent is kept whatever ended it, and the retry may run on another
worker that has the same file.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

with DAG(
    dag_id="example_upload",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={"file": "/data/export.csv", "bucket": "my-bucket"},
    tags=["oss", "example"],
) as dag:
    OSSResumableUploadOperator(
        task_id="upload",
        file="{{ params.file }}",
        # One key for each run, so that a backfill overwrites nothing of another run.
        key="exports/{{ run_id }}.csv",
        bucket_name="{{ params.bucket }}",
        metadata={"dag-id": "{{ dag.dag_id }}", "run-id": "{{ run_id }}"},
        storage_class="IA",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
