"""Use the hook in a Python task: list objects, upload new files, and read their sizes.

When to use it: you know only at run time what to transfer, or several small steps belong together. Inside a task the
hook finds the task instance itself, so a retry resumes the upload, as with the operator.
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
        """Upload the reports that are not on OSS yet. Return the keys of all reports: a retry returns the same keys."""
        # Imported here, because parsing the DAG file needs no HTTP client.
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook(transfer_config={"max_concurrency": 4})
        known = set(hook.list_keys(params["bucket"], prefix="reports/"))
        reports = {f"reports/{file.name}": file for file in sorted(Path(params["folder"]).glob("*.pdf"))}
        for key, file in reports.items():
            if key not in known:
                result = hook.upload_file(file, key, params["bucket"])
                print(f"{key}: {result.parts_kept} parts kept, {result.parts_sent} sent")  # noqa: T201  the task's log
        return list(reports)

    @task
    def count(keys: list[str], params: dict) -> int:
        """Return the total size of the reports, as OSS reports it."""
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook()
        return sum(hook.head_object(key, params["bucket"]).size for key in keys)

    count(upload_new_reports())
