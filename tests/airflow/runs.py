"""Runs DAGs in this process with ``dag.test()``, and reads in the metadata database what came of them."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from airflow.models import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import inspect, text

from airflow_provider_ossresume._airflow import AIRFLOW_3, BaseOperator
from airflow_provider_ossresume.hooks.progress import PROGRESS_KEY
from tests.airflow_tables import as_3_4_has_it

PREFIX = "ossresume-"
_STORES = {"variable": "key", "xcom": "key", "task_state_store": "key"}
_STORED_IN = {"xcom": "xcom_v2"} if hasattr(TaskInstance, "region_index") else {}  # from 3.4 on


@dataclass(frozen=True)
class Run:
    """A DAG run that is over."""

    dag_id: str
    run_id: str
    state: str

    def instance(self, task_id: str, map_index: int = -1) -> tuple[str, int]:
        """Return state and number of the last try."""
        [(state, number)] = self._rows("SELECT state, try_number FROM task_instance", task_id, map_index)
        return state, number

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom's value, or None when there is none."""
        found = [value for name, value in self._xcoms(task_id, map_index) if name == key]
        return found[0] if found else None

    def rendered(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return the template fields as the UI shows them."""
        [(fields,)] = self._rows("SELECT rendered_fields FROM rendered_task_instance_fields", task_id, map_index)
        return dict(loaded(fields))

    def _xcoms(self, task_id: str, map_index: int) -> Iterator[tuple[str, Any]]:
        for key, value in self._rows("SELECT key, value FROM xcom", task_id, map_index):
            yield key, loaded(value)

    def _rows(self, select: str, task_id: str, map_index: int) -> list[Any]:
        where = "WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id AND map_index = :map_index"
        ids = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": task_id, "map_index": map_index}
        return rows(f"{select} {where}", **ids)


def run(dag: Any, **conf: Any) -> Run:
    """Run a DAG to its end and return what came of it."""
    _make_known(dag)
    former = signal.getsignal(signal.SIGTERM)  # Airflow sets its own for each task
    try:
        with _as_in_a_worker():
            dag_run = dag.test(run_conf=conf)
    finally:
        signal.signal(signal.SIGTERM, former)
    return Run(dag.dag_id, dag_run.run_id, str(getattr(dag_run.state, "value", dag_run.state)))


@contextlib.contextmanager
def _as_in_a_worker() -> Iterator[None]:
    """Mend what dag.test() leaves out and a worker does: the exception that callbacks find in the context, before 3.3;
    and the date of a sensor's first reschedule as a datetime, which on 3.0 is a text.
    """
    if not AIRFLOW_3:
        yield
        return
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import TaskRescheduleStartDate

    finalize = task_runner.finalize

    def finalize_with_exception(ti: Any, state: Any, context: Any, log: Any, error: BaseException | None) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    with (
        mock.patch.object(task_runner, "finalize", finalize_with_exception),
        mock.patch.object(TaskRescheduleStartDate, "model_construct", TaskRescheduleStartDate),
    ):
        yield


def last_run(dag: Any) -> Run:
    """Return the run of a DAG whose ``dag.test()`` ended with an exception."""
    [(run_id, state)] = rows("SELECT run_id, state FROM dag_run WHERE dag_id = :dag_id", dag_id=dag.dag_id)
    return Run(dag.dag_id, run_id, state)


def links(dag: Any, task_id: str, map_index: int = -1) -> dict[str, str]:
    """Return the extra links of the last run's task instance as Airflow's UI gets them: from the serialized DAG."""
    from airflow.serialization import serialized_objects

    serialization = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)  # new in 3.2
    task = serialization.from_dict(serialization.to_dict(dag)).get_task(task_id)
    with create_session() as session:
        ids = {"dag_id": dag.dag_id, "task_id": task_id, "map_index": map_index}
        ti = session.query(TaskInstance).filter_by(**ids).one()
        return {name: task.get_extra_links(ti, name) for name in task.extra_links}


class Call(BaseOperator):
    """Calls a function with the context of the running task."""

    def __init__(self, *, function: Callable[[Mapping[str, Any]], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def execute(self, context: Any) -> Any:
        return self.function(context)


def call_in_a_task(dag: Any, function: Callable[[Mapping[str, Any]], Any], *, then: Any = None) -> Any:
    """Return what a function answers inside a running task, or raise what it raises there.

    :param then: a task of the DAG that is downstream of it
    """
    answers: list[Callable[[], Any]] = []

    def in_the_task(context: Mapping[str, Any]) -> None:
        try:
            answer = function(context)
        except BaseException as error:  # pytest.skip's too; the test raises it
            answers.append(partial(_raise, error))
        else:
            answers.append(lambda: answer)

    task = Call(task_id="task", function=in_the_task, dag=dag)
    if then is not None:
        task >> then
    assert run(dag).state == "success"
    [answer] = answers
    return answer()


def _raise(error: BaseException) -> NoReturn:
    raise error


@contextlib.contextmanager
def connection_in_the_database(conn_id: str, as_json: str) -> Iterator[None]:
    from airflow.models import Connection

    with create_session() as session:
        session.add(Connection.from_json(as_json, conn_id=conn_id))  # noqa: AIR311  into the database, as no task does
    try:
        yield
    finally:
        with create_session() as session:
            session.execute(text("DELETE FROM connection WHERE conn_id = :conn_id"), {"conn_id": conn_id})


def checkpoints() -> list[str]:
    """Return where in Airflow's database a checkpoint is, as ``table key``."""
    found = [
        f"{table} {key}"
        for table, column in present_stores()
        for (key,) in rows(f"SELECT {column} FROM {table} WHERE {column} LIKE '{PREFIX}%'")
        if key != PROGRESS_KEY
    ]
    return sorted(found)


def forget_checkpoints() -> None:
    with create_session() as session:
        for table, column in present_stores():
            session.execute(text(f"DELETE FROM {_STORED_IN.get(table, table)} WHERE {column} LIKE '{PREFIX}%'"))


def rows(select: str, **values: Any) -> list[Any]:
    with create_session() as session:
        query = as_3_4_has_it(select) if hasattr(TaskInstance, "region_index") else select
        return [tuple(row) for row in session.execute(text(query), values)]


def present_stores() -> Iterator[tuple[str, str]]:
    with create_session() as session:
        tables = inspect(session.get_bind()).get_table_names()
    return ((table, column) for table, column in _STORES.items() if _STORED_IN.get(table, table) in tables)


def loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, (str, bytes)) else value


def _make_known(dag: Any) -> None:
    """Do what the DAG processor does with a DAG file."""
    if not AIRFLOW_3:
        dag.sync_to_db()  # a DAG would run without it, but its datasets would not be known
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    bundle = manager.get_bundle("dags-folder")
    try:
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    except ImportError:
        _make_known_before_3_2(dag, bundle)
        return
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, bundle.name, None)


def _make_known_before_3_2(dag: Any, bundle: Any) -> None:
    from airflow.models import dagbag

    dag.relative_fileloc = Path(dag.fileloc).name  # as who reads a DAG file sets it
    bag = dagbag.DagBag(dag_folder=bundle.path, bundle_path=bundle.path, include_examples=False)
    bag.bag_dag(dag)
    if hasattr(dagbag, "sync_bag_to_db"):
        dagbag.sync_bag_to_db(bag, bundle.name, None)
    else:  # 3.0
        bag.sync_to_db(bundle.name, None)
