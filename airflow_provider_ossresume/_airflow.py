"""Everything that differs between the Airflow versions we run on: 2.11, and 3.0 to 3.4. Nothing else knows versions.

Where :func:`why_not_callable` gives a reason, nothing in here that asks Airflow may be called. A trigger may call
:func:`read_connection` and nothing else.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import multiprocessing
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow import __version__ as _version
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    Asset,
    AssetAlias,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    PokeReturnValue,
    Stats,
    TaskGroup,
    Variable,
    XCom,
    conf,
    get_current_context,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ossresume.errors import ArgumentError, StoreUnavailable, SupervisorGone, TrySuperseded

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision as RetryDecision
    from airflow.sdk.definitions.retry_policy import RetryPolicy as RetryPolicy

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "PokeReturnValue",
    "Stats",
    "TaskGroup",
    "TriggerEvent",
    "conf",
    "current_context",
]

T = TypeVar("T")
_Side = Mapping[str, Any]

_RELEASE = tuple(map(int, _version.split(".")[:2]))

AIRFLOW_3 = _RELEASE >= (3,)

# Before 3.3 there is no task state. From 3.4 on a person's Clear discards it, unless that person asks to keep it.
CLEAR_KEEPS_TASK_STATE = _RELEASE == (3, 3)

# What 2.11's connection form holds in the place of a secret that stays as it is (airflow/www/views.py).
UNCHANGED_SECRET = "RATHER_LONG_SENSITIVE_FIELD_PLACEHOLDER"  # noqa: S105  none


def current_context() -> Mapping[str, Any] | None:
    """Return the context of the task that runs in this process, or None outside one."""
    try:
        context: Mapping[str, Any] = get_current_context()
    except (RuntimeError, AirflowException):  # 3.x and 2.11 differ
        return None
    return context


def max_map_length() -> int:
    """Return how many mapped tasks a list may make, as the administrator has set it."""
    return int(conf.getint("core", "max_map_length", fallback=1024))


def is_last_try(context: Mapping[str, Any]) -> bool:
    """True when Airflow starts no other try by itself if this one fails; False where nobody knows, outside a task."""
    ti = context.get("ti")
    return ti is not None and bool(ti.try_number > ti.max_tries)  # a clear raises max_tries: the retries count anew


def leave_failed_deferral_behind(context: Mapping[str, Any]) -> None:
    """On Airflow 3.0, let a retry begin anew that was started with the failed deferral of the try before it.

    3.0 keeps that for all later tries, and nothing in it says of which try it is. A reschedule removes it, and is
    counted for each try. So a try does this once, and a failure of its own deferral afterwards is its failure.

    :raises AirflowRescheduleException: which runs ``execute`` of the same try
    """
    if _RELEASE != (3, 0) or getattr(context.get("ti"), "try_number", 1) <= 1 or context.get("task_reschedule_count"):
        return
    from airflow.exceptions import AirflowRescheduleException

    raise AirflowRescheduleException(datetime.now(tz=timezone.utc))


def metric_tags(ti: Any) -> dict[str, str]:
    """Return what Airflow tags the metrics of a task instance with; some versions add the team."""
    return getattr(ti, "stats_tags", None) or {"dag_id": ti.dag_id, "task_id": ti.task_id}


# --- connections ------------------------------------------------------------------------------------------------------


class ConnectionNotFound(ArgumentError, AirflowNotFoundException):
    """There is no connection of that name; Airflow's own error too, for who waits for that one."""


def find_connection(conn_id: str, get: Callable[[str], Any]) -> Any:
    """Return the connection that ``get`` finds by its name.

    :raises ConnectionNotFound: when Airflow calls it not defined. Airflow says so too when its API server, its database
        or a secrets backend is down; where that may be so, the error is worth a retry.
    """
    try:
        return get(conn_id)
    except AirflowNotFoundException:
        is_sure = _connections_can_be_read()
    try:
        return get(conn_id)  # it may have been out of reach for a moment
    except AirflowNotFoundException as error:
        advice = "create it, correct the name, or pass None for the worker's own credentials"
        missing = ConnectionNotFound("oss_conn_id", conn_id, f"Airflow says: {error}; {advice}")
        missing.retryable = not is_sure
        raise missing from None


