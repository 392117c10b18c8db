"""How the sensor ends: the same way in every mode and on every version of Airflow."""

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
# With soft_fail, Airflow skips the task for these.
FINAL_ERRORS = (AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout)


class ConsistentOutcome:
    """Makes a sensor end the same way in every mode, for errors of Airflow and of this provider.

    :ivar permanent_errors: how the task ends for an error that no retry can fix: ``fail`` or ``skip``
    """

    soft_fail: Any
    never_fail: Any
    permanent_errors: str

    def _fail_or_skip(self, error: BaseException) -> NoReturn:
        """Fail or skip the task, as Airflow's own loop does if a poke raises."""
        if self.never_fail or (self.soft_fail and isinstance(error, FINAL_ERRORS)):
            raise AirflowSkipException(str(error)) from error
        raise error

    @contextmanager
    def _consistent_outcome(self) -> Iterator[None]:
        """Handle timeouts and permanent errors, which Airflow treats differently in each mode and version."""
        try:
            for flag in AIRFLOW_FLAGS:
                setattr(self, flag, parse_flag(flag, getattr(self, flag)))
            yield
        except AirflowSensorTimeout as error:
            if self.soft_fail or self.never_fail:  # Airflow's loop ignores never_fail here
                raise AirflowSkipException(str(error)) from error
            raise
        except (AirflowFailException, AirflowSkipException, OSSResumeError) as raised:
            permanent = permanent_error(raised)
            if permanent is None or (self.permanent_errors != "skip" and isinstance(raised, AirflowFailException)):
                raise
            kind = AirflowSkipException if self.permanent_errors == "skip" else AirflowFailException
            raise kind(str(permanent)) from permanent


def airflow_error(error: OSSResumeError) -> Exception:
    """Return the exception that ``poke`` raises for an error."""
    if error.retryable:
        return error
    final = AirflowFailException(str(error))
    final.__cause__ = error
    return final


def permanent_error(raised: BaseException) -> OSSResumeError | None:
    """Return the provider's error that no retry can fix, if the exception comes from one; else None."""
    if isinstance(raised, AirflowSkipException):  # Airflow's loop skips with soft_fail and never_fail
        raised = raised.__cause__ if isinstance(raised.__cause__, AirflowFailException) else raised
    if isinstance(raised, AirflowFailException) and raised.__cause__ is not None:
        raised = raised.__cause__
    return raised if isinstance(raised, OSSResumeError) and not raised.retryable else None


def error_from_event(event: Mapping[str, Any]) -> OSSResumeError:
    """Return the error in a trigger's event. An event of version 0.1 has only a message and ``retryable``."""
    match event:
        case {"status": "error", "error": data}:
            return error_from_data(data)
        case {"status": "error", "message": str(message)}:
            error = OSSResumeError(message)
            error.retryable = bool(event.get("retryable", True))
            return error
    error = OSSResumeError(
        f"this worker cannot read the triggerer's event (status {event.get('status')!r}); install the same version of "
        "airflow-provider-ossresume on both"
    )
    error.retryable = True  # during an upgrade the versions differ for a while
    return error
