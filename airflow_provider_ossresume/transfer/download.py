"""Downloads an object: keeps the bytes that are on the disk and proven, and fetches the rest.

The bytes are in a part file beside the final name. The checkpoint proves them: each run of finished parts is read back
and compared before it is kept. The order matters: fetch, compare the whole, flush to the disk, rename, delete the
checkpoint. A file that existed under the final name stays until the rename.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

from airflow_provider_ossresume.errors import (
    ArgumentError,
    IntegrityError,
    InvalidRange,
    LocalFileError,
    ObjectChanged,
    OSSResumeError,
    ServiceError,
)
from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import Part, PartPlan, format_size, plan_parts
from airflow_provider_ossresume.model.resume import Restart, Resume, decide_download, is_download_of, same_content
from airflow_provider_ossresume.transfer.crew import TICK, Crew
from airflow_provider_ossresume.transfer.downloaded_file import DownloadedFile, PublishSettings
from airflow_provider_ossresume.transfer.file_crc64 import crc64_of_range
from airflow_provider_ossresume.transfer.local_file import FileIdentity, LocalFile
from airflow_provider_ossresume.transfer.options import DownloadOptions
from airflow_provider_ossresume.transfer.oss_object import OssObject, ReadClient
from airflow_provider_ossresume.transfer.part_file import PartFile, remove_part_file
from airflow_provider_ossresume.transfer.part_names import part_file_path
from airflow_provider_ossresume.transfer.part_sink import Memory, PartSink
from airflow_provider_ossresume.transfer.ports import Job, StoppableClient, TransferPlan
from airflow_provider_ossresume.transfer.result import Settled, TransferResult
from airflow_provider_ossresume.transfer.target_file import TargetChanged, check_replaceable, check_target_file
from airflow_provider_ossresume.transfer.transfer import Prepared, Transfer

log = logging.getLogger(__name__)

FIRST_BYTES_SIZE = 2**18  # bytes of the first request, before anything is known of the object
MTIME_STEP = 2.0  # seconds; FAT stores times in such steps
LOCK_TIMEOUT = 30.0  # seconds; a superseded try releases the part file within ten


class DownloadClient(ReadClient, StoppableClient, Protocol):
    """The client methods that a download needs; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_symlink(self, target: ObjectRef) -> ObjectRef: ...


