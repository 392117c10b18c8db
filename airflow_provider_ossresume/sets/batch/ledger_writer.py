"""Writes the results of finished files to the ledger, while the task's thread keeps calling its watch."""

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

FLUSH_INTERVAL = 30.0  # seconds; after kill -9, files of the last seconds are compared again, not moved again
FLUSH_ROWS = 1_000
LAST_FLUSH = 2.0  # seconds; Airflow 3 kills a stopped task after five
SYNC_WORKERS = 4  # threads that fsync folders


class LedgerWriter:
    """Holds results until the files are durable and the ledger is written."""

    def __init__(
        self, mover: Mover, ledger: Ledger, *, watch: Watch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mover = mover
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._waiting: deque[LedgerRow] = deque()  # its methods are atomic
        self._flush_at = clock() + FLUSH_INTERVAL
        self._has_unflushed = False
        self._is_idle = Event()  # no thread is writing the ledger
        self._is_idle.set()

    def add(self, row: LedgerRow) -> None:
        """Add the result of one row."""
        self._waiting.append(row)

    def flush_if_due(self) -> None:
        """Write the ledger after ``FLUSH_INTERVAL`` seconds or ``FLUSH_ROWS`` rows.

        After a retryable error, log a warning and try again later.

        :raises OSSResumeError: for any other error
        """
        if len(self._waiting) < FLUSH_ROWS and (not self._waiting or self._clock() < self._flush_at):
            return
        if error := self._flush(self._watch):
            if not error.retryable:
                raise error
            log.warning("The ledger could not be written; the batch continues and tries again later: %s", error)
        self._flush_at = self._clock() + FLUSH_INTERVAL

    def finish(self) -> None:
        """Write all results to the ledger.

        :raises OSSResumeError: if that fails; a later try then finds the files in place
        """
        if (self._waiting or self._has_unflushed) and (error := self._flush(self._watch)):
            raise error

    def finish_quickly(self) -> None:
        """Write all results within ``LAST_FLUSH`` seconds, for a try that stops early. If that fails, log a warning."""
        if not (self._waiting or self._has_unflushed):
            return
        deadline = Deadline(LAST_FLUSH)
        error: Exception | None
        try:
            error = (
                self._flush(deadline)
                if self._is_idle.wait(LAST_FLUSH)
                else TimeoutError(f"it was not written within {LAST_FLUSH:g} s")
            )
        except TimeoutError as timeout:
            error = timeout
        if error:
            log.warning(
                "The ledger does not have all files that were moved; the next try compares those and does not move "
                "them again: %s", error,
            )  # fmt: skip

    def _flush(self, tick: Watch) -> OSSResumeError | None:
        """Write all results. Return the error, or None on success."""
        with Crew(workers=SYNC_WORKERS, tick=tick) as crew:
            self._mover.make_durable(crew)
            error = crew.call(self._write)
        self._has_unflushed = error is not None
        return error

    def _write(self) -> OSSResumeError | None:
        self._is_idle.clear()
        self._has_unflushed = True
        try:
            with suppress(IndexError):
                while True:
                    self._ledger.add(self._waiting.popleft())
            self._ledger.flush()
        except OSSResumeError as error:
            return error
        finally:
            self._is_idle.set()
        return None
