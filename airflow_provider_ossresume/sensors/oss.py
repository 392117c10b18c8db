"""The sensor that waits for objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ossresume._airflow import (
    AirflowFailException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
    discard_failed_deferral,
)
from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError
from airflow_provider_ossresume.model.arguments import check_choice, parse_flag
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.template_guard import TemplateGuard
from airflow_provider_ossresume.model.waiting import DEFAULT_MAX_MATCHES, Wanted, parse_max_matches
from airflow_provider_ossresume.sensors._deferral import DeferrableSensor, try_number_of
from airflow_provider_ossresume.sensors._outcomes import AIRFLOW_FLAGS, airflow_error, error_from_event

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import Check
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.patterns import PatternKind


class OSSObjectSensor(TemplateGuard, DeferrableSensor):
    """Wait until objects exist, or until they are gone. Returns the ``oss://`` URIs of the objects it found.

    The result is the same in every mode. An error that waiting cannot fix, such as a wrong argument, a missing
    permission or a missing bucket, ends the task at the first check, without a retry. See ``permanent_errors``.

    :param bucket_key: a key, an ``oss://`` URL or a pattern, or a list of them (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection (templated)
    :param wildcard_match: ``bucket_key`` is a pattern with ``*`` (any text, slashes included), ``?``, ``[ab]`` and
        ``[!ab]`` (templated)
    :param use_regex: ``bucket_key`` is a regular expression that matches the start of the key, as in :func:`re.match`
        (templated)
    :param require: wait for ``all`` keys or patterns, or for ``any`` of them (templated)
    :param min_size: ignore objects with fewer bytes; an int or a string such as ``"64MiB"`` (templated)
    :param modified_after: ignore objects that were not modified after this time; a datetime or an ISO 8601 string
        (templated)
    :param stable_for: wait until no object has changed for this many seconds, by OSS's clock (templated)
    :param must_not_exist: wait until the objects are gone (templated)
    :param count_folder_markers: let a pattern also match empty objects whose keys end with ``/`` (templated)
    :param check_fn: a function that is called for each key or pattern with the list of its objects, as
        :class:`~airflow_provider_ossresume.model.waiting.FoundObject`. The key or pattern counts as found only if the
        function returns True. If it takes ``**kwargs``, it gets the context too. It runs in the worker in every mode.
    :param max_matches: the maximum number of URIs to return, 1 to 100,000 (templated)
    :param permanent_errors: how the task ends for an error that waiting cannot fix: ``fail``, whatever ``soft_fail``,
        ``never_fail`` and ``silent_fail`` say, or ``skip`` (templated)
    :param deferrable: wait in the triggerer, without a worker slot. Default: Airflow's
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
        # Late: DAG parsing must not import `requests`.
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        return OSSResumeHook(self.oss_conn_id, region=self.region)

    def execute(self, context: Any) -> Any:
        """Wait, in the worker or in the triggerer. Return the URIs of the objects that were found.

        :raises AirflowFailException: for an error that waiting cannot fix, unless ``permanent_errors`` is ``skip``
        :raises AirflowSensorTimeout: at the timeout
        """
        with self._consistent_outcome():
            if not parse_flag("deferrable", self.deferrable):
                return super().execute(context)
            return self._check_or_defer(context, deadline=self._deadline(), limit=self._limit(), is_first=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Resume after a deferral, and end as the worker's own loop would."""
        kwargs = dict(next_kwargs or {})
        with self._consistent_outcome():
            if next_method == "__fail__":
                discard_failed_deferral(context)
                return self._end_failed_deferral(context, **kwargs)
            if kwargs.pop("try_number", None) not in (None, try_number_of(context)):
                # Airflow 3.0 resumes a retry with the event of the previous try.
                return self.execute(context)
            # Bypass the method of BaseSensorOperator: with soft_fail it skips more than the worker's loop does, and it
            # differs between versions.
            return super(BaseSensorOperator, self).resume_execution(next_method, kwargs, context)

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Check once.

        :raises OSSResumeError: for a transient error
        :raises AirflowFailException: for an error that waiting cannot fix
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
        return PokeReturnValue(True, self._with_hint(look.matches))

    def execute_complete(
        self,
        context: Any,
        event: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        **of_another_version: Any,
    ) -> Any:
        """Handle the trigger's event. Check again here if there is a ``check_fn``, or if no check was made in time.

        :param deadline: when the sensor times out, in seconds since 1970; the event has it too
        """
        event = event if isinstance(event, Mapping) else {}
        limit = event.get("limit") or self._limit()
        match event:
            case {"status": "timeout"}:
                timeout_error = self._timeout_error(limit, str(event.get("message", "")))
                if event.get("has_looked"):
                    raise timeout_error
                return self._check_or_raise(context, timeout_error)
            case {"status": "success"} if self.check_fn:
                deadline = event.get("deadline") or deadline or self._deadline()
                return self._check_or_defer(context, deadline=deadline, limit=limit, is_first=False)
            case {"status": "success", "matches": [*matches]}:
                self.log.info("Done waiting: %s objects", len(matches))
                return self._with_hint(matches)
        self._fail_or_skip(airflow_error(error_from_event(event)))

    # --- what to wait for ---------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        self._refuse_fields_lost_in_rendering()
        keys = [self.bucket_key] if isinstance(self.bucket_key, str) else self.bucket_key
        # Any iterable: the results of mapped tasks come as a lazy sequence.
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
                "with must_not_exist=True there is no object to check; remove one of the two",
            )
        return wanted

    def _kind(self) -> PatternKind:
        is_wildcard = parse_flag("wildcard_match", self.wildcard_match)
        is_regex = parse_flag("use_regex", self.use_regex)
        if is_wildcard and is_regex:
            raise ArgumentError("use_regex", True, "wildcard_match is set too; set only one of the two")
        return "wildcard" if is_wildcard else "regex" if is_regex else "key"

    def _check(self, context: Any) -> Check | None:
        if self.check_fn is None:
            return None
        parameters = inspect.signature(self.check_fn).parameters.values()
        takes_context = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        return partial(self.check_fn, **(context if takes_context else {}))

    def _with_hint(self, matches: list[str]) -> list[str]:
        if len(matches) == parse_max_matches(self.max_matches):
            self.log.info("Returning %s URIs, the limit set by max_matches; there may be more", len(matches))
        return matches
