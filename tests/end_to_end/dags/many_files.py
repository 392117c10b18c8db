"""A folder goes to OSS in batches, as many at once as the executor runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.sets import oss_transfer_group

with DAG("many_files", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    oss_transfer_group(
        "move",
        source="{{ dag_run.conf['source'] }}",
        target="{{ dag_run.conf['target'] }}",
        work_folder="{{ dag_run.conf['work_folder'] }}",
        transfer_config={"read_timeout": 600},  # what is held in its middle is not to be sent anew
        batch_files="{{ dag_run.conf['batch_files'] }}",
        default_args={"retries": 3, "retry_delay": timedelta(0)},
    )
