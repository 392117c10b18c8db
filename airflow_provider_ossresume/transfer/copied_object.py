"""Sinks for copies of objects: OSS copies the bytes, or they pass through the worker."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from airflow_provider_ossresume.errors import AlreadyExists, IntegrityError, ObjectChanged, PreconditionFailed
from airflow_provider_ossresume.model.copying import is_proven
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import CopiedObject, ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.multipart_upload import MultipartClient, MultipartUpload, whole_crc64
from airflow_provider_ossresume.transfer.oss_object import OssObject
from airflow_provider_ossresume.transfer.ports import Job, Lease, Published, Source
from airflow_provider_ossresume.transfer.target_object import HeadClient, TargetObject
from airflow_provider_ossresume.transfer.whole_object import SingleRequestSink

log = logging.getLogger(__name__)


class WholeCopyClient(HeadClient, Protocol):
    """The client methods that a copy by one request needs; see ``oss.client.OssClient``."""

    def copy_object(
        self,
        source: ObjectRef,
        target: ObjectRef,
        *,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> CopiedObject: ...


class PartCopyClient(MultipartClient, Protocol):
    """The client methods that a copy by parts needs."""

    def upload_part_copy(
        self, source: ObjectRef, target: ObjectRef, upload_id: str, number: int, *, start: int, stop: int, if_match: str
    ) -> Receipt: ...


class WholeCopy(SingleRequestSink):
    """A copy made by one CopyObject.

    :param existing: the object that may exist already
    :param meta: of the source, from HEAD
    :param headers: of the request
    """

    def __init__(
        self,
        oss: WholeCopyClient,
        target: ObjectRef,
        *,
        existing: TargetObject,
        meta: ObjectMeta,
        headers: Mapping[str, str],
        verify: bool,
    ) -> None:
        self._oss = oss
        self._target = target
        self._existing = existing
        self._meta = meta
        self._headers = headers
        self._verify = verify

    def put(self, part: Part, source: OssObject, job: Job) -> Receipt:
        """Let OSS copy the whole source.

        :raises ObjectChanged: if the source has changed
        """
        try:
            copied = self._oss.copy_object(source.ref, self._target, headers=self._headers, if_match=source.etag)
        except PreconditionFailed as error:
            raise ObjectChanged(f"{source} changed during the copy: {error}") from error
        except AlreadyExists as error:
            self._made = self._existing.equal_or_raise(error, size=part.size, crc64=self._meta.crc64)
        else:
            self._made = self._made_by(copied)
        return Receipt(part.number, self._made.etag, part.size, self._made.crc64)

    def _made_by(self, copied: CopiedObject) -> ObjectMeta:
        """Return the copy. CopyObject does not return its size, which matters only if no CRC-64 is known."""
        crc = copied.crc64
        made = ObjectMeta(self._meta.size, copied.etag, crc, version_id=copied.version_id)
        if not self._verify or None not in (crc, self._meta.crc64):
            return made
        found = self._existing.head()
        if found is not None and same_etag(found.etag, copied.etag):
            return replace(found, version_id=copied.version_id)
        log.warning(
            "Another writer has replaced or removed %s already, so the copy could not be compared", self._target
        )
        return made

    def publish(self, crew: Crew, source: OssObject, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Return the copy.

        :raises IntegrityError: if it does not equal the source
        """
        if self._verify and self._made.crc64 is None:
            log.warning("OSS sent no CRC-64 of %s, so the whole object could not be compared", self._target)
        if self._verify:
            is_proven(self._meta, target=self._target, size=self._made.size, crc64=self._made.crc64)
        return self._made, self._made.crc64


class PinnedUpload(MultipartUpload):
    """A multipart upload whose source object must have the same ETag for every part.

    No part is read again to be compared. Instead, the CRC-64 of the whole has to equal the source's.
    """

    def compared(self, crew: Crew, source: Source, listed: Iterable[Receipt]) -> dict[int, Receipt]:
        """Return the listed parts that have the right size."""
        return self.trusted(listed)

    def _check_parts(self, crew: Crew, parts: list[Receipt], lease: Lease) -> None:
        """Compare the CRC-64 of all parts with the source's.

        :raises IntegrityError: if they differ. The upload is then aborted, because it is unknown which part is wrong
        """
        if not self._verify or self._crc64 is None:
            return
        if any(part.crc64 is None for part in parts):  # UploadPartCopy answers without one, ListParts has it
            listed = crew.call(lambda: self._oss.list_parts(self._target, self._upload_id))
            crcs = {(part.number, part.etag): part.crc64 for part in listed}
            parts = [replace(part, crc64=crcs.get((part.number, part.etag))) for part in parts]
        crc = whole_crc64(parts)
        if crc is not None and crc != self._crc64:
            lease.check_owner()
            self.drop(crew)
            raise IntegrityError(
                f"the parts of {self._target} have the CRC-64 {crc}, the source has {self._crc64}; they were discarded"
            )


class CopiedUpload(PinnedUpload):
    """A multipart upload for which OSS copies the bytes of each part."""

    _oss: PartCopyClient

    def put(self, part: Part, source: OssObject, job: Job) -> Receipt:  # type: ignore[override]
        """Let OSS copy the part's bytes.

        :raises ObjectChanged: if the source has changed
        :raises NoSuchUpload: if the upload was completed, aborted or removed
        """
        job.stop.check()
        try:
            return self._oss.upload_part_copy(
                source.ref, self._target, self._upload_id, part.number,
                start=part.start, stop=part.stop, if_match=source.etag,
            )  # fmt: skip
        except PreconditionFailed as error:
            raise ObjectChanged(f"{source} changed during the copy: {error}") from error
