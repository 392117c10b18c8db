"""Somebody edits a checkpoint's Variable between two tries: the next one says why it begins again, and is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.checkpoint_keys import TaskIds, checkpoint_keys
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.holding import PARTS, a_held_transfer, assert_delivered
from tests.end_to_end.killing import Task
from tests.world import a_client

pytestmark = pytest.mark.end_to_end

OTHER = ObjectRef("bucket", "something else")

EDITS: dict[str, tuple[str, Callable[[dict[str, Any]], str], str]] = {
    "garbage": ("upload", lambda _: "resume at part 7, please", "cannot be used: the stored text is not JSON"),
    "another shape": ("download", lambda _: '{"parts": [1, 2]}', "cannot be used: the stored JSON is not a checkpoint"),
    "a newer format": (
        "upload",
        lambda content: json.dumps({**content, "ossresume": 99}),
        "cannot be used: the checkpoint has format 99, and this version reads 1",
    ),
    "another object": (
        "download",
        lambda content: json.dumps({**content, "key": OTHER.key}),
        "cannot be used: it is of another transfer (something else)",
    ),
    "another upload ID": (
        "upload",
        lambda content: json.dumps({**content, "upload_id": content["the other"]}),
        "is gone (aborted, or removed by a lifecycle rule)",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_next_try_says_why_it_begins_again(
    airflow: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path, edit: str
) -> None:
    direction, edited, says = EDITS[edit]
    task = Task("transfer", "by-hand-" + edit.replace(" ", "-"), direction)
    client = a_client(airflow_oss)
    other = client.initiate(OTHER)
    with a_held_transfer(airflow, airflow_oss, tmp_path, task, checkpoint="variable"):
        process = airflow.task_process(*task).task
        process.suspend()  # or it would put its checkpoint back
        path = tmp_path / ("source" if direction == "upload" else "target")
        keys = checkpoint_keys(direction, ObjectRef("bucket", task.run_id), str(path), task=TaskIds(*task))
        name = f"ossresume-{keys.present}"
        content = json.loads(airflow.variables()[name])
        airflow.cli("variables", "set", name, edited({**content, "the other": other}))
        process.kill()

    # Nobody knows the upload any more that the lost checkpoint named: it is left to a lifecycle rule.
    assert_delivered(airflow, airflow_oss, tmp_path, task, uploads_left=int(direction == "upload"))
    assert (OTHER.key, other) in airflow_oss.uploads("bucket")
    assert says in airflow.task_log(*task[:3], 2)
    report = airflow.xcom(*task[:3], "report")
    assert (report["parts_kept"], report["parts_sent"], report["tries"]) == (0, PARTS, 2)
    client.abort(OTHER, other)
