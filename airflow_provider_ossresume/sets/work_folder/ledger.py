"""What has become of the rows of a batch: a new file at each flush, so that nothing written is lost or shared.

Two tries of one batch at once write files of their own. What they say are facts, so all of them may stand.
"""

from __future__ import annotations

import os

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import LedgerRow
from airflow_provider_ossresume.model.packed_rows import pack_rows, unpack_rows
from airflow_provider_ossresume.model.plan_layout import ledger_folder
from airflow_provider_ossresume.sets.ports import WorkFolder


class Ledger:
    """The rows that one try of a batch writes. Used by one thread.

    :param try_number: files of a later try come later; a row that proves something stands all the same
    """

    def __init__(self, work: WorkFolder, plan_id: str, batch_number: int, try_number: int) -> None:
        self._work = work
        self._plan_id = plan_id
        self._batch_number = batch_number
        # Two processes may have one try number: after a clear, or when Airflow has lost sight of one of them.
        self._writer = f"{ledger_folder(plan_id, batch_number)}{try_number:04}-{os.urandom(4).hex()}"
        self._waiting: list[LedgerRow] = []
        self._files = 0

    def rows(self) -> dict[int, LedgerRow]:
        """Return the rows that any try has proven, by their numbers; see :func:`read_ledger`."""
        found = read_ledger(self._work, self._plan_id, self._batch_number)
        return {number: row for number, row in found.items() if row.is_proven}

    def add(self, row: LedgerRow) -> None:
        """Take a row, to be written by the next flush."""
        self._waiting.append(row)

    def flush(self) -> None:
        """Write what waits; what was moved has to be settled before.

        :raises OSSResumeError: when that cannot be done; the rows wait for the next flush then
        """
        if self._waiting:
            # A write that failed may have made its file all the same, so the next flush makes another one.
            name = f"{self._writer}-{self._files:05}.jsonl.gz"
            self._files += 1
            self._work.create(name, pack_rows(self._waiting))
            self._waiting = []


def read_ledger(work: WorkFolder, plan_id: str, batch_number: int) -> dict[int, LedgerRow]:
    """Return what all tries of a batch have written, by the numbers of the rows.

    Of a file whose end is missing, the rows before it count. Of several rows with one number, one that proves something
    counts, else the last one.

    :raises ManifestUnreadable: for a file that is no ledger, or of a newer version; it is named
    """
    found: dict[int, LedgerRow] = {}
    for name in work.names(ledger_folder(plan_id, batch_number)):
        data = work.read(name)
        if data is None:  # removed meanwhile; the plan as a whole is about to be
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
