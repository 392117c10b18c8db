"""Upload a file and download it again, part by part.

When to use it: your files have several gigabytes, and a retry from the beginning would cost an hour. To try it, kill
the process of one of the tasks: the retry resumes from the finished parts. ``make demo`` runs this DAG and does that.

Run it with a configuration such as ``{"source": "/data/in.bin", "bucket": "my-bucket", "key": "demo/in.bin",
"target": "/data/out.bin"}``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator

with DAG(
    dag_id="example_resumable_transfer",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
    params={"source": "/data/in.bin", "bucket": "my-bucket", "key": "demo/in.bin", "target": "/data/out.bin"},
    tags=["oss", "example"],
) as dag:
    upload = OSSResumableUploadOperator(
        task_id="upload",
        file="{{ params.source }}",
        key="oss://{{ params.bucket }}/{{ params.key }}",
    )
    download = OSSResumableDownloadOperator(
        task_id="download",
        key=upload.output,
        file="{{ params.target }}",
    )
    upload >> download
