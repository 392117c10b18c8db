"""Puts the rows of a plan beside what its ledger says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.model.manifest import BatchHeader, Fact, LedgerRow, PlanHeader, Row
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.ledger import read_ledger
from airflow_provider_ossresume.sets.work_folder.sealed_plan import rows_of
from airflow_provider_ossresume.transfer.crew import Crew

Became = tuple[Row, LedgerRow | None]  # None: no batch has said anything of it
FILES_AT_ONCE = 20_000  # rows that are in memory at one time, unless one batch has more


def what_became(work: WorkFolder, header: PlanHeader, crew: Crew, *, tried_only: bool = False) -> Iterator[Became]:
    """Yield each row of a plan with what its ledger says of it, batch after batch.

    Several batches are read at once, by the crew's workers; memory does not grow with the number of batches.

    :param tried_only: leave out batches that have no ledger
    :raises ManifestUnreadable: when a batch or a file of a ledger is gone, foreign, or of a newer version
    """

    def read(batch: BatchHeader) -> list[Became]:
        ledger = read_ledger(work, header.plan_id, batch.number)
        if tried_only and not ledger:
            return []
        return [(row, ledger.get(row.number)) for row in rows_of(work, header.plan_id, batch.name)]

    for batches in _some_at_once(header.batches):
        for became in crew.run(read, batches):
            yield from became


def fact_of(row: Row, became: LedgerRow) -> Fact:
    """Return what a row of a ledger proves."""
    return Fact(row.name, became.size, became.source, became.target, became.crc64)


def _some_at_once(batches: Iterable[BatchHeader]) -> Iterator[list[BatchHeader]]:
    some: list[BatchHeader] = []
    for batch in batches:
        if some and sum(each.files for each in some) + batch.files > FILES_AT_ONCE:
            yield some
            some = []
        some.append(batch)
    if some:
        yield some
