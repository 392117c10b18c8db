"""Wait for an object, copy it into another storage class, and report the result.

When to use it: exports that are read for a week and kept for years, or a release that goes from a staging bucket to a
public one. OSS copies the bytes, so the worker needs no disk space and no bandwidth. A retry copies only the missing
parts. Metadata and tags are copied too; this example sets its own tags.
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
