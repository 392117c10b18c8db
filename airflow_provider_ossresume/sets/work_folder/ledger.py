"""The results of the rows of a batch. Each flush writes a new file, so no two writers share one.

Two tries of one batch at the same time write separate files. Both record facts, so both are valid.
"""

from __future__ import annotations

import os

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import LedgerRow
from airflow_provider_ossresume.model.packed_rows import pack_rows, unpack_rows
from airflow_provider_ossresume.model.plan_layout import ledger_folder
from airflow_provider_ossresume.sets.ports import WorkFolder


class Ledger:
    """The ledger of one try of a batch. One thread uses it.

    :param try_number: files of a later try are read later; a row that proves a file always counts
    """

    def __init__(self, work: WorkFolder, plan_id: str, batch_number: int, try_number: int) -> None:
        self._work = work
        self._plan_id = plan_id
        self._batch_number = batch_number
        # Two processes may have the same try number: after a clear, or if Airflow has lost track of one.
        self._writer = f"{ledger_folder(plan_id, batch_number)}{try_number:04}-{os.urandom(4).hex()}"
        self._waiting: list[LedgerRow] = []
        self._files = 0

    def rows(self) -> dict[int, LedgerRow]:
        """Return the rows that any try has proven, by row number; see :func:`read_ledger`."""
        found = read_ledger(self._work, self._plan_id, self._batch_number)
        return {number: row for number, row in found.items() if row.is_proven}

    def add(self, row: LedgerRow) -> None:
        """Add a row. The next flush writes it."""
        self._waiting.append(row)

    def flush(self) -> None:
        """Write the added rows. Make the moved files durable first.

        :raises OSSResumeError: if that fails; the next flush then writes the rows
        """
        if self._waiting:
            # A failed write may have created its file, so the next flush uses another name.
            name = f"{self._writer}-{self._files:05}.jsonl.gz"
            self._files += 1
            self._work.create(name, pack_rows(self._waiting))
            self._waiting = []


def read_ledger(work: WorkFolder, plan_id: str, batch_number: int) -> dict[int, LedgerRow]:
    """Return the rows that all tries of a batch have written, by row number.

    If the end of a file is missing, the rows before it count. If several rows have the same number, one that proves the
    file counts, else the last one.

    :raises ManifestUnreadable: for a file that is not a ledger, or of a newer version; the error names it
    """
    found: dict[int, LedgerRow] = {}
    for name in work.names(ledger_folder(plan_id, batch_number)):
        data = work.read(name)
        if data is None:  # removed meanwhile, with its plan
            continue
        try:
            rows = [LedgerRow.of(line) for line in unpack_rows(data, may_be_torn=True)]
        except ManifestUnreadable as error:
            raise ManifestUnreadable(f"{work.uri}{name}: {error}") from error
        for row in rows:
            before = found.get(row.number)
            if before is None or row.is_proven or not before.is_proven:
                found[row.number] = row
    return found
