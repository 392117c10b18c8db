"""Sensors that wait in the triggerer, each for something else, and beside them a trigger that is not ours."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Context
from somebody_elses import MeasureOperator

from airflow_provider_ossresume.sensors.oss import OSSObjectSensor

SILENT = 8
IN_THE_DATABASE = {"oss_conn_id": "oss_in_database"}
IN_THE_ENVIRONMENT = {"oss_conn_id": "oss_in_environment"}
AT_ONCE = timedelta(0)


def tell(context: Context) -> None:
    """Write down what a callback sees of a failure."""
    error: Any = context["exception"]
    cause = error.__cause__ or error
    facts = {"seen": type(error).__name__, "class": type(cause).__name__, **vars(cause)}
    folder = Path(context["dag_run"].conf["folder"])
    folder.joinpath(context["ti"].task_id).write_text(json.dumps(facts, default=str))


def by_the_policy() -> dict[str, Any]:
    """Return what makes the retry policy retry at once, and Airflow without it hours later; it comes with 3.3."""
    try:
        from airflow_provider_ossresume.policies.retry import OSSRetryPolicy
    except ImportError:
        return {"retry_delay": AT_ONCE}
    return {"retry_policy": OSSRetryPolicy(throttled_delay=AT_ONCE), "retry_delay": timedelta(hours=9)}


with DAG(
    "deferred",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={
        "bucket_name": "bucket",
        "deferrable": True,
        "poke_interval": 0.5,
        "timeout": 900,
        "retries": 2,
        "retry_delay": AT_ONCE,
        "on_failure_callback": tell,
        "on_retry_callback": tell,
    },
):
    MeasureOperator(task_id="somebody_elses")
    OSSObjectSensor.partial(task_id="silent", **IN_THE_DATABASE).expand(
        bucket_key=[f"silent/{number}" for number in range(SILENT)]
    )
    OSSObjectSensor(task_id="busy_once", bucket_key="busy_once", **IN_THE_ENVIRONMENT, **by_the_policy())
    OSSObjectSensor(task_id="busy", bucket_key="busy", **IN_THE_DATABASE, **by_the_policy())
    OSSObjectSensor(task_id="no_bucket", bucket_key="no_bucket", soft_fail=True, **IN_THE_ENVIRONMENT)
    OSSObjectSensor(task_id="never", bucket_key="never", **IN_THE_DATABASE, timeout=2)
    OSSObjectSensor(task_id="never_softly", bucket_key="never_softly", **IN_THE_ENVIRONMENT, timeout=2, soft_fail=True)
    OSSObjectSensor(task_id="never_fails", bucket_key="never_fails", **IN_THE_DATABASE, timeout=2, never_fail=True)
