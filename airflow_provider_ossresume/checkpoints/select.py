"""Chooses the checkpoint store."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, runtime_checkable

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError

CHOICES = ("auto", "task_state", "variable", "xcom", "file", "memory", "configured")

_METHODS = ("load", "save", "delete")
_OPTION = "[ossresume] checkpoint_store"

log = logging.getLogger(__name__)


@runtime_checkable
class CheckpointStore(Protocol):
    """The methods of every checkpoint store; ``transfer.lease.CheckpointStore`` documents them."""

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
    """Return the store for a value of ``checkpoint=``.

    A text may come from a template, so it only chooses among known stores. It never names code to run.

    :param choice: ``task_state`` (Airflow 3.3 and later), ``variable``, ``xcom``, ``file`` (``~/.ossresume``, or
        ``file:FOLDER``), ``memory``, ``configured`` (the class that ``[ossresume] checkpoint_store`` names in Airflow's
        configuration), or a store object. ``auto`` is the configured class if there is one, else the store that
        survives a retry and a person's Clear on this Airflow: ``task_state`` on 3.3, ``variable`` on all others.
        Outside a task, and in a thread or process that must not call Airflow, it is ``file``.
    :param context: of the running task; None outside a task
    :param description: a Variable's description, which shows which transfer it belongs to
    :raises ArgumentError: if the choice is unknown, or does not exist on this Airflow or in this place
    :raises NoXComHolder: see :mod:`~airflow_provider_ossresume.checkpoints.xcom`
    """
    if not isinstance(choice, str):
        return _checked(choice, context)
    if choice == "memory":
        return MemoryCheckpointStore()
    if choice == "file" or choice.startswith("file:"):
        return _file_store(choice)
    if choice == "configured":
        return _configured_store(choice, context)
    if choice == "auto":
        return _default_store(context, description)
    if choice in CHOICES:
        return _airflow_store(choice, context, description, xcom_holder_task_id)
    if "." in choice:
        reason = (
            "a string cannot name a class, because a template could then run any code; give a store object in Python, "
            f"or set {_OPTION} in Airflow's configuration to the class and choose 'configured'"
        )
        raise ArgumentError("checkpoint", choice, reason)
    raise ArgumentError("checkpoint", choice, f"choose one of {', '.join(CHOICES)}, or file:FOLDER")


def _default_store(context: Mapping[str, Any] | None, description: str) -> CheckpointStore:
    if _configured_path():
        return _configured_store("auto", context)
    if context is not None:
        refusal = _airflow.why_not_callable(context)
        if refusal is None:
            has_task_state = _airflow.CLEAR_KEEPS_TASK_STATE and context.get("task_state_store") is not None
            choice = "task_state" if has_task_state else "variable"
            return _airflow_store(choice, context, description, None)
        _warn_once(
            f"{refusal}. The checkpoint is a file on this worker instead, so a retry resumes only on this worker; "
            "to resume on any worker, set checkpoint to file:FOLDER with a shared folder"
        )
    try:
        return FileCheckpointStore()
    except ArgumentError as error:
        _warn_once(f"No checkpoint is kept, so a retry starts from the beginning: {error.reason}")
        return MemoryCheckpointStore()


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _file_store(choice: str) -> FileCheckpointStore:
    _, has_folder, folder = choice.partition(":")
    if has_folder and not folder.strip():
        raise ArgumentError(
            "checkpoint", choice, "name a folder after file: (a template that rendered to nothing leaves it empty)"
        )
    try:
        return FileCheckpointStore(folder if has_folder else None)
    except ArgumentError as error:
        raise ArgumentError("checkpoint", choice, error.reason) from error


def _airflow_store(
    choice: str, context: Mapping[str, Any] | None, description: str, xcom_holder_task_id: str | None
) -> CheckpointStore:
    if context is None:
        raise ArgumentError(
            "checkpoint", choice, "there is no running task here, which this store needs; use file or memory"
        )
    _check_callable(choice, context)
    if choice == "variable":
        from airflow_provider_ossresume.checkpoints.variable import VariableCheckpointStore

        return VariableCheckpointStore(description)
    if choice == "xcom":
        from airflow_provider_ossresume.checkpoints.xcom import XComCheckpointStore

        return XComCheckpointStore.of_context(context, holder_task_id=xcom_holder_task_id)
    task_state = context.get("task_state_store")
    if task_state is None:
        raise ArgumentError("checkpoint", choice, "the task state store needs Airflow 3.3; use variable or auto")
    from airflow_provider_ossresume.checkpoints.task_state import TaskStateCheckpointStore

    return TaskStateCheckpointStore(task_state)


def _configured_path() -> str:
    return str(_airflow.conf.get("ossresume", "checkpoint_store", fallback="") or "").strip()


def _configured_store(choice: str, context: Mapping[str, Any] | None) -> CheckpointStore:
    """Return an instance of the class named in Airflow's configuration. An admin wrote it there, so it is trusted."""
    path = _configured_path()
    if not path:
        reason = f"{_OPTION} in Airflow's configuration is empty; set it to the dotted path of a class"
        raise ArgumentError("checkpoint", choice, reason)
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module may raise anything
        raise ArgumentError(_OPTION, path, f"this class cannot be imported: {error}") from error
    if not isinstance(found, type) or not all(callable(getattr(found, method, None)) for method in _METHODS):
        raise ArgumentError(_OPTION, path, "name a class that has the methods load, save and delete")
    try:
        store = found()
    except Exception as error:  # as above
        raise ArgumentError(
            _OPTION, path, f"an instance of this class cannot be created without arguments: {error}"
        ) from error
    return _checked(store, context)


def _checked(store: object, context: Mapping[str, Any] | None) -> CheckpointStore:
    if isinstance(store, type) or not isinstance(store, CheckpointStore):
        reason = "give one of the known names, or an instance of a class that has the methods load, save and delete"
        raise ArgumentError("checkpoint", store, reason)
    if context is not None and getattr(store, "calls_airflow", False):
        _check_callable(store, context)
    return store


def _check_callable(choice: object, context: Mapping[str, Any]) -> None:
    """:raises ArgumentError: in a thread or process that must not call Airflow"""
    if refusal := _airflow.why_not_callable(context):
        raise ArgumentError("checkpoint", choice, f"{refusal}; use file or file:FOLDER here, or the task's own thread")
