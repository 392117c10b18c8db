"""What the CeleryExecutor of Airflow 3 needs: settings, and workers that stand for as many machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CeleryWorkers:
    """Workers with a broker of their own; each is a component of a RealAirflow, which can be killed and started again.

    :ivar broker: the URL of a Redis
    :ivar names: of the workers
    :ivar tasks_at_once: in each of them
    """

    broker: str
    names: tuple[str, ...] = ("worker-1", "worker-2")
    tasks_at_once: int = 2

    def settings(self, database: str) -> dict[str, str]:
        """Return the environment of all of Airflow's processes; `database` is that of the metadata, on PostgreSQL."""
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(self.tasks_at_once * len(self.names)),
            "AIRFLOW__CELERY__BROKER_URL": self.broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(self.tasks_at_once),
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            "AIRFLOW__CELERY__OPERATION_TIMEOUT": "30",  # one second is little on a busy machine
        }

    def components(self, home: Path) -> dict[str, tuple[str, ...]]:
        """Return the arguments of `airflow` for each worker."""
        return {
            name: (
                *("celery", "worker", "--celery-hostname", name, "--pid", str(home / f"{name}.pid")),
                *("--skip-serve-logs", "--without-mingle", "--without-gossip"),
            )
            for name in self.names
        }
