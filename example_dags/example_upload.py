"""Upload one file. A retry sends only the missing parts.

When to use it: a task uploads a large local file to OSS, such as a nightly export, and must not start again if its
worker is lost. The parts that a try has sent are kept, whatever ended the try. The retry may run on another worker that
has the same file.
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
        # One key per run, so that a backfill does not overwrite the object of another run.
        key="exports/{{ run_id }}.csv",
        bucket_name="{{ params.bucket }}",
        metadata={"dag-id": "{{ dag.dag_id }}", "run-id": "{{ run_id }}"},
        storage_class="IA",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
