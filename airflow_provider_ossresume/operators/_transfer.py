"""The base classes of the operators that transfer one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_ossresume._airflow import AirflowFailException, AirflowSkipException, is_last_try
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.hooks.reporting import may_push, report_to_airflow
from airflow_provider_ossresume.links.oss import OSSObjectLink, OSSUploadsLink, console_urls
from airflow_provider_ossresume.model.arguments import Flag, check_choice, parse_flag
from airflow_provider_ossresume.operators._base import OSSOperator
from airflow_provider_ossresume.operators._object_options import ObjectOptionsOperator
from airflow_provider_ossresume.operators.lineage import TransferLineage

if TYPE_CHECKING:
    from airflow_provider_ossresume.checkpoints.select import CheckpointStore
    from airflow_provider_ossresume.model.object_options import RequestPayer
    from airflow_provider_ossresume.transfer.config import TransferConfig
    from airflow_provider_ossresume.transfer.options import IfExists
    from airflow_provider_ossresume.transfer.result import TransferResult

KeepOrAbort = Literal["keep", "abort"]
SkipAs = Literal["success", "skipped"]

# The template fields of every transfer.
TRANSFER_FIELDS = (
    "bucket_name",
    "region",
    "oss_conn_id",
    "show_progress",
    "checkpoint",
    "transfer_config",
    "if_exists",
    "skip_as",
    "event_if_skipped",
    "on_kill_action",
    "on_final_failure",
    "xcom_holder_task_id",
)
_CHOICES: Mapping[str, Any] = {"on_kill_action": KeepOrAbort, "on_final_failure": KeepOrAbort, "skip_as": SkipAs}


class TransferOperator(TransferLineage, OSSOperator):
    """Runs one transfer, and reports the result to Airflow."""

    operator_extra_links = (OSSObjectLink(), OSSUploadsLink())

    def __init__(
        self,
        *,
        bucket_name: str | None = None,
        checkpoint: str | CheckpointStore = "auto",
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        if_exists: IfExists = "overwrite",
        skip_as: SkipAs = "success",
        event_if_skipped: Flag = False,
        on_kill_action: KeepOrAbort = "keep",
        on_final_failure: KeepOrAbort = "keep",
        request_payer: RequestPayer | None = None,
        traffic_limit: int | str | None = None,
        xcom_holder_task_id: str | None = None,
        show_progress: Flag = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.checkpoint = checkpoint
        self.transfer_config = transfer_config
        self.if_exists = if_exists
        self.skip_as = skip_as
        self.event_if_skipped = event_if_skipped
        self.on_kill_action = on_kill_action
        self.on_final_failure = on_final_failure
        self.request_payer = request_payer
        self.traffic_limit = traffic_limit
        self.xcom_holder_task_id = xcom_holder_task_id
        self.show_progress = show_progress
        self.console_urls: dict[str, str] = {}

    def _work(self, context: Any) -> TransferResult:
        self._is_last_try = is_last_try(context)
        for argument, choices in _CHOICES.items():
            check_choice(argument, getattr(self, argument), get_args(choices))
        self.has_event_if_skipped = parse_flag("event_if_skipped", self.event_if_skipped)
        self._push_links(context)
        return self._transfer(context)

    def _finish(self, context: Any, done: TransferResult) -> str:
        """Push the XCom ``report`` and return the target.

        :raises AirflowSkipException: if the transfer was skipped and ``skip_as`` is ``skipped``
        """
        self._result = done
        self._add_to_outlet_events(context, done)
        if may_push(context):
            report = {**done, "tries": context["ti"].try_number}
            report_to_airflow("the XCom report", lambda: context["ti"].xcom_push(key="report", value=report))
        destination = self._destination(done)
        if done.outcome == "skipped" and self.skip_as == "skipped":
            raise AirflowSkipException(f"{destination} was not changed, and skip_as='skipped'")
        return destination

    def _push_links(self, context: Any) -> None:
        client = self.hook.get_conn()
        target = self.hook.target(self._object_name, self.bucket_name)

        def push() -> None:
            self.console_urls = console_urls(target, host=client.endpoint.host, region=client.region)
            for key, url in self.console_urls.items() if may_push(context) else ():
                context["ti"].xcom_push(key=key, value=url)

        report_to_airflow("the links to the OSS console", push)

    def _stop_note(self) -> str:
        if self.on_kill_action == "abort":
            return "on_kill_action='abort': the finished parts and the checkpoint are deleted"
        return "its checkpoint and finished parts are kept for the next try"

    def _transfer_arguments(self, context: Any) -> dict[str, Any]:
        """Return the arguments that all transfer methods of the hook accept."""
        return {
            "checkpoint": self.checkpoint,
            "if_exists": self.if_exists,
            "xcom_holder_task_id": self.xcom_holder_task_id,
            "show_progress": self.show_progress,
            "context": context,
            "watch": self._watch,
            "drop_when": self._drop_when,
        }

    def _drop_when(self, error: BaseException) -> bool:
        """True if the parts of this try and of earlier ones should be deleted."""
        if self._is_killed:
            return self.on_kill_action == "abort"
        is_final = self._is_last_try or isinstance(error, AirflowFailException)
        is_final |= isinstance(error, OSSResumeError) and not error.retryable
        return is_final and self.on_final_failure == "abort"

    def _transfer(self, context: Any) -> TransferResult:
        """Move the bytes. Each operator implements this."""
        raise NotImplementedError

    def _destination(self, result: TransferResult) -> str:
        """Return the target as the task's result: an ``oss://`` URI or a path."""
        raise NotImplementedError


class ObjectWritingOperator(TransferOperator, ObjectOptionsOperator):
    """A transfer that writes an object."""

    writes_object = True

    def _destination(self, result: TransferResult) -> str:
        return result.target.uri
