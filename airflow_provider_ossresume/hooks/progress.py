"""Shows a running transfer in Airflow: in its task's entry ``ossresume-progress``, and in metrics.

Neither slows a transfer down: its workers keep moving bytes during a call. Calls are at least five seconds apart,
except the last one, and take at most a twentieth of the time. Of each, only the first failed call is logged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_ossresume._airflow import Stats, metric_tags, why_not_callable
from airflow_provider_ossresume.hooks.reporting import may_push, report_to_airflow, task_instance
from airflow_provider_ossresume.transfer.checkpointing import SHARE_OF_TIME
from airflow_provider_ossresume.transfer.progress import Observer, Snapshot

PROGRESS_KEY = "ossresume-progress"  # never the name of a checkpoint: there 40 hexadecimal digits follow
INTERVAL = 5.0  # seconds; Airflow's pages reload about as often

COUNTERS = {
    "bytes": "bytes_moved",
    "parts.sent": "parts_sent",
    "parts.kept": "parts_kept",
    "parts.retried": "retries",
    "checkpoint.saves": "checkpoint_saves",
}


def observer_for(context: Mapping[str, Any] | None, *, show_progress: bool) -> Observer | None:
    """Return the observer that shows a transfer of the task in Airflow; None outside a task.

    :param show_progress: update the progress entry too, unless the task has ``do_xcom_push=False``
    """
    ti = task_instance(context)
    if ti is None or context is None:
        return None
    observers = [Throttled("the transfer's metrics", TransferMetrics(ti))]
    # Only the task's own thread may call Airflow. A transfer that a DAG author runs in another thread is not shown.
    is_main = threading.current_thread() is threading.main_thread()
    if show_progress and is_main and may_push(context) and why_not_callable(context) is None:
        observers.append(Throttled("the transfer's progress", ProgressEntry(context)))

    def observe(snapshot: Snapshot) -> None:
        for observer in observers:
            observer(snapshot)

    return observe


class Throttled:
    """Calls an observer at most every ``INTERVAL`` seconds, and at the end. Its first error is logged as a warning.

    If the last call failed, a failing try does not call again: it may have only seconds left.
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
        self._is_down = not report_to_airflow(self._what, lambda: self._observer(snapshot), is_quiet=self._has_warned)
        self._has_warned |= self._is_down
        now = self._clock()
        self._due = now + max(INTERVAL, SHARE_OF_TIME * (now - began))


class ProgressEntry:
    """Writes the entry ``ossresume-progress``: to the task state store on Airflow 3.3, to an XCom on other versions."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._task_state = context.get("task_state_store")
        self._ti = context["ti"]

    def __call__(self, snapshot: Snapshot) -> None:
        if self._task_state is not None:
            self._task_state.set(PROGRESS_KEY, snapshot.report())
        else:
            self._ti.xcom_push(key=PROGRESS_KEY, value=snapshot.report())


class TransferMetrics:
    """Updates Airflow's metrics with the try's progress since the previous call."""

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
