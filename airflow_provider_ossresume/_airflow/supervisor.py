"""The process that supervises a try, and which threads and processes of the try may call Airflow."""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_ossresume._airflow.task import current_context
from airflow_provider_ossresume._airflow.versions import AIRFLOW_3, AIRFLOW_VERSION, RELEASE


def watch_supervisor(context: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that tells whether the process that supervises this try is gone.

    If it is gone, a newer try may be running.

    ``dag.test()``, ``dags test`` and ``tasks test`` have no supervisor. The task runs in the process of the caller, and
    the parent of that process may be a shell that ends. The function then always returns False.
    """
    if AIRFLOW_3:
        return supervisor_has_hung_up
    if not has_local_task_job(context):
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent


def supervisor_has_hung_up() -> bool:
    """True if the other end of the supervisor's socket is closed. That happens when the supervisor dies."""
    found = _supervisor_socket()
    if found is None or found.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(found, 0)  # poll always reports a hang-up; no other event is requested, and no byte is read
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def _supervisor_socket() -> socket.socket | None:
    """Return the socket to the supervisor of a task on Airflow 3, or None if the task has no supervisor."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    found = getattr(getattr(runner, "SUPERVISOR_COMMS", None), "socket", None)
    return found if isinstance(found, socket.socket) else None


def has_local_task_job(context: Mapping[str, Any]) -> bool:
    """True on 2.11 if the task's parent process is Airflow's LocalTaskJob, which sets the task's ``job_id``."""
    return getattr(context.get("ti"), "job_id", None) is not None


def why_not_callable(context: Mapping[str, Any]) -> str | None:
    """Return why this thread or process must not call Airflow, or None if it may.

    A process that the task forked shares the task's connection to Airflow, so each of the two could read answers that
    are meant for the other. The same is true of two threads on Airflow 3.0 and 3.1, and on any 3.x without a
    supervisor, because the connection has no lock there.
    """
    if _is_forked_child(context):
        return "A process that the task forked must not use the task's connection to Airflow"
    if not AIRFLOW_3 or threading.current_thread() is threading.main_thread():
        return None
    if _supervisor_socket() is None:
        return "Airflow can only be called from the task's main thread in dag.test(), dags test and tasks test"
    if RELEASE < (3, 2):
        return f"Airflow {AIRFLOW_VERSION} can only be called from the task's main thread"
    return None


_was_forked_by_task = False


def _note_fork() -> None:
    global _was_forked_by_task
    _was_forked_by_task = current_context() is not None  # Airflow's own forks come before a task runs


os.register_at_fork(after_in_child=_note_fork)


def _is_forked_child(context: Mapping[str, Any]) -> bool:
    if _was_forked_by_task:
        return True
    # This module may have been imported after the fork. Airflow never starts a task's process with multiprocessing, but
    # may start the task's supervisor with it.
    parent = multiprocessing.parent_process()
    is_supervised = _supervisor_socket() is not None if AIRFLOW_3 else has_local_task_job(context)
    return is_supervised and parent is not None and parent.pid == os.getppid()
