"""The trigger that waits for objects in the triggerer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ossresume._airflow import BaseTrigger, TriggerEvent, read_connection
from airflow_provider_ossresume.errors import OSSResumeError, error_to_data
from airflow_provider_ossresume.hooks.object_lookup import Patience, asked_wait
from airflow_provider_ossresume.model.waiting import Wanted
from airflow_provider_ossresume.triggers.threads import threads

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import Look
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

T = TypeVar("T")

# One attempt: the next look is the retry. HEAD is answered in a fraction of a second and a page of a listing in a few;
# 5 s let the first packet of a connection be sent three times.
ONE_LOOK: Mapping[str, Any] = {"part_retries": 0, "connect_timeout": 5, "read_timeout": 10, "stall_timeout": 10}
LAST_LOOK = 15.0  # seconds after the deadline for a look that has begun before: as long as one request takes

MOST_LOOKS = 16  # at once, of all sensors in this triggerer; a hundred on a silent OSS are through in a minute or two
MOST_CONNECTIONS = 4  # looked up at once where that takes a thread; apart, so that no silent OSS delays them


class OSSObjectTrigger(BaseTrigger):
    """Fire when what is wanted is there, when the time is over, or when it is certain that waiting is in vain.

    The event has a ``status``: ``success`` with ``matches``, a list of ``oss://`` URIs; ``timeout``; or ``error`` with
    the error as :func:`~airflow_provider_ossresume.errors.error_to_data` writes it. The latter two have a ``message``.

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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            event = await self._wait()
        except Exception as error:  # else the task would fail without the reason
            event = _event_of(error)
        # `airflow dags test` hands the event on, and nothing else.
        yield TriggerEvent({**event, "deadline": self.deadline})

    async def _wait(self) -> dict[str, Any]:
        """Look until there is an event."""
        hook: OSSResumeHook | None = None
        patience = Patience()
        pause = 0.0 if self.look_at_once else self.poke_interval
        while True:
            await asyncio.sleep(min(pause, self._left()))
            pause = self.poke_interval
            try:
                if hook is None:
                    hook = await self._in_time(self._open())
                look = await self._in_time(_in_a_thread(_look_once, hook, self.wanted))
            except _OutOfTime:
                return self._timed_out("OSS did not answer in time")
            except Exception as error:  # whatever it is, the next look may mend it or the task is told
                if not self._is_borne(error, patience):
                    raise
                pause = max(pause, min(asked_wait(error), patience.longest))
                self.log.warning("This look failed, the next one follows in %.0f s at most: %s", pause, error)
                says = "the last look failed"
            else:
                if look.is_done:
                    return {"status": "success", "matches": look.matches}
                self.log.info("Waiting for %s: %s", self.wanted, look)
                patience, says = Patience(), str(look)
            if self._left() <= 0:
                return self._timed_out(says)

    def _is_borne(self, error: Exception, patience: Patience) -> bool:
        """True when the next look may mend it. A failure of the last one is the task's, as in a worker."""
        if isinstance(error, OSSResumeError) and not error.retryable:
            return False
        if self.silent_fail:
            return True
        return isinstance(error, OSSResumeError) and self._left() > 0 and patience.bears(error)

    def _timed_out(self, says: str) -> dict[str, Any]:
        return {"status": "timeout", "message": f"waiting for {self.wanted} timed out: {says}", "retryable": False}

    # --- one look -----------------------------------------------------------------------------------------------------

    async def _open(self) -> OSSResumeHook:
        if self.oss_conn_id is None:
            return await _in_a_thread(self._hook, None)
        executor = threads("connections", most=MOST_CONNECTIONS)
        return await read_connection(self.oss_conn_id, self._hook, executor=executor)

    def _hook(self, connection: Any) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.connection import ConnectionSettings
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # in a thread: importing requests takes a while

        hook = OSSResumeHook(
            self.oss_conn_id,
            region=self.region,
            transfer_config=ONE_LOOK,
        )
        if connection is not None:
            hook.settings = ConnectionSettings.of(connection)  # so that no look asks Airflow for it
        return hook

    # --- time ---------------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Return the seconds until the deadline."""
        return math.inf if self.deadline is None else max(self.deadline - time.time(), 0)

    async def _in_time(self, answer: Awaitable[T]) -> T:
        """Wait for an answer; after the deadline only for as long as one that was asked for before it may take."""
        try:
            return await asyncio.wait_for(answer, None if self.deadline is None else self._left() + LAST_LOOK)
        except asyncio.TimeoutError:
            if self._left() > 0:  # it is the answer's own
                raise
            raise _OutOfTime from None


class _OutOfTime(Exception):
    """No answer came before the deadline, nor soon after it."""


async def _in_a_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Not in one of the loop's own, which serve everybody's name look-ups."""
    looks = threads("looks", most=MOST_LOOKS)
    return await asyncio.get_running_loop().run_in_executor(looks, partial(function, *arguments))


def _look_once(hook: OSSResumeHook, wanted: Wanted) -> Look:
    with closing(hook.get_conn()):  # until the next look a connection would go stale
        return hook.look(wanted)


def _event_of(error: Exception) -> dict[str, Any]:
    """Return the event for an error. What is not ours becomes the root of our tree, and is left to the next try."""
    if not isinstance(error, OSSResumeError):
        error = OSSResumeError(f"{type(error).__name__}: {error}")
        error.retryable = True
    data = error_to_data(error)
    # Version 0.1 reads message and retryable.
    return {"status": "error", "message": str(error), "retryable": error.retryable, "error": data}
