"""Download one object, and do nothing when the file is there and holds the same bytes.

When you want it: a large reference file, such as a model or a dictionary, that many runs need on the same disk. The
file appears under its name at once and whole, so a reader never sees half of it. On a shared folder a retry goes on
from the part file on any worker.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator

with DAG(
    dag_id="example_download",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={"object": "oss://my-bucket/models/current.bin", "folder": "/shared/models"},
    tags=["oss", "example"],
) as dag:
    download = OSSResumableDownloadOperator(
        task_id="download",
        key="{{ params.object }}",
        file="{{ params.folder }}/current.bin",
        if_exists="skip_if_same",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )

    @task
    def use(path: str) -> int:
        """Stand for whatever needs the file; it gets the path that the download returns."""
        return Path(path).stat().st_size

    use(download.output)
