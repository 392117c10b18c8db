"""How objects are cut into parts, and how sizes are read and shown."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.parts import (
    GIB,
    KIB,
    MAX_OBJECT_SIZE,
    MAX_PART_COUNT,
    MAX_PART_SIZE,
    MIB,
    MIN_PART_SIZE,
    TIB,
    Part,
    PartPlan,
    determine_part_size,
    format_size,
    parse_size,
    plan_parts,
)

# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("object_size", "parts"),
    [
        (0, []),
        (1, [Part(1, 0, 1)]),
        (9, [Part(1, 0, 9)]),
        (10, [Part(1, 0, 10)]),
        (11, [Part(1, 0, 10), Part(2, 10, 11)]),
        (20, [Part(1, 0, 10), Part(2, 10, 20)]),
        (25, [Part(1, 0, 10), Part(2, 10, 20), Part(3, 20, 25)]),
    ],
)
def test_a_plan_tiles_the_object(object_size: int, parts: list[Part]) -> None:
    plan = PartPlan(object_size, 10)

    assert list(plan) == parts
    assert len(plan) == len(parts)
    assert [part.size for part in plan] == [part.stop - part.start for part in parts]


def test_a_plan_is_read_like_a_list() -> None:
    plan = PartPlan(25, 10)

    assert plan[0] == Part(1, 0, 10)
    assert plan[-1] == Part(3, 20, 25)
    assert plan[1:] == [Part(2, 10, 20), Part(3, 20, 25)]
    assert plan[::-2] == [Part(3, 20, 25), Part(1, 0, 10)]
    assert Part(2, 10, 20) in plan
    assert list(reversed(plan)) == plan[::-1]


@pytest.mark.parametrize("index", [3, -4])
def test_a_part_outside_the_plan_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        PartPlan(25, 10)[index]


def test_parts_are_found_by_their_number() -> None:
    plan = PartPlan(25, 10)

    assert [plan.numbered(number) for number in (-1, 0, 1, 3, 4, 10**20)] == [
        None,
        None,
        Part(1, 0, 10),
        Part(3, 20, 25),
        None,
        None,
    ]


def test_plans_are_values() -> None:
    assert PartPlan(25, 10) == PartPlan(25, 10)
    assert PartPlan(25, 10) != PartPlan(25, 11)
    assert len({PartPlan(25, 10), PartPlan(25, 10)}) == 1


def test_by_default_large_objects_have_larger_parts() -> None:
    sizes = {1: 8, GIB - 1: 8, GIB: 16, 4 * GIB - 1: 16, 4 * GIB: 32, 300 * GIB: 32}
    assert {size: plan_parts(size).part_size // MIB for size in sizes} == sizes


def test_the_limits_are_those_of_oss() -> None:
    assert (MIN_PART_SIZE, MAX_PART_SIZE, MAX_PART_COUNT) == (102_400, 5_368_709_120, 10_000)
    assert MAX_OBJECT_SIZE == 53_687_091_200_000  # 48.8 TiB


# --- the part size ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "preferred", "size"),
    [
        (0, None, 8 * MIB),
        (1, None, 8 * MIB),
        (GIB - 1, None, 8 * MIB),
        (GIB, None, 16 * MIB),
        (32 * MIB * MAX_PART_COUNT, None, 32 * MIB),
        (32 * MIB * MAX_PART_COUNT + 1, None, 33 * MIB),
        (TIB, 8 * MIB, 105 * MIB),
        (0, MIN_PART_SIZE, MIN_PART_SIZE),
        (MIN_PART_SIZE * MAX_PART_COUNT, MIN_PART_SIZE, MIN_PART_SIZE),
        (MIN_PART_SIZE * MAX_PART_COUNT + 1, MIN_PART_SIZE, MIB),
        (TIB, 64 * MIB, 105 * MIB),
        (MAX_OBJECT_SIZE, None, MAX_PART_SIZE),
        (MAX_OBJECT_SIZE - 1, MAX_PART_SIZE, MAX_PART_SIZE),
        (1, MAX_PART_SIZE, MAX_PART_SIZE),
    ],
)
def test_the_preferred_part_size_is_raised_only_where_ten_thousand_parts_do_not_suffice(
    total: int, preferred: int | None, size: int
) -> None:
    assert determine_part_size(total, preferred) == size
    assert len(PartPlan(total, size)) <= MAX_PART_COUNT


@pytest.mark.parametrize("total", [-1, MAX_OBJECT_SIZE + 1])
def test_a_size_that_oss_cannot_hold_is_refused(total: int) -> None:
    with pytest.raises(ArgumentError, match=rf"total_size={total}: .*48\.8 TiB"):
        determine_part_size(total)


@pytest.mark.parametrize("preferred", [-1, 0, 1, MIN_PART_SIZE - 1, MAX_PART_SIZE + 1])
def test_a_part_size_that_oss_does_not_take_is_refused(preferred: int) -> None:
    with pytest.raises(ArgumentError, match=rf"preferred_size={preferred}: .*100 KiB.*5 GiB"):
        determine_part_size(1, preferred)


def test_plan_parts_takes_the_determined_size() -> None:
    assert plan_parts(3 * MIB, part_size=MIB) == PartPlan(3 * MIB, MIB)
    assert plan_parts(MIB * MAX_PART_COUNT + 1, part_size=MIB) == PartPlan(MIB * MAX_PART_COUNT + 1, 2 * MIB)


# --- sizes as people write them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (17, 17),
        (10**30, 10**30),
        ("0", 0),
        ("17", 17),
        ("17b", 17),
        ("1k", KIB),
        ("1K", KIB),
        ("1KiB", KIB),
        ("1KB", 1000),
        ("64MiB", 64 * MIB),
        ("64 mib", 64 * MIB),
        ("  64MiB\n", 64 * MIB),
        ("64MB", 64_000_000),
        ("2g", 2 * GIB),
        ("2GiB", 2 * GIB),
        ("2GB", 2 * 10**9),
        ("1t", TIB),
        ("1TiB", TIB),
        ("1TB", 10**12),
        ("1.5KiB", 1536),
        ("0.5 MB", 500_000),
        ("999999999999999999", 999_999_999_999_999_999),  # exact, no float in between
    ],
)
def test_sizes_are_read(written: int | str, size: int) -> None:
    assert parse_size("part_size", written) == size


NO_SIZES = [
    -1, 1.5, True, False, None, [], {}, b"1", "", " ", "MiB", "-1", "+1", "1.", ".5", "1,5MiB", "1e3", "1 Mi B", "1PiB",
    "1MiB2", "0x10", "1_000", "nan", "inf", "1" * 19, "1." + "0" * 10, "1 MiB MiB", "\0",
]  # fmt: skip


@pytest.mark.parametrize("written", NO_SIZES, ids=repr)
def test_anything_else_is_refused_by_name(written: object) -> None:
    with pytest.raises(ArgumentError, match=r"^max_bandwidth=.*64MiB") as refused:
        parse_size("max_bandwidth", written)  # type: ignore[arg-type]

    assert (refused.value.argument, refused.value.value) == ("max_bandwidth", written)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (999 * KIB, "999.0 KiB"),
        (1000 * KIB, "1.0 MiB"),
        (336 * MIB, "336.0 MiB"),
        (5 * GIB, "5.0 GiB"),
        (1000 * GIB, "0.98 TiB"),
        (MAX_OBJECT_SIZE, "48.83 TiB"),
        (12.4, "12 B"),
    ],
)
def test_sizes_are_shown_for_people(size: float, shown: str) -> None:
    assert format_size(size) == shown
