"""What a running Airflow knows of runs, tasks and Variables, read from its metadata database and its log files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.airflow_tables import NEW_IN_3_4, as_3_4_has_it
from tests.end_to_end.metadata import Metadata, Row, as_utc


@dataclass(frozen=True)
class TaskTry:
    """One try of a task instance, as the metadata database has it."""

    try_number: int
    state: str | None
    pid: int | None
    hostname: str | None
    started: datetime | None
    ended: datetime | None


class Records:
    """Reads behind Airflow's back, so that it also works while Airflow is frozen or dead."""

    def __init__(self, home: Path, metadata: Metadata, *, fernet_key: str) -> None:
        self.home = home
        self._metadata = metadata
        self._fernet_key = fernet_key

    def run_state(self, dag_id: str, run_id: str) -> str:
        return self._row("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", dag_id, run_id)["state"]

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
