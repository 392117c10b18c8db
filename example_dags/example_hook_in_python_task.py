"""Use the hook in a Python task: list, upload and share, with decisions between.

When you want it: what is to be transferred is known only at run time, or several small steps belong together. Inside
a task the hook finds the run by itself, so an upload resumes at a retry just as the operator's does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

with DAG(
    dag_id="example_hook_in_python_task",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"folder": "/data/reports", "bucket": "my-bucket"},
    tags=["oss", "example"],
) as dag:

    @task
    def upload_new_reports(params: dict) -> list[str]:
        """Upload the reports that OSS has not yet; return their keys."""
        # Imported here: the DAG file is parsed every few seconds and needs no HTTP client for that.
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook(transfer_config={"max_concurrency": 4})
        known = set(hook.list_keys(params["bucket"], prefix="reports/"))
        uploaded = []
        for file in sorted(Path(params["folder"]).glob("*.pdf")):
            key = f"reports/{file.name}"
            if key not in known:
                result = hook.upload_file(file, key, params["bucket"])
                print(f"{key}: {result.parts_kept} parts kept, {result.parts_sent} sent")  # noqa: T201  the task's log
                uploaded.append(key)
        return uploaded

    @task
    def count(keys: list[str], params: dict) -> int:
        """Ask OSS for the size of each report that is new; return the bytes."""
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook()
        return sum(hook.head_object(key, params["bucket"]).size for key in keys)

    count(upload_new_reports())
