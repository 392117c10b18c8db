"""Downloads a small object into a part file in one request, and compares its CRC-64."""

from __future__ import annotations

import logging
import secrets
from typing import Protocol

from airflow_provider_ossresume.errors import IntegrityError, NoSuchKey, ObjectChanged, PreconditionFailed, ServiceError
from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.sets.movers.file_in_folder import FileInFolder
from airflow_provider_ossresume.sets.movers.mover_base import (
    Gone,
    MoverSettings,
    etag_of,
    head_source,
    source_changed_error,
)
from airflow_provider_ossresume.sets.ports import FileJob
from airflow_provider_ossresume.transfer.oss_object import ReadClient
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_path
from airflow_provider_ossresume.transfer.part_sink import PartSink
from airflow_provider_ossresume.transfer.ports import Job

log = logging.getLogger(__name__)


class FetchClient(ReadClient, Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_symlink(self, target: ObjectRef) -> ObjectRef: ...


def fetch(
    oss: FetchClient, source: ObjectRef, row: Row, file: PartFile, *, job: FileJob, settings: MoverSettings
) -> tuple[ObjectMeta, int]:
    """Write an object's bytes to a file, and return the object's metadata and the CRC-64.

    :raises Gone: if the object no longer exists
    :raises ObjectChanged: if it has changed since the plan, unless ``source_changed`` is ``take``
    :raises IntegrityError: if the received bytes did not match the CRC-64 on OSS, twice
    """
    etag, size = etag_of(row.identity), row.size
    for is_last in (False, True):
        try:
            meta, crc = _fetch_once(oss, source, file, etag=etag, size=size, job=job)
        except NoSuchKey as error:
            raise Gone(f"{source} no longer exists") from error
        except PreconditionFailed as error:
            now = head_source(oss, source, row, settings.options)
            if is_last or (now.etag, now.size) == (etag, size):
                raise source_changed_error(ObjectChanged, source) from error
            etag, size = now.etag, now.size
            continue
        expected = _crc64_on_oss(oss, source, meta) if settings.config.verify else None
        if expected is None or expected == crc:
            return meta, crc
        log.warning("The bytes received for %s have the CRC-64 %s, but OSS has %s", source, crc, expected)
    raise IntegrityError(f"the bytes received for {source} do not match its CRC-64 on OSS, twice; they were discarded")


def _fetch_once(
    oss: FetchClient, source: ObjectRef, file: PartFile, *, etag: str, size: int, job: FileJob
) -> tuple[ObjectMeta, int]:
    sink = PartSink(file, Part(1, 0, size), Job(job.crew.stop, job.meter, job.rate))
    meta = oss.get_object(source, sink, if_match=etag or None, total=size)
    return meta, sink.crc64


def _crc64_on_oss(oss: FetchClient, source: ObjectRef, meta: ObjectMeta) -> int | None:
    """Return the CRC-64 that OSS has for the bytes; for a symbolic link, that of its target."""
    if not meta.is_link:
        return meta.crc64
    try:
        return oss.head_object(oss.get_symlink(source)).crc64
    except ServiceError as error:
        if error.retryable:
            raise
        return None


def lock_part_file(place: FileInFolder, *, key: str) -> PartFile:
    """Return a locked part file: the one that a killed try has left, or a new one if another try uses that."""
    file = PartFile(part_file_path(place.path, key))
    try:
        if file.lock():
            return file
    except BaseException:
        file.__exit__(None, None, None)
        raise
    file.__exit__(None, None, None)
    own = PartFile(place.beside(f".{secrets.token_hex(8)}.ossresume-part"))
    own.lock()
    return own
