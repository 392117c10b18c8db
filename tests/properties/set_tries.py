"""A small set on a real server, tries that move it with faults in their middle, and what has to hold after each.

Each try tells its journal, each plan is remembered as it was sealed, and what others do is known. So after each step
every byte of source and target is accounted for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import Recheck, Row
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.sets.batch.run_batch import run_batch
from airflow_provider_ossresume.sets.finish.finish_plan import finish_plan
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.folder_upload import FolderUpload
from airflow_provider_ossresume.sets.movers.mover_base import MoverSettings
from airflow_provider_ossresume.sets.movers.prefix_copy import PrefixCopy
from airflow_provider_ossresume.sets.movers.prefix_download import PrefixDownload
from airflow_provider_ossresume.sets.plan.make_plan import make_plan
from airflow_provider_ossresume.sets.ports import Mover, Watch
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger, read_ledger
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.sealed_plan import read_batch, victims_of
from airflow_provider_ossresume.sets.work_folder.work_checkpoints import WorkFolderCheckpoints
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.moving_world import FROM, PREFIX, read
from tests.properties.set_events import DELETING, NAMES, VERSIONS, Event, Killed, Meddler
from tests.properties.set_rules import Meanwhile, Planned, Seen, check_finish, check_plan, check_unchanged
from tests.world import BUCKET, LONG, PART, a_client, some_bytes

T = TypeVar("T")
Mode = Literal["copy", "mirror"]

WORK = "work/"
OUTSIDE = {"set": b"1", "set.csv": b"2", "set2/a": b"3", "from.csv": b"4", "other/set/a": b"5"}
MOVES = {
    "upload": {"PutObject", "InitiateMultipartUpload", "UploadPart"},
    "download": {"GetObject"},
    "copy": {"CopyObject", "InitiateMultipartUpload", "UploadPartCopy"},
}
CONFIG = TransferConfig.of(
    {"part_size": PART, "multipart_threshold": PART, "progress_interval": 0, "max_concurrency": 1}
)  # one worker, so that requests come in one order


def content(name: str, version: int) -> bytes:
    """Return what a file has in a version; all but the last are of one size."""
    size = PART + 10 if name == "large" else 20
    return some_bytes(size + (version == VERSIONS - 1), seed=version * 100 + NAMES.index(name))


class ShortPages(OssClient):
    """Lists two objects a request, so that few of them come by several."""

    def _exchange_xml(self, call: Call, parse: Callable[[bytes], T]) -> T:
        if call.operation == "ListObjectsV2":
            call = replace(call, query={**call.query, "max-keys": "2"})
        return super()._exchange_xml(call, parse)


class SetTries:
    """One pair of source and target."""

    def __init__(self, oss: LocalOSS, folder: Path, direction: str) -> None:
        self.oss, self.direction = oss, direction
        self.folder = folder / "set"
        self.folder.mkdir()
        (folder / "beside").write_bytes(b"6")
        self._parent = folder
        self._source_prefix = FROM if direction == "copy" else PREFIX
        self._client = a_client(oss, kind=ShortPages, read_timeout=LONG)
        self.work = open_work_folder(f"oss://{BUCKET}/{WORK}", self._client)
        self._clock = count(1_700_000_000)  # of what is written to a disk
        self.source: dict[str, bytes] = {}
        self.history: dict[str, set[bytes]] = {name: set() for name in NAMES}  # all that source or target ever held
        self.plans: list[Planned] = []
        self._failures: list[BaseException] = []
        self._meanwhile: list[Meanwhile] = []  # of the tries that are under way, the outer one first
        for key, data in OUTSIDE.items():
            oss.put(BUCKET, key, data)
        self._outside = self._seen_outside()

    # --- what others do -----------------------------------------------------------------------------------------------

    def write_source(self, name: str, version: int | None) -> None:
        before = self.source.get(name)
        if version is None:
            self.source.pop(name, None)
        else:
            self.source[name] = content(name, version)
            self.history[name].add(self.source[name])
        for each in self._meanwhile:
            each.source.setdefault(name, {before}).add(self.source.get(name))
        self._write(name, self.source.get(name), is_local=self.direction == "upload", prefix=self._source_prefix)

    def write_target(self, name: str, version: int | None) -> None:
        data = None if version is None else content(name, version)
        if data is not None:
            self.history[name].add(data)
        self._write(name, data, is_local=self.direction == "download", prefix=PREFIX)
        for each in self._meanwhile:
            each.target.add(name)
        self._touch([name])

    def _write(self, name: str, data: bytes | None, *, is_local: bool, prefix: str) -> None:
        path, key = self.folder / name, prefix + name
        if is_local and data is None:
            path.unlink(missing_ok=True)
        elif is_local and data is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (next(self._clock),) * 2)  # no two writes look alike, however coarse the disk's clock is
        elif data is not None:
            self.oss.put(BUCKET, key, data)
        elif key in self.oss.objects(BUCKET):
            self.oss.delete(BUCKET, key)

    def _touch(self, names: Collection[str], *, but: Planned | None = None) -> None:
        for planned in self.plans:
            if planned is not but:
                planned.touched.update(names)

    # --- tries --------------------------------------------------------------------------------------------------------

    def plan(self, mode: Mode, *events: Event) -> Planned | None:
        """Make a plan; None when the try fails or is killed."""
        before, source = self.target(), dict(self.source)
        options = SetOptions(mode=mode, batch_files=2, max_delete_share=1)
        with self._meddling(events, lambda: self.plan(mode)) as (watch, meanwhile):
            plan = self._tried(lambda: make_plan(self._mover(options), self.work, options, watch=watch))
        check_unchanged(before, self.target(), meanwhile.target)
        if plan is None:
            return None
        planned = Planned(
            plan,
            rows={row.name: row for uri in plan.batch_uris for row in read_batch(self.work, uri)},
            victims={victim.name: victim for victim in victims_of(self.work, plan.header)},
            wanted={**{name: {data} for name, data in source.items()}, **meanwhile.source},
            touched=set(meanwhile.target),
        )
        self.plans.append(planned)
        check_plan(planned, before, meanwhile)
        return planned

    def run(self, planned: Planned, number: int, *events: Event, is_new_try: bool = True) -> None:
        """Run one batch of a plan once more."""
        planned.tries += is_new_try or not planned.tries
        tries, header, uri = planned.tries, planned.plan.header, planned.plan.batch_uris[number]
        ledger = Ledger(self.work, header.plan_id, header.batches[number].number, tries)
        rows, known, before = (
            read_batch(self.work, uri),
            self._proven(planned, header.batches[number].number),
            self.target(),
        )
        settled = {
            row.name for row in rows if row.number in known or (tries > 1 and self._is_in_place(planned, row, before))
        }
        self._touch({row.name for row in rows}, but=planned)
        since = max((request.number for request in self.oss.requests), default=0)
        with self._meddling(events, lambda: self.run(planned, number)) as (watch, meanwhile):
            self._tried(
                lambda: run_batch(
                    self._mover(SetOptions.of_json(header.options), tries), header, header.batches[number], rows,
                    ledger, config=CONFIG, watch=watch, check_first=True if tries > 1 else None, small_size=PART,
                )
            )  # fmt: skip
        again = self._moved(since) & settled - meanwhile.target - set(meanwhile.source)
        assert not again, f"{again} were in their place, and are moved once more"
        check_unchanged(before, self.target(), {*(row.name for row in rows), *meanwhile.target})

    def finish(self, planned: Planned, recheck: Recheck | None, *events: Event) -> Verdict | None:
        """Finish a plan; None when it is not proven, or the try fails or is killed."""
        header, before = planned.plan.header, self.target()
        with self._meddling(events, lambda: self.finish(planned, recheck), spares=DELETING) as (watch, meanwhile):
            mover = self._mover(SetOptions.of_json(header.options))
            verdict = self._tried(lambda: finish_plan(mover, self.work, planned.plan, recheck=recheck, watch=watch))
        known = {number for batch in header.batches for number in self._proven(planned, batch.number)}
        check_finish(
            planned, verdict, before, self.target(), meanwhile,
            is_listed=recheck == "list" or (recheck is None and bool(planned.victims)),
            proven={row.name for row in planned.rows.values() if row.number in known},
            is_last=planned is self.plans[-1],
        )  # fmt: skip
        self._touch(set(planned.victims), but=planned)
        planned.is_proven |= verdict is not None
        return verdict

    def _tried(self, do: Callable[[], T]) -> T | None:
        try:
            return do()
        except (OSSResumeError, Killed):
            return None

    @contextmanager
    def _meddling(
        self, events: Collection[Event], twin: Callable[[], object], *, spares: Collection[str] = ()
    ) -> Iterator[tuple[Watch, Meanwhile]]:
        """Let events happen at the requests of the block.

        :param spares: operations at which nobody writes to the target
        """
        meanwhile = Meanwhile()
        meddler = Meddler(self.oss, events, self._failures)

        def act(event: Event, request: Request) -> None:
            if event.what == "source":
                self.write_source(event.name, event.version)
            elif event.what == "target" and request.operation not in spares:
                self.write_target(event.name, event.version)
            elif event.what == "twin":
                twin()

        self._meanwhile.append(meanwhile)
        try:
            with meddler.meddling(act):
                yield meddler.watch, meanwhile
        finally:
            self._meanwhile.pop()
        for error in self._failures:
            raise error

    # --- what there is ------------------------------------------------------------------------------------------------

    def target(self) -> dict[str, Seen]:
        """All that is in the target; what others have not written is known to be of a file's content at some time."""
        found = {}
        for each in self._mover(SetOptions()).target.scan(SetOptions(), is_source=False, watch=lambda: None):
            assert isinstance(each, Entry)
            is_local = self.direction == "download"
            data = (self.folder / each.name).read_bytes() if is_local else self.oss.object(BUCKET, PREFIX + each.name)
            assert data in self.history[each.name], f"{each.name} holds bytes that nobody has written"
            found[each.name] = Seen(data, each.identity)
        return found

    def check(self) -> None:
        """Source and surroundings are as others have left them."""
        prefix = self._source_prefix
        keys = [key for key in self.oss.objects(BUCKET) if key.startswith(prefix)]
        there = {key[len(prefix) :]: self.oss.object(BUCKET, key) for key in keys}
        assert self.source == (read(self.folder) if self.direction == "upload" else there), "the source was written to"
        assert self._outside == self._seen_outside(), "something else was written to"

    def _seen_outside(self) -> dict[str, bytes]:
        ours = (PREFIX, FROM, WORK)
        objects = {key: self.oss.object(BUCKET, key) for key in self.oss.objects(BUCKET) if not key.startswith(ours)}
        return {**objects, **{f"/{path.name}": path.read_bytes() for path in self._parent.iterdir() if path.is_file()}}

    def _is_in_place(self, planned: Planned, row: Row, before: dict[str, Seen]) -> bool:
        """True when a try has moved it before, so that one that looks first does not move it again."""
        seen = before.get(row.name)
        return (
            seen is not None
            and seen.identity != row.was
            and {seen.data} == planned.may_hold(row.name)
            and seen.data == self.source.get(row.name)
        )

    def _moved(self, since: int) -> set[str]:
        """Return the names that requests after that one have moved, or tried to."""
        moves = (each for each in self.oss.requests if each.number > since and each.operation in MOVES[self.direction])
        keys = {str(each.key) for each in moves}
        return {key.removeprefix(PREFIX) for key in keys if key.startswith(PREFIX)}

    def _proven(self, planned: Planned, batch: int) -> set[int]:
        """Return the numbers of the rows that the ledger says are done."""
        rows = read_ledger(self.work, planned.plan.header.plan_id, batch)
        return {number for number, row in rows.items() if row.result in ("done", "same")}

    def _mover(self, options: SetOptions, tries: int = 1) -> Mover:
        owner = Owner(tries, f"try-{tries}")
        settings = MoverSettings(options, lambda: WorkFolderCheckpoints(self.work), CONFIG, owner)
        prefix, folder = OssPrefix(self._client, PrefixRef(BUCKET, PREFIX)), LocalFolder(self.folder)
        if self.direction == "copy":
            source = OssPrefix(self._client, PrefixRef(BUCKET, FROM))
            return PrefixCopy(self._client, source, prefix, settings=settings)
        if self.direction == "upload":
            return FolderUpload(self._client, folder, prefix, settings=settings)
        return PrefixDownload(self._client, prefix, folder, settings=settings)
