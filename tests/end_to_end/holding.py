"""A transfer that stands still in its middle, for whatever a test does to it or to Airflow there."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.hooks.progress import PROGRESS_KEY
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import Task, checkpoints_of, fetched_parts, finished_parts, sent_parts
from tests.end_to_end.processes import wait_until
from tests.world import a_client, some_bytes

PARTS = 20
CONTENT = some_bytes(PARTS * MIB, seed=11)
RUN_SECONDS = 240
HOLD_SECONDS = 180  # longer than Airflow takes for whatever it does meanwhile
OF_A_PART = {"upload": "UploadPart", "download": "GetObject"}


class Held:
    """Holds the nth call for a part of an object and all later ones until it is let go; for a LocalOSS's `on_request`.

    The object has the run's ID for a key.

    :ivar reached: set when the nth call has come
    :ivar let_go: to be set when the calls may go on
    """

    def __init__(self, task: Task, *, nth: int = PARTS // 2) -> None:
        self.task = task
        self.nth = nth
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self._calls = itertools.count(1)

    def __call__(self, request: Request) -> None:
        if is_of_a_part(request, self.task) and next(self._calls) >= self.nth:
            self.reached.set()
            self.let_go.wait(HOLD_SECONDS)


@contextmanager
def a_held_transfer(
    airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task, *, checkpoint: str = "auto"
) -> Iterator[Held]:
    """Trigger a run of the DAG `transfer`, and begin the block when half of the task's parts are through.

    The block may let go before its end.
    """
    held = Held(task)
    oss.on_request = held
    try:
        trigger(airflow, folder, task, checkpoint=checkpoint)
        assert held.reached.wait(RUN_SECONDS), airflow.diagnosis()
        wait_until(lambda: kept_parts(airflow, oss, task), timeout=180, what="parts that a next try can keep")
        yield held
    finally:
        held.let_go.set()
        oss.on_request = None


def trigger(airflow: RealAirflow, folder: Path, task: Task, *, checkpoint: str = "auto", **more: str) -> None:
    """Begin a run that uploads the folder's `source` to the key that is the run's ID, and downloads it to `target`."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(CONTENT)
    conf = {"source": str(source), "target": str(target), "key": task.run_id, "checkpoint": checkpoint, **more}
    airflow.trigger(task.dag_id, run_id=task.run_id, conf=conf)


def kept_parts(airflow: RealAirflow, oss: LocalOSS, task: Task) -> set[int]:
    """Return the numbers of the parts that a try which began now would keep: OSS has them, or the checkpoint."""
    if task.task_id == "download":
        return finished_parts(checkpoints_of(airflow, *task[:2], key=task.run_id))
    client, target = a_client(oss), ObjectRef("bucket", task.run_id)
    uploads = [upload_id for key, upload_id in oss.uploads("bucket") if key == task.run_id]
    return {part.number for upload_id in uploads for part in client.list_parts(target, upload_id)}


def progress_of(airflow: RealAirflow, task: Task) -> dict[str, Any]:
    """Return what the task shows of its transfer, empty when that is nothing yet."""
    found: dict[str, Any] = {**airflow.xcoms(*task[:3]), **airflow.task_states(*task[:3])}.get(PROGRESS_KEY, {})
    return found


def is_of_a_part(request: Request, task: Task) -> bool:
    return bool(moved_parts([request], task))


def moved_parts(requests: Sequence[Request], task: Task) -> list[int]:
    """Return the numbers of the parts that somebody began to move, repetitions included."""
    if task.task_id == "upload":
        return sent_parts(requests, task.run_id)
    return fetched_parts(requests, task.run_id, part_size=MIB)


def assert_delivered(airflow: RealAirflow, oss: LocalOSS, folder: Path, task: Task, *, uploads_left: int = 0) -> None:
    """The run is a success, the bytes are right at both ends, and nothing is left but uploads that nobody knows."""
    assert airflow.wait_for_run(*task[:2], timeout=RUN_SECONDS) == "success"
    assert airflow.task_instance(*task).state == "success"
    assert oss.object("bucket", task.run_id) == CONTENT
    assert (folder / "target").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]
    assert checkpoints_of(airflow, *task[:2], key=task.run_id) == []
    assert len([key for key, _ in oss.uploads("bucket") if key == task.run_id]) == uploads_left
