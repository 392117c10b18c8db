"""Kill a task in the middle of a transfer, and see what its checkpoint and the server's log tell afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_provider_ossresume.errors import CheckpointUnreadable
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.local_oss.conditions import wanted_range
from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint, decode
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.processes import has_ended, wait_until

HOLD_SECONDS = 60  # longer than it takes to save a checkpoint and to kill a process on a busy machine


class Task(NamedTuple):
    """A task of a run; spread with `*` it is what most methods of RealAirflow take."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


class Found(NamedTuple):
    """A checkpoint and the name of the store that it was found in: task_state, variable or xcom."""

    store: str
    checkpoint: Checkpoint


class KillInTheMiddle:
    """Kills the first try of a task with SIGKILL when it makes the nth call of an operation on an object.

    For a LocalOSS's `on_request`. That call and all later ones wait until the process is dead: `nth - 1` calls get
    through, and some of them may still be under way when it dies. Before the kill `once`, called with the checkpoints
    found in Airflow's stores, has to return something true: a download has something to resume only when its checkpoint
    names finished parts, so give it `finished_parts`.

    :ivar pid: of the process that was killed
    :ivar found: the checkpoints found when the process was dead
    """

    def __init__(
        self,
        airflow: RealAirflow,
        task: Task,
        *,
        operation: str,
        key: str,
        nth: int,
        once: Callable[[list[Found]], object] = lambda found: True,
    ) -> None:
        self.task = task
        self.found: list[Found] = []
        self.pid: int | None = None
        self._airflow = airflow
        self._call = (operation, key)
        self._nth = nth
        self._once = once
        self._calls = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._error: BaseException | None = None

    def __call__(self, request: Request) -> None:
        if (request.operation, request.key) != self._call or self._over.is_set():
            return
        with self._lock:
            self._calls += 1
            number = self._calls
        if number == self._nth:
            self._kill(request)
        elif number > self._nth:
            self._over.wait(2 * HOLD_SECONDS)

    @property
    def is_done(self) -> bool:
        """True from the kill on; raises what went wrong on the way to it."""
        if self._error:
            raise self._error
        return self.pid is not None

    def release(self) -> None:
        """Let go of the calls that wait."""
        self._over.set()

    def _kill(self, request: Request) -> None:
        try:
            dag_id, run_id, *_ = self.task
            wait_until(
                lambda: self._once(checkpoints_of(self._airflow, dag_id, run_id, key=request.key)),
                timeout=HOLD_SECONDS,
                what=f"what has to be so before {self.task.task_id} is killed",
            )
            process = self._airflow.task_process(*self.task).task
            process.kill()
            wait_until(lambda: has_ended(process), timeout=HOLD_SECONDS, what=f"the end of {process}")
            self.found = checkpoints_of(self._airflow, dag_id, run_id, key=request.key)
            self.pid = process.pid
        except BaseException as error:  # in the server's thread nobody would see it
            self._error = error
            raise
        finally:
            self._over.set()


@contextmanager
def killing(oss: LocalOSS, *kills: KillInTheMiddle) -> Iterator[None]:
    """Let the kills happen while the block runs; it fails when one went wrong or did not happen."""

    def on_request(request: Request) -> None:
        for kill in kills:
            kill(request)

    oss.on_request = on_request
    try:
        yield
    finally:
        oss.on_request = None
        for kill in kills:
            kill.release()
    for kill in kills:
        assert kill.is_done, f"{kill.task} was not killed"


def checkpoints_of(airflow: RealAirflow, dag_id: str, run_id: str, *, key: str) -> list[Found]:
    """Return the checkpoints of transfers of an object that Airflow holds: on any task of the run, or as Variables."""
    tasks = [(dag_id, run_id, *ids) for ids in airflow.task_ids(dag_id, run_id)]
    stores: dict[str, list[Any]] = {
        "task_state": [value for task in tasks for value in airflow.task_states(*task).values()],
        "variable": list(airflow.variables().values()),
        "xcom": [value for task in tasks for value in airflow.xcoms(*task).values()],
    }
    found = [Found(store, each) for store, values in stores.items() for each in _decoded(values)]
    return [each for each in found if each.checkpoint.key == key]


def finished_parts(found: Iterable[Found]) -> set[int]:
    """Return the numbers of the parts that the download checkpoints among these call finished."""
    downloads = [each.checkpoint for each in found if isinstance(each.checkpoint, DownloadCheckpoint)]
    return {number for each in downloads for run in each.runs for number in range(run.first, run.last + 1)}


def requests_of_try(airflow: RealAirflow, task: Task, try_number: int, requests: Sequence[Request]) -> list[Request]:
    """Return the requests that came while this was the latest try of the task; none if it never began."""
    starts = {each.try_number: each.started.timestamp() for each in airflow.tries(*task) if each.started}
    # 2.11 may know nothing of the next try, if that was given up before it began.
    stop = min((start for number, start in starts.items() if number > try_number), default=float("inf"))
    return [each for each in requests if starts.get(try_number, float("inf")) <= each.when < stop]


def requests_of_last_try(airflow: RealAirflow, task: Task, requests: Sequence[Request]) -> list[Request]:
    """Return the requests of the try that ended the task. On 2.11 it may be the third: the second may never begin."""
    return requests_of_try(airflow, task, airflow.tries(*task)[-1].try_number, requests)


def stored_parts(requests: Iterable[Request], key: str) -> list[int]:
    """Return the numbers of the parts of an object that the server took, repetitions included."""
    return [
        each.part_number for each in requests if (each.operation, each.key, each.status) == ("UploadPart", key, 200)
    ]


def sent_parts(requests: Iterable[Request], key: str) -> list[int]:
    """Return the numbers of the parts of an object that somebody began to send, repetitions included."""
    return [each.part_number for each in requests if (each.operation, each.key) == ("UploadPart", key)]


def fetched_parts(requests: Iterable[Request], key: str, *, part_size: int) -> list[int]:
    """Return the numbers of the parts of an object that somebody asked for, repetitions included.

    The beginning of an object, which tells what it is, is no part; the rest of the first part counts as that part.
    """
    of_object = [each for each in requests if (each.operation, each.key) == ("GetObject", key)]
    return [start // part_size + 1 for start, stop in map(_asked, of_object) if start or stop >= part_size]


def arrived_parts(requests: Iterable[Request], key: str, *, part_size: int) -> list[int]:
    """Return the numbers of the parts of an object that the server sent to their end, repetitions included."""
    whole = [each for each in requests if each.bytes_sent == _asked(each)[1] - _asked(each)[0]]
    return fetched_parts(whole, key, part_size=part_size)


def _asked(request: Request) -> tuple[int, int]:
    """Return where the bytes start and stop that are asked for."""
    return wanted_range(request.range, MAX_OBJECT_SIZE, standard=False) or (0, MAX_OBJECT_SIZE)


def _decoded(values: Iterable[Any]) -> Iterator[Checkpoint]:
    for value in values:
        try:
            yield decode(value if isinstance(value, str) else json.dumps(value))
        except CheckpointUnreadable:
            continue
