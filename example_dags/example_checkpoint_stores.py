"""Choose where checkpoints are kept: the default, a Variable, an XCom of another task, or files.

When to use it: rarely, because the default ``auto`` chooses the best store of your Airflow: the task state store on
3.3, a Variable on the other versions. Choose ``variable`` for the same store on Airflow 2.11 and 3.x, ``xcom`` if tasks
cannot write Variables, and ``file`` if workers share a folder and you want to keep checkpoints out of Airflow's
database. The page "Choose a checkpoint store" in the docs shows what each store survives.
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
        """Hold the checkpoint of ``by_xcom`` in an XCom of this task.

        Airflow deletes a task's XComs when the task starts, so a task cannot hold its own checkpoint for a retry. Any
        other task of the run can hold it, even an EmptyOperator.
        """

    by_default = upload("by_default")
    by_variable = upload("by_variable", checkpoint="variable")
    by_xcom = upload("by_xcom", checkpoint="xcom", xcom_holder_task_id="done")
    by_file = upload("by_file", checkpoint="file:{{ params.checkpoints }}")
    [by_default, by_variable, by_xcom, by_file] >> done()
