"""The sensor that waits for objects."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow_provider_ossresume._airflow import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)
from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError
from airflow_provider_ossresume.model.waiting import DEFAULT_MAX_MATCHES, Wanted

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.looking import Check
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.patterns import PatternKind


class _Settled(BaseException):
    """Carries an error past Airflow's own handling, which skips a task that fails under soft_fail and goes on looking
    under silent_fail, whatever the reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class OSSObjectSensor(BaseSensorOperator):
    """Wait until objects exist, or until they exist no more. In every mode it gives the same answers.

    Returns the ``oss://`` URIs of what it found.

    A wrong argument, a wrong permission or a missing bucket fails at the first look and burns no retry, ``soft_fail``
    or not: only what may still come is waited for.

    :param bucket_key: the key or keys, or ``oss://`` URLs, or patterns for them (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    :param wildcard_match: ``bucket_key`` may hold ``*`` (any text, slashes included), ``?``, ``[ab]`` and ``[!ab]``
    :param use_regex: ``bucket_key`` is a regular expression that the key must begin with, as in :func:`re.match`
    :param require: ``all`` keys or patterns must be there, or ``any`` of them (templated)
    :param min_size: objects with fewer bytes do not count; an int or a text such as ``"64MiB"`` (templated)
    :param modified_after: objects that are not younger do not count; a datetime or an ISO text (templated)
    :param stable_for: wait until none of the objects has changed for so many seconds, by OSS's clock (templated)
    :param must_not_exist: wait until the objects are absent
    :param check_fn: called with the :class:`~airflow_provider_ossresume.model.waiting.FoundObject` of one key or
        pattern, and the context where it takes ``**kwargs``; True ends the wait. It runs in the worker in every mode.
    :param max_matches: how many URIs are returned at most (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot; by default Airflow's
        ``[operators] default_deferrable``
    """

    template_fields: Sequence[str] = (
        "bucket_key",
        "bucket_name",
        "region",
        "oss_conn_id",
        "require",
        "min_size",
        "modified_after",
        "stable_for",
        "max_matches",
    )
    ui_color = "#d8f0d0"

    def __init__(
        self,
        *,
        bucket_key: str | Sequence[str],
        bucket_name: str | None = None,
        region: str | None = None,
        oss_conn_id: str | None = "oss_default",
        wildcard_match: bool = False,
        use_regex: bool = False,
        require: Literal["all", "any"] = "all",
        min_size: int | str | None = None,
        modified_after: datetime | str | None = None,
        stable_for: float | str | timedelta | None = None,
        must_not_exist: bool = False,
        check_fn: Callable[..., bool] | None = None,
        max_matches: int | str = DEFAULT_MAX_MATCHES,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_key = bucket_key
        self.bucket_name = bucket_name
        self.region = region
        self.oss_conn_id = oss_conn_id
        self.wildcard_match = wildcard_match
        self.use_regex = use_regex
        self.require = require
        self.min_size = min_size
        self.modified_after = modified_after
        self.stable_for = stable_for
        self.must_not_exist = must_not_exist
        self.check_fn = check_fn
        self.max_matches = max_matches
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: requests is not for the DAG processor

        return OSSResumeHook(self.oss_conn_id, region=self.region)

    def execute(self, context: Any) -> Any:
        """Wait, in the worker or in the triggerer; return the URIs of what was found.

        :raises AirflowFailException: for what no waiting mends
        """
        try:
            if not self.deferrable:
                return super().execute(context)
            return self._look_or_defer(context, deadline=time.time() + self.timeout, is_first=True)
        except _Settled as settled:
            raise settled.error from settled.__cause__

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        try:
            if next_method == "__fail__" and "timeout" not in (next_kwargs or {}).get("error", ""):
                self._fail(_trigger_failed(**(next_kwargs or {})))
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            if self.soft_fail:  # which Airflow 3.0 forgets here
                raise AirflowSkipException(str(error)) from error
            raise
        except _Settled as settled:
            raise settled.error from settled.__cause__

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        try:
            wanted = self._wanted()
            look = self.hook.look(wanted, check=self._check(context))
        except OSSResumeError as error:
            if error.retryable:
                raise
            raise _Settled(AirflowFailException(str(error))) from error
        if not look.is_done:
            self.log.info("Waiting for %s: %s", wanted, look)
            return PokeReturnValue(False)
        self.log.info("Done waiting: %s", look)
        return PokeReturnValue(True, self._reported(look.matches))

    def execute_complete(self, context: Any, event: dict[str, Any], deadline: float | None = None) -> Any:
        """Take the trigger's event; with a ``check_fn``, look once more in this worker.

        :param deadline: when the sensor times out, in seconds since 1970
        """
        if event["status"] != "success":
            if not event["retryable"]:
                raise _Settled(AirflowFailException(event["message"]))
            self._fail(OSSResumeError(event["message"]))
        if self.check_fn:
            return self._look_or_defer(context, deadline=deadline or time.time() + self.timeout, is_first=False)
        self.log.info("Done waiting: %s objects", len(event["matches"]))
        return self._reported(event["matches"])

    # --- what to look for ---------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        keys = [self.bucket_key] if isinstance(self.bucket_key, str) else self.bucket_key
        # Any iterable: what mapped tasks return comes as a lazy sequence.
        if not isinstance(keys, Iterable) or not (keys := list(keys)):
            raise ArgumentError("bucket_key", self.bucket_key, "give a key, or a list of keys")
        if self.check_fn is not None and not callable(self.check_fn):
            raise ArgumentError("check_fn", self.check_fn, "give a function")
        if self.check_fn is not None and self.must_not_exist:
            raise ArgumentError("check_fn", self.check_fn, "there is nothing to check of what must not exist")
        kind = self._kind()
        return Wanted.of(
            [self.hook.key_pattern(key, self.bucket_name, kind=kind) for key in keys],
            require=self.require,
            must_not_exist=self.must_not_exist,
            min_size=self.min_size,
            modified_after=self.modified_after,
            stable_for=self.stable_for,
            max_matches=self.max_matches,
        )

    def _kind(self) -> PatternKind:
        if self.wildcard_match and self.use_regex:
            raise ArgumentError("use_regex", True, "a key is a wildcard or a regular expression; leave one of them out")
        return "wildcard" if self.wildcard_match else "regex" if self.use_regex else "key"

    def _check(self, context: Any) -> Check | None:
        if self.check_fn is None:
            return None
        parameters = inspect.signature(self.check_fn).parameters.values()
        takes_context = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        return partial(self.check_fn, **(context if takes_context else {}))

    def _reported(self, matches: list[str]) -> list[str]:
        if len(matches) == int(self.max_matches):
            self.log.info("%s URIs are returned, as many as max_matches allows; there may be more", len(matches))
        return matches

    # --- deferral -----------------------------------------------------------------------------------------------------

    def _look_or_defer(self, context: Any, *, deadline: float, is_first: bool) -> Any:
        """Do what Airflow's own loop does with one poke, but wait for the next one in the triggerer."""
        answer = self._poke_guarded(context)
        if answer:
            return answer.xcom_value
        if (left := deadline - time.time()) <= 0:
            message = f"Sensor has timed out after {self.timeout} s"
            raise AirflowSkipException(message) if self.soft_fail else _Settled(AirflowSensorTimeout(message))
        self._defer(left, deadline=deadline, look_at_once=is_first)

    def _poke_guarded(self, context: Any) -> PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowSkipException:
            raise
        except Exception as error:  # what check_fn raises, too
            if not self.silent_fail or isinstance(error, AirflowFailException):
                self._fail(error)
            self.log.error("Looking again, as silent_fail asks: %s", traceback.format_exc())
            return PokeReturnValue(False)

    def _fail(self, error: Exception) -> NoReturn:
        """Fail or skip, as Airflow's own loop does when a poke raises."""
        if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
            raise AirflowSkipException(str(error)) from error
        raise _Settled(error) from error.__cause__

    def _defer(self, timeout: float, *, deadline: float, look_at_once: bool) -> NoReturn:
        from airflow_provider_ossresume.triggers.oss import OSSObjectTrigger

        self.log.info("The triggerer looks every %s s from now on, for at most %.0f s", self.poke_interval, timeout)
        self.defer(
            timeout=timedelta(seconds=timeout),
            trigger=OSSObjectTrigger(
                wanted=self._wanted().to_json(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                poke_interval=self.poke_interval,
                look_at_once=look_at_once,
                silent_fail=self.silent_fail,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
        )


def _trigger_failed(error: object = None, traceback: Sequence[str] | None = None, **_: object) -> OSSResumeError:
    """Return the error for a trigger that Airflow could not run, as where this package is absent."""
    return OSSResumeError(
        f"the triggerer could not wait ({error}); is airflow-provider-ossresume installed there, in this version? "
        + "".join(traceback or ())
    )
