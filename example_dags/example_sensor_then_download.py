"""Wait until another system has written its objects, then download one of them.

When to use it: a partner delivers a file and a marker such as ``_SUCCESS``, some time during the day. The sensor is
deferrable, so it occupies no worker while it waits. If a permission or the bucket is missing, it fails at the first
check.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor

with DAG(
    dag_id="example_sensor_then_download",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={"bucket": "my-bucket", "prefix": "incoming", "file": "/data/incoming/orders.csv"},
    tags=["oss", "example"],
) as dag:
    wait = OSSObjectSensor(
        task_id="wait",
        bucket_key=["{{ params.prefix }}/orders.csv", "{{ params.prefix }}/_SUCCESS"],
        bucket_name="{{ params.bucket }}",
        deferrable=True,
        poke_interval=60,
        timeout=timedelta(hours=12).total_seconds(),
    )
    download = OSSResumableDownloadOperator(
        task_id="download",
        key="{{ params.prefix }}/orders.csv",
        bucket_name="{{ params.bucket }}",
        file="{{ params.file }}",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    wait >> download
