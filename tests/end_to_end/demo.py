"""`make demo`: a task of a real Airflow moves a file through OSS, is killed twice, and resumes.

Starts the local OSS server and an Airflow of its own in a throw-away folder, runs the example DAG on random bytes,
kills the task's process with SIGKILL in the middle of the upload and again in the middle of the download, and lets
Airflow retry. What it prints at the end stands in Airflow's database and the server's log. Ends with status 0 only if
no kept part was moved again, the file came back equal, and nothing is left over.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.parts import MIB, PartPlan, plan_parts
from tests.end_to_end.airflow_process import FINAL_STATES, RealAirflow
from tests.end_to_end.killing import (
    KillInTheMiddle,
    Task,
    arrived_parts,
    checkpoints_of,
    fetched_parts,
    finished_parts,
    killing,
    requests_of_try,
    sent_parts,
    stored_parts,
)
from tests.end_to_end.processes import wait_until

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "example_resumable_transfer.py"
DAG_ID, RUN_ID = "example_resumable_transfer", "demo"
UPLOAD, DOWNLOAD = Task(DAG_ID, RUN_ID, "upload"), Task(DAG_ID, RUN_ID, "download")
BUCKET, KEY = "demo", "folder/random bytes.bin"
RUN_SECONDS = 900
PARTS_A_LINE = 4  # one line of progress for so many parts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="size of the file in MiB, default 256")
    mib = parser.parse_args().mib
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="ossresume-demo-") as folder:
            return 0 if Demo(Path(folder), size=mib * MIB).run() else 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started has been ended and removed.")
        return 130


def interrupt(*_: object) -> NoReturn:
    """For SIGTERM: end as Ctrl-C does."""
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Row:
    """One try of a task, for the table."""

    task: str
    try_number: int
    parts_kept: int
    parts_sent: int
    bytes_moved: int
    seconds: float
    store: str
    end: str

    HEADINGS = ("task", "try", "parts kept", "parts sent", "MiB moved", "seconds", "checkpoint in", "end")

    def cells(self) -> tuple[str, ...]:
        return (
            *(self.task, str(self.try_number), str(self.parts_kept), str(self.parts_sent)),
            *(f"{self.bytes_moved / MIB:.1f}", f"{self.seconds:.1f}", self.store, self.end),
        )


class Demo:
    def __init__(self, folder: Path, *, size: int) -> None:
        self._folder = folder
        self._source = folder / "source.bin"
        self._target = folder / "target" / "target.bin"
        self._size = size
        self._plan = plan_parts(size)
        self._began = time.monotonic()
        self._told: dict[str, str] = {}

    def run(self) -> bool:
        """Return whether everything is as it should be."""
        self._tell(f"making a file of {self._size // MIB} MiB of random bytes")
        digest = _random_file(self._source, self._size)
        self._target.parent.mkdir()
        with LocalOSS(self._folder / "oss", buckets=[BUCKET]) as oss:
            self._tell(f"Airflow {version('apache-airflow')}, in {self._folder}")
            airflow = RealAirflow(
                self._folder / "airflow",
                dags=[EXAMPLE],
                connections={"oss_default": oss.airflow_connection()},
                tell=self._tell,
            )
            with airflow:
                checks = self._transfer(airflow, oss)
        return print_verdict(
            {
                **checks,
                "the SHA-256 of the downloaded file equals that of the source": _sha256(self._target) == digest,
                "nothing but that file lies in its folder": list(self._target.parent.iterdir()) == [self._target],
                "no process is left": not airflow.processes(),
            }
        )

    def _transfer(self, airflow: RealAirflow, oss: LocalOSS) -> dict[str, bool]:
        # Half of the parts, so that both tries have something to do.
        middle = len(self._plan) // 2 + 1
        kills = (
            KillInTheMiddle(airflow, UPLOAD, operation="UploadPart", key=KEY, nth=middle),
            KillInTheMiddle(airflow, DOWNLOAD, operation="GetObject", key=KEY, nth=middle, once=finished_parts),
        )
        conf = {"source": str(self._source), "bucket": BUCKET, "key": KEY, "target": str(self._target)}
        with killing(oss, *kills):
            self._tell(f"triggering {DAG_ID}")
            airflow.trigger(DAG_ID, run_id=RUN_ID, conf=conf)
            self._watch(airflow, oss, kills)
        left = checkpoints_of(airflow, DAG_ID, RUN_ID, key=KEY)
        return {
            **_print_tries(Evidence(airflow, oss, kill, self._plan) for kill in kills),
            "no checkpoint is left": not left,
            "no unfinished upload is left": not oss.uploads(BUCKET),
        }

    def _watch(self, airflow: RealAirflow, oss: LocalOSS, kills: tuple[KillInTheMiddle, ...]) -> None:
        def ended() -> bool:
            for kill in kills:
                self._tell_changes(airflow, oss, kill)
            return airflow.run_state(DAG_ID, RUN_ID) in FINAL_STATES

        wait_until(ended, timeout=RUN_SECONDS, what=lambda: f"the end of the run\n{airflow.diagnosis()}")
        state = airflow.run_state(DAG_ID, RUN_ID)
        self._tell(f"the run ended: {state}")
        if state != "success":
            print(airflow.diagnosis())

    def _tell_changes(self, airflow: RealAirflow, oss: LocalOSS, kill: KillInTheMiddle) -> None:
        now = airflow.task_instance(*kill.task)
        name = f"{kill.task.task_id} try {now.try_number}"
        if now.state == "running":
            requests = requests_of_try(airflow, kill.task, now.try_number, oss.requests)
            moved = len(set(_moved_parts(kill.task, requests, self._plan)))
            self._tell_once(name, f"{name}: running, {moved - moved % PARTS_A_LINE} parts moved")
        elif now.state is not None:
            self._tell_once(name, f"{name}: {now.state}")
        if kill.is_done:
            stores = ", ".join(found.store for found in kill.found) or "no store"
            self._tell_once(
                f"{kill.task.task_id} kill",
                f"{kill.task.task_id} try 1: process {kill.pid} KILLED with SIGKILL; its checkpoint is in: {stores}",
            )

    def _tell_once(self, subject: str, text: str) -> None:
        if self._told.get(subject) != text:
            self._told[subject] = text
            self._tell(text)

    def _tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


class Evidence:
    """What Airflow's database and the server's log say about a task that was killed once."""

    def __init__(self, airflow: RealAirflow, oss: LocalOSS, kill: KillInTheMiddle, plan: PartPlan) -> None:
        self.name = kill.task.task_id
        self._task = kill.task
        self.found = kill.found
        self.tries = airflow.tries(*kill.task)
        self.report = airflow.xcoms(*kill.task).get("report", {})
        self._plan = plan
        self._requests = {
            each.try_number: requests_of_try(airflow, kill.task, each.try_number, oss.requests) for each in self.tries
        }

    def rows(self) -> Iterator[Row]:
        for each in self.tries:
            requests = self._requests[each.try_number]
            is_last = each is self.tries[-1]
            yield Row(
                task=self.name,
                try_number=each.try_number,
                parts_kept=self.report.get("parts_kept", 0) if is_last else 0,
                parts_sent=self.report.get("parts_sent", 0)
                if is_last
                else len(set(_moved_parts(self._task, requests, self._plan))),
                bytes_moved=self.report.get("bytes", 0) if is_last else _bytes_moved(requests),
                seconds=(each.ended - each.started).total_seconds(),
                store=", ".join(found.store for found in self.found),
                end="success" if each.state == "success" else "killed with SIGKILL",
            )

    def checks(self) -> dict[str, bool]:
        kept = finished_parts(self.found) if self._task == DOWNLOAD else set(stored_parts(self._requests[1], KEY))
        asked = _asked_parts(self._task, self._requests[2], self._plan)
        return {
            f"the {self.name} was tried twice": [each.state for each in self.tries] == ["failed", "success"],
            f"the checkpoint of the {self.name} lay in one store": len(self.found) == 1,
            f"the {self.name}'s second try kept parts": self.report.get("parts_kept", 0) > 0,
            f"the {self.name} kept every part that was there ({len(kept)})": self.report.get("parts_kept") == len(kept),
            f"the {self.name} moved no kept part again": not kept & set(asked),
            f"the {self.name} moved all other parts": kept | set(asked) == {part.number for part in self._plan},
        }


def _asked_parts(task: Task, requests: Sequence[Request], plan: PartPlan) -> list[int]:
    """Return the numbers of the parts that were begun."""
    return sent_parts(requests, KEY) if task == UPLOAD else fetched_parts(requests, KEY, part_size=plan.part_size)


def _moved_parts(task: Task, requests: Sequence[Request], plan: PartPlan) -> list[int]:
    """Return the numbers of the parts that got through as a whole."""
    if task == UPLOAD:
        return stored_parts(requests, KEY)
    return arrived_parts(requests, KEY, part_size=plan.part_size)


def _bytes_moved(requests: Sequence[Request]) -> int:
    received = sum(each.bytes_received for each in requests if each.operation == "UploadPart")
    return received + sum(each.bytes_sent for each in requests if each.operation == "GetObject")


def _print_tries(evidence: Iterator[Evidence]) -> dict[str, bool]:
    evidence = list(evidence)
    print_table(Row.HEADINGS, (row.cells() for each in evidence for row in each.rows()))
    for each in evidence:
        print(f"\n{each.name}: what its second try began with")
        print(*(f"  {found.store}: {found.checkpoint}" for found in each.found), sep="\n")
    return {name: is_so for each in evidence for name, is_so in each.checks().items()}


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    cells = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print()
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_verdict(checks: dict[str, bool]) -> bool:
    """Print what was to be proven, and return whether all of it is so."""
    print()
    for name, is_so in checks.items():
        print(f"{'yes' if is_so else 'NO '}  {name}")
    return all(checks.values())


def _random_file(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in plan_parts(size):
            data = os.urandom(part.size)
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(MIB):
            digest.update(data)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
