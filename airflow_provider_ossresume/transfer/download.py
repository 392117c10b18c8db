"""Downloads an object: the bytes that are on the disk already are proven and kept, what is missing is fetched.

The part file beside the final name is the ledger, and the checkpoint proves it: each run of finished parts is read back
and compared before it is kept. The order is the promise: fetch, compare the whole, flush to the disk, rename, delete
the checkpoint. What stood under the final name stays until the rename.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol, get_args

from airflow_provider_ossresume.errors import (
    ArgumentError,
    IntegrityError,
    InvalidRange,
    LocalFileError,
    ObjectChanged,
    PreconditionFailed,
    ServiceError,
    StoreUnavailable,
    TrySuperseded,
)
from airflow_provider_ossresume.model.arguments import parse_flag, parse_mode
from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint, Run
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, check_choice
from airflow_provider_ossresume.model.parts import Part, PartPlan, format_size, parse_byte_range, plan_parts
from airflow_provider_ossresume.model.resume import Restart, Resume, decide_download, is_download_of, same_content
from airflow_provider_ossresume.transfer.crew import TICK, Crew
from airflow_provider_ossresume.transfer.file_crc64 import crc64_of_range
from airflow_provider_ossresume.transfer.local_file import FileIdentity, LocalFile
from airflow_provider_ossresume.transfer.part_file import PartFile, remove_part_file
from airflow_provider_ossresume.transfer.part_names import part_file_path
from airflow_provider_ossresume.transfer.part_sink import Beginning, PartSink
from airflow_provider_ossresume.transfer.publishing import FlushFailed
from airflow_provider_ossresume.transfer.result import Settled, Stopwatch, TransferResult
from airflow_provider_ossresume.transfer.target_file import TargetChanged, check_replaceable, check_target_file
from airflow_provider_ossresume.transfer.transfer import Transfer
from airflow_provider_ossresume.transfer.upload import IfExists, OnChange

log = logging.getLogger(__name__)

BEGINNING_SIZE = 2**18  # bytes that are asked for before anything is known of the object
MTIME_STEP = 2.0  # seconds; FAT's
LOCK_TIMEOUT = 30.0  # seconds; a superseded try lets go of the part file within ten


class DownloadClient(Protocol):
    """What a download needs of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_symlink(self, target: ObjectRef) -> ObjectRef: ...
    def get_object(
        self,
        target: ObjectRef,
        sink: PartSink,
        *,
        start: int = 0,
        stop: int | None = None,
        may_end_before: bool = False,
        if_match: str | None = None,
        total: int | None = None,
    ) -> ObjectMeta: ...


@dataclass(frozen=True)
class DownloadOptions:
    """What a download is to do besides moving bytes.

    :param if_exists: what to do when the file exists: ``overwrite`` it; ``skip`` the download; ``skip_if_same`` when
        size and CRC-64 are equal; ``fail``
    :param object_changed: what to do when the object changes under the download: ``restart`` once, or ``fail``
    :param create_parents: make the file's folder
    :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``; as the process's umask has it by default
    :param preserve_mtime: give the file the object's Last-Modified as its time of modification
    :param byte_range: ``(start, stop)`` of the object's bytes, stop excluded; all of them by default. OSS has a CRC-64
        of whole objects only, so the file is not compared with one
    :param earlier_try: an earlier try may have finished: a file with the object's very bytes counts as this download's
    """

    if_exists: IfExists = "overwrite"
    object_changed: OnChange = "restart"
    create_parents: bool = True
    file_mode: int | str | None = None
    preserve_mtime: bool = False
    byte_range: Sequence[int | str] | None = None
    earlier_try: bool = False

    def __post_init__(self) -> None:
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_choice("object_changed", self.object_changed, get_args(OnChange))
        for flag in ("create_parents", "preserve_mtime"):
            object.__setattr__(self, flag, parse_flag(flag, getattr(self, flag)))
        if self.file_mode == "":
            object.__setattr__(self, "file_mode", None)
        if self.file_mode is not None:
            object.__setattr__(self, "file_mode", parse_mode("file_mode", self.file_mode))
        if self.slice and self.if_exists == "skip_if_same":
            raise ArgumentError(
                "if_exists", self.if_exists, "OSS has no CRC-64 of a byte_range to compare; choose another"
            )

    @property
    def slice(self) -> tuple[int, int] | None:
        return parse_byte_range("byte_range", self.byte_range)

    @property
    def mode(self) -> int | None:
        return None if self.file_mode is None else int(self.file_mode)


