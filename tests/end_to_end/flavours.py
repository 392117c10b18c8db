"""What the installed major version of Airflow needs: the only place that knows the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version


@dataclass(frozen=True)
class Flavour:
    """Settings and components.

    :ivar with_server: settings where the metadata is on PostgreSQL
    :ivar before_migration: components that are slow to start and need no tables until a task runs
    :ivar health: the path that says whether the API server is up; None if there is no API server
    """

    settings: Mapping[str, str]
    with_server: Mapping[str, str] = field(default_factory=dict)
    before_migration: Sequence[str] = ()
    health: str | None = None
    trigger_options: tuple[str, ...] = ()

    def components(self, *, ui: bool) -> dict[str, Sequence[str]]:
        """Return the arguments of `airflow` for each component, in the order in which they start."""
        scheduler = {"scheduler": ("scheduler", "--skip-serve-logs")}
        if self.health is None:
            return dict(scheduler)
        return {"api-server": ("api-server", "--apps", "core,execution" if ui else "execution"), **scheduler}


SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # a busy machine takes longer than the 30 s of the default
    "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",  # start() has migrated
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",  # a look costs 15 ms of processor time
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "SPT_NOENV": "1",  # keeps setproctitle from overwriting the environment by which processes_of() knows a process
}

OPTIONAL = {"triggerer": ("triggerer", "--skip-serve-logs")}

_FLAVOURS = {
    "2": Flavour(
        settings={
            "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": "600",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "5",  # as 3.x has it hard-coded; 60 otherwise
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
        },
        # Tasks are forked, which is cheap. On SQLite each is a new Python, and runs alone.
        with_server={"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__PARALLELISM": "8"},
        trigger_options=("--no-replace-microseconds",),  # else two runs of one second are one
    ),
    "3": Flavour(
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
        before_migration=("api-server",),
        health="/execution/health/ping",
    ),
}

FLAVOUR = _FLAVOURS[version("apache-airflow").split(".")[0]]
