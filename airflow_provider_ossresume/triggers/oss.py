"""The trigger that waits for objects in the triggerer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ossresume._airflow import BaseTrigger, TriggerEvent
from airflow_provider_ossresume.errors import OSSResumeError, error_to_data
from airflow_provider_ossresume.hooks.asynchronous import Call, OSSResumeAsyncHook
from airflow_provider_ossresume.hooks.object_lookup import RetryBudget, retry_after
from airflow_provider_ossresume.model.waiting import Wanted

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import LookResult

T = TypeVar("T")

# One attempt: the next check is the retry. A HEAD request takes a fraction of a second, and a page of a listing a few
# seconds. In 5 s, TCP sends the first packet of a connection three times.
CLIENT_CONFIG: Mapping[str, Any] = {"part_retries": 0, "connect_timeout": 5, "read_timeout": 10, "stall_timeout": 10}
LAST_CHECK = 15.0  # seconds for the check at the deadline once it has started: as long as one request may take
LAST_START = 15.0  # seconds after the deadline in which it must start; otherwise the worker checks
CHECK_TIMEOUT = 60.0  # seconds; a longer listing would keep a thread from the other sensors


class OSSObjectTrigger(BaseTrigger):
    """Wait for objects. The trigger fires when the condition is met, at the deadline, or for a permanent error.

    The event has a ``status``: ``success`` with ``matches``, a list of ``oss://`` URIs; ``timeout``; or ``error`` with
    the error in the form of :func:`~airflow_provider_ossresume.errors.error_to_data`. A ``timeout`` and an ``error``
    have a ``message``. A ``timeout`` has ``has_looked``: whether a check started at or after the deadline and ended.
    Each event has the ``deadline`` and the ``limit`` of the trigger.

    The triggerer looks up the connection once. The stored trigger holds no secret. If a check fails with a transient
    error, the trigger logs it, and the next check is the retry. The limits are those for the retries of a request in a
    worker: ``part_retries`` and ``retry_max_time``. With ``silent_fail`` there is no limit.

    :param wanted: what to wait for: the result of ``to_json`` of
        :class:`~airflow_provider_ossresume.model.waiting.Wanted`
    :param oss_conn_id: the connection
    :param region: overrides the connection's region
    :param poke_interval: seconds between two checks
    :param look_at_once: if False, wait ``poke_interval`` seconds before the first check too
    :param silent_fail: log errors that are not permanent, and go on checking
    :param deadline: the end of the wait, in seconds since 1970; None means no end
    :param limit: the sensor's argument that sets the deadline: ``timeout`` or ``execution_timeout``
    :param unknown_arguments: arguments that another version of this package has stored; they are ignored
    """

    def __init__(
        self,
        wanted: Mapping[str, Any],
        oss_conn_id: str | None = "oss_default",
        region: str | None = None,
        poke_interval: float = 60.0,
        look_at_once: bool = True,
        silent_fail: bool = False,
        deadline: float | None = None,
        limit: str = "timeout",
        **unknown_arguments: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wanted = Wanted.from_json(wanted)
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.poke_interval = poke_interval
        self.look_at_once = look_at_once
        self.silent_fail = silent_fail
        self.deadline = deadline
        self.limit = limit

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_ossresume.triggers.oss.OSSObjectTrigger",
            {
                "wanted": self.wanted.to_json(),
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "poke_interval": self.poke_interval,
                "look_at_once": self.look_at_once,
                "silent_fail": self.silent_fail,
                "deadline": self.deadline,
                "limit": self.limit,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            event = await self._wait()
        except Exception as error:  # otherwise the task would fail without the reason
            event = self._event_of(error)
        # `airflow dags test` passes on only the event.
        yield TriggerEvent({**event, "deadline": self.deadline, "limit": self.limit})

    async def _wait(self) -> dict[str, Any]:
        """Check until there is an event."""
        hook = OSSResumeAsyncHook(self.oss_conn_id, self.region, CLIENT_CONFIG)
        budget = RetryBudget()
        pause = 0.0 if self.look_at_once else self.poke_interval
        while True:
            await asyncio.sleep(min(pause, self._left()))
            pause = self.poke_interval
            is_last = self._left() <= 0  # taken before the check: the object may appear while the check runs
            try:
                result = await self._check(hook)
            except _OutOfTime:
                return self._timed_out("OSS did not answer in time", has_checked=False)
            except Exception as error:  # either the next check may succeed, or the task gets the error
                if not self._may_retry(error, budget, is_last=is_last):
                    raise
                pause = max(pause, min(retry_after(error), budget.max_wait))
                self.log.warning("This check failed; the next one follows within %.0f s: %s", pause, error)
                status = "the last check failed"
            else:
                if result.is_done:
                    return {"status": "success", "matches": result.matches}
                self.log.info("Waiting for %s: %s", self.wanted, result)
                budget, status = RetryBudget(), str(result)
            if is_last:
                return self._timed_out(status, has_checked=True)

    def _may_retry(self, error: Exception, budget: RetryBudget, *, is_last: bool) -> bool:
        """True if the next check may succeed. If the last check fails, the task fails, as in a worker."""
        if isinstance(error, OSSResumeError) and not error.retryable:
            return False
        if self.silent_fail:
            return True
        return isinstance(error, OSSResumeError) and not is_last and budget.allows(error)

    def _timed_out(self, status: str, *, has_checked: bool) -> dict[str, Any]:
        message = f"waiting for {self.wanted} timed out: {status}"
        return {"status": "timeout", "message": message, "retryable": False, "has_looked": has_checked}

    def _event_of(self, error: Exception) -> dict[str, Any]:
        """Return the event for an error. A foreign error becomes a retryable :class:`OSSResumeError`.

        Its message is not passed on, because the message of a secrets backend may hold a secret.
        """
        if not isinstance(error, OSSResumeError):
            self.log.error("The wait for %s failed", self.wanted, exc_info=error)
            kind = type(error).__name__
            error = OSSResumeError(
                f"{kind} in the triggerer, with the connection {self.oss_conn_id!r}; see the triggerer's log"
            )
            error.retryable = True
        data = error_to_data(error)
        # Version 0.1 reads message and retryable.
        return {"status": "error", "message": str(error), "retryable": error.retryable, "error": data}

    # --- one check ---------------------------------------------------------------------------------------------------

    async def _check(self, hook: OSSResumeAsyncHook) -> LookResult:
        opening = hook.call(
            lambda hook: hook.look(self.wanted),
            timeout=CHECK_TIMEOUT,
            timeout_message=f"a check for {self.wanted} took the triggerer longer than {CHECK_TIMEOUT:g} s; give the "
            "pattern a longer literal beginning, so that fewer keys are listed, or set deferrable=False",
        )
        call = await self._in_time(opening)
        return await self._in_time(call.result(), call)

    # --- time --------------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Return the seconds until the deadline."""
        return math.inf if self.deadline is None else max(self.deadline - time.time(), 0)

    async def _in_time(self, result: Coroutine[Any, Any, T], call: Call[Any] | None = None) -> T:
        """Wait for a result, at most until ``LAST_START`` seconds after the deadline.

        If the call has started by then, wait until ``LAST_CHECK`` seconds after its start if that is later.

        :raises _OutOfTime: if there is no result by then
        """
        task = asyncio.ensure_future(result)
        try:
            await asyncio.wait({task}, timeout=self._limited(self._left() + LAST_START))
            if call is not None and (started := call.started) is not None:
                await asyncio.wait({task}, timeout=self._limited(started + LAST_CHECK - time.time()))
            if not task.done():
                raise _OutOfTime
            return task.result()
        finally:
            task.cancel()

    def _limited(self, seconds: float) -> float | None:
        return None if self.deadline is None else max(seconds, 0)


class _OutOfTime(Exception):
    """No result came before the deadline, nor shortly after it."""
