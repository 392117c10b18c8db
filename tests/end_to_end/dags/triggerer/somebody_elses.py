"""A trigger of somebody else: it measures for how long a triggerer lets it wait for a name and for a thread."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent

TURNS = 40
PAUSE = 0.1  # seconds


class MeasureTrigger(BaseTrigger):
    """Fires with the longest wait, in seconds, of some turns that begin once a file is there."""

    def __init__(self, begin: str) -> None:
        super().__init__()
        self.begin = begin

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "somebody_elses.MeasureTrigger", {"begin": self.begin}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not os.path.exists(self.begin):
            await asyncio.sleep(PAUSE)
        longest = 0.0
        for _ in range(TURNS):
            began = time.monotonic()
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            await asyncio.to_thread(time.monotonic)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(PAUSE)
        yield TriggerEvent(longest)


class MeasureOperator(BaseOperator):
    """Returns what its trigger has measured."""

    def execute(self, context: Context) -> None:
        self.defer(trigger=MeasureTrigger(context["dag_run"].conf["begin"]), method_name="finish")

    def finish(self, context: Context, event: float) -> dict[str, float]:
        return {"longest": event}
