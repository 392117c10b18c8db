"""Move a file with Airflow's own ``FileTransferOperator``, to OSS and on to any other storage.

When to use it: the other side is S3, GCS, Azure or SFTP, and its provider supports ``ObjectStoragePath``. Local
files are transferred part by part. Between two stores the bytes go through the worker, with limited memory, and a retry
starts from the beginning.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

with DAG(
    dag_id="example_file_transfer",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"source": "/data/export.csv", "object": "oss://my-bucket/export.csv", "target": "/data/copy.csv"},
    tags=["oss", "example"],
) as dag:
    # On Airflow 2.11, set the connection here: the operator ignores a connection in the URL.
    upload = FileTransferOperator(
        task_id="upload",
        src="file://{{ params.source }}",
        dst="{{ params.object }}",
        dest_conn_id="oss_default",
        overwrite=True,
    )
    download = FileTransferOperator(
        task_id="download",
        src="{{ params.object }}",
        source_conn_id="oss_default",
        dst="file://{{ params.target }}",  # or s3://bucket/key, with dest_conn_id="aws_default"
        overwrite=True,
    )
    upload >> download
