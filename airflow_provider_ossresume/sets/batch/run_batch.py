"""Runs one batch of a plan: first the large files, part by part, then the small ones, many at once.

A file that fails does not stop the others. Moved files are in the ledger at most 30 seconds later. However a try ends,
the ledger gets the files that its workers have finished, and nothing more is moved.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Event

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.entries import printable
from airflow_provider_ossresume.model.manifest import BatchHeader, LedgerRow, PlanHeader, Row
from airflow_provider_ossresume.model.parts import MIB, format_size
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.batch.batch_failures import DeniedFiles, is_set_wide, reason_of
from airflow_provider_ossresume.sets.batch.batch_report import BatchReport, Counts
from airflow_provider_ossresume.sets.batch.ledger_writer import LedgerWriter
from airflow_provider_ossresume.sets.ports import FileJob, Ledger, Mover, Watch
from airflow_provider_ossresume.transfer.concurrency import SAMPLE
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.progress import Meter

log = logging.getLogger(__name__)

SMALL_SIZE = 64 * MIB  # one worker moves a smaller file in one request
LARGE_AT_ONCE = 4
FIRST_WORKERS = 8  # for small files; more are added while that increases throughput
CHECKPOINT_GRACE = 1.0  # seconds for large files to save their checkpoints when a try stops early


def run_batch(
    mover: Mover,
    header: PlanHeader,
    batch: BatchHeader,
    rows: Iterable[Row],
    ledger: Ledger,
    *,
    config: TransferConfig | None = None,
    watch: Watch = lambda: None,
    check_first: bool | None = None,
    small_size: int = SMALL_SIZE,
) -> BatchReport:
    """Move the files of a batch that are not proven yet, and return a report.

    :param rows: the batch's rows
    :param watch: called at least four times a second in this thread; an exception from it ends the try within seconds
    :param check_first: compare each target before its file is moved, because an earlier try may have moved it without
        writing its ledger; by default, if the ledger has rows of earlier tries
    :param small_size: bytes; files of this size or more are moved part by part
    :raises OSSResumeError: if every other file would fail too: no such bucket, no access to any file, no usable
        credentials, a full disk. Errors of single files are in the report
    """
    return _Batch(mover, header, batch, ledger, config=config or TransferConfig(), watch=watch).run(
        rows, check_first=check_first, small_size=small_size
    )


class _Batch:
    """One try of a batch. The calling thread owns the state; workers only append to the deques."""

    def __init__(
        self,
        mover: Mover,
        header: PlanHeader,
        batch: BatchHeader,
        ledger: Ledger,
        *,
        config: TransferConfig,
        watch: Watch,
    ) -> None:
        self._mover = mover
        self._header = header
        self._batch = batch
        self._ledger = ledger
        self._config = config
        self._watch = watch
        self._most_failures = int(SetOptions.of_json(header.options).max_failures)
        self._counts = Counts()
        self._denied = DeniedFiles()
        self._ledger_writer = LedgerWriter(mover, ledger, watch=self._tick)
        self._finished: deque[tuple[Row, LedgerRow, OSSResumeError | None]] = deque()  # its methods are atomic
        self._moved: deque[int] = deque()  # the same; see Meter
        self._bytes = self._retries = 0
        self._proven_before = 0
        self._started = self._logged = time.monotonic()

    def __str__(self) -> str:
        return f"Batch {self._batch.number} of {len(self._header.batches)}"

    def run(self, rows: Iterable[Row], *, check_first: bool | None, small_size: int) -> BatchReport:
        with Crew(workers=1, tick=self._watch) as crew:
            proven = crew.call(self._ledger.rows)
        missing = []
        for row in rows:
            if row.number in proven:
                self._proven_before += 1
            else:
                missing.append(row)
        if check_first is None:
            check_first = bool(proven)
        log.info(
            "%s, from %s to %s: %s of %s files still to move (%s), %s already proven",
            self, self._header.source, self._header.target, len(missing), self._batch.files,
            format_size(sum(row.size for row in missing)), self._proven_before,
        )  # fmt: skip
        gave_up = False
        try:
            try:
                self._move_large([row for row in missing if row.size >= small_size], check_first=check_first)
                self._move_small([row for row in missing if row.size < small_size], check_first=check_first)
            except _TooManyFailures:
                gave_up = True
            self._collect_finished()
            self._ledger_writer.finish()
        except BaseException as error:  # anything that ends the try, including a timeout and SIGTERM
            self._collect_finished()
            self._ledger_writer.finish_quickly()
            log.warning(
                "%s stopped early, and the next try resumes from here: %s. Reason: %s", self, str(self._report()), error
            )
            raise
        report = self._report(gave_up=gave_up)
        log.info("%s: %s", self, str(report))
        return report

    # --- moving -------------------------------------------------------------------------------------------------------

    def _move_large(self, rows: Sequence[Row], *, check_first: bool) -> None:
        if not rows:
            return
        at_once = min(LARGE_AT_ONCE, len(rows), self._config.max_workers)
        workers = self._config.max_workers // at_once
        under_way: deque[Event] = deque()
        crew = Crew(workers=at_once, tick=self._tick)

        def move(row: Row) -> None:
            has_ended = Event()
            under_way.append(has_ended)
            try:
                self._move(
                    row,
                    lambda: self._mover.move_large(row, workers=workers, check_first=check_first, watch=crew.check),
                )
            finally:
                has_ended.set()

        try:
            with crew:
                for _ in crew.run(move, rows):
                    self._record()
        except BaseException:
            ends = time.monotonic() + CHECKPOINT_GRACE
            for has_ended in under_way:  # each one saves its checkpoint first
                has_ended.wait(max(0.0, ends - time.monotonic()))
            raise

    def _move_small(self, rows: Sequence[Row], *, check_first: bool) -> None:
        if not rows:
            return
        config = self._config
        is_free = config.max_concurrency is None and config.max_bandwidth is None
        crew = Crew(
            workers=FIRST_WORKERS if is_free else config.initial_workers,
            most=config.max_workers,
            tick=self._tick,
            traffic=self._traffic,
        )
        job = FileJob(crew, lambda: Meter(self._moved), rate=config.rate_per_worker(len(rows)), check_first=check_first)
        with crew:
            for _ in crew.run(lambda row: self._move(row, lambda: self._mover.move_small(row, job)), rows):
                self._record()

    def _move(self, row: Row, move: Callable[[], LedgerRow]) -> None:
        """Move one file, in a worker.

        :raises OSSResumeError: if every other file would fail the same way
        """
        failure: OSSResumeError | None = None
        try:
            outcome = move()
        except OSSResumeError as error:
            if is_set_wide(error):
                raise
            failure = error
            outcome = LedgerRow(
                row.number, "failed", reason=reason_of(error), detail=str(error), is_retryable=error.retryable
            )
        self._finished.append((row, outcome, failure))

    def _traffic(self) -> tuple[int, int]:
        """Return the bytes moved and the number of failed attempts, from which the number of workers is chosen.

        Each small file also counts as one ``SAMPLE`` of bytes, because its request takes longer than its bytes.
        """
        self._count_bytes()
        return self._bytes + SAMPLE * (self._counts.results["done"] + len(self._finished)), self._retries

    # --- results ------------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        """Count the files that workers have finished, and write the ledger when that is due.

        :raises _TooManyFailures: if too many files have failed
        :raises AccessDenied: if OSS denies access to all files
        """
        self._collect_finished()
        self._denied.check()
        if self._counts.results["failed"] > self._most_failures:
            raise _TooManyFailures
        self._ledger_writer.flush_if_due()

    def _collect_finished(self) -> None:
        while self._finished:
            row, outcome, failure = self._finished.popleft()
            self._ledger_writer.add(outcome)
            self._counts.add(row.name, outcome)
            if outcome.is_proven:
                self._denied.count_success()
            if failure is not None:
                log.warning("%s could not be moved: %s", printable(row.name), failure)
                self._denied.count_failure(failure)

    # --- progress -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._watch()
        now = time.monotonic()
        if self._config.progress_interval and now - self._logged >= self._config.progress_interval:
            self._logged = now
            self._count_bytes()
            log.info("%s: %s", self, str(self._report()))

    def _count_bytes(self) -> None:
        while self._moved:
            moved = self._moved.popleft()
            self._bytes += max(moved, 0)
            self._retries += moved <= 0

    def _report(self, *, gave_up: bool = False) -> BatchReport:
        counts = self._counts
        return BatchReport(
            batch=self._batch.number,
            files=self._batch.files,
            size=self._batch.size,
            proven_before=self._proven_before,
            done=counts.results["done"],
            same=counts.results["same"],
            skipped=dict(counts.skipped),
            failed=counts.results["failed"],
            bytes_moved=counts.bytes_moved,
            seconds=time.monotonic() - self._started,
            failures=counts.failures,
            left=counts.left,
            is_retryable=counts.is_retryable,
            gave_up=gave_up,
        )


class _TooManyFailures(Exception):
    """More files have failed than ``max_failures`` allows."""
