"""How an object is cut into parts: sizes, limits and the part plan.

The limits are OSS's ("Limits" and "UploadPart" in its documentation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from airflow_provider_ossresume.errors import ArgumentError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40

MAX_PART_COUNT = 10_000  # OSS: part numbers are 1..10,000
PARTS_OF_ONE_SIZE = 1_000  # before they grow, for an object of unknown size
MIN_PART_SIZE = 100 * KIB  # OSS: every part but the last
MAX_PART_SIZE = 5 * GIB  # OSS: one UploadPart
MAX_PUT_SIZE = 5 * GIB  # OSS: one PutObject
STALL_SIZE = 64 * 1024  # bytes of a body that must move within stall_timeout
MAX_OBJECT_SIZE = MAX_PART_COUNT * MAX_PART_SIZE  # OSS: 48.8 TiB
DEFAULT_PART_SIZES = {0: 8 * MIB, GIB: 16 * MIB, 4 * GIB: 32 * MIB}  # by the object's least size: docs/performance


@dataclass(frozen=True)
class Part:
    """One part: its number (1-based) and its bytes ``[start, stop)`` of the object."""

    number: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class PartPlan(Sequence[Part]):
    """All parts of an object, in order, without gap or overlap. An empty object has no parts."""

    object_size: int
    part_size: int

    def __len__(self) -> int:
        return -(-self.object_size // self.part_size)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> list[Part]: ...
    def __getitem__(self, index: int | slice) -> Part | list[Part]:
        positions = range(len(self))[index]
        if isinstance(positions, range):
            return [self._part(position) for position in positions]
        return self._part(positions)

    def __iter__(self) -> Iterator[Part]:
        return (self._part(position) for position in range(len(self)))

    def numbered(self, number: int) -> Part | None:
        """Return the part with that number, or None."""
        return self._part(number - 1) if 1 <= number <= len(self) else None

    def _part(self, position: int) -> Part:
        start = position * self.part_size
        return Part(position + 1, start, min(start + self.part_size, self.object_size))


@dataclass(frozen=True)
class GrowingPlan(PartPlan):
    """The parts of an object whose size is unknown until its last byte.

    The first 1,000 parts have ``part_size``, the next 1,000 twice that, and so on, up to 5 GiB each. So 10,000 parts
    hold 55,000 times ``part_size``, or less if they reach 5 GiB.
    """

    def size_of(self, number: int) -> int:
        """Return the size of the part with that number, unless it is the last one."""
        return min(self.part_size * (1 + (number - 1) // PARTS_OF_ONE_SIZE), MAX_PART_SIZE)

    @property
    def most(self) -> int:
        """How many bytes 10,000 parts can hold."""
        return self._start(MAX_PART_COUNT)

    def __len__(self) -> int:
        count, left = 0, self.object_size
        while left > 0:
            size = self.size_of(count + 1)
            parts = min(PARTS_OF_ONE_SIZE, -(-left // size))
            count, left = count + parts, left - parts * size
        return count

    def _part(self, position: int) -> Part:
        start = self._start(position)
        return Part(position + 1, start, min(start + self.size_of(position + 1), self.object_size))

    def _start(self, position: int) -> int:
        thousands, rest = divmod(position, PARTS_OF_ONE_SIZE)
        firsts = (1 + each * PARTS_OF_ONE_SIZE for each in range(thousands))
        return PARTS_OF_ONE_SIZE * sum(map(self.size_of, firsts)) + rest * self.size_of(position + 1)


def plan_parts(object_size: int, *, part_size: int | None = None) -> PartPlan:
    """Cut an object into parts as :func:`determine_part_size` says."""
    return PartPlan(object_size, determine_part_size(object_size, part_size))


def determine_part_size(total_size: int, preferred_size: int | None = None) -> int:
    """Return the part size in bytes for an object of ``total_size`` bytes.

    By default it is 8 MiB, from 1 GiB on 16 MiB, and from 4 GiB on 32 MiB. It is raised to the next multiple of 1 MiB
    with which 10,000 parts suffice.

    :raises ArgumentError: for a size that OSS cannot hold, or a preferred size outside 100 KiB..5 GiB
    """
    if not 0 <= total_size <= MAX_OBJECT_SIZE:
        raise ArgumentError(
            "total_size", total_size, f"OSS holds objects of 0 to {MAX_OBJECT_SIZE} bytes (48.8 TiB); split the file"
        )
    default = max(size for least, size in DEFAULT_PART_SIZES.items() if total_size >= least)
    wanted = default if preferred_size is None else preferred_size
    check_part_size("preferred_size", wanted)
    if wanted * MAX_PART_COUNT >= total_size:
        return wanted
    needed = -(-total_size // MAX_PART_COUNT)
    return min(-(-needed // MIB) * MIB, MAX_PART_SIZE)


def check_part_size(argument: str, size: int) -> None:
    """:raises ArgumentError: if OSS does not accept parts of that size"""
    if not MIN_PART_SIZE <= size <= MAX_PART_SIZE:
        raise ArgumentError(
            argument, size, f"give a part size from {MIN_PART_SIZE} (100 KiB) to {MAX_PART_SIZE} (5 GiB)"
        )


_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kib": KIB, "kb": 10**3,
    "m": MIB, "mib": MIB, "mb": 10**6,
    "g": GIB, "gib": GIB, "gb": 10**9,
    "t": TIB, "tib": TIB, "tb": 10**12,
}  # fmt: skip


def parse_size(argument: str, value: int | str) -> int:
    """Return a size in bytes from an int or a string such as ``"64MiB"`` (1 KiB = 1,024; 1 KB = 1,000; 1 K = 1 KiB).

    :param argument: the argument's name in the error
    :raises ArgumentError: for anything else, and for negative sizes
    """
    size: float = -1
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", value)):
        number, unit = match.groups()
        if factor := _UNITS.get(unit.lower()):
            size = int(number) * factor if number.isdigit() else int(float(number) * factor)
    if size < 0:
        raise ArgumentError(argument, value, 'give bytes as an int, or a string such as "64MiB"')
    return int(size)


def parse_byte_range(argument: str, value: object) -> tuple[int, int] | None:
    """Return the half-open range ``[start, stop)`` from two numbers, or two texts of digits; None for None or ``""``.

    :raises ArgumentError: for anything else, and for an empty range
    """
    if value is None or value == "":
        return None
    ends = [str(end) for end in value] if isinstance(value, (list, tuple)) else []
    if len(ends) == 2 and all(re.fullmatch("[0-9]{1,18}", end) for end in ends) and int(ends[0]) < int(ends[1]):
        return int(ends[0]), int(ends[1])
    raise ArgumentError(argument, value, "give (start, stop) in bytes, stop excluded, such as (0, 1024)")


def parse_number(value: object) -> float | None:
    """Return a number from a number or a string such as ``"3"`` or ``"0.5"``; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        is_number = re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?|[+-]?\.[0-9]{1,30}", text)
        return None if is_number is None else float(text) if "." in text else int(text)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def format_size(size: float) -> str:
    """Return a size as text, such as ``"336.0 MiB"``. Bytes have no fraction."""
    if size < KIB:
        return f"{size:.0f} B"
    for unit, factor in (("KiB", KIB), ("MiB", MIB), ("GiB", GIB)):
        if size < 1000 * factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / TIB:.2f} TiB"
