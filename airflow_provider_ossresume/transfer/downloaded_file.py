"""A downloaded file as a sink. The bytes grow in a part file, and the checkpoint proves which of them are finished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_ossresume.errors import IntegrityError
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Run
from airflow_provider_ossresume.model.objects import ObjectMeta, Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.file_crc64 import crc64_of_range
from airflow_provider_ossresume.transfer.local_file import FileIdentity
from airflow_provider_ossresume.transfer.oss_object import OssObject
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_sink import PartSink
from airflow_provider_ossresume.transfer.ports import Job, Lease, Published
from airflow_provider_ossresume.transfer.publishing import FlushFailed, sync_folder
from airflow_provider_ossresume.transfer.target_file import TargetChanged

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishSettings:
    """How the file is published under its final name.

    :ivar mode: its permissions; None: those of any new file
    :ivar mtime: its modification time in seconds since 1970; None: now
    :ivar replaces: False: never overwrite an existing file
    :ivar previous: the file at the path when the transfer began; None if there was none
    :ivar must_be_previous: fail if another file is at the path by now
    """

    path: Path
    mode: int | None
    mtime: float | None
    replaces: bool
    previous: FileIdentity | None
    must_be_previous: bool


class DownloadedFile:
    """Writes to a part file, which gets its final name when it is complete and flushed to the disk.

    :param meta: of the bytes to fetch
    :param checkpoint: proves which parts the part file holds
    :param keep: called with each new checkpoint, which is saved when the next save is due
    :param first_bytes: the first bytes of the first part, if they have been received already
    :param verify: compare the CRC-64 of the whole file with OSS's
    """

    def __init__(
        self,
        file: PartFile,
        final: PublishSettings,
        meta: ObjectMeta,
        checkpoint: DownloadCheckpoint,
        *,
        keep: Callable[[DownloadCheckpoint], None],
        first_bytes: bytearray,
        verify: bool,
    ) -> None:
        self._file = file
        self._final = final
        self._meta = meta
        self._checkpoint = checkpoint
        self._keep = keep
        self._first_bytes = first_bytes
        self._verify = verify
        self._put: dict[int, Receipt] = {}  # filled by the workers

    def receipts(self, crew: Crew, source: OssObject) -> dict[int, Receipt]:
        """Return the receipts of the parts in the checkpoint whose bytes are on the disk. Drop all others from it."""
        plan = self._checkpoint.plan
        kept: list[Run] = []
        for run in self._checkpoint.runs:
            if (
                crc64_of_range(crew, self._file.crc64_of, plan[run.first - 1].start, plan[run.last - 1].stop)
                == run.crc64
            ):
                kept.append(run)
            else:
                log.warning(
                    "Parts %s to %s are not in %s any more; they are fetched again",
                    run.first,
                    run.last,
                    self._file.path,
                )
        self._checkpoint = replace(self._checkpoint, runs=tuple(kept))
        numbers = (number for run in kept for number in range(run.first, run.last + 1))
        return {number: Receipt(number, "", plan[number - 1].size, None) for number in numbers}

    def begin(self) -> None:
        """Have the checkpoint saved at the first tick, while the workers are already fetching."""
        self._set(self._checkpoint)

    def put(self, part: Part, source: OssObject, job: Job) -> Receipt:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Sink`."""
        first_bytes = self._first_bytes if part.number == 1 else bytearray()
        sink = PartSink(self._file, part, job, first_bytes=first_bytes)
        source.fetch(sink)
        receipt = self._put[part.number] = Receipt(part.number, "", part.size, sink.crc64)
        return receipt

    def record(self, receipt: Receipt) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Sink`."""
        part = self._checkpoint.plan[receipt.number - 1]
        if receipt.crc64 is not None and not self._checkpoint.has(part):
            self._set(self._checkpoint.with_part(part, receipt.crc64))

    def record_rest(self) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Sink`."""
        for receipt in list(self._put.values()):
            self.record(receipt)

    def publish(self, crew: Crew, source: OssObject, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Compare the whole file with OSS, flush it to the disk, and rename it to its final name.

        :raises IntegrityError: if it is not what OSS has; the part file is then emptied
        :raises TargetChanged: if the file at the final name is not the one that was there at the start
        :raises FlushFailed: if the disk did not write it
        """
        final, crc = self._final, self._checkpoint.runs[0].crc64 if self._checkpoint.runs else 0
        if self._verify:
            self._compare(source, crc)
        try:
            # In a worker, because the disk may take long and the task's thread has to react to signals.
            crew.call(lambda: self._file.flush(size=self._meta.size, mode=final.mode, mtime=final.mtime))
        except FlushFailed:
            self._forget()
            raise
        lease.check_owner()
        if final.must_be_previous and FileIdentity.at(final.path) != final.previous:
            raise TargetChanged(f"{final.path} was written or removed by somebody else during the download")
        self._file.publish(final.path, mode=final.mode, replaces=final.replaces)
        crew.call(lambda: sync_folder(final.path.parent))
        return self._meta, crc

    def _compare(self, source: OssObject, crc: int) -> None:
        if self._meta.crc64 is None:
            if source.is_range:
                log.info("OSS has no CRC-64 of a range of %s, so the file is not compared with it", source)
                return
            log.warning(
                "OSS has no CRC-64 of %s, so the download is compared by its size and the object's ETag only", source
            )
        elif crc != self._meta.crc64:
            self._file.reset()
            self._forget()
            raise IntegrityError(
                f"the bytes received of {source} have the CRC-64 {crc}, OSS has {self._meta.crc64}; they were discarded"
            )

    def _forget(self) -> None:
        self._put.clear()
        self._set(replace(self._checkpoint, runs=()))

    def _set(self, checkpoint: DownloadCheckpoint) -> None:
        self._checkpoint = checkpoint
        if len(checkpoint.plan) > 1:
            self._keep(checkpoint)
