"""What uploads and downloads share: what a transfer is made of, how it keeps watch, and how it ends well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.progress import Direction, Observer, Progress, ProgressCallback
from airflow_provider_ossresume.transfer.result import Settled, Stopwatch, TransferResult

log = logging.getLogger(__name__)

Client = TypeVar("Client")
Options = TypeVar("Options")


class Transfer(Generic[Client, Options]):
    """One transfer of one object, by one try.

    :param watch: called by this thread at least four times a second; what it raises ends the try
    :param drop_when: called with what ends the try; True drops what it and earlier ones have done, and the checkpoint.
        A superseded try drops nothing, and is not asked.
    :param progress_callback: see :class:`~airflow_provider_ossresume.transfer.progress.Progress`
    :param observer: see the same
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
        self._oss = oss
        self._target = target
        self._checkpointer = checkpointer
        self._config = config
        self._options = options
        self._watch = watch
        self._drop_when = drop_when
        self._progress = Progress(
            self.direction,
            target,
            interval=config.progress_interval,
            callback=progress_callback,
            observer=observer,
            saves=lambda: checkpointer.saves,
        )

    def _crew(self) -> Crew:
        return Crew(
            workers=self._config.first_workers,
            most=self._config.most_workers,
            tick=self._tick,
            traffic=lambda: (self._progress.bytes_moved, self._progress.retries),
        )

    def _tick(self) -> None:
        self._watch()
        self._progress.tick()
        self._checkpointer.tick()

    def _finish(self, stopwatch: Stopwatch, settled: Settled) -> TransferResult:
        """Forget the checkpoint, as the bytes are where they belong, and return what was done."""
        outcome, meta, crc = settled
        self._checkpointer.delete()
        self._progress.finish(meta.size)
        result = stopwatch.result(outcome, meta, crc64=crc, progress=self._progress)
        log.info("%s: %s", outcome.capitalize(), result)
        return result
