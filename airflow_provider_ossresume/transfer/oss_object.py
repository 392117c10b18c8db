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

READ_AHEAD = 4 * MIB  # of each worker that reads an object to send its bytes elsewhere


class ReadClient(Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

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
    """Return a meter that nobody reads: bytes are counted where they are sent."""
    return Meter(deque(maxlen=0))


class OssObject:
    """One content of an object: each answer must have its ETag and total.

    :param start: where in the object the first part begins
    :param size: of what is read, in bytes
    :param total: of the whole object
    :param crc64: of all that is read, as far as it is known
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
        """True when it is not all of the object."""
        return self.size < self._total

    @property
    def fingerprint(self) -> str:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`."""
        return f"etag:{opaque(self.etag)}"

    def fetch(self, sink: PartSink) -> None:
        """Bring what the sink misses of its part.

        :raises ObjectChanged: when the object has another content by now
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

        :raises ObjectChanged: when the object has another content by now
        """
        for at in range(part.start, part.stop, READ_AHEAD):
            piece = Part(part.number, at, min(at + READ_AHEAD, part.stop))
            into = Memory(at)
            try:
                self.fetch(PartSink(into, piece, Job(stop, uncounted, None)))
            except (RequestError, CredentialsError) as error:
                # Not as it is: it would be taken for an error of the request that sends the bytes, and tried again.
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
        """Each of its answers was of the same content; where they bring all of it, OSS's CRC-64 tells whether they are
        as OSS sent them.

        :raises IntegrityError: when they are not
        """
        if part.size == self.size and None not in (crc64, self._crc64) and crc64 != self._crc64:
            raise IntegrityError(f"what came of {self} has the CRC-64 {crc64}, OSS says {self._crc64}")

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """The same."""
