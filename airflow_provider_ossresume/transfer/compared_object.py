"""An object that exists and may not be overwritten: is it what was to be written?"""

from __future__ import annotations

from airflow_provider_ossresume.errors import AlreadyExists
from airflow_provider_ossresume.model.crc64 import combine
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.held_part import HeldPart
from airflow_provider_ossresume.transfer.ports import Published
from airflow_provider_ossresume.transfer.target_object import TargetObject


class ComparedObject:
    """Takes what was to be sent, and compares it with the object, as when a task is retried that had succeeded.

    :param error: what OSS said
    :ivar sizes: of the parts that were taken
    """

    def __init__(self, crew: Crew, there: TargetObject, error: AlreadyExists) -> None:
        self.sizes: list[int] = []
        self._crew = crew
        self._there = there
        self._error = error
        self._found = crew.call(there.look)
        self._crc64 = 0

    def take(self, held: HeldPart) -> None:
        """:raises AlreadyExists: as soon as there is more than the object has"""
        self.sizes.append(held.size)
        if self._found is None or sum(self.sizes) > self._found.size:
            raise self._error
        crc = self._crew.call(lambda: held.crc64(held.part, self._crew.stop))
        self._crc64 = combine(self._crc64, crc, held.size)

    def publish(self) -> Published:
        """Return the object.

        :raises AlreadyExists: when it has other bytes or headers
        """
        size, crc = sum(self.sizes), self._crc64
        return self._crew.call(lambda: self._there.made_in_spite_of(self._error, size=size, crc64=crc)), crc
