"""The running task instance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, conf, get_current_context

from airflow_provider_ossresume._airflow.versions import RELEASE


def current_context() -> Mapping[str, Any] | None:
    """Return the context of the task that runs in this process, or None outside a task."""
    try:
        context: Mapping[str, Any] = get_current_context()
    except (RuntimeError, AirflowException):  # 3.x and 2.11 differ
        return None
    return context


def max_map_length() -> int:
    """Return the administrator's limit for the number of mapped task instances."""
    return int(conf.getint("core", "max_map_length", fallback=1024))


def is_last_try(context: Mapping[str, Any]) -> bool:
    """True if Airflow will not retry the task when this try fails. False outside a task, where this is unknown."""
    ti = context.get("ti")
    return ti is not None and bool(ti.try_number > ti.max_tries)  # Clear raises max_tries: the retries start again


def discard_failed_deferral(context: Mapping[str, Any]) -> None:
    """On Airflow 3.0, run ``execute`` if a retry was resumed with the failed deferral of the previous try.

    3.0 keeps the failed deferral for all later tries and does not record which try it belongs to. A reschedule removes
    it. Airflow counts reschedules per try, so each try does this once. If its own deferral fails later, the try fails.

    :raises AirflowRescheduleException: to run ``execute`` of the same try
    """
    if RELEASE != (3, 0) or getattr(context.get("ti"), "try_number", 1) <= 1 or context.get("task_reschedule_count"):
        return
    from airflow.exceptions import AirflowRescheduleException

    raise AirflowRescheduleException(datetime.now(tz=timezone.utc))


def metric_tags(ti: Any) -> dict[str, str]:
    """Return Airflow's metric tags of a task instance. Some versions add the team."""
    return getattr(ti, "stats_tags", None) or {"dag_id": ti.dag_id, "task_id": ti.task_id}