class Downloader(Transfer[DownloadClient, DownloadOptions]):
    """One download of one object, by one try; dropped, its part file is removed.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    direction = "download"

    def download(self, file: str | os.PathLike[str]) -> TransferResult:
        """Download the object and return what was done; the file then holds exactly its bytes.

        :raises ArgumentError: when the file cannot be written there, or exists under ``if_exists="fail"``
        :raises ObjectChanged: when the object changes again after a restart, or at all under ``object_changed="fail"``
        :raises IntegrityError: when what came is not what OSS has, twice
        :raises LocalFileError: when the disk is full or fails
        :raises RequestError: when OSS cannot be made to give it
        """
        path = check_target_file(file, create_parents=self._options.create_parents)
        if self._options.if_exists == "overwrite":
            check_replaceable(path)  # before anything is asked of OSS
        stopwatch = Stopwatch(self._target, str(path))
        self._checkpointer.is_ours = partial(self._is_ours, self._part_path(path).name)
        self._total: int | None = None  # the whole object's size
        self._fetched: dict[Part, int] = {}  # what workers have finished since the last beginning, with its CRC-64
        try:
            settled = self._download_or_restart(path)
        except TrySuperseded:
            raise
        except BaseException as error:  # whatever ends the try, a timeout or SIGTERM too, its checkpoint is kept
            if not (self._drop_when(error) and self._drop_all(path)):
                self._take_in_fetched()
                self._checkpointer.save_at_end()
            self._progress.fail()
            raise
        return self._finish(stopwatch, settled)

    def _download_or_restart(self, path: Path) -> Settled:
        try:
            return self._download(path)
        except ObjectChanged as error:
            if self._options.object_changed == "fail":
                raise
            reason: Exception = error
        except (IntegrityError, TargetChanged) as error:
            reason = error
        self._progress.restart()
        log.warning("Restarting the download of %s, once: %s", self._target, reason)
        self._checkpointer.check_owner()
        return self._download(path, is_second=True)

    def _download(self, path: Path, *, is_second: bool = False) -> Settled:
        part_path = self._part_path(path)
        stood = FileIdentity.at(path)
        stored = self._checkpointer.load(watch=self._watch)
        with ExitStack() as files, self._crew() as crew:  # its threads end before the file is closed
            size = self._beginning_size(path, stored)
            meta, beginning = crew.call(lambda: self._look(crew, size))
            if meta.is_link:
                meta = replace(meta, crc64=crew.call(lambda: self._crc64_behind(meta)))
            self._total = meta.size
            meta = self._slice_of(meta)
            # A try that finished has left no checkpoint, or died before it could delete it, and no part file.
            may_be_ours = self._options.earlier_try if stored is None else not part_path.exists()
            if self._options.if_exists == "fail":
                may_be_ours = self._options.earlier_try or stored is not None
            if settled := self._settle(crew, path, meta, may_be_ours=may_be_ours):
                self._checkpointer.check_owner()  # to compare the bytes may have taken long
                try:
                    self._remove(part_path)
                except LocalFileError as error:
                    log.warning("%s is kept: %s", part_path, error)
                return settled
            if self._options.if_exists != "overwrite":  # else it has been looked at
                check_replaceable(path)
            file = files.enter_context(PartFile(part_path))
            if self._lock(file, stored):
                # What was seen before is out of date: whoever held the file may have published it, or saved more.
                stood, beginning = FileIdentity.at(path), bytearray()
                may_be_ours = self._options.if_exists != "fail" or self._options.earlier_try or stored is not None
                stored = self._checkpointer.load(watch=self._watch)
                if file.is_new and (settled := self._settle(crew, path, meta, may_be_ours=may_be_ours)):
                    self._checkpointer.check_owner()
                    remove_part_file(part_path)
                    return settled
            if not file.is_new:
                self._checkpointer.look()  # before anything in it is thrown away
            if (mode := self._options.mode) is not None:
                file.check_mode(mode)
            try:
                checkpoint = self._fetch(crew, file, self._resume(crew, file, meta, stored), beginning)
            except (PreconditionFailed, InvalidRange) as error:
                crew.join()
                raise ObjectChanged(f"{self._target} changed while it was downloaded: {error}") from error
            crc = checkpoint.runs[0].crc64 if checkpoint.runs else 0
            self._compare(file, checkpoint, crc)
            self._checkpointer.check_owner()
            if FileIdentity.at(path) != stood and not (is_second and self._options.if_exists == "overwrite"):
                raise TargetChanged(f"{path} was written, or removed, while it was downloaded")
            replaces = self._options.if_exists != "fail"
            try:
                file.publish(path, size=meta.size, mode=mode, mtime=self._mtime(meta), replaces=replaces)
            except FlushFailed:
                self._forget_runs(checkpoint)
                raise
        return "transferred", meta, crc

    def _beginning_size(self, path: Path, stored: Checkpoint | None) -> int:
        """Return how many of the object's first bytes are wanted in any case: none when a checkpoint or a file that is
        there may prove that they are here, or only a range is wanted."""
        overwrites = self._options.if_exists == "overwrite" and not self._options.earlier_try
        if stored is not None or self._options.slice or (path.exists() and not overwrites):
            return 0
        return min(BEGINNING_SIZE, self._config.threshold_bytes, self._config.part_bytes or BEGINNING_SIZE)

    def _look(self, crew: Crew, size: int) -> tuple[ObjectMeta, bytearray]:
        """Return what OSS says of the object, and so many of its first bytes, or all that it has.

        They stay in memory, since the part file may be another try's, and nobody knows if there is room for the rest.
        """
        if size:
            beginning = Beginning()
            sink = PartSink(
                beginning,
                Part(1, 0, size),
                meter=self._progress.meter(),
                rate=self._config.rate_per_worker(1),
                stop=crew.stop,
            )
            with suppress(InvalidRange):  # an empty object has no first bytes
                return self._oss.get_object(self._target, sink, stop=size, may_end_before=True), beginning.data
        return self._oss.head_object(self._target), bytearray()

    def _crc64_behind(self, link: ObjectMeta) -> int | None:
        """Return the CRC-64 of what a symbolic link leads to; None when that cannot be told."""
        try:
            found = self._oss.head_object(self._oss.get_symlink(self._target))
        except ServiceError as error:
            if error.retryable:
                raise
            log.info("%s is a symbolic link, and its target cannot be asked for: %s", self._target, error)
            return None
        is_same = found.size == link.size and same_etag(found.etag, link.etag)
        return found.crc64 if is_same else None

    def _slice_of(self, meta: ObjectMeta) -> ObjectMeta:
        """Return what is known of the bytes that are wanted, as of an object of their own."""
        start, stop = self._options.slice or (0, meta.size)
        if stop > meta.size:
            raise ArgumentError("byte_range", (start, stop), f"{self._target} has {meta.size} bytes")
        return meta if stop - start == meta.size else replace(meta, size=stop - start, crc64=None)

    @property
    def _start(self) -> int:
        return self._options.slice[0] if self._options.slice else 0

    # --- what may already be there ------------------------------------------------------------------------------------

    def _settle(self, crew: Crew, path: Path, meta: ObjectMeta, *, may_be_ours: bool) -> Settled | None:
        """Return how the transfer ends when the file that is there decides it; None when bytes have to move."""
        if not path.exists():
            return None
        policy = self._options.if_exists
        if policy == "skip":
            log.info("%s exists, skipped", path)
            return "skipped", meta, None
        if may_be_ours or policy == "skip_if_same":
            crc = self._crc64_of(crew, path, meta)
            if crc is not None and same_content(meta, size=meta.size, crc64=crc):
                if may_be_ours and self._has_our_looks(path, meta):
                    log.info("%s holds the object's bytes already: an earlier try had finished", path)
                    return "already there", meta, crc
                if policy == "skip_if_same":
                    log.info("%s holds the object's bytes already, skipped", path)
                    return "skipped", meta, crc
        if policy == "fail" and os.path.lexists(path):  # it may have gone meanwhile
            raise ArgumentError("file", str(path), "it exists, and if_exists='fail' forbids to overwrite it")
        return None

    def _has_our_looks(self, path: Path, meta: ObjectMeta) -> bool:
        """True when the file has the permissions and the time of modification that this download gives it."""
        try:
            found = path.stat()
        except OSError:  # it has gone
            return False
        mtime = self._mtime(meta)
        return self._options.mode in (None, stat.S_IMODE(found.st_mode)) and (
            mtime is None or abs(found.st_mtime - mtime) < MTIME_STEP
        )

    def _mtime(self, meta: ObjectMeta) -> float | None:
        return meta.last_modified.timestamp() if self._options.preserve_mtime and meta.last_modified else None

    def _crc64_of(self, crew: Crew, path: Path, meta: ObjectMeta) -> int | None:
        """Return the CRC-64 of the file that is there; None when it is another one anyway, or cannot be read."""
        try:
            if path.stat().st_size != meta.size:
                return None
            with LocalFile(path) as existing:
                return crc64_of_range(crew, existing.crc64, 0, meta.size)
        except (ArgumentError, OSError):
            return None

    # --- part by part -------------------------------------------------------------------------------------------------

    def _lock(self, file: PartFile, stored: Checkpoint | None) -> bool:
        """Become the part file's writer; True when another process had to let go of it first."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        if file.lock():
            return False
        log.warning("%s is being written by another process; waiting up to %.0f s for it", file.path, LOCK_TIMEOUT)
        if stored is not None:
            # As this try's, which tells the older one to let go. It may have saved more since this try has looked.
            self._checkpointer.save(self._checkpointer.load(watch=self._watch) or stored)
        while not file.lock():
            self._tick()
            Event().wait(TICK)
            if time.monotonic() > deadline:
                error = LocalFileError(
                    f"{file.path} is still being written by another process; a later try may have it"
                )
                error.retryable = True
                raise error
        return True

    def _resume(self, crew: Crew, file: PartFile, meta: ObjectMeta, stored: Checkpoint | None) -> DownloadCheckpoint:
        """Return the checkpoint to go on from: the one that an earlier try left, as far as the disk bears it out."""
        decision = decide_download(
            stored,
            target=self._target,
            meta=meta,
            part_file=file.name,
            part_file_exists=not file.is_new,
            start=self._start,
        )
        if isinstance(decision, Resume):
            self._progress.beginning = "resumed"
            log.info(
                "Resuming the download of %s: the checkpoint of try %s proves what is in %s (%s)",
                self._target, decision.checkpoint.owner.try_number, file.path, self._checkpointer,
            )  # fmt: skip
            # Compared with what OSS says now: the CRC-64 of an earlier answer may have been wrong or absent.
            runs = self._keep(crew, file, decision.checkpoint)
            return replace(decision.checkpoint, crc64=meta.crc64, runs=runs)
        if isinstance(decision, Restart):
            self._progress.beginning = "restarted"
            log.warning("Restarting the download of %s: %s", self._target, decision.reason)
        else:
            log.info("A new download of %s: %s (%s)", self._target, decision.reason, self._checkpointer)
        file.reset()
        plan = self._plan(meta.size)
        return DownloadCheckpoint(
            bucket=self._target.bucket,
            key=self._target.key,
            version_id=self._target.version_id,
            etag=meta.etag,
            size=meta.size,
            crc64=meta.crc64,
            part_size=plan.part_size,
            part_file=file.name,
            owner=self._checkpointer.owner,
            start=self._start,
        )

    def _plan(self, size: int) -> PartPlan:
        if size < self._config.threshold_bytes:
            return PartPlan(size, max(size, 1))  # one request
        return plan_parts(size, part_size=self._config.part_bytes)

    def _keep(self, crew: Crew, file: PartFile, checkpoint: DownloadCheckpoint) -> tuple[Run, ...]:
        """Return the runs whose bytes are on the disk."""
        plan, kept = checkpoint.plan, []
        for run in checkpoint.runs:
            if crc64_of_range(crew, file.crc64_of, plan[run.first - 1].start, plan[run.last - 1].stop) == run.crc64:
                kept.append(run)
            else:
                log.warning("Parts %s to %s are not in %s any more; fetched again", run.first, run.last, file.path)
        return tuple(kept)

    def _fetch(
        self, crew: Crew, file: PartFile, checkpoint: DownloadCheckpoint, beginning: bytearray
    ) -> DownloadCheckpoint:
        """Fetch the parts that are missing.

        :param beginning: of the first part: what of it is here already
        """
        plan, start = checkpoint.plan, checkpoint.start
        kept = {number for run in checkpoint.runs for number in range(run.first, run.last + 1)}
        missing = [part for part in plan if part.number not in kept]
        sizes = (plan[number - 1].size for number in kept)
        self._progress.begin(total=checkpoint.size, parts=len(plan), kept=sizes, done=len(beginning))
        log.info(
            "Downloading %s (%s): %s of %s parts of %s are kept, %s to fetch",
            self._target, format_size(checkpoint.size), len(kept), len(plan), format_size(plan.part_size), len(missing),
        )  # fmt: skip
        file.check_space(checkpoint.size)
        if len(plan) > 1 and self._config.most_workers != 1:
            file.check_any_order()
        if len(plan) > 1:
            self._checkpointer.update(checkpoint)  # saved at the first tick, while the workers fetch

        self._fetched = {}

        def fetch(part: Part) -> tuple[Part, int]:
            sink = PartSink(
                file,
                part,
                meter=self._progress.meter(),
                rate=self._config.rate_per_worker(len(missing)),
                stop=crew.stop,
                beginning=beginning if part.number == 1 else bytearray(),
            )
            first, stop = sink.missing
            if first < stop:
                self._oss.get_object(
                    self._target,
                    sink,
                    start=start + first,
                    stop=start + stop,
                    if_match=checkpoint.etag,
                    total=self._total,
                )
            else:
                sink.open()
            self._fetched[part] = sink.crc64
            return part, sink.crc64

        is_here = len(beginning) == checkpoint.size
        for part, crc in map(fetch, missing) if is_here else crew.run(fetch, missing):
            checkpoint = checkpoint.with_part(part, crc)
            if len(plan) > 1:
                self._checkpointer.update(checkpoint)
            self._progress.finish_part(part.size)
        self._progress.tick()
        return checkpoint

    def _take_in_fetched(self) -> None:
        """Note the parts that workers have finished: a signal may strike before this thread has their results."""
        checkpoint = self._checkpointer.current
        for part, crc in self._fetched.items():
            if isinstance(checkpoint, DownloadCheckpoint) and not checkpoint.has(part):
                checkpoint = checkpoint.with_part(part, crc)
                self._checkpointer.update(checkpoint)

    def _compare(self, file: PartFile, checkpoint: DownloadCheckpoint, crc: int) -> None:
        if not self._config.verify:
            return
        if self._options.slice and checkpoint.crc64 is None:
            log.info("A range of %s: OSS has no CRC-64 of it to compare the file with", self._target)
        elif checkpoint.crc64 is None:
            log.warning(
                "OSS has no CRC-64 of %s, so the download is compared by its size and the object's ETag only",
                self._target,
            )
        elif crc != checkpoint.crc64:
            file.reset()
            self._forget_runs(checkpoint)
            raise IntegrityError(
                f"what came of {self._target} has the CRC-64 {crc}, OSS says {checkpoint.crc64}; it was thrown away"
            )

    def _forget_runs(self, checkpoint: DownloadCheckpoint) -> None:
        self._fetched = {}
        if len(checkpoint.plan) > 1:
            self._checkpointer.update(replace(checkpoint, runs=()))

    def _is_ours(self, part_file: str, checkpoint: Checkpoint) -> bool:
        return is_download_of(checkpoint, self._target, part_file) and checkpoint.is_possible

    def _part_path(self, path: Path) -> Path:
        return part_file_path(path, self._checkpointer.key)

    def _remove(self, part_path: Path) -> None:
        """Remove the part file, if there is one.

        :raises LocalFileError: when it cannot be removed, or another process writes to it
        """
        if part_path.exists():
            with PartFile(part_path) as file:
                if not file.lock():
                    raise LocalFileError("another process writes to it")
                remove_part_file(part_path)

    def _drop_all(self, path: Path) -> bool:
        """Remove the part file, and then forget the checkpoint; False when all is kept."""
        part_path = self._part_path(path)
        try:
            checkpoint = self._checkpointer.claim()
            self._remove(part_path)
            if checkpoint is not None:
                self._checkpointer.delete()
        except TrySuperseded as error:
            log.warning("%s", error)
        except (LocalFileError, StoreUnavailable) as error:
            log.warning("The part file %s and its checkpoint are kept: %s", part_path, error)
            return False
        else:
            log.warning("Nothing is kept of the download of %s: its part file is removed", self._target)
        return True
