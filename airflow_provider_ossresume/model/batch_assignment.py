"""How many batches a plan has, and which of them each file goes to."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_ossresume.model.parts import GIB

LARGE = GIB  # bytes; from here on files are dealt out by size


def count_batches(*, files: int, size: int, batch_files: int, batch_bytes: int, max_batches: int) -> int:
    """Return how many batches so many files and bytes take. When that is too many, batches get larger.

    None of them is empty: there are at most as many as files.
    """
    by_size, by_files = -(-size // batch_bytes), -(-files // batch_files)
    return min(max(by_size, by_files), max_batches, files)


class LargeFileAssigner:
    """Gives files of 1 GiB or more, largest first, each to the batch that has the fewest bytes until then."""

    def __init__(self, batches: int) -> None:
        self._heap = [(0, batch) for batch in range(batches)]  # bytes, batch

    def assign(self, files: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield the batch of each file, and its number.

        :param files: their sizes and numbers, in descending order of the sizes
        """
        for size, number in files:
            filled, batch = self._heap[0]
            heapq.heapreplace(self._heap, (filled + size, batch))
            yield batch, number

    def emptiest_first(self) -> list[int]:
        """Return the batches in the order in which the other files are dealt out, round and round."""
        return [batch for _, batch in sorted(self._heap)]


@dataclass(frozen=True)
class SmallFileShare:
    """Which of the other files a batch gets: from the ``first`` on, each ``step``-th, in the order of their names.

    Neighbours come into different batches. OSS serves at most 2,000 requests a second on names that follow each other.
    """

    first: int
    step: int


def small_file_shares(order: Sequence[int]) -> dict[int, SmallFileShare]:
    """Return the share of each batch.

    :param order: as :meth:`LargeFileAssigner.emptiest_first` says
    """
    return {batch: SmallFileShare(first, len(order)) for first, batch in enumerate(order)}
