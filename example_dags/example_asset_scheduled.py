"""Start when an object is new, and download the very bytes that its event announced.

When you want it: work that belongs to the data and not to a time of the day. The event's extra says what the upload
knew, so there is no sensor to hold a slot and no look at OSS before the download. Should the object have been replaced
since, its ETag tells. ``example_asset_upload`` is the DAG that writes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_ossresume.assets.oss import create_asset
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator

orders = create_asset(bucket="my-bucket", key="exports/orders.csv")

with DAG(
    dag_id="example_asset_scheduled",
    start_date=datetime(2026, 1, 1),
    schedule=[orders],
    catchup=False,
    params={"file": "/data/incoming/orders.csv"},
    tags=["oss", "example"],
) as dag:

    @task(inlets=[orders])
    def newest(inlet_events: Any) -> dict[str, Any]:
        """Return what the newest event says. No None is in it: Airflow 3.0 cannot push that as an XCom."""
        extra = inlet_events[orders][-1].extra
        return {name: extra[name] for name in ("uri", "size", "etag", "crc64")}

    @task
    def check(announced: dict[str, Any], arrived: dict[str, Any]) -> str:
        """Return the file's path, unless another object has come in between."""
        if announced["etag"] != arrived["etag"]:
            raise ValueError(f"{announced['uri']} was replaced since the event; its next event starts this DAG again")
        return str(arrived["file"])

    announced = newest()
    download = OSSResumableDownloadOperator(
        task_id="download",
        key=announced["uri"],
        file="{{ params.file }}",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    check(announced, download.output["report"])
