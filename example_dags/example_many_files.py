"""Mirror a shared folder to OSS with all of Airflow's workers, and continue only if every file is proven.

When to use it: one worker cannot move all the files in the time that you have. ``plan`` compares both sides and
splits what is missing into batches. A mapped task moves each batch, on any free worker. ``finish`` checks every file,
then deletes from the target what the source does not have. A batch that fails or is killed resumes with its retry.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.sets import oss_transfer_group

with DAG(
    dag_id="example_many_files",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    params={
        "source": "/mnt/nas/exports",
        "target": "oss://my-bucket/exports/",
        "work_folder": "oss://my-bucket/ossresume/",
    },
    tags=["oss", "example"],
) as dag:
    move = oss_transfer_group(
        "move",
        source="{{ params.source }}",
        target="{{ params.target }}",
        work_folder="{{ params.work_folder }}",
        mode="mirror",
        max_delete=100,
        max_active_tis_per_dagrun=8,
        default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    )
