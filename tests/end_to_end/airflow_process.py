"""A real Airflow in a throw-away home, for tests that kill tasks and watch what the scheduler does.

Airflow 3: scheduler with LocalExecutor, or with CeleryExecutor and its workers, and the API server its tasks talk to.
Airflow 2.11: scheduler with SequentialExecutor. Both on loopback, and on SQLite unless told. The installed Airflow
decides which; `_FLAVOUR` is the only place that knows the difference. Nothing here imports airflow: commands go to a
console process, answers are read from the metadata database.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil

from tests.airflow_tables import NEW_IN_3_4, as_3_4_has_it
from tests.end_to_end.celery_workers import CeleryWorkers
from tests.end_to_end.metadata import SQLITE, Metadata, Row, as_utc
from tests.end_to_end.processes import COMPONENT, HOME, end_processes_of, environment_of, processes_of, wait_until
from tests.postgres import free_port

HERE = Path(__file__).parent
BOOT_SECONDS = 180  # ten on an idle laptop; a busy CI machine is many times slower
FINAL_STATES = ("success", "failed")
LOG_LINES_SHOWN = 40


@dataclass(frozen=True)
class TaskTry:
    """One try of a task instance, as the metadata database has it."""

    try_number: int
    state: str | None
    pid: int | None
    hostname: str | None
    started: datetime | None
    ended: datetime | None


class TaskProcess(NamedTuple):
    """`task` runs `execute()`; `supervisor` is its parent, which reports to Airflow for it."""

    task: psutil.Process
    supervisor: psutil.Process


@dataclass(frozen=True)
class _Flavour:
    """What a major version of Airflow needs: settings, and the components in the order in which they start."""

    settings: Mapping[str, str]
    before_migration: Sequence[str] = ()
    components: Mapping[str, Sequence[str]] = field(default_factory=dict)
    health: str | None = None
    trigger_options: tuple[str, ...] = ()


_SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",  # start() has migrated
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "SPT_NOENV": "1",  # keeps setproctitle from overwriting the environment by which processes_of() knows a process
}

_SCHEDULER = {"scheduler": ("scheduler", "--skip-serve-logs")}
_OPTIONAL = {"triggerer": ("triggerer", "--skip-serve-logs")}

_FLAVOURS = {
    "2": _Flavour(
        settings={
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "5",  # as 3.x has it hard-coded; 60 otherwise
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
        },
        components=_SCHEDULER,
        trigger_options=("--no-replace-microseconds",),  # else two runs of one second are one
    ),
    "3": _Flavour(
        settings={
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API_AUTH__JWT_ISSUER": "tests",  # 3.0 makes None of none, which PyJWT refuses
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
        },
        before_migration=("api-server",),  # the slowest to start, and in no need of tables until a task runs
        components={"api-server": ("api-server", "--apps", "core,execution"), **_SCHEDULER},
        health="/execution/health/ping",
    ),
}

_FLAVOUR = _FLAVOURS[version("apache-airflow").split(".")[0]]


class RealAirflow:
    """A running Airflow, from `start()` to `stop()`, or for the length of a `with` block.

    `dags` are files, or folders whose `*.py` are taken; they are copied and parsed once, and one that cannot be parsed
    makes `start()` fail. `connections` maps connection ids to what AIRFLOW_CONN_… takes, a URI or JSON. `env` goes to
    every process of this Airflow and wins over the harness's own settings; AIRFLOW… variables of the caller are not
    passed on. There is no DAG processor and no triggerer; name them in `also` where a test needs one. `database` is the
    URL of an empty one on PostgreSQL. `celery` has tasks run in workers, each a component; it wants such a `database`.
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
        tell: Callable[[str], object] = lambda step: None,
    ) -> None:
        self.home = home.resolve()
        self._dags = list(dags)
        self._tell = tell
        self._metadata = Metadata(database or f"{SQLITE}{self.home / 'airflow.db'}")
        self._components = {
            **_FLAVOUR.components,
            **{name: _OPTIONAL.get(name, (name,)) for name in also},
            **(celery.components(self.home) if celery else {}),
        }
        self._fernet_key = _random_key()
        settings = celery.settings(self._metadata.url) if celery else {}
        self._env = self._environment(connections or {}, {**settings, **(env or {})})
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
        """Where Airflow 3's API server is, and its UI."""
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
            "dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf or {}), *_FLAVOUR.trigger_options
        )

    def mark_failed(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Do what the button "Mark state as failed" does to a task instance that runs."""
        if _FLAVOUR.health is None:  # 2.11: the web server is slow to start, and this is what it would write
            update = "UPDATE task_instance SET state = 'failed' WHERE dag_id = ? AND run_id = ? AND task_id = ?"
            self._metadata.write(update, dag_id, run_id, task_id)
            return
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        self._ask("PATCH", path, token=self._token(), new_state="failed")

    def clear_failed(self, dag_id: str, run_id: str) -> None:
        """Do what the button "Clear" does to the failed task instances of a run, as it is set by default."""
        if _FLAVOUR.health is None:  # as above
            self.cli("tasks", "clear", dag_id, "--only-failed", "--yes")
            return
        path = f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances"
        self._ask("POST", path, token=self._token(), dry_run=False, dag_run_id=run_id, only_failed=True)

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Do what the button "Clear" does to a task instance and all that come after it."""
        if _FLAVOUR.health is None:  # as above
            row = self._row("SELECT execution_date AS at FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
            only = as_utc(row["at"]).isoformat()
            what = ("--task-regex", f"^{re.escape(task_id)}$", "--downstream", "--start-date", only, "--end-date", only)
            self.cli("tasks", "clear", dag_id, *what, "--yes")
            return
        path = f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances"
        wanted = {"dag_run_id": run_id, "task_ids": [task_id], "include_downstream": True, "only_failed": False}
        self._ask("POST", path, token=self._token(), dry_run=False, **wanted)

    def _token(self) -> str:
        return str(json.loads(self._ask("GET", "/auth/token"))["access_token"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        return self._row("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)["state"]

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float) -> str:
        """Return "success" or "failed" when the run has ended."""

        def ended() -> str | None:
            self._check_alive()
            state = self.run_state(dag_id, run_id)
            return state if state in FINAL_STATES else None

        return wait_until(ended, timeout=timeout, what=lambda: f"the end of {dag_id} {run_id}\n{self.diagnosis()}")

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskTry:
        """Return the latest try."""
        return self.tries(dag_id, run_id, task_id, map_index)[-1]

    def tries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[TaskTry]:
        """Return all tries that are over, oldest first, and the latest one. LookupError if there is no such task."""
        found = {
            row["try_number"]: TaskTry(**{**row, **{name: as_utc(row[name]) for name in ("started", "ended")}})
            for table in ("task_instance_history", "task_instance")
            for row in self._rows(
                "SELECT try_number, state, pid, hostname, start_date AS started, end_date AS ended"
                f" FROM {table} WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ? ORDER BY try_number",
                *(dag_id, run_id, task_id, map_index),
            )
        }
        if not found:
            raise LookupError(f"no task instance {dag_id} {run_id} {task_id} {map_index}")
        return [found[number] for number in sorted(found)]

    def states(self, dag_id: str, run_id: str, task_id: str) -> dict[int, str | None]:
        """Return the state of each task instance of a task by its map index."""
        rows = self._rows(
            "SELECT map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ?",
            *(dag_id, run_id, task_id),
        )
        return {row["map_index"]: row["state"] for row in rows}

    def task_ids(self, dag_id: str, run_id: str) -> list[tuple[str, int]]:
        """Return task id and map index of each task instance of a run."""
        rows = self._rows(
            "SELECT task_id, map_index FROM task_instance WHERE dag_id = ? AND run_id = ?", dag_id, run_id
        )
        return [(row["task_id"], row["map_index"]) for row in rows]

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

    def xcoms(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        return self._json_by_key("xcom", dag_id, run_id, task_id, map_index)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """Return the value, KeyError if there is none. During a retry it may be that of the try before."""
        return self.xcoms(dag_id, run_id, task_id, map_index)[key]

    def task_states(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return what lies in the task state store; always empty where Airflow has none."""
        if not self._metadata.has_table("task_state_store"):
            return {}
        return self._json_by_key("task_state_store", dag_id, run_id, task_id, map_index)

    def variables(self) -> dict[str, str]:
        """Return all Variables in the database, decrypted."""
        from cryptography.fernet import Fernet

        fernet = Fernet(self._fernet_key)
        return {
            row["key"]: fernet.decrypt(row["val"].encode()).decode() if row["is_encrypted"] else row["val"]
            for row in self._rows("SELECT key, val, is_encrypted FROM variable")
        }

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """Return the log file's text (JSON lines on Airflow 3), empty as long as the try has written none."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        log = folder / f"attempt={try_number}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of this Airflow: components, supervisors, tasks, orphans."""
        return processes_of(self.home)

    def diagnosis(self) -> str:
        """Return what a reader of a failed test wants to see: the task instances and the ends of the logs."""
        return "\n".join((*self._task_lines(), *(self._log_end(log) for log in sorted(self.home.glob("*.log")))))

    def _boot(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        _copy_dags(self._dags, self.home / "dags")
        guard = (sys.executable, str(HERE / "processes.py"), str(self.home))
        # A session of its own, so that Ctrl-C does not end the guard before its time.
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
        for name in _FLAVOUR.before_migration:
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

    def _environment(self, connections: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
        port = free_port()
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))},
            **_SETTINGS,
            **_FLAVOUR.settings,
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
            HOME: str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__FERNET_KEY": self._fernet_key,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata.url,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API_AUTH__JWT_SECRET": _random_key(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            **{f"AIRFLOW_CONN_{conn_id.upper()}": connection for conn_id, connection in connections.items()},
            **env,
        }

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
        if _FLAVOUR.health is None:
            return True
        try:
            self._ask("GET", _FLAVOUR.health)
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

    def _json_by_key(self, table: str, *ids: str | int) -> dict[str, Any]:
        rows = self._rows(
            f"SELECT key, value FROM {table} WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?", *ids
        )
        return {row["key"]: json.loads(row["value"]) for row in rows}

    def _row(self, query: str, *values: str | int) -> Row:
        rows = self._rows(query, *values)
        if not rows:
            raise LookupError(f"nothing answers {query} with {values}")
        return rows[0]

    def _rows(self, query: str, *values: str | int) -> Sequence[Row]:
        return self._metadata.rows(as_3_4_has_it(query) if self._metadata.has_table(NEW_IN_3_4) else query, *values)

    def _task_lines(self) -> list[str]:
        try:
            rows = self._rows("SELECT dag_id, run_id, task_id, map_index, try_number, state, pid FROM task_instance")
        except Exception as error:  # of whatever database; the logs are to be shown all the same
            return [f"(no task instances: {error})"]
        return [", ".join(f"{name} {row[name]}" for name in row) for row in rows]

    def _log_end(self, log: Path) -> str:
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join((f"----- the end of {log.name}", *lines))


def _copy_dags(dags: Iterable[Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in dags:
        for file in sorted(path.glob("*.py")) if path.is_dir() else (path,):
            shutil.copy(file, folder)


def _random_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()  # the form of a Fernet key; serves as JWT secret too
