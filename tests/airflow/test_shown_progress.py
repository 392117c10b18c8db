"""What Airflow shows of a transfer while it runs: its progress entry, and metrics on a StatsD listener."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints import KEY, PREFIX
from airflow_provider_ossresume.errors import TransferStopped, TrySuperseded
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.hooks.progress import INTERVAL, PROGRESS_KEY, ProgressEntry, Throttled, observer_for
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.transfer.progress import Snapshot
from tests.end_to_end.processes import wait_until
from tests.world import BUCKET, PART, a_file, some_bytes

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
DOWN = Fault("status", status=503, code="ServiceUnavailable")
SIZE = 5 * PART + 17  # six parts
DIRECTIONS = ("upload", "download", "copy")
OF_A_PART = {"upload": "UploadPart", "download": "GetObject", "copy": "UploadPart"}
RUNNING = Snapshot(
    direction="upload", target=ObjectRef("b", "k"), state="running", started_as="new", total=10, done=1, parts=10,
    parts_done=1, parts_kept=0, parts_sent=1, bytes_moved=1, retries=0, checkpoint_saves=1, rate=1.0, seconds=1.0,
)  # fmt: skip


@pytest.fixture
def transfer(dag: Any, connected: LocalOSS, tmp_path: Path) -> Callable[..., None]:
    """Adds the task ``transfer`` to the DAG."""

    def add(direction: str, **options: Any) -> None:
        given = {"task_id": "transfer", "key": "key", "bucket_name": BUCKET, "transfer_config": CONFIG, **options}
        if direction == "upload":
            OSSResumableUploadOperator(file=str(a_file(tmp_path, size=SIZE)), dag=dag, **given)
        elif direction == "download":
            connected.put(BUCKET, "key", some_bytes(SIZE))
            OSSResumableDownloadOperator(file=str(tmp_path / "target"), dag=dag, **given)
        else:
            connected.put(BUCKET, "source", some_bytes(SIZE))
            target, source = given.pop("key"), f"oss://{BUCKET}/source"
            OSSCopyObjectOperator(source=source, target=target, copy_mode="stream", dag=dag, **given)

    return add


@pytest.fixture
def entries(dag: Any) -> Callable[..., list[tuple[str, Mapping[str, Any]]]]:
    """Returns each progress entry of a task, with the table that it lies in."""
    from tests.airflow import runs

    def read(task_id: str = "transfer") -> list[tuple[str, Mapping[str, Any]]]:
        where = "WHERE dag_id = :dag_id AND task_id = :task_id"
        return [
            (table, runs.loaded(value))
            for table, column in runs.present_stores()
            if table != "variable"
            for key, value in runs.rows(
                f"SELECT {column}, value FROM {table} {where}", dag_id=dag.dag_id, task_id=task_id
            )
            if key == PROGRESS_KEY
        ]

    return read


def the_home() -> str:
    from tests.airflow import runs

    tables = {table for table, _ in runs.present_stores()}
    return "task_state_store" if "task_state_store" in tables else "xcom"


# --- the entry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_entry_follows_a_transfer_through_a_failure_and_a_retry_to_its_end(
    dag: Any, entries: Any, transfer: Any, connected: LocalOSS, direction: str
) -> None:
    from tests.airflow.runs import run

    transfer(direction)
    connected.fail(OF_A_PART[direction], nth=4, fault=DOWN)
    seen: list[tuple[int, int]] = []

    def look(request: Request) -> None:
        """The second part of each try waits for somebody to see its entry."""
        if request.operation == OF_A_PART[direction] and len(connected.calls(OF_A_PART[direction])) in (2, 6):
            kept = 3 * bool(seen)
            wait_until(
                lambda: [each["parts_kept"] for _, each in entries() if each["state"] == "running"] == [kept],
                timeout=60,
                what=lambda: f"the entry of a running try: {entries()}",
            )
            [(_, entry)] = entries()
            seen.append((entry["parts_kept"], entry["parts_total"]))

    connected.on_request = look
    done = run(dag)

    assert done.instance("transfer") == ("success", 2)
    assert seen == [(0, 6), (3, 6)]
    [(home, entry)] = entries()
    assert home == the_home()
    assert entry == {
        "state": "finished",
        "direction": direction,
        "uri": f"oss://{BUCKET}/key",
        "percent": 100,
        "bytes_done": SIZE,
        "bytes_total": SIZE,
        "parts_done": 6,
        "parts_kept": 3,
        "parts_total": 6,
        "retries": 0,
        "bytes_per_second": entry["bytes_per_second"],
        "seconds_left": 0,
    }
    assert entry["bytes_per_second"] > 0
    assert len(json.dumps(entry)) < 400


def test_a_task_that_failed_for_good_shows_what_is_kept(
    dag: Any, entries: Any, transfer: Any, connected: LocalOSS
) -> None:
    from tests.airflow.runs import run

    transfer("upload", retries=0)
    connected.fail("UploadPart", nth=4, fault=DOWN)

    assert run(dag).instance("transfer") == ("failed", 1)

    [(_, entry)] = entries()
    assert (entry["state"], entry["parts_done"], entry["bytes_done"], entry["seconds_left"]) == (
        "failed", 3, 3 * PART, None,
    )  # fmt: skip


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_can_be_switched_off(dag: Any, entries: Any, transfer: Any, direction: str) -> None:
    from tests.airflow.runs import run

    transfer(direction, show_progress=False)

    assert run(dag).state == "success"
    assert entries() == []


def test_the_hook_in_a_python_task_shows_it_too_and_what_the_task_returns_is_left_alone(
    dag: Any, entries: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from airflow.providers.common.compat.sdk import task

    from tests.airflow.runs import run

    source = a_file(tmp_path, size=SIZE)
    connected.fail("UploadPart", nth=4, fault=DOWN)
    with dag:

        @task(multiple_outputs=True)
        def work() -> dict[str, Any]:
            result = OSSResumeHook(transfer_config=CONFIG).upload_file(source, "key", BUCKET, show_progress=True)
            return {"progress": "mine", "kept": result.parts_kept}

        work()
    done = run(dag)

    assert done.instance("work") == ("success", 2)
    assert done.xcom("work") == {"progress": "mine", "kept": 3}
    assert done.xcom("work", "progress") == "mine"
    assert done.xcom("work", "kept") == 3
    assert [(home, entry["state"], entry["parts_kept"]) for home, entry in entries("work")] == [
        (the_home(), "finished", 3)
    ]


def test_the_hook_shows_nothing_unless_it_is_asked_to(
    dag: Any, entries: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from tests.airflow.runs import call_in_a_task

    source = a_file(tmp_path, size=SIZE)
    call_in_a_task(dag, lambda _: str(OSSResumeHook(transfer_config=CONFIG).upload_file(source, "key", BUCKET)))

    assert entries("task") == []


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_first_thing_it_shows_of_a_resumed_transfer_is_what_is_kept(
    dag: Any, transfer: Any, connected: LocalOSS, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    from tests.airflow.runs import run

    shown: list[tuple[int, int, int]] = []
    entry = ProgressEntry.__call__

    def look(self: ProgressEntry, snapshot: Snapshot) -> None:
        shown.append((snapshot.parts_kept, snapshot.parts_done, snapshot.parts))
        entry(self, snapshot)

    monkeypatch.setattr(ProgressEntry, "__call__", look)
    transfer(direction)
    connected.fail(OF_A_PART[direction], nth=5, fault=DOWN)

    assert run(dag).instance("transfer") == ("success", 2)

    of_the_second_try = shown[[done for _, done, _ in shown].index(4) + 1 :]
    assert of_the_second_try[0] == (4, 4, 6)


def test_no_checkpoint_has_the_name_of_the_entry() -> None:
    assert not re.fullmatch(f"{PREFIX}{KEY}", PROGRESS_KEY)


def test_each_mapped_task_has_an_entry_of_its_own(dag: Any, entries: Any, connected: LocalOSS, tmp_path: Path) -> None:
    from tests.airflow.runs import run

    files = [str(a_file(tmp_path, size=(number + 1) * PART, name=f"{number}")) for number in range(2)]
    with dag:
        OSSResumableUploadOperator.partial(
            task_id="transfer", bucket_name=BUCKET, transfer_config=CONFIG
        ).expand_kwargs([{"file": file, "key": file.strip("/")} for file in files])
    assert run(dag).state == "success"

    assert sorted(entry["bytes_total"] for _, entry in entries()) == [PART, 2 * PART]


def test_a_thread_of_the_author_calls_nothing_of_airflow(
    dag: Any, entries: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    """On Airflow 3.0 and 3.1 a call from a second thread can hang the task."""
    from tests.airflow.runs import call_in_a_task

    source = a_file(tmp_path, size=SIZE)

    def work(context: Mapping[str, Any]) -> None:
        hook = OSSResumeHook(transfer_config=CONFIG)
        hook.get_conn()
        thread = threading.Thread(
            target=lambda: hook.upload_file(source, "key", BUCKET, checkpoint="memory", show_progress=True)
        )
        thread.start()
        thread.join()

    call_in_a_task(dag, work)

    assert connected.object(BUCKET, "key") == source.read_bytes()
    assert entries("task") == []


def test_outside_a_task_there_is_nobody_to_show_it_to(connected: LocalOSS, tmp_path: Path) -> None:
    assert observer_for(None, show_progress=True) is None
    hook = OSSResumeHook(transfer_config=CONFIG)
    assert hook.upload_file(a_file(tmp_path), "key", BUCKET, checkpoint="memory").outcome == "transferred"


# --- how often, and what a store that is down does --------------------------------------------------------------------


class World:
    """An observer that takes its time, or fails, by a clock that stands still otherwise."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cost = 0.01
        self.error: Exception | None = None
        self.calls: list[tuple[float, str]] = []
        self.throttled = Throttled("the transfer's progress", self._observe, clock=lambda: self.now)

    def _observe(self, snapshot: Snapshot) -> None:
        self.calls.append((self.now, snapshot.state))
        self.now += self.cost
        if self.error:
            raise self.error

    def runs_for(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.now < ends:
            self.throttled(RUNNING)
            self.now += 0.25

    def ends(self, state: Any) -> None:
        self.throttled(replace(RUNNING, state=state))


def test_an_entry_is_written_at_once_and_then_every_five_seconds() -> None:
    world = World()
    world.runs_for(60)

    times = [at for at, _ in world.calls]
    assert times[0] == 100.0
    assert all(INTERVAL <= later - earlier < INTERVAL + 0.5 for earlier, later in itertools.pairwise(times))


def test_a_slow_store_is_asked_for_a_twentieth_of_the_time() -> None:
    world = World()
    world.cost = 3.0
    world.runs_for(600)

    assert len(world.calls) * world.cost <= 600 / 20 + world.cost


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_the_end_is_told_whenever_it_comes(state: str) -> None:
    world = World()
    world.runs_for(1)
    world.ends(state)

    assert [said for _, said in world.calls] == ["running", state]


def test_a_store_that_is_down_is_warned_about_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.error = RuntimeError("no such table")
    world.runs_for(60)
    asked = len(world.calls)
    world.error = None
    world.runs_for(20)

    assert asked > 3
    assert len(world.calls) > asked
    assert caplog.messages == [
        "Could not report the transfer's progress to Airflow; the transfer is not affected: no such table"
    ]


@pytest.mark.parametrize(("state", "is_asked"), [("finished", True), ("failed", False)])
def test_a_try_that_fails_does_not_wait_for_a_store_that_is_down(state: str, is_asked: bool) -> None:
    world = World()
    world.error = RuntimeError("down")
    world.runs_for(1)
    world.ends(state)

    assert (state in [said for _, said in world.calls]) == is_asked


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, TransferStopped, TrySuperseded])
def test_what_ends_a_task_is_not_held_back(end: type[BaseException]) -> None:
    def ends(snapshot: Snapshot) -> None:
        raise end

    with pytest.raises(end):
        Throttled("the transfer's progress", ends)(RUNNING)
