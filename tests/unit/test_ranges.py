"""Ranges that are near each other are read together, and none is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.model.ranges import WantedRange, merge_ranges


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [
        ([], []),
        ([(0, 10)], [(0, 10)]),
        ([(0, 10), (10, 20)], [(0, 20)]),
        ([(0, 10), (15, 20)], [(0, 20)]),
        ([(0, 10), (16, 20)], [(0, 10), (16, 20)]),
        ([(16, 20), (0, 10)], [(0, 10), (16, 20)]),
        ([(0, 90), (90, 110)], [(0, 90), (90, 110)]),
        ([(0, 500), (100, 200)], [(0, 500)]),
        ([(5, 10), (0, 20), (5, 10)], [(0, 20)]),
    ],
)
def test_near_ranges_become_one(ranges: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    wanted = [WantedRange(place, *each) for place, each in enumerate(ranges)]

    assert [(each.start, each.stop) for each in merge_ranges(wanted, gap=5, most=100)] == merged


_RANGES = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300)), max_size=30)


@given(_RANGES, st.integers(0, 50), st.integers(1, 500))
def test_each_range_lies_in_one_that_is_no_longer_than_allowed(
    ranges: list[tuple[int, int]], gap: int, most: int
) -> None:
    wanted = [WantedRange(place, start, start + size) for place, (start, size) in enumerate(ranges)]
    merged = merge_ranges(wanted, gap=gap, most=most)

    assert sorted(each.place for one in merged for each in one.wanted) == list(range(len(ranges)))
    for one in merged:
        assert all(one.start <= each.start and each.stop <= one.stop for each in one.wanted)
        assert one.stop - one.start <= max(most, *(each.stop - each.start for each in one.wanted))
