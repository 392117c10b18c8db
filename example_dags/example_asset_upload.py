"""Upload an object and let every DAG that waits for it start.

When you want it: one team writes and others read, and nobody should have to know when the others run. The object is
an asset among the task's outlets, so that Airflow starts whatever is scheduled on it. The event carries what the upload
knows of the object: its size, ETag and CRC-64. ``example_asset_scheduled`` is the DAG at the other end.
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
