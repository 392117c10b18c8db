"""Compares a stream with the object that exists already and may not be overwritten."""

from __future__ import annotations

from airflow_provider_ossresume.errors import AlreadyExists
from airflow_provider_ossresume.model.crc64 import combine
from airflow_provider_ossresume.transfer.buffered_part import BufferedPart
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.ports import Published
from airflow_provider_ossresume.transfer.target_object import TargetObject


class StreamComparison:
    """Reads what was to be sent and compares it with the object. The two are equal if an earlier try had succeeded.

    :param existing: the object
    :param error: what OSS answered; raised if the two differ
    :ivar sizes: bytes of each part that was added
    """

    def __init__(self, crew: Crew, existing: TargetObject, error: AlreadyExists) -> None:
        self.sizes: list[int] = []
        self._crew = crew
        self._existing = existing
        self._error = error
        self._found = crew.call(existing.head)
        self._crc64 = 0

    def add(self, buffered: BufferedPart) -> None:
        """Add the next part.

        :raises AlreadyExists: as soon as there are more bytes than the object has
        """
        self.sizes.append(buffered.size)
        if self._found is None or sum(self.sizes) > self._found.size:
            raise self._error
        crc = self._crew.call(lambda: buffered.crc64(buffered.part, self._crew.stop))
        self._crc64 = combine(self._crc64, crc, buffered.size)

    def publish(self) -> Published:
        """Return the object.

        :raises AlreadyExists: if its bytes or headers differ
        """
        size, crc = sum(self.sizes), self._crc64
        return self._crew.call(lambda: self._existing.equal_or_raise(self._error, size=size, crc64=crc)), crc
