"""How a try ends when a newer one has taken over."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_ossresume._airflow.supervisor import has_local_task_job
from airflow_provider_ossresume._airflow.versions import AIRFLOW_3
from airflow_provider_ossresume.errors import TrySuperseded

log = logging.getLogger(__name__)


def leave_to_successor(error: TrySuperseded, context: Mapping[str, Any]) -> NoReturn:
    """End a try that has been superseded, without changing the state of its successor.

    On 3.x, Airflow rejects whatever this try reports, by its ID. On 2.11, all tries of a task instance share one
    database row, and an exception would overwrite the running successor's state with a failure. So if that row says
    that this try is over, the process, which runs only this try, exits at once.
    """
    if not AIRFLOW_3 and has_local_task_job(context) and _is_over(context["ti"], otherwise=not error.retryable):
        log.error("%s", error)
        logging.shutdown()
        os._exit(1)
    raise (AirflowException if error.retryable else AirflowFailException)(str(error)) from error


def _is_over(ti: Any, *, otherwise: bool) -> bool:
    """True on 2.11 if the database row of the task instance belongs to another try, or to no running one.

    :param otherwise: the result if the database cannot be read: whether a checkpoint names a newer try
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
    except Exception as error:  # the database's driver raises errors of its own
        log.warning("Cannot read from the database whether this try is over; it ends in any case: %s", error)
        return otherwise
    # job_id may be a str, because it comes from a command line.
    return row is None or list(map(str, row)) != ["running", str(ti.try_number), str(ti.job_id)]
