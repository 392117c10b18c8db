"""Computes the CRC-64 of a long range of a local file, in several threads."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_ossresume.model.crc64 import combine_all
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.stop import Stop

SPAN = 2**24  # bytes that one worker reads


def crc64_of_range(crew: Crew, crc64_of: Callable[[Part, Stop], int | None], start: int, stop: int) -> int | None:
    """Return the CRC-64 of the bytes ``[start, stop)``, read by several workers; None if they cannot be read."""
    spans = [Part(number, at, min(at + SPAN, stop)) for number, at in enumerate(range(start, stop, SPAN))]
    crcs = dict(crew.run(lambda span: (span, crc64_of(span, crew.stop)), spans))
    known = [(crc, span.size) for span in spans if (crc := crcs[span]) is not None]
    return combine_all(known) if len(known) == len(spans) else None
