"""Write files, upload each in its own mapped task, and publish them only when all are uploaded.

When to use it: each step of an ETL must be safe to retry, alone and at any time. Each mapped upload has its own
checkpoint, so a failed one resumes and the others are not touched. Readers wait for the marker ``_SUCCESS``. It is
written last, so they never see an incomplete run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

with DAG(
    dag_id="example_retry_safe_etl",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"folder": "/shared/etl", "bucket": "my-bucket", "tables": ["orders", "customers"]},
    tags=["oss", "example"],
) as dag:

    @task
    def extract(params: dict, run_id: str) -> list[dict[str, str]]:
        """Write one file for each table, and return the arguments of each upload."""
        folder = Path(params["folder"]) / run_id
        folder.mkdir(parents=True, exist_ok=True)
        uploads = []
        for table in params["tables"]:
            file = folder / f"{table}.csv"
            file.write_text("".join(f"{number},{table}\n" for number in range(100_000)))
            uploads.append({"file": str(file), "key": f"etl/{run_id}/{table}.csv"})
        return uploads

    load = OSSResumableUploadOperator.partial(
        task_id="load",
        bucket_name="{{ params.bucket }}",
        transfer_config={
            "part_size": "256KiB",
            "multipart_threshold": "256KiB",
        },  # for this example, whose files are small
    ).expand_kwargs(extract())

    @task
    def list_uploads(uris: list[str], params: dict, run_id: str) -> str:
        """Write the list of uploaded objects to a file, and return its path."""
        marker = Path(params["folder"]) / run_id / "_SUCCESS"
        marker.write_text("\n".join(uris))
        return str(marker)

    OSSResumableUploadOperator(
        task_id="publish",
        file=list_uploads(load.output),
        key="etl/{{ run_id }}/_SUCCESS",
        bucket_name="{{ params.bucket }}",
    )