def _connections_can_be_read() -> bool:
    if conf.get("secrets", "backend", fallback="") or conf.get("workers", "secrets_backend", fallback=""):
        return False  # Airflow keeps the backend's errors to itself
    context = current_context()
    if context is None:
        return True  # no task, no retry
    try:
        if AIRFLOW_3:
            _ask_api_server(context["ti"])
        else:
            _ask_database()
    except Exception:  # whatever the driver, or the supervisor, raises
        return False
    return True


def _ask_api_server(ti: Any) -> None:
    """Ask for something that is always there; raises when the API server does not answer."""
    ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])


def _ask_database() -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session() as session:
        session.execute(text("SELECT 1"))


# --- connections in the triggerer ------------------------------------------------------------------------------------


async def read_connection(conn_id: str, read: Callable[[Any], T], *, executor: Executor) -> T:
    """Look a connection up in a trigger, and return what is read of it.

    Reading talks to Airflow too: it masks the secrets. On 3.0 and 3.1 there is one socket for all triggers, whose
    answers only the event loop may read. So whatever talks there runs in the loop, or in a thread that asgiref knows,
    which asks the loop; from any other thread it ends the triggerer. So does an answer that nobody waits for any more:
    what has begun goes on when the trigger is cancelled.

    On 2.11 and 3.0 the look-up runs in the executor, and so does ``read`` on every version. From 3.1 on Airflow itself
    chooses the place of the look-up: a secrets backend without an asynchronous method is asked in the one thread that
    asgiref shares among all triggers, so a slow backend delays theirs too.

    :param executor: its threads run what may block; those of the loop are everybody's
    """
    return await asyncio.shield(_read_connection(conn_id, read, executor))


async def _read_connection(conn_id: str, read: Callable[[Any], T], executor: Executor) -> T:
    from asgiref.sync import SyncToAsync  # every Airflow brings it

    options: Any = {"thread_sensitive": False, "executor": executor}
    if hasattr(BaseHook, "aget_connection"):  # from 3.1 on
        connection = await BaseHook.aget_connection(conn_id)
    else:
        connection = await SyncToAsync(BaseHook.get_connection, **options)(conn_id)
    return await SyncToAsync(read, **options)(connection)


# --- Variables --------------------------------------------------------------------------------------------------------


def get_variable(name: str) -> str | None:
    """Return the text of a Variable that :func:`set_variable` has set, or None when there is none.

    To Variable.get one that cannot be read, as the database or the API server is down, is one that does not exist. Here
    that is an error, as a try that took it so would begin its transfer again.
    """
    if not AIRFLOW_3:
        return _get_variable_from_database(name)
    value = Variable.get(name, default=None)
    if value is None:
        _ask_api_server(get_current_context()["ti"])
        value = Variable.get(name, default=None)
    return None if value is None else str(value)


def _get_variable_from_database(name: str) -> str | None:
    from airflow.utils.session import create_session

    with create_session() as session:
        variable = session.query(Variable).filter_by(key=name).one_or_none()
        return None if variable is None else str(variable.get_val())  # type: ignore[attr-defined]  # 2.11's


def set_variable(name: str, text: str, *, description: str) -> None:
    Variable.set(name, text, description=description)


def delete_variable(name: str) -> None:
    """Delete a Variable; one that does not exist is no error."""
    Variable.delete(name)


def can_list_variables() -> bool:
    """True where a task can: on 2.11, by the database, and from 3.3 on, by the Execution API."""
    return not AIRFLOW_3 or hasattr(Variable, "keys")


def variable_names(prefix: str) -> list[str] | None:
    """Return the names of all Variables in Airflow's database that begin so; None where no task can list them."""
    if not AIRFLOW_3:
        from airflow.utils.session import create_session

        table: Any = Variable  # 2.11's is one
        with create_session() as session:
            names = session.query(table.key).filter(table.key.startswith(prefix, autoescape=True))
            return [name for (name,) in names]
    if not can_list_variables():
        return None
    return [str(name) for name in Variable.keys(prefix=prefix)]


# --- retry policies ---------------------------------------------------------------------------------------------------


