"""Puts the rows of a plan beside what its ledger says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.model.manifest import BatchHeader, Fact, LedgerRow, PlanHeader, Row
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.ledger import read_ledger
from airflow_provider_ossresume.sets.work_folder.sealed_plan import rows_of
from airflow_provider_ossresume.transfer.crew import Crew

RowResult = tuple[Row, LedgerRow | None]  # None: no batch has said anything of it
ROWS_AT_ONCE = 20_000  # rows that are in memory at one time, unless one batch has more


def plan_results(work: WorkFolder, header: PlanHeader, crew: Crew, *, tried_only: bool = False) -> Iterator[RowResult]:
    """Yield each row of a plan with what its ledger says of it, batch after batch.

    Several batches are read at once, by the crew's workers; memory does not grow with the number of batches.

    :param tried_only: leave out batches that have no ledger
    :raises ManifestUnreadable: when a batch or a file of a ledger is gone, foreign, or of a newer version
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
    """Return what a row of a ledger proves."""
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
