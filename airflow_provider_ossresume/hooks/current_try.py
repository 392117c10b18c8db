"""The try that is running, and its task instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ossresume.hooks.reporting import task_instance
from airflow_provider_ossresume.model.checkpoint_keys import TaskIds
from airflow_provider_ossresume.transfer.lease import this_process


class CurrentTry:
    """The running try of a task instance, or this process if no task runs in it.

    :ivar context: the task's context; None outside a task
    :ivar began: when the try began, in seconds since 1970; None if unknown
    :ivar task: the IDs of the task instance; None outside a task
    :ivar owner: the owner that this try's checkpoints name
    :ivar name: a readable name of the task instance or the process
    """

    def __init__(self, context: Mapping[str, Any] | None) -> None:
        self.context = context = context if task_instance(context) is not None else None
        self.began: float | None = None
        self.task: TaskIds | None = None
        if context is None:
            self.owner = this_process()
            self.name = self.owner.identity
        else:
            ti = context["ti"]
            self.task = TaskIds(ti.dag_id, ti.run_id, ti.task_id, getattr(ti, "map_index", -1))
            self.name = " ".join(map(str, self.task))
            self.owner = this_process(ti.try_number, task=self.name)
            start = getattr(ti, "start_date", None)
            self.began = start.timestamp() if start else None
