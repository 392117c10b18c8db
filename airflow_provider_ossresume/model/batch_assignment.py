"""How many batches a plan has, and which batch each file is assigned to."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_ossresume.model.parts import GIB

LARGE = GIB  # bytes; files from this size on are assigned by size


def count_batches(*, files: int, size: int, batch_files: int, batch_bytes: int, max_batches: int) -> int:
    """Return the number of batches. If ``max_batches`` would be exceeded, batches get larger instead.

    No batch is empty: there are at most as many batches as files.
    """
    by_size, by_files = -(-size // batch_bytes), -(-files // batch_files)
    return min(max(by_size, by_files), max_batches, files)


class LargeFileAssigner:
    """Assigns files of 1 GiB or more, largest first, each to the batch with the fewest bytes so far."""

    def __init__(self, batches: int) -> None:
        self._heap = [(0, batch) for batch in range(batches)]  # bytes, batch

    def assign(self, files: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield batch and number of each file.

        :param files: sizes and numbers, in descending order of size
        """
        for size, number in files:
            filled, batch = self._heap[0]
            heapq.heapreplace(self._heap, (filled + size, batch))
            yield batch, number

    def emptiest_first(self) -> list[int]:
        """Return the batches in the order in which small files are assigned to them, in turn."""
        return [batch for _, batch in sorted(self._heap)]


@dataclass(frozen=True)
class SmallFileShare:
    """The small files of a batch: every ``step``-th one, starting with ``first``, in the order of their names.

    Neighbours are in different batches, because OSS serves at most 2,000 requests a second on consecutive names.
    """

    first: int
    step: int


def small_file_shares(order: Sequence[int]) -> dict[int, SmallFileShare]:
    """Return the share of each batch.

    :param order: the result of :meth:`LargeFileAssigner.emptiest_first`
    """
    return {batch: SmallFileShare(first, len(order)) for first, batch in enumerate(order)}
