"""The file that an object becomes, as a sink: a part file is its ledger, and the checkpoint proves it."""

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
class TargetName:
    """How the file is published.

    :ivar mode: its permissions; None for those of any new file
    :ivar mtime: its time of modification, in seconds since 1970; None for now
    :ivar replaces: False to never overwrite what stands there
    :ivar stood: what stood there when the transfer began; None for nothing
    :ivar is_watched: what stands there has to be that still
    """

    path: Path
    mode: int | None
    mtime: float | None
    replaces: bool
    stood: FileIdentity | None
    is_watched: bool


class DownloadedFile:
    """Grows in a part file, and gets its final name when it is whole and on the disk.

    :param meta: of what is fetched
    :param checkpoint: proves what is in the part file
    :param keep: takes each later checkpoint, to be saved when it is due
    :param beginning: of the first part: what of it has come already
    :param verify: compare the whole with OSS's CRC-64
    """

    def __init__(
        self,
        file: PartFile,
        final: TargetName,
        meta: ObjectMeta,
        checkpoint: DownloadCheckpoint,
        *,
        keep: Callable[[DownloadCheckpoint], None],
        beginning: bytearray,
        verify: bool,
    ) -> None:
        self._file = file
        self._final = final
        self._meta = meta
        self._checkpoint = checkpoint
        self._keep = keep
        self._beginning = beginning
        self._verify = verify
        self._put: dict[int, Receipt] = {}  # by workers

    def receipts(self, crew: Crew, source: OssObject) -> dict[int, Receipt]:
        """Return those of the parts that the checkpoint names, and whose bytes are on the disk; it names no other ones
        from then on."""
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
                    "Parts %s to %s are not in %s any more; fetched again", run.first, run.last, self._file.path
                )
        self._checkpoint = replace(self._checkpoint, runs=tuple(kept))
        numbers = (number for run in kept for number in range(run.first, run.last + 1))
        return {number: Receipt(number, "", plan[number - 1].size, None) for number in numbers}

    def begin(self) -> None:
        """Have the checkpoint saved at the first tick, while the workers fetch."""
        self._set(self._checkpoint)

    def put(self, part: Part, source: OssObject, job: Job) -> Receipt:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Sink`."""
        beginning = self._beginning if part.number == 1 else bytearray()
        sink = PartSink(self._file, part, job, beginning=beginning)
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
        """Compare the whole, put it on the disk, and give it its name.

        :raises IntegrityError: when it is not what OSS has; all of it is thrown away then
        :raises TargetChanged: when what stands under the final name is not what stood there
        :raises FlushFailed: when the disk did not take it
        """
        final, crc = self._final, self._checkpoint.runs[0].crc64 if self._checkpoint.runs else 0
        if self._verify:
            self._compare(source, crc)
        try:
            # By a worker, as a disk may take its time: the task's thread is to hear signals.
            crew.call(lambda: self._file.flush(size=self._meta.size, mode=final.mode, mtime=final.mtime))
        except FlushFailed:
            self._forget()
            raise
        lease.check_owner()
        if final.is_watched and FileIdentity.at(final.path) != final.stood:
            raise TargetChanged(f"{final.path} was written, or removed, while it was downloaded")
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
                f"what came of {source} has the CRC-64 {crc}, OSS says {self._meta.crc64}; it was thrown away"
            )

    def _forget(self) -> None:
        self._put.clear()
        self._set(replace(self._checkpoint, runs=()))

    def _set(self, checkpoint: DownloadCheckpoint) -> None:
        self._checkpoint = checkpoint
        if len(checkpoint.plan) > 1:
            self._keep(checkpoint)
