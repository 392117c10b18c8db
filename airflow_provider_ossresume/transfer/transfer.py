"""The engine: runs one try of one transfer, for any source and any sink.

``_prepare`` finds out what to move, ``work`` moves it, and the sink's ``publish`` proves and publishes it. The order
matters: the checkpoint of an upload is saved before the first part moves, that of a download while the first parts
move, and each is deleted after the result is published. If the try fails, the finished parts are kept for the next one,
unless ``drop_when`` returns True.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

from airflow_provider_ossresume.errors import (
    CredentialsError,
    IntegrityError,
    InvalidPart,
    LocalFileError,
    NoSuchUpload,
    ObjectChanged,
    OSSResumeError,
    RequestError,
    SourceChanged,
    StoreUnavailable,
    TrySuperseded,
)
from airflow_provider_ossresume.model.checkpoint import Checkpoint
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew, Deadline
from airflow_provider_ossresume.transfer.ports import Job, Published, Sink, Source, StoppableClient, TransferPlan
from airflow_provider_ossresume.transfer.progress import Direction, Observer, Progress, ProgressCallback
from airflow_provider_ossresume.transfer.publishing import FlushFailed
from airflow_provider_ossresume.transfer.result import Settled, Stopwatch, TransferResult

log = logging.getLogger(__name__)

DISCARD_TIME = 3.0  # seconds; Airflow 3 kills a stopped task after five
MIN_DISCARD_TIME = 0.5  # seconds of it for OSS, even if the store is slow
# After these errors the next try may find that some or all of the parts are of no use.
PARTS_LOST = (SourceChanged, ObjectChanged, IntegrityError, NoSuchUpload, FlushFailed)

Client = TypeVar("Client", bound=StoppableClient)
Options = TypeVar("Options")
AnySource = TypeVar("AnySource", bound=Source)


@dataclass(frozen=True)
class Prepared(Generic[AnySource]):
    """A transfer for which bytes have to move."""

    plan: TransferPlan
    source: AnySource
    sink: Sink[AnySource]


def work(crew: Crew, parts: Iterable[Part], source: AnySource, sink: Sink[AnySource], job: Job) -> Iterator[Receipt]:
    """Put the parts into the sink, several at once. Yield each receipt when its part is in place, in any order."""
    return crew.run(lambda part: sink.put(part, source, job), parts)


class Transfer(ABC, Generic[Client, Options, AnySource]):
    """One transfer of one object, by one try.

    :param watch: called by this thread at least four times a second; an error that it raises ends the try
    :param drop_when: called with the error that ends the try. If it returns True, the parts of this and earlier tries
        and the checkpoint are removed, within three seconds. It is not called in a superseded try, which removes
        nothing.
    :param progress_callback: see :class:`~airflow_provider_ossresume.transfer.progress.Progress`
    :param observer: see :class:`~airflow_provider_ossresume.transfer.progress.Progress`
    """

    direction: ClassVar[Direction]

    def __init__(
        self,
        oss: Client,
        target: ObjectRef,
        checkpointer: Checkpointer,
        *,
        config: TransferConfig,
        options: Options,
        watch: Callable[[], None] = lambda: None,
        drop_when: Callable[[BaseException], bool] = lambda error: False,
        progress_callback: ProgressCallback | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._client = self._oss = oss  # the latter is replaced by one with the current crew's stop
        self._target = target
        self._checkpointer = checkpointer
        self._config = config
        self._options = options
        self._watch = watch
        self._drop_when = drop_when
        self._sink: Sink[AnySource] | None = None  # of the current attempt, set before bytes move
        self._progress = Progress(
            self.direction,
            target,
            interval=config.progress_interval,
            callback=progress_callback,
            observer=observer,
            saves=lambda: checkpointer.saves,
        )

    # --- what a kind of transfer decides ------------------------------------------------------------------------------

    @abstractmethod
    def _prepare(self, crew: Crew, opened: ExitStack, *, is_second: bool) -> Settled | Prepared[AnySource]:
        """Return what to move, or the result if nothing has to move.

        :param opened: closes files that are opened, after the workers have ended
        :param is_second: True for the restart after an error that :meth:`_restarts_after` allows
        """

    @abstractmethod
    def _restarts_after(self, error: OSSResumeError) -> bool:
        """True if the transfer may restart, once, after this error."""

    def _has_fallback(self, error: OSSResumeError) -> bool:
        """True if the transfer continues in another way after this error, which it may do once."""
        return False

    def _take_fallback(self, error: OSSResumeError) -> None:
        """Use the other way from now on."""

    @abstractmethod
    def _is_ours(self, checkpoint: Checkpoint) -> bool:
        """True if the checkpoint belongs to this transfer."""

    @abstractmethod
    def _discard(self, crew: Crew, checkpoint: Checkpoint | None) -> None:
        """Remove the parts that this try and earlier ones have put.

        :raises RequestError, CredentialsError, LocalFileError: if that is not possible now
        """

    @property
    def _keeps_parts(self) -> bool:
        """True if a later try uses the parts that are finished."""
        return True

    def _yield_to_successor(self) -> None:
        """Clean up after a newer try has taken over: remove what only this try knows of."""

    def _after_keeping(self) -> None:
        """Called when the try has failed and its parts are kept."""

    # --- one try ------------------------------------------------------------------------------------------------------

    def _run(self, other_end: str) -> TransferResult:
        """Run the try.

        :param other_end: the other end of the transfer, for the result: the local file, or the source of a copy
        """
        stopwatch = Stopwatch(self._target, other_end, direction=self.direction)
        self._checkpointer.lease.is_ours = self._is_ours
        try:
            outcome, meta, crc = self._attempt_or_restart()
        except TrySuperseded:
            self._yield_to_successor()
            raise
        except BaseException as error:  # also after a timeout or SIGTERM, the checkpoint is kept
            if isinstance(error, (NoSuchUpload, InvalidPart)):
                error.retryable = True  # not within this try, but the next one starts with what OSS has then
            is_dropped = self._drop_when(error) and self._drop()
            is_kept = not is_dropped and self._keep()
            self._progress.fail(outlook=self._outlook(error) if is_kept else "")
            raise
        self._checkpointer.delete()  # the result is published
        self._progress.finish(meta.size)
        result = stopwatch.result(outcome, meta, crc64=crc, progress=self._progress)
        log.info("%s: %s", outcome.capitalize(), str(result))  # without str(), Airflow 2.11 would log a dict
        return result

    def _attempt_or_restart(self) -> Settled:
        is_second = False
        while True:
            try:
                return self._attempt(is_second=is_second)
            except OSSResumeError as error:
                if self._has_fallback(error):
                    self._take_fallback(error)
                elif self._restarts_after(error) and not is_second:
                    is_second = True
                    log.warning("Restarting the %s of %s, once: %s", self.direction, self._target, error)
                else:
                    raise
            self._sink = None
            self._progress.restart()
            self._checkpointer.check_owner()

    def _attempt(self, *, is_second: bool) -> Settled:
        with ExitStack() as opened, self._crew() as crew:  # its workers end before anything is closed
            self._oss = self._client.with_stop(crew)
            try:
                prepared = self._prepare(crew, opened, is_second=is_second)
                return self._move(crew, prepared) if isinstance(prepared, Prepared) else prepared
            except OSSResumeError as error:
                if self._restarts_after(error) or self._has_fallback(error):
                    crew.join()  # parts that are still being sent must not arrive after those of the restart
                raise

    def _move(self, crew: Crew, prepared: Prepared[AnySource]) -> Settled:
        try:
            published = self._move_and_publish(crew, prepared)
        except InvalidPart as error:
            log.warning("Another writer replaced parts of %s; comparing them again, once: %s", self._target, error)
            receipts = prepared.sink.receipts(crew, prepared.source)
            again = replace(prepared, plan=replace(prepared.plan, receipts=receipts))
            published = self._move_and_publish(crew, again)
        return "transferred", *published

    def _move_and_publish(self, crew: Crew, prepared: Prepared[AnySource]) -> Published:
        plan, source, sink = prepared.plan, prepared.source, prepared.sink
        receipts = dict(plan.receipts)
        # Only now, when it is known what is kept: before, a resumed transfer would look like a new one.
        self._progress.begin(
            total=plan.size,
            parts=len(plan.parts),
            kept=(part.size for part in plan.parts if part.number in receipts),
            done=plan.done,
        )
        missing = plan.missing
        job = Job(crew.stop, self._progress.meter, self._config.rate_per_worker(len(missing)))
        self._sink = sink
        if plan.done and plan.done == plan.size:  # all bytes have been received, and only need to be written
            moved: Iterable[Receipt] = (sink.put(part, source, job) for part in missing)
        else:
            moved = work(crew, missing, source, sink, job)
        for receipt in moved:
            receipts[receipt.number] = receipt
            sink.record(receipt)
            self._progress.finish_part(receipt.size)
        self._progress.tick()
        return sink.publish(crew, source, receipts, self._checkpointer)

    def _crew(self) -> Crew:
        return Crew(
            workers=self._config.initial_workers,
            most=self._config.max_workers,
            tick=self._tick,
            traffic=lambda: (self._progress.bytes_moved, self._progress.retries),
        )

    def _tick(self) -> None:
        self._watch()
        self._progress.tick()
        self._checkpointer.tick()

    # --- its end ------------------------------------------------------------------------------------------------------

    def _keep(self) -> bool:
        """Save what a later try needs to resume. Return False if a newer try has taken over."""
        if self._sink:
            self._sink.record_rest()
        is_ours = self._checkpointer.save_on_failure()
        if is_ours:
            self._after_keeping()
        else:
            self._yield_to_successor()
        return is_ours

    def _outlook(self, error: BaseException) -> str:
        """Return a sentence for the log: what the next try can do. Empty if this try cannot tell."""
        is_resumable = bool(self._progress.parts_done) and not isinstance(error, PARTS_LOST)
        if not is_resumable or not self._keeps_parts:
            return ""
        is_retried = error.retryable if isinstance(error, OSSResumeError) else True
        return self._checkpointer.outlook(is_retried=is_retried)

    def _drop(self) -> bool:
        """Remove the parts, then delete the checkpoint. Return False if that failed and all is kept."""
        began = time.monotonic()
        try:
            checkpoint = self._checkpointer.claim()
            left = began + DISCARD_TIME - time.monotonic()
            with Crew(workers=1, tick=Deadline(max(left, MIN_DISCARD_TIME))) as crew:
                self._oss = self._client.with_stop(crew)
                self._discard(crew, checkpoint)
            if checkpoint is not None and time.monotonic() < began + DISCARD_TIME:
                self._checkpointer.delete()  # otherwise the next try finds that its upload or part file is gone
        except TrySuperseded as error:
            log.warning("%s", error)
            self._yield_to_successor()
        except (RequestError, CredentialsError, LocalFileError, StoreUnavailable, TimeoutError) as error:
            log.warning(
                "The finished parts of the %s of %s could not be removed, so they and the checkpoint are kept: %s",
                self.direction, self._target, error,
            )  # fmt: skip
            return False
        return True
