"""Copy an object into another storage class when it is there, and tell how it went.

When you want it: exports that are read for a week and kept for years, or a release that goes from a staging bucket
into a public one. OSS moves the bytes, so the worker needs neither disk nor bandwidth, and a retry copies only the
parts that are missing. Metadata and tags go along; here the copy gets tags of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor

with DAG(
    dag_id="example_copy",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"source": "oss://my-bucket/exports/orders.parquet", "target": "oss://my-bucket/archive/orders.parquet"},
    tags=["oss", "example"],
) as dag:
    wait = OSSObjectSensor(task_id="wait", bucket_key="{{ params.source }}")

    archive = OSSCopyObjectOperator(
        task_id="archive",
        source="{{ params.source }}",
        target="{{ params.target }}",
        storage_class="IA",
        tagging_directive="replace",
        tags={"archived-by": "{{ dag.dag_id }}"},
        if_exists="skip_if_same",
    )

    wait >> archive
