"""How the sensor ends: the same in every mode and on every Airflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from airflow_provider_ossresume._airflow import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_ossresume.errors import OSSResumeError, error_from_data
from airflow_provider_ossresume.model.arguments import parse_flag

AIRFLOW_FLAGS = ("soft_fail", "silent_fail", "never_fail")
FINAL_ERRORS = (AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout)  # what Airflow skips under soft_fail


class EndsAlike:
    """Of a sensor: the errors of Airflow and of this provider lead to the same end in every mode.

    :ivar permanent_errors: ``fail``, or ``skip`` when an error cannot pass
    """

    soft_fail: Any
    never_fail: Any
    permanent_errors: str

    def _fail(self, error: BaseException) -> NoReturn:
        """Fail or skip, as Airflow's own loop does when a poke raises."""
        if self.never_fail or (self.soft_fail and isinstance(error, FINAL_ERRORS)):
            raise AirflowSkipException(str(error)) from error
        raise error

    @contextmanager
    def _same_end_in_every_mode(self) -> Iterator[None]:
        """Settle what the modes and the versions of Airflow end differently: timeouts, and what no waiting mends."""
        try:
            for flag in AIRFLOW_FLAGS:
                setattr(self, flag, parse_flag(flag, getattr(self, flag)))
            yield
        except AirflowSensorTimeout as error:
            if self.soft_fail or self.never_fail:  # the latter is forgotten by Airflow's loop
                raise AirflowSkipException(str(error)) from error
            raise
        except (AirflowFailException, AirflowSkipException, OSSResumeError) as end:
            permanent = permanent_error(end)
            if permanent is None or (self.permanent_errors != "skip" and isinstance(end, AirflowFailException)):
                raise
            kind = AirflowSkipException if self.permanent_errors == "skip" else AirflowFailException
            raise kind(str(permanent)) from permanent


def airflow_error(error: OSSResumeError) -> Exception:
    """Return an error as poke raises it."""
    if error.retryable:
        return error
    final = AirflowFailException(str(error))
    final.__cause__ = error
    return final


def permanent_error(end: BaseException) -> OSSResumeError | None:
    """Return the error of ours that no retry mends, if it is that what a task ends with."""
    if isinstance(end, AirflowSkipException):  # Airflow's loop skips under soft_fail and never_fail
        end = end.__cause__ if isinstance(end.__cause__, AirflowFailException) else end
    if isinstance(end, AirflowFailException) and end.__cause__ is not None:
        end = end.__cause__
    return end if isinstance(end, OSSResumeError) and not end.retryable else None


def error_of_event(event: Mapping[str, Any]) -> OSSResumeError:
    """Return the error that a trigger has met; those of version 0.1 tell its message, and whether it may pass."""
    match event:
        case {"status": "error", "error": data}:
            return error_from_data(data)
        case {"status": "error", "message": str(message)}:
            error = OSSResumeError(message)
            error.retryable = bool(event.get("retryable", True))
            return error
    error = OSSResumeError(
        f"the triggerer told what this worker cannot read (status {event.get('status')!r}); run the same version of "
        "airflow-provider-ossresume in both"
    )
    error.retryable = True  # as while they are upgraded
    return error
