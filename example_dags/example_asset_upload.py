"""Upload an object, and start every DAG that is scheduled on it.

When to use it: one team writes data, others read it, and the writer need not know who reads. The object is an asset in
the task's outlets, so Airflow starts all DAGs that are scheduled on it. The event has the object's size, ETag and
CRC-64. ``example_asset_scheduled`` is such a DAG.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.assets.oss import create_asset
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

BUCKET, KEY = "my-bucket", "exports/orders.csv"

with DAG(
    dag_id="example_asset_upload",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={"file": "/data/orders.csv"},
    tags=["oss", "example"],
) as dag:
    OSSResumableUploadOperator(
        task_id="upload",
        file="{{ params.file }}",
        key=KEY,
        bucket_name=BUCKET,
        outlets=[create_asset(bucket=BUCKET, key=KEY)],
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
