"""Brings what workers have finished into the ledger, without ever keeping the task's thread from its watch."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.manifest import LedgerRow
from airflow_provider_ossresume.sets.ports import Ledger, Mover, Watch
from airflow_provider_ossresume.transfer.crew import Crew, Deadline

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 30.0  # seconds; what is lost at kill -9 is looked at again, and not moved again
FLUSH_ROWS = 1_000
LAST_FLUSH = 2.0  # seconds; Airflow 3 kills a task that it stops after five
SETTLERS = 4  # threads that put folders on the disk


class Recorder:
    """Holds what became of rows until it is last, and the ledger has it."""

    def __init__(
        self, mover: Mover, ledger: Ledger, *, watch: Watch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mover = mover
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._waiting: deque[LedgerRow] = deque()  # its methods are atomic
        self._due_at = clock() + FLUSH_INTERVAL
        self._has_unflushed = False
        self._is_free = Event()  # no thread is at the ledger
        self._is_free.set()

    def add(self, row: LedgerRow) -> None:
        """Take one row."""
        self._waiting.append(row)

    def flush_if_due(self) -> None:
        """Have the ledger keep what has come, now and then. One that is down is warned about, and asked again later."""
        if len(self._waiting) < FLUSH_ROWS and (not self._waiting or self._clock() < self._due_at):
            return
        if error := self._flush(self._watch):
            if not error.retryable:
                raise error
            log.warning("The ledger could not be written, the batch goes on: %s", error)
        self._due_at = self._clock() + FLUSH_INTERVAL

    def finish(self) -> None:
        """Have the ledger keep all of it.

        :raises OSSResumeError: when it cannot; then a later try finds the files in their place
        """
        if (self._waiting or self._has_unflushed) and (error := self._flush(self._watch)):
            raise error

    def finish_soon(self) -> None:
        """The same for a try that ends early, within seconds; what the ledger does not get is warned about."""
        if not (self._waiting or self._has_unflushed):
            return
        deadline = Deadline(LAST_FLUSH)
        error: Exception | None
        try:
            error = self._flush(deadline) if self._is_free.wait(LAST_FLUSH) else TimeoutError("it took too long")
        except TimeoutError as timeout:
            error = timeout
        if error:
            log.warning(
                "Not all files that were moved are in the ledger; the next try compares them, and does not move them "
                "again: %s", error,
            )  # fmt: skip

    def _flush(self, tick: Watch) -> OSSResumeError | None:
        """Return why it could not be done."""
        with Crew(workers=SETTLERS, tick=tick) as crew:
            self._mover.settle(crew)
            error = crew.call(self._write)
        self._has_unflushed = error is not None
        return error

    def _write(self) -> OSSResumeError | None:
        self._is_free.clear()
        self._has_unflushed = True
        try:
            with suppress(IndexError):
                while True:
                    self._ledger.add(self._waiting.popleft())
            self._ledger.flush()
        except OSSResumeError as error:
            return error
        finally:
            self._is_free.set()
        return None
