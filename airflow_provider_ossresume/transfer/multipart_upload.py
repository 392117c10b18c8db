"""A multipart upload as a sink. OSS knows which parts exist, and their CRC-64s: ListParts returns them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    CredentialsError,
    IntegrityError,
    NoSuchUpload,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.model.crc64 import combine_all
from airflow_provider_ossresume.model.md5 import md5_hex
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part, PartPlan
from airflow_provider_ossresume.model.resume import candidate_parts, proven
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.local_file import READ_SIZE
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.ports import Job, Lease, Published, Source
from airflow_provider_ossresume.transfer.target_object import TargetObject

log = logging.getLogger(__name__)

R = TypeVar("R")

ABORTS = 3  # OSS: repeat the abort if parts were being sent, until it answers that there is no such upload


class MultipartClient(Protocol):
    """The client methods that a multipart upload needs; see ``oss.client.OssClient``."""

    def initiate(self, target: ObjectRef, *, headers: Mapping[str, str] | None = None) -> str: ...
    def upload_part(
        self, target: ObjectRef, upload_id: str, number: int, body: PartBody, *, refuse_damage: bool = False
    ) -> Receipt: ...
    def list_parts(self, target: ObjectRef, upload_id: str) -> list[Receipt]: ...
    def complete(
        self, target: ObjectRef, upload_id: str, parts: Iterable[Receipt], *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta: ...
    def abort(self, target: ObjectRef, upload_id: str) -> None: ...


class MultipartUpload:
    """One multipart upload, known by its upload ID.

    :param existing: the object that may exist already
    :param headers: for CompleteMultipartUpload
    :param verify: compare the CRC-64s of parts and of the whole; without it no part of an earlier try is kept
    :param refuses_damage: let OSS refuse a part that was damaged on the way
    :param crc64: of the whole, if it is known beforehand; otherwise it is combined from the parts
    """

    def __init__(
        self,
        oss: MultipartClient,
        target: ObjectRef,
        upload_id: str,
        plan: PartPlan,
        *,
        existing: TargetObject,
        headers: Mapping[str, str],
        verify: bool,
        refuses_damage: bool,
        crc64: int | None = None,
    ) -> None:
        self._oss = oss
        self._target = target
        self._upload_id = upload_id
        self._plan = plan
        self._existing = existing
        self._headers = headers
        self._verify = verify
        self._refuses_damage = refuses_damage
        self._crc64 = crc64

    def receipts(self, crew: Crew, source: Source) -> dict[int, Receipt]:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Sink`."""
        listed = crew.call(lambda: self._oss.list_parts(self._target, self._upload_id))
        return self.compared(crew, source, listed)

    def compared(self, crew: Crew, source: Source, listed: Iterable[Receipt]) -> dict[int, Receipt]:
        """Return the listed parts that hold the source's bytes. Each of them is read once from the source."""
        if not self._verify:
            return {}
        kept: dict[int, Receipt] = {}

        def compare(pair: tuple[Part, Receipt]) -> tuple[Part, Receipt | None]:
            part, receipt = pair
            crc = source.crc64(part, crew.stop)
            is_needed = receipt.crc64 is None
            md5 = md5_hex(source.read(part, crew.stop, most=READ_SIZE)) if is_needed else None
            return part, proven(receipt, crc64=crc, md5=md5)

        for part, found in crew.run(compare, candidate_parts(listed, self._plan)):
            if found:
                kept[part.number] = found
            else:
                log.info("Part %s of %s differs from the file; it is sent again", part.number, self._target)
        return kept

    def trusted(self, listed: Iterable[Receipt]) -> dict[int, Receipt]:
        """Return the listed parts without a comparison, for a source that is known not to have changed since."""
        if not self._verify:
            return {}
        return {part.number: receipt for part, receipt in candidate_parts(listed, self._plan)}

    def put(self, part: Part, source: Source, job: Job) -> Receipt:
        """Send the part's bytes; see :class:`~airflow_provider_ossresume.transfer.ports.Sink`.

        :raises NoSuchUpload: if the upload was completed, aborted or removed
        """
        body = PartBody(source, part, job, verify=self._verify)
        return self._oss.upload_part(
            self._target, self._upload_id, part.number, body, refuse_damage=self._refuses_damage
        )

    def record(self, receipt: Receipt) -> None:
        """Nothing to do: OSS knows the part."""

    def record_rest(self) -> None:
        """Nothing to do: OSS knows the parts."""

    def publish(self, crew: Crew, source: Source, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Complete the upload, and compare the CRC-64 of the object with that of the parts.

        :raises IntegrityError: if they differ; the object exists, and the next try replaces it
        """
        source.check_unchanged(crew, self._plan, receipts)
        parts = [receipts[part.number] for part in self._plan]
        crc, size = whole_crc64(parts) if self._crc64 is None else self._crc64, self._plan.object_size
        self._check_parts(crew, parts, lease)
        lease.check_owner()
        try:
            meta = crew.call(lambda: self._complete(parts))
        except NoSuchUpload as error:
            meta = self._equal_or_raise(crew, error, crc)
        except AlreadyExists as error:
            meta = self._equal_or_raise(crew, error, crc)
            lease.check_owner()
            self.drop(crew)  # another try made the object from an upload of its own
        if self._verify and meta.crc64 is None:
            log.warning("OSS sent no CRC-64 of %s, so the whole object could not be compared", self._target)
        elif self._verify and crc is not None and crc != meta.crc64:
            raise IntegrityError(
                f"{self._target} has the CRC-64 {meta.crc64}, but the {size} bytes sent have {crc}; do not use the "
                "object; the next try replaces it"
            )
        return meta, crc

    def _check_parts(self, crew: Crew, parts: list[Receipt], lease: Lease) -> None:
        """Compare the parts with the source before they become the object. Nothing to do if each was compared alone."""

    def _equal_or_raise(self, crew: Crew, error: ServiceError, crc: int | None) -> ObjectMeta:
        size = self._plan.object_size
        return crew.call(lambda: self._existing.equal_or_raise(error, size=size, crc64=crc))

    def _complete(self, parts: list[Receipt]) -> ObjectMeta:
        """Complete the upload and return the object.

        :raises NoSuchUpload: if the upload has ended, also if only ListParts shows that
        """
        try:
            return self._oss.complete(self._target, self._upload_id, parts, headers=self._headers)
        except RequestError as error:
            if not _may_be_done(error):
                raise
            try:
                # HEAD is not enough: an older object may have the same bytes while this upload is still open.
                self._oss.list_parts(self._target, self._upload_id)
            except NoSuchUpload:
                raise
            except RequestError:
                error.retryable = True  # this try cannot tell; the next one can
            raise

    def drop(self, crew: Crew) -> None:
        """Abort the upload if that is possible now; otherwise log its upload ID."""
        try:
            crew.call(lambda: self._oss.abort(self._target, self._upload_id))
        except NoSuchUpload:
            pass
        except (RequestError, CredentialsError) as error:
            self.warn_of_left_parts(error)

    def warn_of_left_parts(self, error: Exception) -> None:
        """Log that the upload could not be aborted."""
        log.warning(
            "The parts of upload ID %s of %s could not be removed and still cost storage: %s",
            self._upload_id, self._target, error,
        )  # fmt: skip

    def abort(self, crew: Crew) -> bool:
        """Abort until OSS no longer knows the upload, because a part may arrive after the first abort.

        Return False if OSS did not know the upload in the first place: it was completed, aborted or removed.

        :raises RequestError, CredentialsError: if that is not possible now
        """
        for count in range(ABORTS):
            try:
                crew.call(lambda: self._oss.abort(self._target, self._upload_id))
            except NoSuchUpload:
                return count > 0
        return True


def begin_upload(
    crew: Crew, oss: MultipartClient, target: ObjectRef, *, headers: Mapping[str, str], begun: Callable[[str], R]
) -> R:
    """Start an upload, call ``begun`` with its upload ID, and return the result.

    ``begun`` is also called if the answer arrives in the grace after a stop.
    """
    answered: list[str] = []  # filled by the worker, because a signal may arrive before this thread has the result
    try:
        crew.call(lambda: answered.append(oss.initiate(target, headers=headers)))
        return begun(answered[0])
    except ServiceError:
        raise  # OSS has started no upload
    except BaseException:
        if answered:
            begun(answered[0])
        else:
            log.warning(
                "OSS did not answer the request to start the upload to %s. If it did start one, it holds no parts; "
                "a lifecycle rule removes it", target,
            )  # fmt: skip
        raise


def _may_be_done(error: RequestError) -> bool:
    """True if OSS may have carried out the request: no answer says that it did not."""
    return error.retryable or (isinstance(error, ServiceError) and not error.code)


def whole_crc64(parts: list[Receipt]) -> int | None:
    """Return the CRC-64 of all parts together; None if that of one part is not known."""
    crcs = [(part.crc64, part.size) for part in parts if part.crc64 is not None]
    return combine_all(crcs) if len(crcs) == len(parts) else None
