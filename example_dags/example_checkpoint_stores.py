"""Say where checkpoints are kept: by default, in a Variable, as an XCom of another task, or in files.

When you want it: hardly ever, since the default ``auto`` picks the best one that your Airflow has: the task state
store on 3.3, else a Variable. Choose ``variable`` to have the same on Airflow 2.11 and 3.x, ``xcom`` where tasks may
not write Variables, and ``file`` where workers share a folder and Airflow's database should be left alone. What each
survives stands in the docs, "Checkpoint stores".
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

with DAG(
    dag_id="example_checkpoint_stores",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"file": "/data/export.csv", "bucket": "my-bucket", "checkpoints": "/shared/checkpoints"},
    tags=["oss", "example"],
) as dag:

    def upload(name: str, **options: str) -> OSSResumableUploadOperator:
        return OSSResumableUploadOperator(
            task_id=name,
            file="{{ params.file }}",
            key=f"oss://{{{{ params.bucket }}}}/{name}.csv",
            **options,
        )

    @task
    def done() -> None:
        """Hold the checkpoint of ``by_xcom`` on this task's row, which Airflow clears only when this task starts.

        Any other task of the run could hold it, an EmptyOperator too: a task's own XComs are deleted at its retry.
        """

    by_default = upload("by_default")
    by_variable = upload("by_variable", checkpoint="variable")
    by_xcom = upload("by_xcom", checkpoint="xcom", xcom_holder_task_id="done")
    by_file = upload("by_file", checkpoint="file:{{ params.checkpoints }}")
    [by_default, by_variable, by_xcom, by_file] >> done()
