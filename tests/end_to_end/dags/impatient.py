"""Uploads or downloads as the DAG `transfer` does, each in a few seconds or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator

TRANSFER = {
    "key": "oss://bucket/{{ dag_run.conf.key }}",
    "transfer_config": {"part_size": "1MiB", "max_concurrency": 2, "checkpoint_interval": 0},
    "execution_timeout": timedelta(seconds=6),
    "retries": 2,
    "retry_delay": timedelta(0),
}

with DAG("impatient", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    upload = OSSResumableUploadOperator(task_id="upload", file="{{ dag_run.conf.source }}", **TRANSFER)
    download = OSSResumableDownloadOperator(task_id="download", file="{{ dag_run.conf.target }}", **TRANSFER)
    upload >> download
