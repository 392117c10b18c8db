"""Uploads a file and downloads it again; the run's conf says what, where, and in which store the checkpoint is kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, BaseOperator, Context

from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator

TRANSFER = {
    "oss_conn_id": "{{ dag_run.conf.get('oss_conn_id', 'oss_default') }}",
    "checkpoint": "{{ dag_run.conf.checkpoint }}",
    # So small that twenty parts are a matter of seconds, and saved so often that a kill finds something.
    "transfer_config": {"part_size": "1MiB", "max_concurrency": 2, "checkpoint_interval": 0},
    "retries": 2,
    "retry_delay": timedelta(0),
    "on_kill_action": "{{ dag_run.conf.get('at_the_end', 'keep') }}",
    "on_final_failure": "{{ dag_run.conf.get('at_the_end', 'keep') }}",
}


class LastOperator(BaseOperator):
    """Holds the XComs of the tasks before it."""

    def execute(self, context: Context) -> None:
        pass


with DAG("transfer", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    upload = OSSResumableUploadOperator(
        task_id="upload", file="{{ dag_run.conf.source }}", key="oss://bucket/{{ dag_run.conf.key }}", **TRANSFER
    )
    download = OSSResumableDownloadOperator(
        task_id="download", key=upload.output, file="{{ dag_run.conf.target }}", **TRANSFER
    )
    upload >> download >> LastOperator(task_id="last")
