"""DAG runs in an Airflow that is installed somewhere: started here, done there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.airflow_tables import NEW_IN_3_4, as_3_4_has_it


@dataclass(frozen=True)
class Run:
    """A DAG run that is over, as Airflow's database has it."""

    dag_id: str
    run_id: str
    state: str
    database: Path

    def tries(self, task_id: str) -> dict[int, tuple[str, int]]:
        """Return state and try number of each of the task's instances, by map index."""
        rows = self._rows("SELECT map_index, state, try_number FROM task_instance", task_id)
        return {map_index: (state, number) for map_index, state, number in rows}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        rows = self._rows("SELECT key, map_index, value FROM xcom", task_id)
        [value] = [value for name, index, value in rows if (name, index) == (key, map_index)]
        # SQLite turns JSON's numbers into its own.
        return json.loads(value) if isinstance(value, (str, bytes)) else value

    def xcom_keys(self, task_id: str) -> list[str]:
        return [key for (key,) in self._rows("SELECT key FROM xcom", task_id)]

    def _rows(self, select: str, task_id: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            query = f"{select} WHERE dag_id = ? AND run_id = ? AND task_id = ?"
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (NEW_IN_3_4,)).fetchall():
                query = as_3_4_has_it(query)
            return connection.execute(query, (self.dag_id, self.run_id, task_id)).fetchall()


class DagRunner:
    """The process that parses the DAGs of a folder and runs them; it starts once for all of them.

    :param python: the interpreter of the environment that Airflow is in
    :param env: with AIRFLOW_HOME, whose database is migrated, and the folder of the DAGs
    """

    def __init__(self, python: str, env: Mapping[str, str], log: Path) -> None:
        self._database = Path(env["AIRFLOW_HOME"]) / "airflow.db"
        self._log = log
        command = (python, str(Path(__file__).with_name("dag_runner.py")))
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
            )
        self.parsed = self._ask({"parse": True})

    def run(self, dag_id: str, **conf: Any) -> Run:
        answer = self._ask({"run": dag_id, "conf": conf})
        if answer["state"] != "success":
            print(self._log.read_text(errors="replace")[-10_000:])
        return Run(dag_id, answer["run_id"], answer["state"], self._database)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(120)  # a busy machine takes its time to end Airflow
        self._process.stdout.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, self._log.read_text(errors="replace")[-10_000:]
        return json.loads(answer)
