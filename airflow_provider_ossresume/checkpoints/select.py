"""Which home a checkpoint gets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError

CHOICES = ("auto", "task_state", "variable", "xcom", "file", "memory")


@runtime_checkable
class CheckpointStore(Protocol):
    """What every home of checkpoints offers; see ``transfer.checkpointing.CheckpointStore`` for the promises."""

    def load(self, key: str) -> str | None: ...
    def save(self, key: str, text: str) -> None: ...
    def delete(self, key: str) -> None: ...


def select_store(
    choice: str | CheckpointStore,
    *,
    context: Mapping[str, Any] | None,
    description: str = "",
    xcom_holder_task_id: str | None = None,
) -> CheckpointStore:
    """Return the store that ``checkpoint=`` asks for.

    :param choice: ``task_state`` (Airflow 3.3 on), ``variable``, ``xcom``, ``file`` (``~/.ossresume``, or
        ``file:FOLDER``), ``memory``, a dotted class path, or a store itself. ``auto`` is ``task_state`` where the
        context offers it, else ``variable``, and ``file`` outside a task.
    :param context: of the running task; None outside one
    :param description: shown beside a Variable: which transfer it is
    :raises ArgumentError: for an unknown choice, or one that this Airflow or this place does not have
    :raises NoXComHolder: see :mod:`~airflow_provider_ossresume.checkpoints.xcom`
    """
    if not isinstance(choice, str):
        return _checked(choice)
    if choice == "memory":
        return MemoryCheckpointStore()
    if choice == "file" or choice.startswith("file:"):
        return FileCheckpointStore(choice.removeprefix("file").removeprefix(":") or None)
    if choice in CHOICES:
        return _airflow_store(choice, context, description, xcom_holder_task_id)
    if "." in choice:
        return _checked(_new(choice))
    raise ArgumentError("checkpoint", choice, f"choose one of {', '.join(CHOICES)}, file:FOLDER, or a class path")


def _airflow_store(
    choice: str, context: Mapping[str, Any] | None, description: str, xcom_holder_task_id: str | None
) -> CheckpointStore:
    if context is None:
        if choice == "auto":
            return FileCheckpointStore()
        raise ArgumentError("checkpoint", choice, "there is no running task here; use file or memory")
    task_state = context.get("task_state_store")
    if choice == "auto":
        choice = "variable" if task_state is None else "task_state"
    if choice == "variable":
        from airflow_provider_ossresume.checkpoints.variable import VariableCheckpointStore

        return VariableCheckpointStore(description)
    if choice == "xcom":
        from airflow_provider_ossresume.checkpoints.xcom import XComCheckpointStore

        return XComCheckpointStore.of_context(context, holder_task_id=xcom_holder_task_id)
    if task_state is None:
        raise ArgumentError("checkpoint", choice, "the task state store comes with Airflow 3.3; use variable or auto")
    from airflow_provider_ossresume.checkpoints.task_state import TaskStateCheckpointStore

    return TaskStateCheckpointStore(task_state)


def _new(path: str) -> object:
    """Return an instance of the class at a dotted path, made without arguments."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ArgumentError("checkpoint", path, f"this class cannot be imported: {error}") from error
    if not callable(found):
        raise ArgumentError("checkpoint", path, "this is no class: it is not callable")
    try:
        return found()
    except TypeError as error:
        raise ArgumentError("checkpoint", path, f"this class is made without arguments: {error}") from error


def _checked(store: object) -> CheckpointStore:
    if isinstance(store, type) or not isinstance(store, CheckpointStore):
        raise ArgumentError(
            "checkpoint", store, "give an instance of a class that has the methods load, save and delete"
        )
    return store
