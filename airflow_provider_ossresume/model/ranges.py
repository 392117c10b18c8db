"""Byte ranges of one object that lie near each other, and are read by one request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WantedRange:
    """The bytes ``[start, stop)``, and whose they are.

    :ivar place: of the one who wants them, in a list
    """

    place: int
    start: int
    stop: int


@dataclass(frozen=True)
class MergedRange:
    """The bytes ``[start, stop)``, which hold all of the wanted ones."""

    start: int
    stop: int
    wanted: tuple[WantedRange, ...]


def merge_ranges(ranges: Iterable[WantedRange], *, gap: int, most: int) -> list[MergedRange]:
    """Return the ranges as they are read, by their start; each of the wanted ones lies in one of them.

    :param gap: most bytes between two ranges that are read in vain to save a request
    :param most: bytes of a merged range; a wanted one that is longer stays alone
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
