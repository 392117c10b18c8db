"""DAGs whose XComs and task state lie where the configuration says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

DEFAULTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "default_args": {"retries": 1, "retry_delay": timedelta(0)},
}

with DAG("xcoms", schedule=None, **DEFAULTS):

    @task
    def make(params: dict[str, Any]) -> Any:
        return {"text": "x" * params["size"]}

    @task
    def count(made: dict[str, str]) -> int:
        return len(made["text"])

    count(make())

with DAG("task_state", schedule=None, **DEFAULTS):
    OSSResumableUploadOperator(
        task_id="upload",
        file="{{ params.file }}",
        key="oss://my-bucket/uploaded",
        checkpoint="task_state",
        transfer_config={"part_size": "1MiB", "multipart_threshold": "1MiB"},
    )

    @task
    def keep(task_state_store: Any = None) -> Any:
        """Keep a value, and return what is read back."""
        task_state_store.set("position", {"row": 7})
        return task_state_store.get("position")

    keep()
