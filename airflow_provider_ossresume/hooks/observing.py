"""Shows a transfer in Airflow while it runs: as the entry ``ossresume-progress`` of its task, and as metrics.

Neither holds up a transfer. Its workers move bytes meanwhile; calls are made every five seconds at most, and take a
twentieth of the time at most; one that fails is a warning in the log, once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_ossresume._airflow import Stats, metric_tags, why_not_callable
from airflow_provider_ossresume.hooks.telling import may_push, task_instance, tell
from airflow_provider_ossresume.transfer.checkpointing import SHARE_OF_TIME
from airflow_provider_ossresume.transfer.progress import Observer, Snapshot

ENTRY = "ossresume-progress"  # no checkpoint's name: those go on with 40 hexadecimal digits
INTERVAL = 5.0  # seconds; Airflow's pages reload about as often

COUNTERS = {
    "bytes": "bytes_moved",
    "parts.sent": "parts_sent",
    "parts.kept": "parts_kept",
    "parts.retried": "retries",
    "checkpoint.saves": "checkpoint_saves",
}


def observer_for(context: Mapping[str, Any] | None, *, show_progress: bool) -> Observer | None:
    """Return what a transfer of that task is shown with; None outside a task.

    :param show_progress: keep up the entry too, if the task pushes XComs at all
    """
    ti = task_instance(context)
    if ti is None or context is None:
        return None
    observers = [Spaced("the transfer's metrics", Metrics(ti))]
    # Only the task's own thread may call Airflow; an author's thread that runs a transfer moves its bytes unseen.
    is_main = threading.current_thread() is threading.main_thread()
    if show_progress and is_main and may_push(context) and why_not_callable(context) is None:
        observers.append(Spaced("the transfer's progress", Entry(context)))

    def observe(snapshot: Snapshot) -> None:
        for observer in observers:
            observer(snapshot)

    return observe


class Spaced:
    """Calls an observer now and then and at the end; what it raises is a warning, once.

    A try that fails does not ask one that is down for an answer: it may have few seconds left.
    """

    def __init__(self, what: str, observer: Observer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._observer = observer
        self._clock = clock
        self._due = 0.0
        self._is_down = self._has_warned = False

    def __call__(self, snapshot: Snapshot) -> None:
        began = self._clock()
        is_last = snapshot.state == "finished" or (snapshot.state == "failed" and not self._is_down)
        if began < self._due and not is_last:
            return
        self._is_down = not tell(self._what, lambda: self._observer(snapshot), is_quiet=self._has_warned)
        self._has_warned |= self._is_down
        now = self._clock()
        self._due = now + max(INTERVAL, SHARE_OF_TIME * (now - began))


class Entry:
    """The entry ``ossresume-progress``: in the task's state store on Airflow 3.3, elsewhere among its XComs."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._task_state = context.get("task_state_store")
        self._ti = context["ti"]

    def __call__(self, snapshot: Snapshot) -> None:
        if self._task_state is not None:
            self._task_state.set(ENTRY, snapshot.report())
        else:
            self._ti.xcom_push(key=ENTRY, value=snapshot.report())


class Metrics:
    """Counts in Airflow's metrics what a try has done since it was last asked."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._last: Snapshot | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        tags = {**metric_tags(self._ti), "direction": snapshot.direction}
        for name, field in COUNTERS.items():
            grown = getattr(snapshot, field) - getattr(self._last, field, 0)
            if grown > 0:
                Stats.incr(f"ossresume.{name}", grown, tags=tags)
        if snapshot.started_as not in ("new", getattr(self._last, "started_as", "new")):
            Stats.incr(f"ossresume.transfers.{snapshot.started_as}", tags=tags)
        if snapshot.state != "running":
            Stats.incr(f"ossresume.transfers.{snapshot.state}", tags=tags)
            Stats.timing("ossresume.duration", timedelta(seconds=snapshot.seconds), tags=tags)
        self._last = snapshot
