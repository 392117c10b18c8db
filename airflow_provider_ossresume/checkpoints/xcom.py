"""A checkpoint store of XComs that belong to another task of the run, the holder.

Airflow deletes a task instance's own XComs when its next try starts, so they cannot be used for retries. The XComs of
another task stay. The best holder is a downstream task: Airflow deletes its XComs when it starts, after our task has
succeeded. Otherwise it is an upstream task, which has run already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints import PREFIX
from airflow_provider_ossresume.errors import ArgumentError, NoXComHolder


class XComCheckpointStore:
    """Keeps each checkpoint as JSON under ``ossresume-`` and the key's hash.

    :param row: the holder's dag_id, run_id, task_id and map_index
    """

    calls_airflow = True  # so it cannot be used in every thread and process; see _airflow.why_not_callable

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    @classmethod
    def of_context(cls, context: Mapping[str, Any], *, holder_task_id: str | None = None) -> XComCheckpointStore:
        """Return the store for a running task.

        :param holder_task_id: the task that holds the checkpoint; None: choose one
        :raises NoXComHolder: if there is no such task
        :raises ArgumentError: if the named task cannot hold it
        """
        ti = context["ti"]
        holder = find_holder(context["task"], named=holder_task_id)
        return cls({"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": holder, "map_index": -1})

    def load(self, key: str) -> str | None:
        try:
            value = _airflow.get_xcom(PREFIX + key, self._row)
        except Exception as error:  # Airflow raises what its database, XCom back end or API client raise
            raise _airflow.store_error(f"reading the {self.place(key)}", error) from error
        return None if value is None else _as_text(value)

    def save(self, key: str, text: str) -> None:
        try:
            _airflow.set_xcom(PREFIX + key, json.loads(text), self._row)
        except Exception as error:  # as above
            raise _airflow.store_error(f"writing the {self.place(key)}", error) from error

    def delete(self, key: str) -> None:
        try:
            _airflow.delete_xcom(PREFIX + key, self._row)
        except Exception as error:  # as above
            raise _airflow.store_error(f"deleting the {self.place(key)}", error) from error

    @property
    def _holder(self) -> str:
        return f"task {self._row['task_id']!r}"

    def place(self, key: str) -> str:
        """Return what to look for in Airflow's UI."""
        return f"XCom {PREFIX}{key} of {self._holder}"

    def __str__(self) -> str:
        return f"XCom of {self._holder}"


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)  # put there by a person; decoding it reports that it is no checkpoint


def find_holder(task: Any, *, named: str | None = None) -> str:
    """Return the ID of a task that can hold the checkpoint of this task.

    It needs exactly one task instance, which exists before our task runs and is not cleared by its retries. So it is
    not a mapped task, nor in a mapped task group. Downstream tasks that wait for all upstream tasks come first.

    :raises ArgumentError: if the named task cannot hold it
    :raises NoXComHolder: if no task can
    """
    dag = task.dag
    if named is not None:
        if named == task.task_id or not dag.has_task(named):
            raise ArgumentError(
                "xcom_holder_task_id", named, f"name another task of {dag.dag_id}: {_some(_others(task))}"
            )
        if _is_mapped(dag.get_task(named)):
            raise ArgumentError(
                "xcom_holder_task_id", named, "a mapped task has several task instances; name an unmapped task"
            )
        return named
    for task_id in _candidates(task):
        if not _is_mapped(dag.get_task(task_id)):
            return task_id
    raise NoXComHolder(
        f"checkpoint='xcom' needs another, unmapped task upstream or downstream of {task.task_id!r} to hold it: "
        "Airflow deletes a task's own XComs before its retry. Use checkpoint='variable', or add an EmptyOperator "
        "downstream and name it with xcom_holder_task_id"
    )


def _candidates(task: Any) -> Iterator[str]:
    direct_upstream = set(task.upstream_task_ids)
    yield from _tasks_behind(task)
    yield from sorted(direct_upstream)
    yield from sorted(task.get_flat_relative_ids(upstream=True) - direct_upstream)


def _tasks_behind(task: Any) -> list[str]:
    """Return the tasks that cannot start before our task has succeeded, the nearest first."""
    found: list[str] = []
    nearest = [task]
    while nearest:
        names = sorted({name for each in nearest for name in each.downstream_task_ids} - set(found))
        nearest = [each for each in map(task.dag.get_task, names) if _waits_for_all(each)]
        found += [each.task_id for each in nearest]
    return found


def _waits_for_all(task: Any) -> bool:
    return getattr(task, "trigger_rule", None) == "all_success"  # an enum of texts, or a text


def _is_mapped(task: Any) -> bool:
    # 2.11 has no is_mapped, but only mapped tasks have the arguments of partial().
    return (
        getattr(task, "is_mapped", hasattr(task, "partial_kwargs")) or task.get_closest_mapped_task_group() is not None
    )


def _others(task: Any) -> Iterable[str]:
    return sorted(name for name in task.dag.task_ids if name != task.task_id)


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:10]) or "there is none"
