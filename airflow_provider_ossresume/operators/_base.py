"""What the operators share."""

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
    """Stops when it is told to, and fails at once for what no retry mends."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_killed = False

    def execute(self, context: Any) -> Any:
        """Do the work and return what it leads to.

        :raises AirflowFailException: for what no retry mends: a wrong permission, bucket or argument
        """
        self._supervisor_is_gone = watch_supervisor(context)
        try:
            self._refuse_fields_lost_in_rendering()
            done = self._work(context)
            self._watch()  # once killed it never returns: Airflow 3 would call that a success
        except TrySuperseded as error:
            leave_to_successor(error, context)
        except OSSResumeError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
        return self._finish(context, done)

    def on_kill(self) -> None:
        # Runs in a signal handler, perhaps in the middle of a call to Airflow: it may call nothing itself.
        self._is_killed = True

    def _watch(self) -> None:
        if self._is_killed:
            raise TransferStopped(f"Airflow stops this task; {self._left_to_next_try()}")
        if self._supervisor_is_gone():
            raise SupervisorGone

    def _work(self, context: Any) -> Any:
        """Do what the task is for; each operator has its own."""
        raise NotImplementedError

    def _finish(self, context: Any, done: Any) -> Any:
        """Return the task's result."""
        return done

    def _left_to_next_try(self) -> str:
        return "what is done is done, and the next try does the rest"


class OSSOperator(StoppableOperator):
    """Works on OSS through one connection."""

    transfer_config: TransferConfig | Mapping[str, Any] | None = None

    def __init__(self, *, region: str | None = None, oss_conn_id: str | None = "oss_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region
        self.oss_conn_id = oss_conn_id

    @lazy_property
    def hook(self) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: keeps requests out of DAG parsing

        return OSSResumeHook(self.oss_conn_id, region=self.region, transfer_config=self.transfer_config)
