"""Runs for test_secrets.py, in a process whose every word is kept: tasks that pass, fail, resume, wait and get nowhere.

Prints the state of each task as its last line of stdout.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from tests.airflow.runs import Call, run
from tests.world import BUCKET, PART, a_file

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
BY_CONNECTION = ("wrong_secret", "wrong_token", "wrong_proxy", "no_proxy", "takes_role", "wrong_role", "no_sts",
                 "wrong_oidc", "asks_uri", "no_uri")  # fmt: skip
TASKS = ("passes", "comes_back", "waits", "stays_away", *BY_CONNECTION, "shows_itself")


def main(folder: Path) -> dict[str, Any]:
    source = str(a_file(folder))
    with DAG(
        "of_secrets",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        default_args={"retries": 1, "retry_delay": timedelta(0)},
    ) as dag:
        up: dict[str, Any] = {
            "file": source,
            "bucket_name": BUCKET,
            "transfer_config": CONFIG,
            "checkpoint": "variable",
        }
        passes = OSSResumableUploadOperator(task_id="passes", key="key", **up)
        passes >> OSSResumableDownloadOperator(
            task_id="comes_back", key="key", file=str(folder / "target"), bucket_name=BUCKET, transfer_config=CONFIG
        )
        passes >> OSSObjectSensor(task_id="waits", bucket_key="later", bucket_name=BUCKET, deferrable=True,
                                  poke_interval=0.01)  # fmt: skip
        OSSResumableUploadOperator(task_id="stays_away", key="broken", retries=0, **up)
        for task_id in BY_CONNECTION:
            OSSResumableUploadOperator(task_id=task_id, key=task_id, oss_conn_id=task_id, retries=0, **up)
        Call(task_id="shows_itself", function=show, retries=0)
    done = run(dag)
    return {task_id: done.instance(task_id) for task_id in TASKS}


def show(_: Any) -> str:
    """What a curious author might log and return."""
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    hook = OSSResumeHook()
    client = hook.get_conn()
    shown = [hook, vars(hook), hook.settings, client, hook.settings.credentials(), hook.test_connection()]
    shown.append(hook.settings.credentials().get())
    for conn_id in BY_CONNECTION:
        try:
            other = OSSResumeHook(conn_id)
            shown += [vars(other), other.settings, other.settings.credentials(), other.test_connection(), other.conn]
        except OSSResumeError as error:
            shown += [error, vars(error)]
    hook.generate_presigned_url("key", bucket_name=BUCKET, expires=60)  # made, and shown to nobody
    print(*shown, sep="\n")
    return repr(shown)


if __name__ == "__main__":
    states = main(Path(sys.argv[1]))
    print(json.dumps(states))
