"""The sensor and the operators of the official Alibaba provider, and their replacements.

When to use it: your DAGs use ``apache-airflow-providers-alibaba``, and you want their transfers to resume. Connection
and arguments stay the same; only the names of the classes change. You can install both providers, and migrate task by
task. The page "Migrating" in the docs lists the differences.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

# from airflow.providers.alibaba.cloud.operators.oss import OSSDownloadObjectOperator, OSSUploadObjectOperator
# from airflow.providers.alibaba.cloud.sensors.oss_key import OSSKeySensor
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor

with DAG(
    dag_id="example_migrate_from_alibaba",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"bucket": "my-bucket", "folder": "/data"},
    tags=["oss", "example"],
) as dag:
    # wait = OSSKeySensor(
    wait = OSSObjectSensor(
        task_id="wait",
        bucket_key="incoming/orders.csv",
        region="cn-hangzhou",
        bucket_name="{{ params.bucket }}",
    )
    # download = OSSDownloadObjectOperator(
    download = OSSResumableDownloadOperator(
        task_id="download",
        key="incoming/orders.csv",
        file="{{ params.folder }}/orders.csv",
        region="cn-hangzhou",
        bucket_name="{{ params.bucket }}",
    )
    # upload = OSSUploadObjectOperator(
    upload = OSSResumableUploadOperator(
        task_id="upload",
        key="archive/orders.csv",
        file="{{ params.folder }}/orders.csv",
        region="cn-hangzhou",
        bucket_name="{{ params.bucket }}",
    )
    wait >> download >> upload