def retry_policy_classes() -> tuple[Any, Any]:
    """Return Airflow's classes RetryDecision and RetryPolicy.

    :raises ImportError: before Airflow 3.3, which has none
    """
    try:
        found = importlib.import_module("airflow.sdk.definitions.retry_policy")
    except ImportError as error:
        raise ImportError(
            f"retry policies come with Airflow 3.3, and this is {_version}; leave retry_policy out, as our operators "
            "fail at once for what no retry mends on every version"
        ) from error
    return found.RetryDecision, found.RetryPolicy


# --- XComs ------------------------------------------------------------------------------------------------------------


def get_xcom(key: str, row: Mapping[str, Any]) -> Any:
    """Return the value under a key on a task instance's row (dag_id, run_id, task_id, map_index), or None."""
    return XCom.get_one(key=key, **row)


def set_xcom(key: str, value: Any, row: Mapping[str, Any]) -> None:
    XCom.set(key=key, value=value, **row)


def delete_xcom(key: str, row: Mapping[str, Any]) -> None:
    """Delete one key of a row; one that does not exist is no error."""
    if AIRFLOW_3:
        if XCom.get_one(key=key, **row) is not None:
            XCom.delete(key=key, **row)
        return
    from airflow.utils.session import create_session

    with create_session() as session:  # 2.11 has only XCom.clear, which takes all keys of the row
        session.query(XCom).filter_by(key=key, **row).delete()


# --- lineage and assets -----------------------------------------------------------------------------------------------


def openlineage_dataset(namespace: str, name: str) -> Any:
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(namespace=namespace, name=name)


def operator_lineage(
    inputs: list[tuple[str, str]], outputs: list[tuple[str, str]], *, size: int | None, files: int = 1
) -> Any:
    """Return what OpenLineage's extractor takes of an operator.

    :param inputs: namespace and name of each dataset
    :param size: bytes that were written to each output, when that is known
    :param files: how many files they are in
    """
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    facets: dict[str, Any] = (
        {} if size is None else {"outputStatistics": OutputStatisticsOutputDatasetFacet(size=size, fileCount=files)}
    )
    return OperatorLineage(
        inputs=[openlineage_dataset(*each) for each in inputs],
        outputs=[OutputDataset(namespace=namespace, name=name, outputFacets=facets) for namespace, name in outputs],
    )


def report_hook_lineage(hook: BaseHook, *, inputs: Iterable[_Side], outputs: Iterable[_Side]) -> None:
    """Tell Airflow's collector of hook lineage what a hook has read and written.

    Nobody may have asked for lineage; the collector then does nothing.

    :param inputs: of each asset its ``uri``, or its ``scheme`` and the ``asset_kwargs`` for that scheme's factory
    """
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector = get_hook_lineage_collector()
    for side in inputs:
        collector.add_input_asset(context=hook, **side)
    for side in outputs:
        collector.add_output_asset(context=hook, **side)


def add_to_outlet_events(
    context: Mapping[str, Any], outlets: Iterable[Any], facts: Mapping[str, Any], *, made: Asset | None
) -> None:
    """Put facts into the extra of each asset event that the task's success will cause.

    :param made: the asset that the task has made; an alias among the outlets gets it
    """
    events = context["outlet_events"]
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            if made is not None:
                events[outlet].add(made, extra=dict(facts))
        elif isinstance(outlet, _kinds_of_assets()):
            events[outlet].extra.update(facts)


def _kinds_of_assets() -> tuple[type, ...]:
    if not AIRFLOW_3:
        return (Asset,)
    from airflow.sdk.definitions.asset import AssetRef  # an asset that is known by its name or URI only

    return Asset, AssetRef


# --- who supervises this try, and who may call Airflow ----------------------------------------------------------------


def watch_supervisor(context: Mapping[str, Any]) -> Callable[[], bool]:
    """Return what tells whether the process that supervises this try is gone, so that a newer try may be running.

    In ``dag.test()``, ``dags test`` and ``tasks test`` nobody supervises: the task runs in the process of who asked for
    it, whose parent may be a shell that ends. There the answer is always False.
    """
    if AIRFLOW_3:
        return _supervisor_has_hung_up
    if not _has_local_task_job(context):
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent


