"""An upload of many files stands still in its middle, and loses a worker there with all that runs in it."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import Request
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import Task
from tests.end_to_end.processes import has_ended, wait_until

HOLD_SECONDS = 300  # longer than it takes to get from one middle to the other, and to kill, on a busy machine
KILL_SECONDS = 60


class Middle:
    """Lets so many parts of the large file and so many small files through, and holds all others until it is let go;
    for a LocalOSS's `on_request`.

    The batch with the large file has to be among those that run at first, and is: a plan deals the largest first.

    :ivar reached: set when it holds both
    :ivar let_go: to be set when all may go on
    """

    def __init__(self, *, prefix: str, large_key: str, parts: int, files: int) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self._prefix = prefix
        self._large_key = large_key
        self._limits = {"UploadPart": parts, "PutObject": files}
        self._calls = Counter[str]()
        self._begun: list[Request] = []
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> None:
        if not self._is_meant(request):
            return
        with self._lock:
            self._begun.append(request)
            self._calls[request.operation] += 1
            if all(self._calls[operation] > limit for operation, limit in self._limits.items()):
                self.reached.set()
            is_over = self._calls[request.operation] > self._limits[request.operation]
        if is_over:
            self.let_go.wait(HOLD_SECONDS)

    def in_flight(self, answered: Sequence[Request]) -> list[Request]:
        """Return what has come and has no answer yet, among what it looks at."""
        numbers = {request.number for request in answered}
        with self._lock:
            return [request for request in self._begun if request.number not in numbers]

    def _is_meant(self, request: Request) -> bool:
        if request.operation == "UploadPart":
            return request.key == self._large_key
        return request.operation == "PutObject" and str(request.key).startswith(self._prefix)


@dataclass(frozen=True)
class Loss:
    """What was lost.

    :ivar worker: the name of the component; None where the executor has no workers of their own (2.11)
    :ivar map_indexes: the batches whose tries ran in it
    :ivar processes: how many were killed
    """

    worker: str | None
    map_indexes: tuple[int, ...]
    processes: int


def lose_worker(airflow: RealAirflow, batch: Task) -> Loss:
    """Kill the worker that runs this batch, and all that it has started, with SIGKILL.

    On 2.11, whose LocalExecutor forks for each task, the task and its supervisor are killed.
    """
    process = airflow.task_process(*batch)
    worker = airflow.component_of(process.task)
    if not AIRFLOW_3 or worker is None:
        for each in (process.supervisor, process.task):
            each.kill()
        for each in process:
            wait_until(lambda each=each: has_ended(each), timeout=KILL_SECONDS, what=f"the end of {each}")
        airflow.let_heartbeat_expire(*batch)
        return Loss(None, (batch.map_index,), len(process))
    there = tuple(
        index for index, each in running_tries(airflow, batch).items() if airflow.component_of(each) == worker
    )
    return Loss(worker, there, airflow.kill_all_of(worker))


def running_tries(airflow: RealAirflow, batch: Task) -> dict[int, psutil.Process]:
    """Return the processes of the batches that run, by map index."""
    running = [index for index, state in airflow.states(*batch[:3]).items() if state == "running"]
    pids = {index: airflow.task_instance(*batch._replace(map_index=index)).pid for index in running}
    found = {}
    for index, pid in pids.items():
        if pid is not None:  # else it is about to begin (2.11)
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and Airflow has not yet taken note of it
                found[index] = psutil.Process(pid)
    return found
