"""Download one object, or do nothing if the file already has the same bytes.

When to use it: many runs need a large reference file, such as a model or a dictionary, on the same disk. The file
appears under its name only when it is complete. In a shared folder, a retry on any worker resumes from the part file.
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
        """Use the file. Its path is the return value of the download."""
        return Path(path).stat().st_size

    use(download.output)
