"""The sensor that waits for objects."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow_provider_ossresume._airflow import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
    leave_failed_deferral_behind,
)
from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError
from airflow_provider_ossresume.model.arguments import parse_flag
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.objects import check_choice
from airflow_provider_ossresume.model.template_guard import TemplateGuard
from airflow_provider_ossresume.model.waiting import DEFAULT_MAX_MATCHES, Wanted, parse_max_matches
from airflow_provider_ossresume.sensors._ends import (
    AIRFLOW_FLAGS,
    FINAL_ERRORS,
    EndsAlike,
    airflow_error,
    error_of_event,
)

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import Check
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.patterns import PatternKind


# The trigger has the deadline; Airflow's own timeout of a deferral is for a triggerer that is down, so it comes later.
LATER = 60.0  # seconds; the trigger's last look is over after 30
LONGEST_WAIT = 5 * 365 * 86_400.0  # seconds; a timeout may be endless, but MySQL's times end in 2038


class OSSObjectSensor(EndsAlike, TemplateGuard, BaseSensorOperator):
    """Wait until objects exist, or until they exist no more. In every mode it gives the same answers.

    Returns the ``oss://`` URIs of what it found.

    Only what may still come is waited for. A wrong argument, a wrong permission or a missing bucket ends the task at
    the first look and burns no retry; ``permanent_errors`` says how.

    :param bucket_key: the key or keys, or ``oss://`` URLs, or patterns for them (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    :param wildcard_match: ``bucket_key`` may hold ``*`` (any text, slashes included), ``?``, ``[ab]`` and ``[!ab]``
        (templated)
    :param use_regex: ``bucket_key`` is a regular expression that the key must begin with, as in :func:`re.match`
        (templated)
    :param require: ``all`` keys or patterns must be there, or ``any`` of them (templated)
    :param min_size: objects with fewer bytes do not count; an int or a text such as ``"64MiB"`` (templated)
    :param modified_after: objects that are not younger do not count; a datetime or an ISO text (templated)
    :param stable_for: wait until none of the objects has changed for so many seconds, by OSS's clock (templated)
    :param must_not_exist: wait until the objects are absent (templated)
    :param count_folder_markers: empty objects whose keys end with ``/`` count too when a pattern finds them (templated)
    :param check_fn: called with the :class:`~airflow_provider_ossresume.model.waiting.FoundObject` of one key or
        pattern, and the context where it takes ``**kwargs``; True ends the wait. It runs in the worker in every mode.
    :param max_matches: how many URIs are returned at most (templated)
    :param permanent_errors: how the task ends when waiting is in vain: ``fail``, whatever ``soft_fail``, ``never_fail``
        and ``silent_fail`` say, or ``skip`` (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot; by default Airflow's
        ``[operators] default_deferrable`` (templated)

    Airflow's own flags ``soft_fail``, ``never_fail`` and ``silent_fail`` are templated too.
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
        "wildcard_match",
        "use_regex",
        "must_not_exist",
        "count_folder_markers",
        "permanent_errors",
        "deferrable",
        *AIRFLOW_FLAGS,
    )
    ui_color = "#d8f0d0"

    def __init__(
        self,
        *,
        bucket_key: str | Sequence[str],
        bucket_name: str | None = None,
        region: str | None = None,
        oss_conn_id: str | None = "oss_default",
        wildcard_match: bool | str = False,
        use_regex: bool | str = False,
        require: Literal["all", "any"] = "all",
        min_size: int | str | None = None,
        modified_after: datetime | str | None = None,
        stable_for: float | str | timedelta | None = None,
        must_not_exist: bool | str = False,
        count_folder_markers: bool | str = False,
        check_fn: Callable[..., bool] | None = None,
        max_matches: int | str = DEFAULT_MAX_MATCHES,
        permanent_errors: Literal["fail", "skip"] = "fail",
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
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
        self.count_folder_markers = count_folder_markers
        self.check_fn = check_fn
        self.max_matches = max_matches
        self.permanent_errors = permanent_errors
        self.deferrable = deferrable

    @lazy_property
    def hook(self) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # late: requests is not for the DAG processor

        return OSSResumeHook(self.oss_conn_id, region=self.region)

    def execute(self, context: Any) -> Any:
        """Wait, in the worker or in the triggerer; return the URIs of what was found.

        :raises AirflowFailException: for what no waiting mends, unless ``permanent_errors`` is ``skip``
        :raises AirflowSensorTimeout: when the time is over
        """
        with self._same_end_in_every_mode():
            if not parse_flag("deferrable", self.deferrable):
                return super().execute(context)
            return self._look_or_defer(context, deadline=self._deadline(), limit=self._limit(), is_first=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after the triggerer; it ends as a worker's own loop would."""
        kwargs = dict(next_kwargs or {})
        with self._same_end_in_every_mode():
            if next_method == "__fail__":
                leave_failed_deferral_behind(context)
                return self._end_deferral(context, **kwargs)
            if kwargs.pop("try_number", None) not in (None, _try_number(context)):
                # Airflow 3.0 resumes a retry with the event that ended the try before it.
                return self.execute(context)
            # Not that of Airflow's sensors, which skips more under soft_fail than their loop does, and not on each
            # version the same.
            return super(BaseSensorOperator, self).resume_execution(next_method, kwargs, context)

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Look once.

        :raises OSSResumeError: for what another try may mend
        :raises AirflowFailException: from such an error, for what no waiting mends
        """
        try:
            wanted = self._wanted()
            look = self.hook.look(wanted, check=self._check(context))
        except OSSResumeError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
        if not look.is_done:
            self.log.info("Waiting for %s: %s", wanted, look)
            return PokeReturnValue(False)
        self.log.info("Done waiting: %s", look)
        return PokeReturnValue(True, self._reported(look.matches))

    def execute_complete(
        self,
        context: Any,
        event: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        **of_another_version: Any,
    ) -> Any:
        """Take the trigger's event; with a ``check_fn``, or when no look was made in time, look once more here.

        :param deadline: when the sensor times out, in seconds since 1970; the event has it too
        """
        event = event if isinstance(event, Mapping) else {}
        limit = event.get("limit") or self._limit()
        match event:
            case {"status": "timeout"}:
                over = self._time_is_over(limit, str(event.get("message", "")))
                if event.get("has_looked"):
                    raise over
                return self._look_or_raise(context, over)
            case {"status": "success"} if self.check_fn:
                deadline = event.get("deadline") or deadline or self._deadline()
                return self._look_or_defer(context, deadline=deadline, limit=limit, is_first=False)
            case {"status": "success", "matches": [*matches]}:
                self.log.info("Done waiting: %s objects", len(matches))
                return self._reported(matches)
        self._fail(airflow_error(error_of_event(event)))

    # --- what to look for ---------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        self._refuse_fields_lost_in_rendering()
        keys = [self.bucket_key] if isinstance(self.bucket_key, str) else self.bucket_key
        # Any iterable: what mapped tasks return comes as a lazy sequence.
        if not isinstance(keys, Iterable) or not (keys := list(keys)):
            raise ArgumentError("bucket_key", self.bucket_key, "give a key, or a list of keys")
        if self.check_fn is not None and not callable(self.check_fn):
            raise ArgumentError("check_fn", self.check_fn, "give a function")
        check_choice("permanent_errors", self.permanent_errors, ("fail", "skip"))
        kind = self._kind()
        wanted = Wanted.of(
            [self.hook.key_pattern(key, self.bucket_name, kind=kind) for key in keys],
            require=self.require,
            must_not_exist=self.must_not_exist,
            min_size=self.min_size,
            modified_after=self.modified_after,
            stable_for=self.stable_for,
            max_matches=self.max_matches,
            count_folder_markers=self.count_folder_markers,
        )
        if self.check_fn is not None and wanted.must_not_exist:
            raise ArgumentError(
                "check_fn",
                self.check_fn,
                "there is nothing to check with must_not_exist=True; leave one of the two out",
            )
        return wanted

    def _kind(self) -> PatternKind:
        is_wildcard = parse_flag("wildcard_match", self.wildcard_match)
        is_regex = parse_flag("use_regex", self.use_regex)
        if is_wildcard and is_regex:
            raise ArgumentError("use_regex", True, "a key is a wildcard or a regular expression; leave one of them out")
        return "wildcard" if is_wildcard else "regex" if is_regex else "key"

    def _check(self, context: Any) -> Check | None:
        if self.check_fn is None:
            return None
        parameters = inspect.signature(self.check_fn).parameters.values()
        takes_context = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        return partial(self.check_fn, **(context if takes_context else {}))

    def _reported(self, matches: list[str]) -> list[str]:
        if len(matches) == parse_max_matches(self.max_matches):
            self.log.info("%s URIs are returned, as many as max_matches allows; there may be more", len(matches))
        return matches

    # --- deferral -----------------------------------------------------------------------------------------------------

    def _look_or_defer(self, context: Any, *, deadline: float, limit: str, is_first: bool) -> Any:
        """Do what Airflow's own loop does with one poke, but wait for the next one in the triggerer."""
        answer = self._poke_guarded(context)
        if answer:
            return _value_of(answer)
        if (left := deadline - time.time()) <= 0:
            raise self._time_is_over(limit)
        self._defer(context, left, deadline=deadline, limit=limit, look_at_once=is_first)

    def _look_or_raise(self, context: Any, over: BaseException) -> Any:
        """Look once where the triggerer could not, before the time is over."""
        self.log.info("The triggerer could not check after the timeout, so this worker checks once more")
        answer = self._poke_guarded(context)
        if answer:
            return _value_of(answer)
        raise over

    def _limit(self) -> str:
        """Return the argument that ends the wait. Airflow itself lets execution_timeout pass while a task is deferred,
        but on 2.11."""
        return "execution_timeout" if self._execution_seconds() < self.timeout else "timeout"

    def _deadline(self) -> float:
        return time.time() + min(self.timeout, self._execution_seconds(), LONGEST_WAIT)

    def _execution_seconds(self) -> float:
        return self.execution_timeout.total_seconds() if self.execution_timeout else math.inf

    def _time_is_over(self, limit: str, says: str = "") -> BaseException:
        """Return the error that Airflow raises in a worker for the same limit."""
        if limit == "execution_timeout":
            text = f"Task has timed out after {self.execution_timeout}, its execution_timeout"
            return AirflowTaskTimeout(f"{text}: {says}" if says else text)
        return AirflowSensorTimeout(says or f"Sensor has timed out after {self.timeout} s")

    def _poke_guarded(self, context: Any) -> bool | PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:  # what check_fn raises, too
            if not self.silent_fail or isinstance(error, FINAL_ERRORS):
                self._fail(error)
            self.log.error("Checking again, because silent_fail is set: %s", traceback.format_exc())
            return False

    def _defer(self, context: Any, timeout: float, *, deadline: float, limit: str, look_at_once: bool) -> NoReturn:
        from airflow_provider_ossresume.triggers.oss import OSSObjectTrigger

        self.log.info("Deferred: the triggerer checks every %s s, for at most %.0f s", self.poke_interval, timeout)
        self.defer(
            timeout=timedelta(seconds=timeout + LATER),
            trigger=OSSObjectTrigger(
                wanted=self._wanted().to_json(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                poke_interval=self.poke_interval,
                look_at_once=look_at_once,
                silent_fail=self.silent_fail,
                deadline=deadline,
                limit=limit,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline, "try_number": _try_number(context)},
        )

    def _end_deferral(self, context: Any, error: str = "", traceback: Sequence[str] | None = None, **_: object) -> Any:
        """Look once more after a deferral that Airflow has ended as its time was over; else raise why it did."""
        if "timeout" not in error:
            failed = OSSResumeError(
                f"the triggerer could not wait ({error}); is airflow-provider-ossresume installed there, in this "
                f"version? {''.join(traceback or ())}"
            )
            failed.retryable = True  # as when the triggerer is just being upgraded
            self._fail(failed)
        return self._look_or_raise(
            context, self._time_is_over(self._limit(), "no triggerer told that the time is over")
        )


def _try_number(context: Any) -> int | None:
    return getattr(context.get("ti"), "try_number", None)  # in a user's unit test there may be none


def _value_of(answer: bool | PokeReturnValue) -> Any:
    return answer.xcom_value if isinstance(answer, PokeReturnValue) else None
