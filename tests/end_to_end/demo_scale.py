"""`make demo-scale`: a real Airflow's workers move a folder to OSS, one of them is lost, and only the rest is sent.

Starts the local OSS server, PostgreSQL, and on Airflow 3 Redis and two workers of Celery's, in throw-away folders. A
plan cuts many small files and a large one into batches. With half of the large file sent, the worker that sends it is
killed with SIGKILL, with all that runs in it, and comes back. Airflow tries its batches again. When the run is over its
plan is cleared, and all of it runs once more. What is printed at the end stands in Airflow's database, in the server's
log and in the work folder. Ends with status 0 only if every object equals its file, nothing but what was in flight at
the kill was sent twice, the second run sent nothing, and nothing is left over.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.parts import MIB, format_size, plan_parts
from tests.end_to_end.airflow_process import FINAL_STATES, RealAirflow
from tests.end_to_end.celery_workers import CeleryWorkers
from tests.end_to_end.demo import interrupt, print_table, print_verdict
from tests.end_to_end.killing import Task, stored_parts
from tests.end_to_end.losing import Loss, Middle, lose_worker
from tests.end_to_end.many_files import LARGE, Load, crcs_of_objects, make_files, names_of_batch
from tests.end_to_end.processes import wait_until
from tests.end_to_end.sending import BatchTry, Sending
from tests.postgres import a_postgres
from tests.redis import a_redis

DAG = Path(__file__).parent / "dags" / "many_files.py"
PREFIX, WORK = "files/", "ossresume/"
RUN_SECONDS = 1800
TASKS_AT_ONCE = 4  # two in each of two workers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000, help="small files, default 20000")
    parser.add_argument("--kib", type=int, default=16, help="size of the largest of them in KiB, default 16")
    parser.add_argument("--large-mib", type=int, default=2048, help="size of the large file in MiB, default 2048")
    parser.add_argument("--batch-files", type=int, default=2_500, help="files of a batch, default 2500")
    given = parser.parse_args()
    load = Load(given.files, given.kib * 1024, given.large_mib * MIB, given.batch_files)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="ossresume-demo-") as folder:
            return 0 if print_verdict(run(Path(folder), load)) else 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started has been ended and removed.")
        return 130
    except pytest.skip.Exception as absent:  # PostgreSQL or Redis
        print(absent)
        return 2


def run(folder: Path, load: Load) -> dict[str, bool]:
    """Start everything, and return what was to be proven, and whether it is so."""
    demo = ScaleDemo(folder, load)
    with ExitStack() as stack:
        oss = stack.enter_context(LocalOSS(folder / "oss", buckets=[demo.name]))
        airflow = _airflow(stack, folder, oss, demo.tell)
        with airflow:
            checks = demo.run(airflow, oss)
        return {**checks, "no process is left": not airflow.processes()}


def _airflow(stack: ExitStack, folder: Path, oss: LocalOSS, tell: Callable[[str], object]) -> RealAirflow:
    tell(f"Airflow {version('apache-airflow')}, in {folder}")
    tell("starting PostgreSQL")
    postgres = stack.enter_context(a_postgres())
    celery = None
    env = {"AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE)}
    if AIRFLOW_3:
        tell("starting Redis")
        celery, env = CeleryWorkers(stack.enter_context(a_redis()).url), {}
    return RealAirflow(
        folder / "airflow",
        dags=[DAG],
        connections={"oss_default": oss.airflow_connection()},
        env=env,
        database=postgres.url,
        celery=celery,
        ui=True,
        tell=tell,
    )


class ScaleDemo:
    """One run with a loss in its middle, and its repetition.

    :param name: of the run, and of the bucket that it moves the files to
    """

    def __init__(self, folder: Path, load: Load, *, name: str = "demo") -> None:
        self.name = name
        self._plan, self._batch, self._finish = (
            Task("many_files", name, f"move.{task_id}") for task_id in ("plan", "batch", "finish")
        )
        self._source = folder / "source"
        self._load = load
        self._parts = plan_parts(load.large)
        self._large_key = f"{PREFIX}{LARGE}"
        self._began = time.monotonic()
        self._told: dict[str, str] = {}

    def run(self, airflow: RealAirflow, oss: LocalOSS) -> dict[str, bool]:
        """Return what was to be proven, and whether it is so."""
        load = self._load
        self.tell(
            f"making {load.files:,} files of up to {format_size(load.largest)}, and one of {format_size(load.large)}"
        )
        crcs = make_files(self._source, load)
        oss.clear_requests()
        checks = {**self._move(airflow, oss), **self._clear(airflow, oss)}
        self.tell("comparing each object with its file")
        keys = sorted(key for key in oss.objects(self.name) if not key.startswith(WORK))
        there = crcs_of_objects(oss, self.name, keys, large_key=self._large_key)
        left = [key for key in oss.objects(self.name) if key.startswith(f"{WORK}checkpoints/")]
        return {
            **checks,
            f"each of {len(crcs):,} objects equals its file, and there is no other one": there
            == {f"{PREFIX}{name}": crc for name, crc in crcs.items()},
            "no unfinished upload is left": not oss.uploads(self.name),
            "no checkpoint is left": not left,
        }

    # --- the first run ------------------------------------------------------------------------------------------------

    def _move(self, airflow: RealAirflow, oss: LocalOSS) -> dict[str, bool]:
        with self._in_the_middle(airflow, oss) as middle:
            batches = [names_of_batch(oss, uri) for uri in airflow.xcom(*self._plan[:3], "return_value")]
            (with_large,) = (number for number, names in enumerate(batches) if LARGE in names)
            loss = lose_worker(airflow, self._batch._replace(map_index=with_large))
            before, in_flight = oss.requests, middle.in_flight(oss.requests)
        self.tell(
            f"{loss.worker or 'the worker of a task'} KILLED with SIGKILL: {loss.processes} processes, and in them the"
            f" tries of batch {', '.join(map(str, loss.map_indexes))}; {len(in_flight)} requests were in flight"
        )
        if loss.worker:
            airflow.start_again(loss.worker)
        self._watch(airflow, until=lambda: airflow.run_state(*self._plan[:2]) in FINAL_STATES)
        sending = self._sending(oss)
        print_table(BatchTry.HEADINGS, (row.cells() for row in sending.tries(airflow, self._batch, batches, loss)))
        of_sending = sending.checks(before, in_flight, parts=len(self._parts), files=self._load.files)
        return {**self._checks_of_run(airflow, batches, loss), **of_sending}

    @contextmanager
    def _in_the_middle(self, airflow: RealAirflow, oss: LocalOSS) -> Iterator[Middle]:
        """Begin the run, and the block when it stands still in its middle; it goes on behind the block."""
        conf = {
            "source": str(self._source),
            "target": f"oss://{self.name}/{PREFIX}",
            "work_folder": f"oss://{self.name}/{WORK}",
            "batch_files": self._load.batch_files,
        }
        middle = Middle(
            prefix=PREFIX, large_key=self._large_key, parts=len(self._parts) // 2, files=self._load.files // 2
        )
        oss.on_request = middle
        try:
            self.tell(f"triggering {self._plan.dag_id}")
            airflow.trigger(self._plan.dag_id, run_id=self._plan.run_id, conf=conf)
            self._watch(
                airflow, until=lambda: middle.reached.is_set() and bool(stored_parts(oss.requests, self._large_key))
            )
            yield middle
        finally:
            oss.on_request = None
            middle.let_go.set()

    def _sending(self, oss: LocalOSS) -> Sending:
        return Sending(oss.requests, prefix=PREFIX, large_key=self._large_key)

    def _checks_of_run(self, airflow: RealAirflow, batches: Sequence[set[str]], loss: Loss) -> dict[str, bool]:
        verdict = airflow.xcom(*self._finish[:3], "report")
        self._print_reports(airflow)
        files = self._load.files + 1
        tries = {
            index: [each.state for each in airflow.tries(*self._batch._replace(map_index=index))]
            for index in range(len(batches))
        }
        expected = {index: ["failed"] * (index in loss.map_indexes) + ["success"] for index in tries}
        return {
            "the run was a success": airflow.run_state(*self._plan[:2]) == "success",
            "the verdict is: proven": verdict["outcome"] == "proven",
            f"the verdict is about all {files:,} files": verdict["files"] == files == sum(map(len, batches)),
            "the batches that were lost, and no others, were tried twice": tries == expected,
        }

    # --- the second run -----------------------------------------------------------------------------------------------

    def _clear(self, airflow: RealAirflow, oss: LocalOSS) -> dict[str, bool]:
        if airflow.run_state(*self._plan[:2]) != "success":
            print(airflow.diagnosis())
            return {"the plan was cleared": False}
        self.tell("clearing the plan, and with it all that comes after it")
        oss.clear_requests()
        airflow.clear(*self._plan[:3])
        self._watch(airflow, until=lambda: airflow.run_state(*self._plan[:2]) in FINAL_STATES)
        asked = [it for it in oss.requests if it.key and it.key.startswith(PREFIX)]
        verdict = airflow.xcom(*self._finish[:3], "report")
        self._print_reports(airflow)
        return {
            "the run of the cleared plan was a success too": airflow.run_state(*self._plan[:2]) == "success",
            "its plan has found all files in their place": verdict["there"] == self._load.files + 1,
            "its verdict is: proven": verdict["outcome"] == "proven",
            f"it has sent no file, and looked at none but by listing ({len(asked)} requests)": not asked,
        }

    # --- telling ------------------------------------------------------------------------------------------------------

    def _watch(self, airflow: RealAirflow, *, until: Callable[[], bool]) -> None:
        """Wait, and tell what happens; a run that ends before its time ends the wait with an error."""

        def has_come() -> bool:
            has_ended = airflow.run_state(*self._plan[:2]) in FINAL_STATES
            if until():
                return True
            states = Counter(airflow.states(*self._batch[:3]).values())
            told = ", ".join(f"{count} {state or 'not begun'}" for state, count in sorted(states.items(), key=str))
            self._tell_once("batches", f"batches: {told}")
            if has_ended:
                raise RuntimeError(f"the run has ended too early\n{airflow.diagnosis()}")
            return False

        wait_until(has_come, timeout=RUN_SECONDS, what=lambda: f"the run to go on\n{airflow.diagnosis()}")

    def _print_reports(self, airflow: RealAirflow) -> None:
        for task in (self._plan, self._finish):
            report: dict[str, Any] = airflow.xcom(*task[:3], "report")
            shown = [f"{name}: {value}" for name, value in report.items() if value not in ({}, "", 0)]
            print(f"\n{task.task_id}", *(text for text in shown if not text.startswith("first_names")), sep="\n  ")

    def _tell_once(self, subject: str, text: str) -> None:
        if self._told.get(subject) != text:
            self._told[subject] = text
            self.tell(text)

    def tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