class Downloader(Transfer[DownloadClient, DownloadOptions, OssObject]):
    """One download of one object, by one try.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    direction = "download"

    def download(self, file: str | os.PathLike[str]) -> TransferResult:
        """Download the object and return what was done. The file then holds exactly the object's bytes.

        :raises ArgumentError: if the file cannot be written, or exists and ``if_exists="fail"``
        :raises ObjectChanged: if the object changes again after a restart, or once with ``object_changed="fail"``
        :raises IntegrityError: if the received bytes do not match OSS's CRC-64, even after a restart
        :raises LocalFileError: if the disk is full or fails
        :raises RequestError: if OSS does not send it
        """
        self._path = path = check_target_file(file, create_parents=self._options.create_parents)
        if self._options.if_exists == "overwrite":
            check_replaceable(path)  # before any request to OSS
        self._part_path = part_file_path(path, self._checkpointer.key)
        return self._run(str(path))

    # --- prepare ------------------------------------------------------------------------------------------------------

    def _prepare(self, crew: Crew, opened: ExitStack, *, is_second: bool) -> Settled | Prepared[OssObject]:
        path, overwrites = self._path, self._options.if_exists == "overwrite"
        previous = FileIdentity.at(path)
        stored = self._checkpointer.load(watch=self._watch)
        whole, first_bytes = crew.call(partial(self._look, crew, self._first_bytes_size(stored)))
        if whole.is_link:
            whole = replace(whole, crc64=crew.call(lambda: self._crc64_behind(whole)))
        meta = self._slice_of(whole)
        # A finished try leaves no part file, and no checkpoint unless it was killed before it could delete it.
        may_be_ours = self._options.earlier_try if stored is None else not self._part_path.exists()
        if self._options.if_exists == "fail":
            may_be_ours = self._options.earlier_try or stored is not None
        if settled := self._settle(crew, meta, may_be_ours=may_be_ours):
            self._checkpointer.check_owner()  # because comparing the bytes may have taken long
            try:
                crew.call(self._remove_part_file)
            except LocalFileError as error:
                log.warning("%s is kept: %s", self._part_path, error)
            return settled
        if not overwrites:  # otherwise it was checked before the first request
            check_replaceable(path)
        file = opened.enter_context(PartFile(self._part_path))
        if self._lock(crew, file, stored):
            # Read everything again: the try that held the lock may have published the file, or saved more parts.
            previous, first_bytes = FileIdentity.at(path), bytearray()
            may_be_ours = self._options.if_exists != "fail" or self._options.earlier_try or stored is not None
            stored = self._checkpointer.load(watch=self._watch)
            if file.is_new and (settled := self._settle(crew, meta, may_be_ours=may_be_ours)):
                self._checkpointer.check_owner()
                remove_part_file(self._part_path)
                return settled
        if not file.is_new:
            self._checkpointer.look()  # before any of its bytes are discarded
        if (mode := self._options.mode) is not None:
            file.check_mode(mode)
        source = OssObject(self._oss, self._target, etag=meta.etag, start=self._start, size=meta.size, total=whole.size)
        final = PublishSettings(
            path,
            mode=mode,
            mtime=self._mtime(meta),
            replaces=self._options.if_exists != "fail",
            previous=previous,
            must_be_previous=not (is_second and overwrites),
        )
        return self._prepare_parts(crew, source, file, final, meta, stored, first_bytes)

    def _prepare_parts(
        self,
        crew: Crew,
        source: OssObject,
        file: PartFile,
        final: PublishSettings,
        meta: ObjectMeta,
        stored: Checkpoint | None,
        first_bytes: bytearray,
    ) -> Prepared[OssObject]:
        checkpoint = self._resume(file, meta, stored)
        sink = DownloadedFile(
            file,
            final,
            meta,
            checkpoint,
            keep=self._checkpointer.update,
            first_bytes=first_bytes,
            verify=self._config.verify,
        )
        parts, kept = checkpoint.plan, sink.receipts(crew, source)
        log.info(
            "Downloading %s (%s): %s of %s parts of %s are kept, %s to fetch",
            self._target, format_size(meta.size), len(kept), len(parts), format_size(parts.part_size),
            len(parts) - len(kept),
        )  # fmt: skip
        file.check_space(meta.size)
        if len(parts) > 1 and self._config.max_workers != 1:
            file.check_any_order()
        sink.begin()
        return Prepared(TransferPlan(parts, kept, done=len(first_bytes)), source, sink)

    def _first_bytes_size(self, stored: Checkpoint | None) -> int:
        """Return how many bytes to fetch with the first request. It is 0 if a checkpoint or an existing file may make
        them unnecessary, or if only a range is wanted."""
        overwrites = self._options.if_exists == "overwrite" and not self._options.earlier_try
        if stored is not None or self._options.slice or (self._path.exists() and not overwrites):
            return 0
        return min(FIRST_BYTES_SIZE, self._config.threshold_bytes, self._config.part_bytes or FIRST_BYTES_SIZE)

    def _look(self, crew: Crew, size: int) -> tuple[ObjectMeta, bytearray]:
        """Return the object's metadata, and its first ``size`` bytes, or all of a smaller object.

        The bytes stay in memory: another try may hold the part file, and the free space is not checked yet.
        """
        if size:
            first_bytes = Memory()
            job = Job(crew.stop, self._progress.meter, self._config.rate_per_worker(1))
            sink = PartSink(first_bytes, Part(1, 0, size), job)
            with suppress(InvalidRange):  # an empty object has no first bytes
                return self._oss.get_object(self._target, sink, stop=size, may_end_before=True), first_bytes.data
        return self._oss.head_object(self._target), bytearray()

    def _crc64_behind(self, link: ObjectMeta) -> int | None:
        """Return the CRC-64 of the target of a symbolic link; None if it cannot be read."""
        try:
            found = self._oss.head_object(self._oss.get_symlink(self._target))
        except ServiceError as error:
            if error.retryable:
                raise
            log.info("%s is a symbolic link, and its target cannot be read: %s", self._target, error)
            return None
        is_same = found.size == link.size and same_etag(found.etag, link.etag)
        return found.crc64 if is_same else None

    def _slice_of(self, meta: ObjectMeta) -> ObjectMeta:
        """Return the metadata of the wanted range, as if it were an object of its own."""
        start, stop = self._options.slice or (0, meta.size)
        if stop > meta.size:
            raise ArgumentError(
                "byte_range", (start, stop), f"{self._target} has only {meta.size} bytes; lower the stop"
            )
        return meta if stop - start == meta.size else replace(meta, size=stop - start, crc64=None)

    @property
    def _start(self) -> int:
        return self._options.slice[0] if self._options.slice else 0

    # --- what may already be there ------------------------------------------------------------------------------------

    def _settle(self, crew: Crew, meta: ObjectMeta, *, may_be_ours: bool) -> Settled | None:
        """Return the result if the existing file decides it; None if bytes have to move."""
        path = self._path
        if not path.exists():
            return None
        policy = self._options.if_exists
        if policy == "skip":
            log.info("%s exists, skipped", path)
            return "skipped", meta, None
        if may_be_ours or policy == "skip_if_same":
            crc = self._crc64_of(crew, path, meta)
            if crc is not None and same_content(meta, size=meta.size, crc64=crc):
                if may_be_ours and self._has_requested_attributes(path, meta):
                    log.info("%s holds the object's bytes already: an earlier try had finished", path)
                    return "already there", meta, crc
                if policy == "skip_if_same":
                    log.info("%s holds the object's bytes already, skipped", path)
                    return "skipped", meta, crc
        if policy == "fail" and os.path.lexists(path):  # it may have been removed meanwhile
            raise ArgumentError("file", str(path), "it exists, and if_exists='fail' forbids overwriting it")
        return None

    def _has_requested_attributes(self, path: Path, meta: ObjectMeta) -> bool:
        """True if the file has the permissions and the modification time that this download would set."""
        try:
            found = path.stat()
        except OSError:  # it was removed
            return False
        mtime = self._mtime(meta)
        return self._options.mode in (None, stat.S_IMODE(found.st_mode)) and (
            mtime is None or abs(found.st_mtime - mtime) < MTIME_STEP
        )

    def _mtime(self, meta: ObjectMeta) -> float | None:
        return meta.last_modified.timestamp() if self._options.preserve_mtime and meta.last_modified else None

    def _crc64_of(self, crew: Crew, path: Path, meta: ObjectMeta) -> int | None:
        """Return the CRC-64 of the existing file; None if its size differs or it cannot be read."""
        try:
            if path.stat().st_size != meta.size:
                return None
            with LocalFile(path) as existing:
                return crc64_of_range(crew, existing.crc64, 0, meta.size)
        except (ArgumentError, OSError):
            return None

    # --- part by part -------------------------------------------------------------------------------------------------

    def _lock(self, crew: Crew, file: PartFile, stored: Checkpoint | None) -> bool:
        """Lock the part file. Return True if another process had to release it first."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        if crew.call(file.lock):  # in a worker, because NFS may be slow
            return False
        log.warning("%s is being written by another process; waiting up to %.0f s for it", file.path, LOCK_TIMEOUT)
        if stored is not None:
            # With this try as the owner, so that the older one stops. Load it again: the older one may have saved more.
            self._checkpointer.save(self._checkpointer.load(watch=self._watch) or stored)
        while not crew.call(file.lock):
            self._tick()
            Event().wait(TICK)
            if time.monotonic() > deadline:
                error = LocalFileError(
                    f"another process still writes to {file.path}; a later try can continue when it has stopped"
                )
                error.retryable = True
                raise error
        return True

    def _resume(self, file: PartFile, meta: ObjectMeta, stored: Checkpoint | None) -> DownloadCheckpoint:
        """Return the checkpoint to start from: the one that an earlier try left, or a new one."""
        decision = decide_download(
            stored,
            target=self._target,
            meta=meta,
            part_file=file.name,
            part_file_exists=not file.is_new,
            start=self._start,
        )
        if isinstance(decision, Resume):
            self._progress.started_as = "resumed"
            log.info(
                "Resuming the download of %s: the checkpoint of try %s proves what is in %s (%s)",
                self._target, decision.checkpoint.owner.try_number, file.path, self._checkpointer,
            )  # fmt: skip
            # Use the CRC-64 that OSS sends now: that of an earlier answer may have been wrong or missing.
            return replace(decision.checkpoint, crc64=meta.crc64)
        if isinstance(decision, Restart):
            self._progress.started_as = "restarted"
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

    # --- its end ------------------------------------------------------------------------------------------------------

    def _restarts_after(self, error: OSSResumeError) -> bool:
        if isinstance(error, ObjectChanged):
            return self._options.object_changed == "restart"
        return isinstance(error, (IntegrityError, TargetChanged))

    def _discard(self, crew: Crew, checkpoint: Checkpoint | None) -> None:
        crew.call(self._remove_part_file)
        log.warning("The finished parts of the download of %s are removed, with its part file", self._target)

    def _is_ours(self, checkpoint: Checkpoint) -> bool:
        return is_download_of(checkpoint, self._target, self._part_path.name) and checkpoint.is_possible

    def _remove_part_file(self) -> None:
        """Remove the part file, if there is one.

        :raises LocalFileError: if it cannot be removed, or another process writes to it
        """
        if self._part_path.exists():
            with PartFile(self._part_path) as file:
                if not file.lock():
                    raise LocalFileError(
                        f"{self._part_path} is in use: another process writes to it, or it is still being flushed"
                    )
                remove_part_file(self._part_path)
