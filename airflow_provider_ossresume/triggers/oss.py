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
from airflow_provider_ossresume.hooks.object_lookup import Patience, asked_wait
from airflow_provider_ossresume.model.waiting import Wanted

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import Look

T = TypeVar("T")

# One attempt: the next look is the retry. HEAD is answered in a fraction of a second and a page of a listing in a few;
# 5 s let the first packet of a connection be sent three times.
ONE_LOOK: Mapping[str, Any] = {"part_retries": 0, "connect_timeout": 5, "read_timeout": 10, "stall_timeout": 10}
LAST_LOOK = 15.0  # seconds for the look at the deadline once it has begun: as long as one request takes
LAST_TURN = 15.0  # seconds after the deadline until it must have begun; the worker looks if it has not
LONGEST_LOOK = 60.0  # seconds; a listing that takes longer keeps a thread from the other sensors


class OSSObjectTrigger(BaseTrigger):
    """Fire when what is wanted is there, when the time is over, or when it is certain that waiting is in vain.

    The event has a ``status``: ``success`` with ``matches``, a list of ``oss://`` URIs; ``timeout``; or ``error`` with
    the error as :func:`~airflow_provider_ossresume.errors.error_to_data` writes it. The latter two have a ``message``.
    A ``timeout`` has ``has_looked``: whether a look has begun at the deadline or later, and has ended. Each event has
    ``deadline`` and ``limit`` as they were given.

    The connection is looked up once, in the triggerer; what is stored of the trigger holds no secret. A look that fails
    for now is logged, and the next one is its retry: as often, and for as long, as a worker would send one request
    again (``part_retries`` and ``retry_max_time``), or without end with ``silent_fail``.

    :param wanted: a :class:`~airflow_provider_ossresume.model.waiting.Wanted`, as its ``to_json`` returns it
    :param oss_conn_id: the connection
    :param region: takes the place of the connection's
    :param poke_interval: seconds between two looks
    :param look_at_once: False waits for that long before the first look, too
    :param silent_fail: whatever fails for now is logged, and the next look awaited
    :param deadline: when it times out, in seconds since 1970; None never does
    :param limit: the sensor's argument that the deadline comes from, ``timeout`` or ``execution_timeout``
    :param of_another_version: what another version of this package has stored, and this one does not know
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
        **of_another_version: Any,
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
        except Exception as error:  # else the task would fail without the reason
            event = self._event_of(error)
        # `airflow dags test` hands the event on, and nothing else.
        yield TriggerEvent({**event, "deadline": self.deadline, "limit": self.limit})

    async def _wait(self) -> dict[str, Any]:
        """Look until there is an event."""
        hook = OSSResumeAsyncHook(self.oss_conn_id, self.region, ONE_LOOK)
        patience = Patience()
        pause = 0.0 if self.look_at_once else self.poke_interval
        while True:
            await asyncio.sleep(min(pause, self._left()))
            pause = self.poke_interval
            is_last = self._left() <= 0  # else it may miss what came while it went on
            try:
                look = await self._look(hook)
            except _OutOfTime:
                return self._timed_out("OSS did not answer in time", has_looked=False)
            except Exception as error:  # whatever it is, the next look may mend it or the task is told
                if not self._is_borne(error, patience, is_last=is_last):
                    raise
                pause = max(pause, min(asked_wait(error), patience.longest))
                self.log.warning("This check failed, the next one follows within %.0f s: %s", pause, error)
                says = "the last look failed"
            else:
                if look.is_done:
                    return {"status": "success", "matches": look.matches}
                self.log.info("Waiting for %s: %s", self.wanted, look)
                patience, says = Patience(), str(look)
            if is_last:
                return self._timed_out(says, has_looked=True)

    def _is_borne(self, error: Exception, patience: Patience, *, is_last: bool) -> bool:
        """True when the next look may mend it. A failure of the last one is the task's, as in a worker."""
        if isinstance(error, OSSResumeError) and not error.retryable:
            return False
        if self.silent_fail:
            return True
        return isinstance(error, OSSResumeError) and not is_last and patience.bears(error)

    def _timed_out(self, says: str, *, has_looked: bool) -> dict[str, Any]:
        message = f"waiting for {self.wanted} timed out: {says}"
        return {"status": "timeout", "message": message, "retryable": False, "has_looked": has_looked}

    def _event_of(self, error: Exception) -> dict[str, Any]:
        """Return the event for an error. What is not ours becomes the root of our tree, and is left to the next try.

        Its text stays here: that of a secrets backend may hold a secret.
        """
        if not isinstance(error, OSSResumeError):
            self.log.error("The wait for %s failed", self.wanted, exc_info=error)
            kind = type(error).__name__
            error = OSSResumeError(
                f"{kind} in the triggerer, with the connection {self.oss_conn_id!r}; the triggerer's log says more"
            )
            error.retryable = True
        data = error_to_data(error)
        # Version 0.1 reads message and retryable.
        return {"status": "error", "message": str(error), "retryable": error.retryable, "error": data}

    # --- one look -----------------------------------------------------------------------------------------------------

    async def _look(self, hook: OSSResumeAsyncHook) -> Look:
        opening = hook.call(
            lambda hook: hook.look(self.wanted),
            longest=LONGEST_LOOK,
            too_long=f"a look for {self.wanted} takes the triggerer longer than {LONGEST_LOOK:g} s; write more of the "
            "key before the pattern's first special character, so that less is listed, or wait with deferrable=False",
        )
        look = await self._in_time(opening)
        return await self._in_time(look.answer(), look)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Return the seconds until the deadline."""
        return math.inf if self.deadline is None else max(self.deadline - time.time(), 0)

    async def _in_time(self, answer: Coroutine[Any, Any, T], look: Call[Any] | None = None) -> T:
        """Wait for an answer, at the deadline no longer than its turn and one request may take.

        :raises _OutOfTime: when there is none by then
        """
        task = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({task}, timeout=self._limited(self._left() + LAST_TURN))
            if look is not None and (began := look.began) is not None:
                await asyncio.wait({task}, timeout=self._limited(began + LAST_LOOK - time.time()))
            if not task.done():
                raise _OutOfTime
            return task.result()
        finally:
            task.cancel()

    def _limited(self, seconds: float) -> float | None:
        return None if self.deadline is None else max(seconds, 0)


class _OutOfTime(Exception):
    """No answer came before the deadline, nor soon after it."""
