"""Uploads every file of the folder that the run's conf names, each in a task instance of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, BaseOperator, Context

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator


class ListOperator(BaseOperator):
    """Returns the arguments of the uploads."""

    def execute(self, context: Context) -> list[dict[str, str]]:
        files = sorted(Path(context["dag_run"].conf["source"]).iterdir())
        return [{"file": str(file), "key": f"oss://bucket/mapped/{file.name}"} for file in files]


with DAG("mapped", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, max_active_tasks=50):
    OSSResumableUploadOperator.partial(
        task_id="upload",
        checkpoint="variable",
        transfer_config={"part_size": "1MiB", "multipart_threshold": "1MiB", "max_concurrency": 1, "part_retries": 0},
        retries=2,
        retry_delay=timedelta(0),
    ).expand_kwargs(ListOperator(task_id="list").output)
