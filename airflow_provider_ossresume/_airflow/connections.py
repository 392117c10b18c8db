"""Airflow connections: how a task and a trigger look them up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, conf

from airflow_provider_ossresume._airflow.task import current_context
from airflow_provider_ossresume._airflow.versions import AIRFLOW_3
from airflow_provider_ossresume.errors import ArgumentError

T = TypeVar("T")


class ConnectionNotFound(ArgumentError, AirflowNotFoundException):
    """There is no connection with that ID. It is also Airflow's own error, for code that catches that one."""


def find_connection(conn_id: str, get: Callable[[str], Any]) -> Any:
    """Return the connection that ``get`` finds by its ID.

    :raises ConnectionNotFound: if Airflow calls the connection not defined. Airflow says the same if its API server,
        its database or a secrets backend is down. If one of them may be down, the error is retryable.
    """
    try:
        return get(conn_id)
    except AirflowNotFoundException:
        is_certain = _connections_are_readable()
    try:
        return get(conn_id)  # Airflow may have been down for a moment
    except AirflowNotFoundException as error:
        advice = "create the connection, correct its ID, or pass None to use the worker's own credentials"
        missing = ConnectionNotFound("oss_conn_id", conn_id, f"Airflow says: {error}; {advice}")
        missing.retryable = not is_certain
        raise missing from None


def _connections_are_readable() -> bool:
    if conf.get("secrets", "backend", fallback="") or conf.get("workers", "secrets_backend", fallback=""):
        return False  # Airflow does not pass on the backend's errors
    context = current_context()
    if context is None:
        return True  # outside a task there is no retry
    try:
        if AIRFLOW_3:
            check_api_server(context["ti"])
        else:
            _check_database()
    except Exception:  # the database driver and the supervisor raise errors of their own
        return False
    return True


def check_api_server(ti: Any) -> None:
    """Request something that always exists. Raises if the API server does not answer."""
    ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])


def _check_database() -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session() as session:
        session.execute(text("SELECT 1"))


# --- in the triggerer -------------------------------------------------------------------------------------------------


async def read_connection(conn_id: str, read: Callable[[Any], T], *, executor: Executor) -> T:
    """Look up a connection in a trigger, and return the result of ``read(connection)``.

    Reading a connection calls Airflow too, to mask its secrets. On 3.0 and 3.1 all triggers share one socket, and only
    the event loop may read its answers. So each call to Airflow runs in the loop, or in a thread of asgiref, which asks
    the loop. A call from any other thread would end the triggerer. An answer that nobody waits for would end it too, so
    a look-up that has started goes on if the trigger is cancelled.

    ``read`` runs in the executor. On 2.11 and 3.0, so does the look-up. From 3.1 on, Airflow chooses its thread: a
    secrets backend without an asynchronous method runs in the one thread that asgiref shares among all triggers. A
    slow backend delays all of them.

    :param executor: runs what may block, because the threads of the loop are shared with other triggers
    """
    return await asyncio.shield(_read_connection(conn_id, read, executor))


async def _read_connection(conn_id: str, read: Callable[[Any], T], executor: Executor) -> T:
    from asgiref.sync import SyncToAsync  # every Airflow has it

    options: Any = {"thread_sensitive": False, "executor": executor}
    if hasattr(BaseHook, "aget_connection"):  # from 3.1 on
        connection = await BaseHook.aget_connection(conn_id)
    else:
        connection = await SyncToAsync(BaseHook.get_connection, **options)(conn_id)
    return await SyncToAsync(read, **options)(connection)
