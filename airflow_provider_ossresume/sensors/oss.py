"""The sensor that waits for objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import AirflowFailException, BaseSensorOperator, conf
from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.objects import ObjectRef


class _InVain(BaseException):
    """Carries what no waiting mends past Airflow's own handling, which skips it under soft_fail and goes on looking
    under silent_fail."""

    def __init__(self, error: OSSResumeError) -> None:
        super().__init__(str(error))
        self.error = error


class OSSObjectSensor(BaseSensorOperator):
    """Wait until objects exist.

    A wrong permission, a missing bucket or a bad name fails at the first poke and burns no retry, ``soft_fail`` or not:
    only a missing key is waited for.

    :param bucket_key: the key or keys, or ``oss://`` URLs; with several, all must exist (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot; by default Airflow's
        ``[operators] default_deferrable``
    """

    template_fields: Sequence[str] = ("bucket_key", "bucket_name", "region", "oss_conn_id")
    ui_color = "#d8f0d0"

    def __init__(
        self,
        *,
        bucket_key: str | Sequence[str],
        bucket_name: str | None = None,
        region: str | None = None,
        oss_conn_id: str = "oss_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_key = bucket_key
        self.bucket_name = bucket_name
        self.region = region
        self.oss_conn_id = oss_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: requests is not for the DAG processor

        return OSSResumeHook(self.oss_conn_id, region=self.region)

    def execute(self, context: Any) -> Any:
        """Wait, in the worker or in the triggerer.

        :raises AirflowFailException: for what no waiting mends
        """
        try:
            if not self.deferrable:
                return super().execute(context)
            if not self.poke(context):
                self._defer()
        except _InVain as in_vain:
            raise AirflowFailException(str(in_vain)) from in_vain.error
        return None

    def resume_execution(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().resume_execution(*args, **kwargs)
        except _InVain as in_vain:
            raise AirflowFailException(str(in_vain)) from in_vain.error

    def poke(self, context: Any) -> bool:
        try:
            return self._all_exist()
        except OSSResumeError as error:
            if error.retryable:
                raise
            raise _InVain(error) from error

    def _all_exist(self) -> bool:
        targets = self._targets()
        missing = [target for target in targets if not self.hook.object_exists(target.key, target.bucket)]
        if missing:
            self.log.info("%s of %s objects are missing, such as %s", len(missing), len(targets), missing[0])
        else:
            self.log.info("All are there: %s", ", ".join(map(str, targets[:10])))
        return not missing

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Take the trigger's event."""
        if event["status"] != "success":
            error = OSSResumeError(event["message"])
            raise error if event["retryable"] else _InVain(error)
        self.log.info("All are there: %s", ", ".join(map(str, self._targets()[:10])))

    def _defer(self) -> None:
        from airflow_provider_ossresume.triggers.oss import OSSObjectTrigger

        self.defer(
            timeout=timedelta(seconds=self.timeout),
            trigger=OSSObjectTrigger(
                targets=[(target.bucket, target.key) for target in self._targets()],
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                poke_interval=self.poke_interval,
            ),
            method_name="execute_complete",
        )

    def _targets(self) -> list[ObjectRef]:
        keys = [self.bucket_key] if isinstance(self.bucket_key, str) else self.bucket_key
        # Any iterable: what mapped tasks return comes as a lazy sequence.
        if not isinstance(keys, Iterable) or not (keys := list(keys)):
            raise ArgumentError("bucket_key", self.bucket_key, "give a key, or a list of keys")
        return [self.hook.target(key, self.bucket_name) for key in keys]
