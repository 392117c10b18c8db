"""The trigger that waits for objects in the triggerer."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import BaseTrigger, TriggerEvent
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.waiting import Wanted

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.looking import Look


class OSSObjectTrigger(BaseTrigger):
    """Fire when what is wanted is there, or when it is certain that waiting is in vain.

    The event is ``{"status": "success", "matches": […]}`` with ``oss://`` URIs, or
    ``{"status": "error", "message": …, "retryable": …}``. Credentials are looked up in the triggerer; what is stored of
    the trigger holds none.

    :param wanted: a :class:`~airflow_provider_ossresume.model.waiting.Wanted`, as its ``to_json`` returns it
    :param oss_conn_id: the connection
    :param region: takes the place of the connection's
    :param poke_interval: seconds between two looks
    :param look_at_once: False waits for that long before the first look, too
    :param silent_fail: a look that fails for now is logged, and the next one awaited
    """

    def __init__(
        self,
        wanted: Mapping[str, Any],
        oss_conn_id: str | None = "oss_default",
        region: str | None = None,
        poke_interval: float = 60.0,
        look_at_once: bool = True,
        silent_fail: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wanted = Wanted.from_json(wanted)
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.poke_interval = poke_interval
        self.look_at_once = look_at_once
        self.silent_fail = silent_fail

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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if not self.look_at_once:
            await asyncio.sleep(self.poke_interval)
        # In a thread: the look-up of the connection and the requests would hold up every other trigger.
        while (event := await asyncio.to_thread(self._event)) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(event)

    def _event(self) -> dict[str, Any] | None:
        """Look once; return the event that this makes, or None to wait."""
        try:
            look = self._look()
        except Exception as error:  # else the task would fail without the reason, and under soft_fail be skipped
            is_final = isinstance(error, OSSResumeError) and not error.retryable
            if not is_final and self.silent_fail:
                self.log.error("Looking again, as silent_fail asks: %s", traceback.format_exc())
                return None
            text = str(error) if isinstance(error, OSSResumeError) else f"{type(error).__name__}: {error}"
            return {"status": "error", "message": text, "retryable": not is_final}
        if look.is_done:
            return {"status": "success", "matches": look.matches}
        self.log.info("Waiting for %s: %s", self.wanted, look)
        return None

    def _look(self) -> Look:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        return OSSResumeHook(self.oss_conn_id, region=self.region).look(self.wanted)
