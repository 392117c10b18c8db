"""`python -m tests.end_to_end.recording`: record a killed and resumed upload for the README.

Runs the DAG of `airflow_provider_ossresume.local_oss.demo` in a real Airflow 3, kills the task with SIGKILL when
OSS has a little less than half of the parts, and draws what the tasks logged and when each part arrived as
docs/_static/killed-and-resumed.svg.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.local_oss.demo import SIZE_MIB, SlowLink
from airflow_provider_ossresume.local_oss.demo_files import BUCKET, write_files
from airflow_provider_ossresume.model.parts import MIB, plan_parts
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.processes import wait_until

PICTURE = Path(__file__).parents[2] / "docs" / "_static" / "killed-and-resumed.svg"
PARTS_BEFORE_KILL = 11
PART_SECONDS = 0.7
RUN_SECONDS = 600


@dataclass(frozen=True)
class Line:
    """A line of a task's log. `at` is the time since 1970, in seconds."""

    at: float
    try_number: int
    text: str


@dataclass(frozen=True)
class Recording:
    """What happened, each with the time since 1970 in seconds.

    :ivar airflow: its version
    :ivar arrivals: when each part was stored, by its number
    :ivar pid: of the process that was killed
    """

    airflow: str
    size_mib: int
    part_count: int
    arrivals: dict[int, float]
    lines: list[Line]
    pid: int
    killed_at: float


class Watch:
    """Notes when parts arrive, and kills the task once. For a LocalOSS's `after_request`."""

    def __init__(self, pid_file: Path) -> None:
        self.arrivals: dict[int, float] = {}
        self.again: list[int] = []  # parts that came twice
        self.completed = threading.Event()
        self.pid, self.killed_at = 0, 0.0
        self._pid_file = pid_file
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> None:
        if request.status != 200:
            return
        with self._lock:
            if request.operation == "UploadPart":
                self._take(request.part_number or 0)
            elif request.operation == "CompleteMultipartUpload":
                self.completed.set()

    def _take(self, number: int) -> None:
        now = datetime.now().timestamp()
        if number in self.arrivals:
            self.again.append(number)
        self.arrivals[number] = now
        if len(self.arrivals) == PARTS_BEFORE_KILL:
            self.pid = int(self._pid_file.read_text())
            os.kill(self.pid, signal.SIGKILL)
            self.killed_at = now


def main() -> int:
    from tests.end_to_end.recording_svg import drawn

    with tempfile.TemporaryDirectory(prefix="ossresume-") as folder:
        PICTURE.write_text(drawn(record(Path(folder))), encoding="utf-8")
    print(f"wrote {PICTURE}")
    return 0


def record(folder: Path) -> Recording:
    """Run the upload, kill it, and return what happened when it has succeeded."""
    link, watch = SlowLink(PART_SECONDS), Watch(folder / "task.pid")
    with LocalOSS(folder / "oss", buckets=[BUCKET]) as oss:
        oss.on_request, oss.after_request = link.wait, lambda request: (watch(request), link.settle(request))
        connection = oss.airflow_connection()
        write_files(folder, size=SIZE_MIB * MIB, connection=connection, airflow_port=0)
        connections = {"oss_default": connection}
        with RealAirflow(folder / "airflow", dags=[folder / "dags"], connections=connections, tell=print) as airflow:
            if not watch.completed.wait(RUN_SECONDS):
                raise TimeoutError(airflow.diagnosis())
            logs = folder / "airflow" / "logs"
            wait_until(lambda: "Transferred" in _text(logs), timeout=60, what="the last line of the log")
            lines = sorted(_lines(logs), key=lambda line: line.at)
        link.end()
    if watch.again:
        raise AssertionError(f"parts arrived twice: {watch.again}")
    return Recording(
        airflow=version("apache-airflow"),
        size_mib=SIZE_MIB,
        part_count=len(plan_parts(SIZE_MIB * MIB)),
        arrivals=watch.arrivals,
        lines=lines,
        pid=watch.pid,
        killed_at=watch.killed_at,
    )


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("dag_id=ossresume_demo/*/task_id=upload/attempt=*.log"))


def _text(folder: Path) -> str:
    return "".join(log.read_text() for log in _logs(folder))


def _lines(folder: Path) -> Iterator[Line]:
    """Yield what this package logged."""
    for log in _logs(folder):
        for text in log.read_text().splitlines():
            entry = json.loads(text)
            if "airflow_provider_ossresume" in entry.get("logger", "") and entry["level"] == "info":
                at = datetime.fromisoformat(entry["timestamp"]).timestamp()
                yield Line(at, int(log.stem.partition("=")[2]), entry["event"])


if __name__ == "__main__":
    sys.exit(main())
