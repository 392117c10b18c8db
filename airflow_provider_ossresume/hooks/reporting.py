"""Calls to Airflow that report on a transfer. If one of them fails, the transfer is not affected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_ossresume.errors import TransferStopped, TrySuperseded

log = logging.getLogger(__name__)


def report_to_airflow(what: str, call: Callable[[], object], *, is_quiet: bool = False) -> bool:
    """Make the call and return True; if it fails, log a warning and return False.

    Every report to Airflow, during a transfer and after it, goes through this function. It does not catch what ends a
    task: a stop, a newer try, and anything that is not an Exception, such as SystemExit and a task timeout.

    :param what: what is reported, for the warning
    :param is_quiet: log no warning, because there has been one
    """
    try:
        call()
    except (TransferStopped, TrySuperseded):
        raise
    except Exception as error:  # Airflow, its backends and its plugins may raise anything
        if not is_quiet:
            log.warning(
                "Could not report %s to Airflow; the transfer is not affected: %s", what, str(error) or repr(error)
            )
        return False
    return True


def task_instance(context: Mapping[str, Any] | None) -> Any:
    """Return the task instance of a context, or None outside a task, such as in a unit test with ``execute({})``."""
    return context.get("ti") if context else None


def may_push(context: Mapping[str, Any] | None) -> bool:
    """True if a task is running, without ``do_xcom_push=False``."""
    ti = task_instance(context)
    return ti is not None and bool(getattr(getattr(ti, "task", None), "do_xcom_push", True))
