"""The CRC-64 of a long range of a local file."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_ossresume.model.crc64 import combine_all
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.pool import Pool
from airflow_provider_ossresume.transfer.stop import Stop

SPAN = 2**24  # what one worker reads of a file that several read at once


def crc64_of_range(pool: Pool, crc64_of: Callable[[Part, Stop], int | None], start: int, stop: int) -> int | None:
    """Return the CRC-64 of the bytes ``[start, stop)``, read by several workers; None when they cannot be read."""
    spans = [Part(number, at, min(at + SPAN, stop)) for number, at in enumerate(range(start, stop, SPAN))]
    crcs = dict(pool.run(lambda span: (span, crc64_of(span, pool.stop)), spans))
    known = [(crc, span.size) for span in spans if (crc := crcs[span]) is not None]
    return combine_all(known) if len(known) == len(spans) else None
