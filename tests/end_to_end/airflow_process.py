"""A real Airflow in a throw-away home, for tests that kill tasks and watch what the scheduler does.

Airflow 3: scheduler with LocalExecutor, or with CeleryExecutor and its workers, and the API server its tasks talk to.
Airflow 2.11: scheduler with SequentialExecutor on SQLite, with LocalExecutor on PostgreSQL. All on loopback. The
installed Airflow decides which; see flavours.py. Nothing here imports airflow: commands go to a console process,
answers are read from the metadata database.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil

from tests.end_to_end.celery_workers import CeleryWorkers
from tests.end_to_end.flavours import FLAVOUR, OPTIONAL
from tests.end_to_end.homes import copy_dags, environment, random_key
from tests.end_to_end.metadata import SQLITE, Metadata, as_utc
from tests.end_to_end.processes import COMPONENT, end_processes_of, environment_of, processes_of, wait_until
from tests.end_to_end.records import Records

HERE = Path(__file__).parent
BOOT_SECONDS = 180  # ten on an idle laptop; a busy CI machine is many times slower
FINAL_STATES = ("success", "failed")
LOG_LINES_SHOWN = 40
OF_TASKS = re.compile(r"\[(airflow_provider_ossresume[.\w]*|supervisor|http\.access)\]")


class TaskProcess(NamedTuple):
    """`task` runs `execute()`; `supervisor` is its parent, which reports to Airflow for it."""

    task: psutil.Process
    supervisor: psutil.Process


class RealAirflow(Records):
    """A running Airflow, from `start()` to `stop()`, or for the length of a `with` block.

    `dags` are files, or folders whose `*.py` are taken; they are copied and parsed once, and one that cannot be parsed
    makes `start()` fail. `connections` maps connection ids to what AIRFLOW_CONN_… takes, a URI or JSON. `env` goes to
    every process of this Airflow and wins over the harness's own settings; AIRFLOW… variables of the caller are not
    passed on. There is no DAG processor and no triggerer; name them in `also` where a test needs one. `database` is the
    URL of an empty one on PostgreSQL. `celery` has tasks run in workers, each a component; it wants such a `database`.
    `ui` has Airflow 3 serve its UI and REST API, which `mark_failed()` and `clear()` need and which is slow to start.
    `tell` hears of the steps of `start()`.

    stop() kills every process that was started with this home, orphaned tasks included; so does the end of the calling
    process, whatever ends it. The home stays, for its logs.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Iterable[Path],
        connections: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        also: Iterable[str] = (),
        database: str | None = None,
        celery: CeleryWorkers | None = None,
        ui: bool = False,
        tell: Callable[[str], object] = lambda step: None,
    ) -> None:
        home = home.resolve()
        super().__init__(home, Metadata(database or f"{SQLITE}{home / 'airflow.db'}"), fernet_key=random_key())
        self._dags = list(dags)
        self._tell = tell
        self._components = {
            **FLAVOUR.components(ui=ui),
            **{name: OPTIONAL.get(name, (name,)) for name in also},
            **(celery.components(self.home) if celery else {}),
        }
        settings = {
            **(FLAVOUR.with_server if database else {}),
            **(celery.settings(self._metadata.url) if celery else {}),
        }
        self._env = {
            **environment(home, self._metadata.url, connections or {}, fernet_key=self._fernet_key),
            **settings,
            **(env or {}),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._console: subprocess.Popen[str] | None = None
        self._console_turn = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealAirflow:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where Airflow 3's API server is, and its UI if there is one."""
        return f"http://127.0.0.1:{self._env['AIRFLOW__API__PORT']}"

    def start(self) -> None:
        """Return when DAGs can be triggered; raise, with nothing left running, when that does not come about."""
        try:
            self._boot()
        except BaseException:  # Ctrl-C included
            self.stop()
            raise

    def stop(self) -> None:
        """Kill every process of this home and wait for their end. Stopping twice is harmless."""
        end_processes_of(self.home)
        for process in (*self._running.values(), self._console):
            if process is not None:
                process.wait()
        if self._console is not None:
            self._console.stdin.close()
            self._console.stdout.close()
        if self._guard is not None:
            self._guard.stdin.close()
            self._guard.wait()
        self._running, self._console, self._guard = {}, None, None

    def kill(self, component: str) -> None:
        """End a component, such as "scheduler", with SIGKILL; what it has begun is left to itself."""
        process = self._running.pop(component)
        process.kill()
        process.wait()

    def kill_all_of(self, component: str) -> int:
        """End a component and all that it has started, such as tasks, with SIGKILL, as when its machine is lost.

        Return how many processes that were.
        """
        process = self._running.pop(component)
        killed = end_processes_of(self.home, component=component)
        process.wait()
        return killed

    def component_of(self, process: psutil.Process) -> str | None:
        """Return which component has started the process; None when it has ended."""
        return environment_of(process).get(COMPONENT)

    def start_again(self, component: str) -> None:
        """Start a component that has ended, or was killed."""
        self._start_component(component)

    def start_what_has_ended(self) -> None:
        """Start the components that have ended by themselves, as whatever watches over them in a deployment does."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                self.start_again(name)

    def cli(self, *arguments: str) -> str:
        """Run `airflow <arguments>` and return what it prints; RuntimeError with that text when its status is not 0."""
        with self._console_turn:
            print(json.dumps(arguments), file=self._console.stdin, flush=True)
            answer = self._console.stdout.readline()
        if not answer:
            raise RuntimeError(f"the console ended in `airflow {' '.join(arguments)}`\n{self.diagnosis()}")
        status, output = json.loads(answer)
        if status != 0:
            raise RuntimeError(f"`airflow {' '.join(arguments)}` ended with status {status}:\n{output}")
        return output

    def trigger(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any] | None = None) -> None:
        self.cli(
            "dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf or {}), *FLAVOUR.trigger_options
        )

    def mark_failed(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Do what the button "Mark state as failed" does to a task instance that runs."""
        if FLAVOUR.health is None:  # 2.11: the web server is slow to start, and this is what it would write
            update = "UPDATE task_instance SET state = 'failed' WHERE dag_id = ? AND run_id = ? AND task_id = ?"
            self._metadata.write(update, dag_id, run_id, task_id)
            return
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        self._ask("PATCH", path, token=self._token(), new_state="failed")

    def clear_failed(self, dag_id: str, run_id: str) -> None:
        """Do what the button "Clear" does to the failed task instances of a run, as it is set by default."""
        if FLAVOUR.health is None:  # as above
            self.cli("tasks", "clear", dag_id, "--only-failed", *self._only(dag_id, run_id), "--yes")
            return
        path = f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances"
        self._ask("POST", path, token=self._token(), dry_run=False, dag_run_id=run_id, only_failed=True)

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Do what the button "Clear" does to a task instance and all that come after it."""
        if FLAVOUR.health is None:  # as above
            what = ("--task-regex", f"^{re.escape(task_id)}$", "--downstream")
            self.cli("tasks", "clear", dag_id, *what, *self._only(dag_id, run_id), "--yes")
            return
        path = f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances"
        wanted = {"dag_run_id": run_id, "task_ids": [task_id], "include_downstream": True, "only_failed": False}
        self._ask("POST", path, token=self._token(), dry_run=False, **wanted)

    def let_heartbeat_expire(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """Let Airflow find out at once that a try has nobody who sends heartbeats, for which it waits minutes."""
        of_task = "dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?"
        update = (
            f"UPDATE job SET latest_heartbeat = ? WHERE id = (SELECT job_id FROM task_instance WHERE {of_task})"
            if FLAVOUR.health is None
            else f"UPDATE task_instance SET last_heartbeat_at = ? WHERE {of_task}"
        )
        self._metadata.write(update, "2024-01-01 00:00:00.000000", dag_id, run_id, task_id, map_index)

    def _only(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Return the options by which 2.11's command line means one run."""
        row = self._row("SELECT execution_date AS at FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
        at = as_utc(row["at"]).isoformat()
        return ("--start-date", at, "--end-date", at)

    def _token(self) -> str:
        return str(json.loads(self._ask("GET", "/auth/token"))["access_token"])

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float) -> str:
        """Return "success" or "failed" when the run has ended."""

        def ended() -> str | None:
            self._check_alive()
            state = self.run_state(dag_id, run_id)
            return state if state in FINAL_STATES else None

        return wait_until(ended, timeout=timeout, what=lambda: f"the end of {dag_id} {run_id}\n{self.diagnosis()}")

    def wait_until_parsed(self) -> None:
        """Return when the scheduler of 2.11 has parsed each DAG; at once on Airflow 3, whose scheduler parses none."""
        if FLAVOUR.health is None:
            began = "(SELECT MAX(start_date) FROM job WHERE job_type = 'SchedulerJob')"
            query = f"SELECT dag_id FROM dag WHERE last_parsed_time < {began}"
            wait_until(lambda: not self._rows(query), timeout=BOOT_SECONDS, what="each DAG to be parsed")

    def task_process(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, try_number: int = 1, timeout: float = 60
    ) -> TaskProcess:
        """Return the processes of a running try; waits for it to start.

        psutil's Process is proof against reused ids: `.kill()`, `.send_signal()`, `.suspend()` and `.wait()` act on the
        process meant or raise NoSuchProcess.
        """

        def running() -> TaskProcess | None:
            self._check_alive()
            now = self.task_instance(dag_id, run_id, task_id, map_index)
            if now.try_number > try_number:
                raise LookupError(f"try {try_number} of {task_id} is over: {now}")
            if now.try_number < try_number or now.state != "running" or now.pid is None:
                return None
            task = psutil.Process(now.pid)
            return TaskProcess(task, task.parent())

        what = f"try {try_number} of {dag_id} {run_id} {task_id} to run"
        return wait_until(running, timeout=timeout, what=lambda: f"{what}\n{self.diagnosis()}")

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of this Airflow: components, supervisors, tasks, orphans."""
        return processes_of(self.home)

    def diagnosis(self) -> str:
        """Return what a reader of a failed test wants to see: the task instances and the ends of the logs."""
        return "\n".join((*self._task_lines(), *(self._log_end(log) for log in sorted(self.home.glob("*.log")))))

    def _boot(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        copy_dags(self._dags, self.home / "dags")
        guard = (sys.executable, str(HERE / "processes.py"), str(self.home))
        # A session of its own, so that Ctrl-C does not end the guard before its time.
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
        for name in FLAVOUR.before_migration:
            self._start_component(name)
        self._start_console()
        self._tell("making the database")
        self.cli("db", "migrate")
        self._metadata.prepare()
        self._tell("parsing the DAGs")
        self.cli("dags", "reserialize")
        self.cli("dags", "list-import-errors", "--output", "json")  # its status is 1 if there are any
        for name in self._components:
            if name not in self._running:
                self._start_component(name)
        wait_until(self._is_up, timeout=BOOT_SECONDS, what=lambda: f"Airflow to start\n{self.diagnosis()}")

    def _start_component(self, name: str) -> None:
        self._tell(f"starting the {name}")
        with (self.home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                (sys.executable, "-m", "airflow", *self._components[name]),
                **{"cwd": self.home, "env": {**self._env, COMPONENT: name}, "start_new_session": True},
                **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log},
            )

    def _start_console(self) -> None:
        with (self.home / "console.log").open("wb") as log:
            self._console = subprocess.Popen(
                (sys.executable, str(HERE / "airflow_console.py")),
                **{"cwd": self.home, "env": self._env, "start_new_session": True, "text": True},
                **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log},
            )

    def _is_up(self) -> bool:
        self._check_alive()
        jobs = self._rows("SELECT 1 FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'")
        return bool(jobs) and self._is_healthy()

    def _is_healthy(self) -> bool:
        if FLAVOUR.health is None:
            return True
        try:
            self._ask("GET", FLAVOUR.health)
        except OSError:
            return False
        return True

    def _ask(self, method: str, path: str, *, token: str | None = None, **body: str | bool | list[str]) -> bytes:
        """Return what the API server answers."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.read()

    def _check_alive(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with status {process.returncode}\n{self.diagnosis()}")

    def _task_lines(self) -> list[str]:
        try:
            rows = self._rows("SELECT dag_id, run_id, task_id, map_index, try_number, state, pid FROM task_instance")
        except Exception as error:  # of whatever database; the logs are to be shown all the same
            return [f"(no task instances: {error})"]
        return [", ".join(f"{name} {row[name]}" for name in row) for row in rows]

    def _log_end(self, log: Path) -> str:
        """Return the last lines, but for those of requests and running tasks, which would hide the others."""
        lines = [line for line in log.read_text(errors="replace").splitlines() if not OF_TASKS.search(line)]
        return "\n".join((f"----- the end of {log.name}", *lines[-LOG_LINES_SHOWN:]))
