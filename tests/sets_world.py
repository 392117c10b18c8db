"""The small world of a transfer of many files: two ends in memory that obey the ports, and what moves between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.errors import NoSuchKey, OSSResumeError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.finish.finish_plan import finish_plan
from airflow_provider_ossresume.sets.locations.name_lookup import vanished_item
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter, refuse_unallowed
from airflow_provider_ossresume.sets.plan.make_plan import make_plan
from airflow_provider_ossresume.sets.ports import FileJob, NameRules, ScanItem, Watch
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_batch
from airflow_provider_ossresume.transfer.crew import Crew

_versions = count(1)


class AnyName:
    def why_refused(self, entry: Entry) -> str:
        return ""

    def is_taken(self, name: str) -> bool:
        return False


class MemoryEnd:
    """Files in memory. Each write gives a new identity, as a file's ctime and an object's ETag do.

    :ivar sizes: of files that are said to be there without having any bytes
    :ivar others: what a scan finds besides, such as links
    :ivar fails_at: the scan fails when it comes to that name
    """

    def __init__(self, uri: str, files: Mapping[str, bytes] | None = None) -> None:
        self.uri = uri
        self.files: dict[str, bytes] = {}
        self.identities: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.others: list[ScanItem] = []
        self.fails_at: str | None = None
        self.scans = 0
        self.looked_up: list[str] = []
        for name, data in (files or {}).items():
            self.write(name, data)

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self.identities[name] = f"o:{next(_versions)}"

    def remove(self, name: str) -> None:
        del self.files[name], self.identities[name]

    def pretend(self, name: str, size: int) -> None:
        self.write(name, b"")
        self.sizes[name] = size

    def entry(self, name: str) -> Entry:
        return Entry(name, self.sizes.get(name, len(self.files[name])), self.identities[name])

    def name_rules(self) -> NameRules:
        return AnyName()

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        self.scans += 1
        found = self._found(SourceFilter(options, names) if is_source else None, watch)
        return refuse_unallowed(found, options, where=self.uri) if is_source else found

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        source_filter = SourceFilter(options, rules)
        for name in names:
            self.looked_up.append(name)
            if name in self.files:
                entry = self.entry(name)
                yield source_filter.check_filters(entry) or source_filter.accept(entry) if is_source else entry
            elif is_source:
                yield source_filter.prefer_filter(vanished_item(name))

    def _found(self, source_filter: SourceFilter | None, watch: Watch) -> Iterator[ScanItem]:
        everything: list[ScanItem] = [*map(self.entry, self.files), *self.others]
        for each in sorted(everything, key=lambda found: found.place):
            watch()
            if each.name == self.fails_at:
                raise broken(f"the listing broke at {each.name}")
            if source_filter is None or not isinstance(each, Entry):
                yield each
            else:
                yield source_filter.check_filters(each) or source_filter.accept(each)


def broken(message: str, *, retryable: bool = True) -> OSSResumeError:
    error = OSSResumeError(message)
    error.retryable = retryable
    return error


class MemoryMover:
    """Moves between two ends in memory.

    :ivar compared: the names that it was asked to compare
    :ivar delete_fails_after: so many deletions work, and then one fails
    """

    def __init__(self, source: MemoryEnd, target: MemoryEnd) -> None:
        self.source, self.target = source, target
        self.compared: list[str] = []
        self.compare_fails: Callable[[str], OSSResumeError | None] = lambda name: None
        self.deleted: list[str] = []
        self.delete_fails_after: int | None = None

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        self.compared.append(source.name)
        if error := self.compare_fails(source.name):
            raise error
        data = self.source.files[source.name]
        if data != self.target.files[target.name]:
            return None
        return Fact(source.name, source.size, source.identity, target.identity, crc64(data))

    def move_small(self, row: Row, job: FileJob) -> LedgerRow:
        return self.moved(row)

    def moved(self, row: Row) -> LedgerRow:
        data = self.source.files.get(row.name)
        if data is None:
            raise NoSuchKey(operation="GetObject", target=row.name, status=404)
        self.target.write(row.name, data)
        return LedgerRow(
            row.number, "done", self.source.identities[row.name], self.target.identities[row.name], crc64(data),
            len(data), len(data),
        )  # fmt: skip

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        return self.moved(row)

    def make_durable(self, crew: Crew) -> None:
        pass

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        for victim in victims:
            if self.delete_fails_after is not None and len(self.deleted) >= self.delete_fails_after:
                raise broken("the connection broke")
            if victim.name not in self.target.files:
                yield victim, "gone"
            elif self.target.identities[victim.name] != victim.identity:
                yield victim, "changed"
            else:
                self.target.remove(victim.name)
                self.deleted.append(victim.name)
                yield victim, "deleted"


class Sets:
    """A source, a target and a work folder, and what is done with them."""

    def __init__(self, folder: Path, source: Mapping[str, bytes], target: Mapping[str, bytes] | None = None) -> None:
        self.source = MemoryEnd("file:///data/", source)
        self.target = MemoryEnd("oss://bucket/prefix/", target)
        self.mover = MemoryMover(self.source, self.target)
        self.work = LocalWorkFolder(folder / "work")

    def plan(self, *, is_dry_run: bool = False, watch: Watch = lambda: None, **options: Any) -> Plan:
        return make_plan(self.mover, self.work, SetOptions(**options), is_dry_run=is_dry_run, watch=watch)

    def rows(self, plan: Plan) -> list[Row]:
        return [row for uri in plan.batch_uris for row in read_batch(self.work, uri)]

    def names(self, plan: Plan) -> list[str]:
        return sorted(row.name for row in self.rows(plan))

    def run(self, plan: Plan, *, try_number: int = 1, fails: Iterable[str] = (), batches: slice = slice(None)) -> None:
        """Run batches as workers do, but for those files."""
        for uri in plan.batch_uris[batches]:
            ledger = Ledger(self.work, plan.header.plan_id, plan.batch(uri).number, try_number)
            known = ledger.rows()
            for row in read_batch(self.work, uri):
                if row.name in fails:
                    ledger.add(LedgerRow(row.number, "failed", reason="AccessDenied", detail="403"))
                elif row.number not in known:
                    ledger.add(self.mover.moved(row))
            ledger.flush()

    def finish(self, plan: Plan, **options: Any) -> Verdict:
        return finish_plan(self.mover, self.work, plan, **options)

    def move(self, **options: Any) -> Verdict:
        """Plan, run and finish."""
        plan = self.plan(**options)
        self.run(plan)
        return self.finish(plan)

    def written(self, prefix: str = "") -> list[str]:
        return list(self.work.names(prefix))
