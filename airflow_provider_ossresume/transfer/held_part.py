"""A part of a stream, held in memory until it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.stop import Stop


class HeldPart:
    """One part in memory, as a source."""

    def __init__(self, part: Part, data: bytes | bytearray) -> None:
        self.part = part
        self._data = memoryview(data)

    @classmethod
    def nothing(cls) -> HeldPart:
        """What is left of a stream when all of it has been sent."""
        return cls(Part(1, 0, 0), b"")

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def fingerprint(self) -> str:
        """Empty: it is read once."""
        return ""

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """Yield its bytes in pieces."""
        for start in range(0, self.size, most):
            stop.check()
            yield self._data[start : start + most]

    def crc64(self, part: Part, stop: Stop) -> int:
        return crc64(self._data)

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Nobody else has it."""

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """The same."""
