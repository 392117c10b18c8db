"""Upload in parts that go out one at a time, wait for the object, and download it again."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor

with DAG(
    dag_id="smoke",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={"source": "/data/in.bin", "key": "oss://bucket/key", "target": "/data/out.bin"},
) as dag:
    upload = OSSResumableUploadOperator(
        task_id="upload",
        file="{{ params.source }}",
        key="{{ params.key }}",
        transfer_config={
            "part_size": "1MiB",
            "multipart_threshold": "1MiB",
            "max_concurrency": 1,
            "part_retries": 0,  # so that one failure of a part ends the try
        },
        retries=1,
        retry_delay=timedelta(0),
    )
    wait = OSSObjectSensor(task_id="wait", bucket_key="{{ params.key }}", poke_interval=1, timeout=60)
    download = OSSResumableDownloadOperator(task_id="download", key="{{ params.key }}", file="{{ params.target }}")
    upload >> wait >> download