def _supervisor_has_hung_up() -> bool:
    """True when the other end of the supervisor's socket is closed. That happens when the supervisor dies."""
    found = _supervisor_socket()
    if found is None or found.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(found, 0)  # a hang-up is reported without being asked for, and no byte is read
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def _supervisor_socket() -> socket.socket | None:
    """Return the socket to the supervisor of a task on Airflow 3; None where the task runs without one."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    found = getattr(getattr(runner, "SUPERVISOR_COMMS", None), "socket", None)
    return found if isinstance(found, socket.socket) else None


def _has_local_task_job(context: Mapping[str, Any]) -> bool:
    """True on 2.11 when the task's parent process is Airflow's LocalTaskJob, which gives its number to the task."""
    return getattr(context.get("ti"), "job_id", None) is not None


def why_not_callable(context: Mapping[str, Any]) -> str | None:
    """Return why a running task must not call Airflow from this thread or process; None where it may.

    A process that the task forked shares the task's connection to Airflow: two would read each other's answers. So
    would two threads on Airflow 3.0 and 3.1, and on any 3.x where nobody supervises, as nothing there locks it.
    """
    if _is_forked_child(context):
        return "A process that the task forked must not use the task's connection to Airflow"
    if not AIRFLOW_3 or threading.current_thread() is threading.main_thread():
        return None
    if _supervisor_socket() is None:
        return "Airflow can only be called from the task's main thread in dag.test(), dags test and tasks test"
    if _RELEASE < (3, 2):
        return f"Airflow {_version} can only be called from the task's main thread"
    return None


_was_forked_by_task = False


def _note_fork() -> None:
    global _was_forked_by_task
    _was_forked_by_task = current_context() is not None  # Airflow itself forks before a task runs


os.register_at_fork(after_in_child=_note_fork)


def _is_forked_child(context: Mapping[str, Any]) -> bool:
    if _was_forked_by_task:
        return True
    # This module may be imported after the fork. Of a task itself multiprocessing is no parent, but perhaps of its
    # supervisor.
    parent = multiprocessing.parent_process()
    is_supervised = _supervisor_socket() is not None if AIRFLOW_3 else _has_local_task_job(context)
    return is_supervised and parent is not None and parent.pid == os.getppid()


# --- failures of Airflow's own stores ---------------------------------------------------------------------------------


def store_error(what: str, error: Exception) -> StoreUnavailable | TrySuperseded:
    """Return the error for a call to one of Airflow's stores that failed.

    A broken connection may be that of a back end for XComs, secrets or task state. It is the supervisor's only when the
    supervisor has hung up. On 2.11 a task calls Airflow without one.
    """
    what = f"{what}: {str(error) or type(error).__name__}"
    return SupervisorGone(what) if _supervisor_has_hung_up() else StoreUnavailable(what)


def is_not_found(error: Exception) -> bool:
    """True when the Execution API of Airflow 3 answered 404."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return isinstance(detail, Mapping) and detail.get("status_code") == 404


def leave_to_successor(error: TrySuperseded, context: Mapping[str, Any]) -> NoReturn:
    """End a try that has been superseded, without touching the state of its successor.

    On 3.x whatever this try reports is refused by its ID. On 2.11 the task instance has one row for all tries, and an
    exception would write this try's failure over the running successor's state. So there the process, which is this
    try's alone, ends at once when that row says that this try is over.
    """
    if not AIRFLOW_3 and _has_local_task_job(context) and _is_over(context["ti"], otherwise=not error.retryable):
        logging.getLogger(__name__).error("%s", error)
        logging.shutdown()
        os._exit(1)
    raise (AirflowException if error.retryable else AirflowFailException)(str(error)) from error


def _is_over(ti: Any, *, otherwise: bool) -> bool:
    """True on 2.11 when the row of the task instance is another try's, or no running one's.

    :param otherwise: the answer when the database does not tell: whether a checkpoint names a newer try
    """
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    table: Any = TaskInstance
    scoped_session: Any = settings.Session
    new_session = scoped_session.session_factory  # not the task's own session, which may hold an older view
    ids = {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    try:
        with new_session() as session:
            query = session.query(table.state, table.try_number, table.job_id)
            row = query.filter_by(**ids).one_or_none()
    except Exception as error:  # whatever the database's driver raises
        logging.getLogger(__name__).warning("The database does not tell whether this try is over: %s", error)
        return otherwise
    # The job's number may be a text: it comes from a command line.
    return row is None or list(map(str, row)) != ["running", str(ti.try_number), str(ti.job_id)]
