"""Start when an object has been written, and download it. Fail if it was replaced since the event.

When to use it: the work depends on new data, not on a time of day. The event has the size, ETag and CRC-64 of the
object, so you need no sensor and no request to OSS before the download. If the object was replaced since the event, its
ETag differs from the one in the event. ``example_asset_upload`` is the DAG that writes the object.
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
        """Return what the other tasks need of the newest event.

        Its ``version_id`` is left out: it may be None, and Airflow 3.0 cannot push None as an XCom.
        """
        extra = inlet_events[orders][-1].extra
        return {name: extra[name] for name in ("uri", "size", "etag", "crc64")}

    @task
    def check(announced: dict[str, Any], arrived: dict[str, Any]) -> str:
        """Return the file's path, or fail if the object was replaced since the event."""
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
