"""Brings the bytes of a small object into a part file, and proves them."""

from __future__ import annotations

import logging
import secrets
from typing import Protocol

from airflow_provider_ossresume.errors import IntegrityError, NoSuchKey, ObjectChanged, PreconditionFailed, ServiceError
from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.sets.movers.file_in_folder import Anchor
from airflow_provider_ossresume.sets.movers.mover_base import (
    Gone,
    MoverSettings,
    etag_of,
    look_at_source,
    refuse_changed,
)
from airflow_provider_ossresume.sets.ports import FileJob
from airflow_provider_ossresume.transfer.oss_object import ReadClient
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_path
from airflow_provider_ossresume.transfer.part_sink import PartSink
from airflow_provider_ossresume.transfer.ports import Job

log = logging.getLogger(__name__)


class FetchClient(ReadClient, Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_symlink(self, target: ObjectRef) -> ObjectRef: ...


def fetch(
    oss: FetchClient, source: ObjectRef, row: Row, file: PartFile, *, job: FileJob, settings: MoverSettings
) -> tuple[ObjectMeta, int]:
    """Write an object's bytes to a file, and return what the object is and their CRC-64, when OSS says the same.

    :raises Gone: when there is none any more
    :raises ObjectChanged: when it is not what the plan saw, and may not be taken as it is
    :raises IntegrityError: when other bytes came than OSS has, twice
    """
    etag, size = etag_of(row.identity), row.size
    for is_last in (False, True):
        try:
            meta, crc = _fetched(oss, source, file, etag=etag, size=size, job=job)
        except NoSuchKey as error:
            raise Gone(f"{source} is not there any more") from error
        except PreconditionFailed as error:
            now = look_at_source(oss, source, row, settings.options)
            if is_last or (now.etag, now.size) == (etag, size):
                raise refuse_changed(ObjectChanged, source) from error
            etag, size = now.etag, now.size
            continue
        expected = _crc64_of(oss, source, meta) if settings.config.verify else None
        if expected is None or expected == crc:
            return meta, crc
        log.warning("What came of %s has the CRC-64 %s, OSS says %s", source, crc, expected)
    raise IntegrityError(f"what came of {source} has not the CRC-64 that OSS says; it was thrown away")


def _fetched(
    oss: FetchClient, source: ObjectRef, file: PartFile, *, etag: str, size: int, job: FileJob
) -> tuple[ObjectMeta, int]:
    sink = PartSink(file, Part(1, 0, size), Job(job.crew.stop, job.meter, job.rate))
    meta = oss.get_object(source, sink, if_match=etag or None, total=size)
    return meta, sink.crc64


def _crc64_of(oss: FetchClient, source: ObjectRef, meta: ObjectMeta) -> int | None:
    """Return the CRC-64 that OSS has of the bytes; that of a symbolic link's are those of what it leads to."""
    if not meta.is_link:
        return meta.crc64
    try:
        return oss.head_object(oss.get_symlink(source)).crc64
    except ServiceError as error:
        if error.retryable:
            raise
        return None


def own_part_file(place: Anchor, *, key: str) -> PartFile:
    """Return a part file with its lock: the one that a killed try has left, but none that another try writes to."""
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
