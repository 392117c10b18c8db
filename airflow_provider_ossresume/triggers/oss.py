"""The trigger that waits for objects in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow_provider_ossresume._airflow import BaseTrigger, TriggerEvent
from airflow_provider_ossresume.errors import OSSResumeError


class OSSObjectTrigger(BaseTrigger):
    """Fire when every object exists, or when it is certain that waiting is in vain.

    The event is ``{"status": "success"}`` or ``{"status": "error", "message": …, "retryable": …}``. Credentials are
    looked up in the triggerer; what is stored of the trigger holds none.

    :param targets: pairs of bucket and key
    :param oss_conn_id: the connection
    :param region: takes the place of the connection's
    :param poke_interval: seconds between two looks
    """

    def __init__(
        self,
        targets: Sequence[Sequence[str]],
        oss_conn_id: str = "oss_default",
        region: str | None = None,
        poke_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.targets = [(bucket, key) for bucket, key in targets]
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_ossresume.triggers.oss.OSSObjectTrigger",
            {
                "targets": [list(target) for target in self.targets],
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "poke_interval": self.poke_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            # In a thread: the look-up of the connection and the requests would hold up every other trigger.
            while not await asyncio.to_thread(self._all_exist):
                await asyncio.sleep(self.poke_interval)
        except OSSResumeError as error:
            yield TriggerEvent({"status": "error", "message": str(error), "retryable": error.retryable})
        else:
            yield TriggerEvent({"status": "success"})

    def _all_exist(self) -> bool:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook

        hook = OSSResumeHook(self.oss_conn_id, region=self.region)
        return all(hook.object_exists(key, bucket) for bucket, key in self.targets)
