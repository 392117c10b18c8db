"""Pairs the rows of a plan with their results in the ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.model.manifest import BatchHeader, Fact, LedgerRow, PlanHeader, Row
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.ledger import read_ledger
from airflow_provider_ossresume.sets.work_folder.sealed_plan import rows_of
from airflow_provider_ossresume.transfer.crew import Crew

RowResult = tuple[Row, LedgerRow | None]  # None: no batch has reported it
ROWS_AT_ONCE = 20_000  # rows in memory at once, unless a single batch has more


def plan_results(work: WorkFolder, header: PlanHeader, crew: Crew, *, tried_only: bool = False) -> Iterator[RowResult]:
    """Yield each row of a plan with its result, batch after batch.

    The crew's workers read several batches at once. Memory does not grow with the number of batches.

    :param tried_only: skip batches that have no ledger
    :raises ManifestUnreadable: if a batch or a ledger file is gone, foreign, or of a newer version
    """

    def read(batch: BatchHeader) -> list[RowResult]:
        ledger = read_ledger(work, header.plan_id, batch.number)
        if tried_only and not ledger:
            return []
        return [(row, ledger.get(row.number)) for row in rows_of(work, header.plan_id, batch.name)]

    for batches in _grouped(header.batches):
        for results in crew.run(read, batches):
            yield from results


def fact_of(row: Row, results: LedgerRow) -> Fact:
    """Return the fact that a row of a ledger proves."""
    return Fact(row.name, results.size, results.source, results.target, results.crc64)


def _grouped(batches: Iterable[BatchHeader]) -> Iterator[list[BatchHeader]]:
    some: list[BatchHeader] = []
    for batch in batches:
        if some and sum(each.files for each in some) + batch.files > ROWS_AT_ONCE:
            yield some
            some = []
        some.append(batch)
    if some:
        yield some
