"""The small world of transfers of many files: two ends, a mover, rows from real scans, and tries of a batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.checkpoint import Owner
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import BatchHeader, Fact, LedgerRow, PlanHeader, Row
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.batch.batch_report import BatchReport
from airflow_provider_ossresume.sets.batch.run_batch import run_batch
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.folder_upload import FolderUpload
from airflow_provider_ossresume.sets.movers.mover_base import MoverSettings
from airflow_provider_ossresume.sets.movers.prefix_copy import PrefixCopy
from airflow_provider_ossresume.sets.movers.prefix_download import PrefixDownload
from airflow_provider_ossresume.sets.ports import Location, Mover
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.lease import CheckpointStore
from tests.world import BUCKET, PART, a_client

PREFIX = "set/"
FROM = "from/"  # of copies


class MemoryLedger:
    """A ledger that lives as long as the test."""

    def __init__(self) -> None:
        self.kept: dict[int, LedgerRow] = {}
        self._waiting: list[LedgerRow] = []

    def rows(self) -> Mapping[int, LedgerRow]:
        return {number: row for number, row in self.kept.items() if row.is_proven}

    def add(self, row: LedgerRow) -> None:
        self._waiting.append(row)

    def flush(self) -> None:
        self.kept |= {row.number: row for row in self._waiting}
        self._waiting.clear()


class Batches:
    """Runs tries of one batch, whose rows are what its source had when they were taken."""

    def __init__(self, oss: LocalOSS, folder: Path, direction: str, **options: Any) -> None:
        self.oss = oss
        self.folder = folder
        self.options = SetOptions(**options)
        self.ledger = MemoryLedger()
        self.store: CheckpointStore = MemoryCheckpointStore()
        self.client = a_client(oss)
        self._direction = direction
        self._try = 0

    def mover(self, try_number: int = 1, **config: Any) -> Mover:
        settings = MoverSettings(
            self.options,
            lambda: self.store,
            TransferConfig.of({"part_size": PART, "multipart_threshold": PART, "progress_interval": 0, **config}),
            Owner(try_number, f"try-{try_number}"),
        )
        prefix, folder = OssPrefix(self.client, PrefixRef(BUCKET, PREFIX)), LocalFolder(self.folder)
        if self._direction == "copy":
            return PrefixCopy(self.client, OssPrefix(self.client, PrefixRef(BUCKET, FROM)), prefix, settings=settings)
        if self._direction == "upload":
            return FolderUpload(self.client, folder, prefix, settings=settings)
        return PrefixDownload(self.client, prefix, folder, settings=settings)

    def entries(self, end: Location, *, is_source: bool) -> dict[str, Entry]:
        found = end.scan(self.options, is_source=is_source, watch=lambda: None)
        return {each.name: each for each in found if isinstance(each, Entry)}

    def rows(self) -> list[Row]:
        """The source as it is now, all of it to be moved."""
        mover = self.mover()
        there = self.entries(mover.target, is_source=False)
        return [
            Row(number, each.name, each.size, each.identity, there[each.name].identity if each.name in there else None)
            for number, each in enumerate(self.entries(mover.source, is_source=True).values(), 1)
        ]

    def run(self, rows: Iterable[Row] | None = None, **more: Any) -> BatchReport:
        """One more try."""
        self._try += 1
        rows = self.rows() if rows is None else list(rows)
        batch = BatchHeader(1, "00001-00000000.jsonl.gz", len(rows), sum(row.size for row in rows))
        mover = self.mover(self._try, **more.pop("config", {}))
        header = PlanHeader(
            "plan", "1", mover.source.uri, mover.target.uri, self.options.mode, self.options.compare, (batch,),
            options=self.options.as_json(),
        )  # fmt: skip
        more.setdefault("config", TransferConfig(progress_interval=0))
        return run_batch(mover, header, batch, rows, more.pop("ledger", self.ledger), **more)

    def facts(self) -> dict[str, Fact]:
        """What a comparison of each file proves; the names of those that are not proven equal are left out."""
        mover = self.mover()
        sources, targets = self.entries(mover.source, is_source=True), self.entries(mover.target, is_source=False)
        with Crew(workers=4, tick=lambda: None) as crew:
            found = list(crew.run(lambda name: mover.compare(sources[name], targets[name], crew), sources))
        return {fact.name: fact for fact in found if fact is not None}

    def results(self) -> dict[int, tuple[str, str]]:
        """What the ledger says of each row."""
        return {number: (row.result, row.reason) for number, row in sorted(self.ledger.kept.items())}

    def objects(self) -> dict[str, bytes]:
        """What lies below the prefix, by relative name."""
        keys = [key for key in self.oss.objects(BUCKET) if key.startswith(PREFIX)]
        return {key[len(PREFIX) :]: self.oss.object(BUCKET, key) for key in keys}

    def put(self, files: Mapping[str, bytes]) -> None:
        """Make objects below the prefix."""
        for name, data in files.items():
            self.oss.put(BUCKET, PREFIX + name, data)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make files below a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, by relative name."""
    return {
        os.path.relpath(os.path.join(top, name), folder): Path(top, name).read_bytes()
        for top, _, names in os.walk(folder)
        for name in names
    }
