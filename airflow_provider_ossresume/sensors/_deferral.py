"""How the sensor waits in the triggerer: it checks once in the worker, then defers."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from airflow_provider_ossresume._airflow import (
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.waiting import Wanted
from airflow_provider_ossresume.sensors._outcomes import FINAL_ERRORS, ConsistentOutcome

# The trigger watches the deadline itself. Airflow's own timeout comes later: it is only for a triggerer that is down.
TRIGGERER_GRACE = 60.0  # seconds; the trigger's last check ends at most 30 s after the deadline
LONGEST_WAIT = 5 * 365 * 86_400.0  # seconds; a timeout may be infinite, but MySQL's timestamps end in 2038


class DeferrableSensor(ConsistentOutcome, BaseSensorOperator):
    """Checks in the worker as Airflow's own loop does, and waits for the next check in the triggerer."""

    def __init__(self, *, region: str | None = None, oss_conn_id: str | None = "oss_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region
        self.oss_conn_id = oss_conn_id

    def _wanted(self) -> Wanted:
        """Return what the sensor waits for. Each sensor implements this."""
        raise NotImplementedError

    def _check_or_defer(self, context: Any, *, deadline: float, limit: str, is_first: bool) -> Any:
        """Check once. Return the result, or defer until the next check."""
        answer = self._poke_as_airflow_does(context)
        if answer:
            return xcom_value_of(answer)
        if (left := deadline - time.time()) <= 0:
            raise self._timeout_error(limit)
        self._defer(context, left, deadline=deadline, limit=limit, check_at_once=is_first)

    def _check_or_raise(self, context: Any, timeout_error: BaseException) -> Any:
        """Check once in this worker, because the triggerer could not check after the deadline."""
        self.log.info("The triggerer could not check after the timeout, so this worker checks once more")
        answer = self._poke_as_airflow_does(context)
        if answer:
            return xcom_value_of(answer)
        raise timeout_error

    def _poke_as_airflow_does(self, context: Any) -> bool | PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:  # check_fn may raise anything
            if not self.silent_fail or isinstance(error, FINAL_ERRORS):
                self._fail_or_skip(error)
            self.log.error("Checking again, because silent_fail is set: %s", traceback.format_exc())
            return False

    def _defer(self, context: Any, timeout: float, *, deadline: float, limit: str, check_at_once: bool) -> NoReturn:
        from airflow_provider_ossresume.triggers.oss import OSSObjectTrigger

        self.log.info("Deferred: the triggerer checks every %s s, for at most %.0f s", self.poke_interval, timeout)
        self.defer(
            timeout=timedelta(seconds=timeout + TRIGGERER_GRACE),
            trigger=OSSObjectTrigger(
                wanted=self._wanted().to_json(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                poke_interval=self.poke_interval,
                look_at_once=check_at_once,
                silent_fail=self.silent_fail,
                deadline=deadline,
                limit=limit,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline, "try_number": try_number_of(context)},
        )

    def _end_failed_deferral(
        self, context: Any, error: str = "", traceback: Sequence[str] | None = None, **_: object
    ) -> Any:
        """Check once more if Airflow ended the deferral at its timeout; else raise the trigger's error."""
        if "timeout" not in error:
            failed = OSSResumeError(
                f"the triggerer could not run the trigger ({error}); install the same version of "
                f"airflow-provider-ossresume on the triggerer {''.join(traceback or ())}"
            )
            failed.retryable = True  # the triggerer may just be being upgraded
            self._fail_or_skip(failed)
        return self._check_or_raise(
            context,
            self._timeout_error(self._limit(), "no triggerer reported the timeout; check that a triggerer is running"),
        )

    # --- time ---------------------------------------------------------------------------------------------------------

    def _limit(self) -> str:
        """Return the argument that ends the wait first.

        Except on 2.11, Airflow does not apply execution_timeout to a task that is deferred.
        """
        return "execution_timeout" if self._execution_seconds() < self.timeout else "timeout"

    def _deadline(self) -> float:
        return time.time() + min(self.timeout, self._execution_seconds(), LONGEST_WAIT)

    def _execution_seconds(self) -> float:
        return self.execution_timeout.total_seconds() if self.execution_timeout else math.inf

    def _timeout_error(self, limit: str, details: str = "") -> BaseException:
        """Return the error that Airflow raises in a worker for the same limit."""
        if limit == "execution_timeout":
            text = f"Task has timed out after {self.execution_timeout}, its execution_timeout"
            return AirflowTaskTimeout(f"{text}: {details}" if details else text)
        return AirflowSensorTimeout(details or f"Sensor has timed out after {self.timeout} s")


def try_number_of(context: Any) -> int | None:
    return getattr(context.get("ti"), "try_number", None)  # a user's unit test may pass a context without one


def xcom_value_of(answer: bool | PokeReturnValue) -> Any:
    return answer.xcom_value if isinstance(answer, PokeReturnValue) else None
