"""A task whose first try stands at a gate (a FIFO named in the run's conf) until a test lets it go or ends it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, AirflowException, BaseOperator, Context, Variable


class GateOperator(BaseOperator):
    """Try 1 leaves a Variable and waits at the gate; a later try returns what it left."""

    told_to_stop = False

    def execute(self, context: Context) -> str:
        name = f"gate_{context['run_id']}"
        if context["ti"].try_number > 1:
            return Variable.get(name)
        Variable.set(name, f"left by {os.getpid()}")
        with open(context["dag_run"].conf["gate"]) as gate:
            gate.read()
        if self.told_to_stop:  # Airflow 3 lets execute() go on after SIGTERM
            raise AirflowException("told to stop")
        return "not stopped"

    def on_kill(self) -> None:
        self.told_to_stop = True


with DAG("harness_gate", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    GateOperator(task_id="wait", retries=2, retry_delay=timedelta(0))
