"""Variables and XComs, as places for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Variable, XCom, get_current_context

from airflow_provider_ossresume._airflow.connections import check_api_server
from airflow_provider_ossresume._airflow.supervisor import supervisor_has_hung_up
from airflow_provider_ossresume._airflow.versions import AIRFLOW_3
from airflow_provider_ossresume.errors import StoreUnavailable, SupervisorGone, TrySuperseded


def get_variable(name: str) -> str | None:
    """Return the value of a Variable, or None if it does not exist.

    Airflow's ``Variable.get`` also says that a Variable does not exist if the database or the API server is down. Here
    that raises an error: otherwise the try would start its transfer from the beginning.
    """
    if not AIRFLOW_3:
        return _get_variable_from_database(name)
    value = Variable.get(name, default=None)
    if value is None:
        check_api_server(get_current_context()["ti"])
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
    """Delete a Variable. It is not an error if it does not exist."""
    Variable.delete(name)


def can_list_variables() -> bool:
    """True if a task can list Variables: on 2.11 in the database, from 3.3 on with the Execution API."""
    return not AIRFLOW_3 or hasattr(Variable, "keys")


def variable_names(prefix: str) -> list[str] | None:
    """Return the names of Airflow's Variables that start with a prefix, or None if no task can list them.

    Variables of a secrets backend or the environment are not among them.
    """
    if not AIRFLOW_3:
        from airflow.utils.session import create_session

        table: Any = Variable  # a database model on 2.11
        with create_session() as session:
            names = session.query(table.key).filter(table.key.startswith(prefix, autoescape=True))
            return [name for (name,) in names]
    if not can_list_variables():
        return None
    return [str(name) for name in Variable.keys(prefix=prefix)]


def get_xcom(key: str, row: Mapping[str, Any]) -> Any:
    """Return an XCom of a task instance, or None.

    :param row: the task instance: ``dag_id``, ``run_id``, ``task_id`` and ``map_index``
    """
    return XCom.get_one(key=key, **row)


def set_xcom(key: str, value: Any, row: Mapping[str, Any]) -> None:
    XCom.set(key=key, value=value, **row)


def delete_xcom(key: str, row: Mapping[str, Any]) -> None:
    """Delete one XCom of a task instance. It is not an error if it does not exist."""
    if AIRFLOW_3:
        if XCom.get_one(key=key, **row) is not None:
            XCom.delete(key=key, **row)
        return
    from airflow.utils.session import create_session

    with create_session() as session:  # XCom.clear of 2.11 would delete all keys of the task instance
        session.query(XCom).filter_by(key=key, **row).delete()


# --- failures of these stores, and of the task state store ------------------------------------------------------------


def store_error(what: str, error: Exception) -> StoreUnavailable | TrySuperseded:
    """Return the error to raise if a call to one of Airflow's stores failed.

    A broken connection may be that of a backend for XComs, secrets or task state. It is the supervisor's only if the
    supervisor has closed its end. On 2.11, calls to Airflow do not go through the supervisor.
    """
    what = f"{what}: {str(error) or type(error).__name__}"
    return SupervisorGone(what) if supervisor_has_hung_up() else StoreUnavailable(what)


def is_not_found(error: Exception) -> bool:
    """True if the Execution API of Airflow 3 answered 404."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return isinstance(detail, Mapping) and detail.get("status_code") == 404
