"""Publish a folder to OSS, and fetch it on another worker, each in one task.

When to use it: a daily export is a folder of files. Each task compares both sides, moves only what is missing, and
succeeds only if every file is proven to be there. A retry resumes: finished files are skipped, and a large file
continues part by part.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.folders import OSSDownloadPrefixOperator, OSSUploadFolderOperator

with DAG(
    dag_id="example_folders",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"folder": "/data/export", "prefix": "oss://my-bucket/raw/", "scratch": "/scratch/raw"},
    tags=["oss", "example"],
) as dag:
    publish = OSSUploadFolderOperator(
        task_id="publish",
        folder="{{ params.folder }}",
        prefix="{{ params.prefix }}",
        exclude=["**/*.tmp"],
    )

    fetch = OSSDownloadPrefixOperator(task_id="fetch", prefix="{{ params.prefix }}", folder="{{ params.scratch }}")

    publish >> fetch
