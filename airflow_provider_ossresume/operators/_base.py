"""The base classes of all operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import AirflowFailException, BaseOperator, leave_to_successor, watch_supervisor
from airflow_provider_ossresume.errors import OSSResumeError, SupervisorGone, TransferStopped, TrySuperseded
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.template_guard import TemplateGuard

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.transfer.config import TransferConfig


class StoppableOperator(TemplateGuard, BaseOperator):
    """Stops when Airflow stops the task, and fails without a retry for errors that no retry can fix."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_killed = False

    def execute(self, context: Any) -> Any:
        """Run the task and return its result.

        :raises AirflowFailException: for an error that no retry can fix, such as a missing permission
        :raises OSSResumeError: for an error that a retry may fix
        """
        self._supervisor_is_gone = watch_supervisor(context)
        try:
            self._refuse_fields_lost_in_rendering()
            done = self._work(context)
            self._watch()  # a killed task must raise: if it returned, Airflow 3 would mark it as a success
        except TrySuperseded as error:
            leave_to_successor(error, context)
        except OSSResumeError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
        return self._finish(context, done)

    def on_kill(self) -> None:
        # A signal handler calls this, perhaps in the middle of a call to Airflow, so it must not call Airflow itself.
        self._is_killed = True

    def _watch(self) -> None:
        if self._is_killed:
            raise TransferStopped(f"Airflow is stopping this task; {self._stop_note()}")
        if self._supervisor_is_gone():
            raise SupervisorGone

    def _work(self, context: Any) -> Any:
        """Do the operator's work, and return what :meth:`_finish` needs."""
        raise NotImplementedError

    def _finish(self, context: Any, done: Any) -> Any:
        """Return the task's result."""
        return done

    def _stop_note(self) -> str:
        """Return what happens to the finished work if Airflow stops the task."""
        return "the next try does what is left"


class OSSOperator(StoppableOperator):
    """An operator with one OSS connection."""

    transfer_config: TransferConfig | Mapping[str, Any] | None = None

    def __init__(self, *, region: str | None = None, oss_conn_id: str | None = "oss_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region
        self.oss_conn_id = oss_conn_id

    @lazy_property
    def hook(self) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: DAG parsing must not import `requests`

        return OSSResumeHook(self.oss_conn_id, region=self.region, transfer_config=self.transfer_config)
