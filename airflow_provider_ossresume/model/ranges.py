"""Merges nearby byte ranges of one object, so that one request reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WantedRange:
    """The bytes ``[start, stop)``, and which caller wants them.

    :ivar place: the caller's index
    """

    place: int
    start: int
    stop: int


@dataclass(frozen=True)
class MergedRange:
    """The bytes ``[start, stop)``, which include all of the wanted ranges."""

    start: int
    stop: int
    wanted: tuple[WantedRange, ...]


def merge_ranges(ranges: Iterable[WantedRange], *, gap: int, most: int) -> list[MergedRange]:
    """Return the ranges to read, in order. Each wanted range lies in one of them.

    :param gap: how many unwanted bytes between two ranges may be read to save a request
    :param most: the maximum size of a merged range in bytes; a longer wanted range is not merged
    """
    merged: list[MergedRange] = []
    for wanted in sorted(ranges, key=lambda each: (each.start, each.stop)):
        last = merged[-1] if merged else None
        if last and wanted.start <= last.stop + gap:
            stop = max(last.stop, wanted.stop)
            if stop - last.start <= most or stop == last.stop:
                merged[-1] = MergedRange(last.start, stop, (*last.wanted, wanted))
                continue
        merged.append(MergedRange(wanted.start, wanted.stop, (wanted,)))
    return merged
