"""Create a bucket for one run, write to it without a local file, and delete it with its contents.

When to use it: a pipeline needs temporary storage for one run. The bucket is deleted even if the work fails.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.operators.buckets import OSSCreateBucketOperator, OSSDeleteBucketOperator

BUCKET = "scratch-{{ dag_run.conf.get('name', ds) }}"

with DAG(
    dag_id="example_scratch_bucket",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["oss", "example"],
) as dag:
    make = OSSCreateBucketOperator(task_id="make", bucket_name=BUCKET)

    @task
    def work(bucket: str) -> dict:
        """Write an object from a stream and another from a string, tag the first, and return the sizes of both."""
        import io

        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook()
        rows = io.BytesIO(b"day,orders\n" * 1000)  # in your DAG, an HTTP response or a database export
        hook.load_file_obj(rows, f"{bucket}/rows.csv", replace=True, content_type="text/csv")
        hook.load_string("done", f"{bucket}/state.txt", replace=True)
        hook.put_object_tagging(f"{bucket}/rows.csv", {"keep": "no"})
        return {entry.key: entry.size for entry in hook.iter_file_metadata(f"{bucket}/")}

    remove = OSSDeleteBucketOperator(
        task_id="remove",
        bucket_name=BUCKET,
        force_delete=True,
        trigger_rule="all_done",
    )

    work(make.output) >> remove
