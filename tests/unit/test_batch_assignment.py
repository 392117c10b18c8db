"""How files are dealt out into batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.model.batch_assignment import LARGE, LargeFileAssigner, count_batches
from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.parts import GIB
from airflow_provider_ossresume.sets.spool import Spool


def count(files: int, size: int, *, batch_files: int = 5_000, batch_bytes: int = 16 * GIB, most: int = 256) -> int:
    return count_batches(files=files, size=size, batch_files=batch_files, batch_bytes=batch_bytes, max_batches=most)


@pytest.mark.parametrize(
    ("files", "size", "batches"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (5_000, 0, 1),
        (5_001, 0, 2),
        (100, 16 * GIB, 1),
        (100, 16 * GIB + 1, 2),
        (2, 1_000 * GIB, 2),  # none is empty
        (1_000_000, 0, 200),
        (10_000_000, 0, 256),  # they get larger instead
    ],
)
def test_batches_are_as_many_as_files_and_bytes_need(files: int, size: int, batches: int) -> None:
    assert count(files, size) == batches


def dealt(sizes: list[int], batches: int) -> list[list[Row]]:
    with Spool() as spool:
        for number, size in enumerate(sizes):
            spool.add_row(name=f"{number:06}", size=size, identity=f"o:{number}", was=None)
        spool.assign_batches(batches)
        return [list(spool.rows_of(batch)) for batch in range(batches)]


def test_neighbours_come_into_different_batches() -> None:
    assert [[row.number for row in batch] for batch in dealt([1] * 7, 3)] == [[1, 4, 7], [2, 5], [3, 6]]


def test_large_files_come_into_the_emptiest_batch_the_largest_first() -> None:
    batches = dealt([LARGE, 3 * LARGE, 2 * LARGE, 2 * LARGE], 2)

    assert [sorted(row.size // LARGE for row in batch) for batch in batches] == [[1, 3], [2, 2]]


def test_small_files_begin_with_the_batch_that_has_the_fewest_bytes() -> None:
    batches = dealt([LARGE, 1, 1, 2 * LARGE], 4)

    assert [[row.number for row in batch] for batch in batches] == [[4], [1], [2], [3]]


@given(st.lists(st.sampled_from([0, 1, LARGE - 1, LARGE, 3 * LARGE]), max_size=60), st.integers(1, 9))
def test_each_file_is_in_one_batch_and_no_batch_is_empty(sizes: list[int], most: int) -> None:
    batches = count(len(sizes), sum(sizes), batch_files=7, most=most)
    rows = [row for batch in dealt(sizes, batches) for row in batch]

    assert sorted(row.number for row in rows) == list(range(1, len(sizes) + 1))
    assert all((row.name, row.size) == (f"{row.number - 1:06}", sizes[row.number - 1]) for row in rows)
    assert all(dealt(sizes, batches))


@given(st.lists(st.integers(LARGE, 9 * LARGE), min_size=1, max_size=40), st.integers(1, 6))
def test_no_batch_of_large_files_has_more_than_the_emptiest_and_one_file(sizes: list[int], batches: int) -> None:
    dealer = LargeFileAssigner(batches)
    filled = [0] * batches
    largest_first = sorted(((size, number) for number, size in enumerate(sizes)), reverse=True)
    for batch, number in dealer.assign(largest_first):
        filled[batch] += sizes[number]

    assert max(filled) - min(filled) <= max(sizes)
