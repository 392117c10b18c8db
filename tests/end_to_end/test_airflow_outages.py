"""Airflow's own services fail in mid-transfer: the bytes go on moving, and the run ends well."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.conftest import DAGS
from tests.end_to_end.holding import (
    PARTS,
    RUN_SECONDS,
    a_held_transfer,
    assert_delivered,
    is_of_a_part,
    kept_parts,
    moved_parts,
    progress_of,
    trigger,
)
from tests.end_to_end.killing import Task, arrived_parts
from tests.end_to_end.processes import wait_until
from tests.postgres import Postgres, a_postgres

pytestmark = pytest.mark.end_to_end

OUTAGE_SECONDS = 60
# What a deployment has that nobody has tuned; the harness looks for dead tasks much sooner.
UNTUNED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "300",
}


@pytest.mark.parametrize("store", ["auto", "variable"])
def test_a_download_goes_on_while_its_checkpoint_store_is_out_of_reach(
    airflow: RealAirflow, airflow_oss: LocalOSS, airflow_database: Postgres, tmp_path: Path, store: str
) -> None:
    task = Task("transfer", f"outage-{store}", "download")
    with (
        a_held_transfer(airflow, airflow_oss, tmp_path, task, checkpoint=store) as held,
        the_api_server_frozen(airflow) if AIRFLOW_3 else the_database_frozen(airflow_database),
    ):
        held.let_go.set()
        wait_until(
            lambda: len(set(arrived_parts(airflow_oss.requests, task.run_id, part_size=MIB))) == PARTS,
            timeout=120,
            what="all parts to be fetched",
        )

    assert_delivered(airflow, airflow_oss, tmp_path, task)
    assert [each.state for each in airflow.tries(*task)] == ["success"]
    assert airflow.xcom(*task[:3], "report")["parts_sent"] == PARTS
    assert progress_of(airflow, task)["percent"] == 100
    assert airflow.task_log(*task[:3], 1).count("The progress entry cannot be updated") <= 1


# --- a minute ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with a_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def untuned(
    tmp_path_factory: pytest.TempPathFactory, airflow_oss: LocalOSS, postgres: Postgres
) -> Iterator[RealAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    connections = {"oss_default": airflow_oss.airflow_connection()}
    with RealAirflow(
        home, dags=[DAGS / "transfer.py"], connections=connections, env=UNTUNED, database=postgres.url
    ) as running:
        yield running


@pytest.mark.skipif(not AIRFLOW_3, reason="tasks of 2.11 talk to the database")
def test_transfers_go_on_while_the_api_server_gives_no_answer_for_a_minute(
    untuned: RealAirflow, airflow_oss: LocalOSS, tmp_path: Path
) -> None:
    """A heartbeat that gets no answer is tried again five times, which takes the supervisor most of the minute; it
    gives its task up after three of them. So nothing is lost, and no second try is needed."""
    kept = two_transfers_through_a_minute_of(the_api_server_frozen(untuned), untuned, airflow_oss, tmp_path, "frozen")

    for task in kept:
        assert_delivered(untuned, airflow_oss, tmp_path / task.task_id, task)
        assert [each.state for each in untuned.tries(*task)] == ["success"]
        assert sorted(moved_parts(airflow_oss.requests, task)) == list(range(1, PARTS + 1))


def test_transfers_go_on_while_the_database_is_down_for_a_minute(
    untuned: RealAirflow, airflow_oss: LocalOSS, postgres: Postgres, tmp_path: Path
) -> None:
    """The scheduler ends of it, on both majors, once its tasks have ended; a deployment starts it again. Where that
    one finds a task of the former still at work, it gives it up for lost: its next try resumes (3.3)."""
    kept = two_transfers_through_a_minute_of(stopped(postgres), untuned, airflow_oss, tmp_path, "down")
    tasks = list(kept)
    wait_until(
        lambda: untuned.start_what_has_ended() or all(untuned.run_state(*task[:2]) != "running" for task in tasks),
        timeout=RUN_SECONDS,
        what=lambda: f"the end of both runs\n{untuned.diagnosis()}",
    )

    for task in tasks:
        assert_delivered(untuned, airflow_oss, tmp_path / task.task_id, task)
        report = untuned.xcom(*task[:3], "report")
        assert report["parts_kept"] + report["parts_sent"] == PARTS or report["outcome"] == "already there"
        moved = moved_parts(airflow_oss.requests, task)
        assert set(moved) == set(range(1, PARTS + 1))
        assert sorted(number for number in moved if number in kept[task]) == sorted(kept[task])


# Each with a store of its own. What the log says of it is not asked for here: on 3.3 a call may last as long as the
# outage, be answered after it, and have nothing to tell.
STORES = {"upload": "variable", "download": "auto"}


def two_transfers_through_a_minute_of(
    outage: AbstractContextManager[None], airflow: RealAirflow, oss: LocalOSS, folder: Path, name: str
) -> dict[Task, set[int]]:
    """Begin an upload and a download, let the outage come in their middle, and see both move parts until its end.

    :return: the parts of each that a next try can keep if this one is lost: what the checkpoint of a download says, as
        long as its store is out of reach, or what OSS has of an upload
    """
    tasks = [Task("transfer", f"{name}-{direction}", direction) for direction in STORES]
    paced = {task: Paced(task) for task in tasks}
    oss.on_request = lambda request: [each(request) for each in paced.values()]
    for task in tasks:
        (folder / task.task_id).mkdir()
        trigger(airflow, folder / task.task_id, task, checkpoint=STORES[task.task_id])
    for each in paced.values():
        assert each.reached.wait(RUN_SECONDS), airflow.diagnosis()
    for task in tasks:
        wait_until(partial(kept_parts, airflow, oss, task), timeout=180, what="parts that a next try can keep")
    kept = {task: kept_parts(airflow, oss, task) for task in tasks}
    with outage:
        for each in paced.values():
            each.begins.set()
        threading.Event().wait(OUTAGE_SECONDS)
        progress = {task: each.passed for task, each in paced.items()}
    for each in paced.values():
        each.is_over.set()
    assert all(Paced.BEFORE + 10 <= passed < PARTS for passed in progress.values()), progress
    return kept


class Paced:
    """Lets a transfer last longer than an outage: two parts in five seconds while it lasts, the last ones after it.

    :ivar reached: set when the transfer waits for the outage to begin
    :ivar passed: how many parts have got through
    """

    BEFORE, AFTER = 4, 2

    def __init__(self, task: Task) -> None:
        self.reached = threading.Event()
        self.begins = threading.Event()
        self.is_over = threading.Event()
        self.passed = 0
        self._task = task
        self._calls = itertools.count(1)

    def __call__(self, request: Request) -> None:
        if not is_of_a_part(request, self._task):
            return
        number = next(self._calls)
        if number > self.BEFORE:
            self.reached.set()
            self.begins.wait(RUN_SECONDS)
            self.is_over.wait(5 if number <= PARTS - self.AFTER else RUN_SECONDS)
        self.passed += 1


@contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def the_api_server_frozen(airflow: RealAirflow) -> AbstractContextManager[None]:
    return frozen(
        process for process in airflow.processes() if "api_server" in " ".join(process.cmdline()).replace("-", "_")
    )


def the_database_frozen(database: Postgres) -> AbstractContextManager[None]:
    """Nobody gets an answer of it, and nobody an error."""

    def processes() -> Iterator[psutil.Process]:
        yield database.process
        yield from database.process.children()  # no more of them are started now

    return frozen(processes())


@contextmanager
def frozen(processes: Iterable[psutil.Process]) -> Iterator[None]:
    stopped = []
    try:
        for process in processes:
            process.suspend()
            stopped.append(process)
        assert stopped
        yield
    finally:
        for process in stopped:
            process.resume()
