"""As the DAG `transfer`, but a failed task waits an hour: a test gives the upload another ID meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator

TRANSFER = {
    "checkpoint": "variable",
    "transfer_config": {"part_size": "1MiB", "max_concurrency": 2, "checkpoint_interval": 0},
    "retries": 2,
    "retry_delay": timedelta(hours=1),
}

with DAG("renamed", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    upload = OSSResumableUploadOperator(
        task_id="upload", file="{{ dag_run.conf.source }}", key="oss://bucket/{{ dag_run.conf.key }}", **TRANSFER
    )
    OSSResumableDownloadOperator(task_id="download", key=upload.output, file="{{ dag_run.conf.target }}", **TRANSFER)
