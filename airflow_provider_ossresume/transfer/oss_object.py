"""An object on OSS, or a range of its bytes, as a source."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from airflow_provider_ossresume.errors import (
    CredentialsError,
    IntegrityError,
    InvalidRange,
    ObjectChanged,
    PreconditionFailed,
    RequestError,
    SourceUnreadable,
)
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.etags import opaque
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import MIB, Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.part_sink import Memory, PartSink
from airflow_provider_ossresume.transfer.ports import Job
from airflow_provider_ossresume.transfer.progress import Meter
from airflow_provider_ossresume.transfer.stop import Stop

READ_AHEAD = 4 * MIB  # for each worker that reads an object and sends its bytes elsewhere


class ReadClient(Protocol):
    """The client methods that reading an object needs; see ``oss.client.OssClient``."""

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


def uncounted() -> Meter:
    """Return a meter that is not read: these bytes are counted when they are sent."""
    return Meter(deque(maxlen=0))


class OssObject:
    """An object as a source. Each answer must have the same ETag and total size, so old and new bytes are never mixed.

    :param start: offset in the object of the first part
    :param size: bytes to read
    :param total: bytes of the whole object
    :param crc64: of the bytes to read, if it is known
    """

    def __init__(
        self,
        oss: ReadClient,
        ref: ObjectRef,
        *,
        etag: str,
        start: int,
        size: int,
        total: int,
        crc64: int | None = None,
    ) -> None:
        self.ref = ref
        self.size = size
        self.etag = etag
        self._oss = oss
        self._start = start
        self._total = total
        self._crc64 = crc64

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def is_range(self) -> bool:
        """True if only a part of the object is read."""
        return self.size < self._total

    @property
    def fingerprint(self) -> str:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`."""
        return f"etag:{opaque(self.etag)}"

    def fetch(self, sink: PartSink) -> None:
        """Fetch the bytes of the part that the sink does not have yet.

        :raises ObjectChanged: if the object has changed
        """
        first, stop = sink.missing
        if first == stop:
            sink.open()
            return
        try:
            self._oss.get_object(
                self.ref,
                sink,
                start=self._start + first,
                stop=self._start + stop,
                if_match=self.etag,
                total=self._total,
            )
        except (PreconditionFailed, InvalidRange) as error:
            raise ObjectChanged(f"{self.ref} changed while it was read: {error}") from error

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        :raises ObjectChanged: if the object has changed
        """
        for at in range(part.start, part.stop, READ_AHEAD):
            piece = Part(part.number, at, min(at + READ_AHEAD, part.stop))
            into = Memory(at)
            try:
                self.fetch(PartSink(into, piece, Job(stop, uncounted, None)))
            except (RequestError, CredentialsError) as error:
                # Wrapped: otherwise it would look like an error of the request that sends the bytes, and be retried.
                raise SourceUnreadable(f"{self} cannot be read: {error}", retryable=error.retryable) from error
            for start in range(0, piece.size, most):
                yield memoryview(into.data)[start : start + most]

    def crc64(self, part: Part, stop: Stop) -> int:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`; all bytes of the part are fetched."""
        crc = 0
        for piece in self.read(part, stop, most=READ_AHEAD):
            crc = crc64(piece, crc)
        return crc

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Compare the CRC-64 with OSS's, if the part is the whole source. All answers had the same ETag.

        :raises IntegrityError: if the bytes were damaged on the way
        """
        if part.size == self.size and None not in (crc64, self._crc64) and crc64 != self._crc64:
            raise IntegrityError(f"the bytes received of {self} have the CRC-64 {crc64}, OSS has {self._crc64}")

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Nothing to check: each request named the ETag."""
