"""A finish may look at the target again: what others have deleted or overwritten since is not proven."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import NotProven, OSSResumeError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.packed_rows import unpack_rows
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.ports import ScanItem
from airflow_provider_ossresume.sets.set_transfers import LocationRef, SetTransfers
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_verdict
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.moving_world import write
from tests.sets_world import MemoryEnd, Sets
from tests.world import BUCKET, PART, a_client, some_bytes

SOURCE = {f"{number:02}": b"%d" % number for number in range(20)}
MIRROR: dict[str, Any] = {"mode": "mirror", "max_delete_share": 1}
TARGET = PrefixRef(BUCKET, "set/")
FILES = {"a": b"1", "b/c": b"22", "d": b"333", "e": b"4444"}


@pytest.fixture
def sets(tmp_path: Path) -> Callable[..., Sets]:
    return lambda source, target=None: Sets(tmp_path, source, target)


def moved(world: Sets, **options: Any) -> Plan:
    plan = world.plan(**options)
    world.run(plan)
    return plan


def disturb(world: Sets) -> None:
    world.target.remove("03")
    world.target.write("11", SOURCE["11"])
    world.target.write("of others", b"")


# --- what is noticed --------------------------------------------------------------------------------------------------


def test_what_was_deleted_or_overwritten_since_is_not_proven_and_is_named(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE)
    plan = moved(world, batch_files=6)
    disturb(world)

    with pytest.raises(NotProven, match="2 of 20 files") as raised:
        world.finish(plan, recheck="list")

    assert {name: said.partition(":")[0] for name, said in raised.value.failures.items()} == {
        "03": "target_gone",
        "11": "target_changed",
    }
    assert raised.value.retryable  # by a new plan
    verdict = read_verdict(world.work, plan.header.plan_id)
    assert verdict is not None
    assert (verdict.outcome, verdict.files, verdict.moved, verdict.failed) == ("not proven", 20, 18, 2)
    assert verdict.size == sum(len(data) for name, data in SOURCE.items() if name not in ("03", "11"))
    [name] = [name for name in world.written("plans/") if name.endswith("failed.jsonl.gz")]
    assert [json.loads(line)["name"] for line in unpack_rows(world.work.read(name) or b"")] == ["03", "11"]


def test_a_new_plan_moves_what_was_lost(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE)
    plan = moved(world)
    disturb(world)
    with pytest.raises(NotProven):
        world.finish(plan, recheck="list")

    again = moved(world)
    assert world.names(again) == ["03"]
    assert world.mover.compared == ["11"]
    assert world.finish(again, recheck="list").outcome == "proven"


def test_a_copy_believes_its_ledger_unless_it_is_asked_to_list(sets: Callable[..., Sets]) -> None:
    for recheck in (None, "ledger"):
        world = sets(SOURCE)
        plan = moved(world, compare="always")
        world.target.remove("03")
        scans = world.target.scans

        assert world.finish(plan, recheck=recheck).outcome == "proven"
        assert world.target.scans == scans


def test_a_mirror_looks_again_before_it_deletes(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, {"old": b"0"})
    plan = moved(world, **MIRROR)
    disturb(world)

    with pytest.raises(NotProven, match="2 of 20"):
        world.finish(plan)
    assert world.mover.deleted == []

    assert world.finish(plan, recheck="ledger").deleted == 1


def test_a_mirror_that_can_delete_nothing_is_not_listed_again(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE)
    plan = moved(world, **MIRROR)
    scans = world.target.scans
    assert world.finish(plan).outcome == "proven"
    assert world.target.scans == scans

    world.source.write("new", b"new")
    world.target.write("old", b"0")
    plan = world.plan(**MIRROR)
    world.run(plan, fails=["new"])
    scans = world.target.scans
    with pytest.raises(NotProven):
        world.finish(plan)
    assert world.target.scans == scans


def test_a_listing_that_breaks_off_deletes_nothing(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, {"old": b"0"})
    plan = moved(world, **MIRROR)
    world.target.fails_at = "11"

    with pytest.raises(OSSResumeError, match="the listing broke"):
        world.finish(plan)
    assert world.mover.deleted == []

    world.target.fails_at = None
    assert world.finish(plan).deleted == 1


def test_what_a_list_has_moved_is_looked_up_and_the_target_is_not_listed(
    sets: Callable[..., Sets], tmp_path: Path
) -> None:
    world = sets(SOURCE)
    (tmp_path / "list").write_text("03\n05\n")
    plan = moved(world, files_from=str(tmp_path / "list"))
    disturb(world)

    with pytest.raises(NotProven, match="1 of 2 files"):
        world.finish(plan, recheck="list")
    assert world.target.scans == 0


class Late(MemoryEnd):
    """Its listings do not show a name that is there."""

    def scan(self, *arguments: Any, **named: Any) -> Iterator[ScanItem]:
        return (found for found in super().scan(*arguments, **named) if found.name != "03")


def test_what_a_listing_does_not_show_is_looked_up_before_it_counts_as_lost(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE)
    world.target = world.mover.target = Late(world.target.uri)
    plan = moved(world)

    assert world.finish(plan, recheck="list").outcome == "proven"
    assert world.target.looked_up == ["03"]


# --- real ends --------------------------------------------------------------------------------------------------------


class Real:
    """One transfer between a folder and a prefix, in steps."""

    def __init__(self, oss: LocalOSS, root: Path) -> None:
        config = TransferConfig.of({"part_size": PART, "multipart_threshold": PART, "progress_interval": 0})
        self.transfers = SetTransfers(a_client(oss), config)
        self.work = str(root / "work")

    def moved(self, source: LocationRef, target: LocationRef, **options: Any) -> str:
        plan = self.transfers.plan(source, target, options=SetOptions(**options), work_folder=self.work)
        for uri in plan.batch_uris:
            self.transfers.run_batch(uri)
        return plan.uri

    def lost(self, plan_uri: str) -> dict[str, str]:
        try:
            verdict = self.transfers.finish(plan_uri, recheck="list")
        except NotProven as error:
            return {name: said.partition(":")[0] for name, said in error.failures.items()}
        assert verdict.outcome == "proven"
        return {}


@pytest.fixture
def real(oss: LocalOSS, tmp_path: Path) -> Real:
    write(tmp_path / "source", FILES)
    (tmp_path / "source/empty").mkdir()
    return Real(oss, tmp_path)


def test_objects_that_were_deleted_or_overwritten_are_noticed(real: Real, oss: LocalOSS, tmp_path: Path) -> None:
    options = {"empty_folders": "marker"}
    plan = real.moved(LocalFolder(tmp_path / "source"), TARGET, **options)
    untouched = real.moved(LocalFolder(tmp_path / "source"), PrefixRef(BUCKET, "other/"), **options)
    client = a_client(oss)
    client.delete_objects(BUCKET, ["set/a", "set/empty/"])
    oss.put(BUCKET, "set/b/c", b"23")

    assert real.lost(plan) == {"a": "target_gone", "b/c": "target_changed", "empty/": "target_gone"}
    assert real.lost(untouched) == {}


def test_files_that_were_deleted_or_overwritten_are_noticed_and_a_new_mode_is_none(
    real: Real, oss: LocalOSS, tmp_path: Path
) -> None:
    for name, data in FILES.items():
        oss.put(BUCKET, f"set/{name}", data)
    oss.put(BUCKET, "set/empty/", b"")
    down = tmp_path / "down"
    plan = real.moved(TARGET, LocalFolder(down), empty_folders="marker")
    (down / "empty/of others").write_bytes(b"")
    (down / "a").chmod(0o600)
    (down / "b/c").unlink()
    (down / "d").write_bytes(b"3333")
    os.rename(down / "e", tmp_path / "e")
    (down / "e").symlink_to(tmp_path / "e")

    assert real.lost(plan) == {"b/c": "target_gone", "d": "target_changed", "e": "target_changed"}


def test_what_was_moved_part_by_part_or_copied_is_as_it_was_left(real: Real, tmp_path: Path) -> None:
    write(tmp_path / "source", {"large": some_bytes(3 * PART)})
    ends: list[LocationRef] = [
        LocalFolder(tmp_path / "source"),
        TARGET,
        PrefixRef(BUCKET, "other/"),
        LocalFolder(tmp_path / "down"),
    ]
    plans = [real.moved(source, target, keep_mtime=True) for source, target in itertools.pairwise(ends)]

    assert [real.lost(plan) for plan in plans] == [{}, {}, {}]


def test_a_folder_that_a_link_has_replaced_is_noticed(real: Real, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "set/b/c", b"22")
    plan = real.moved(TARGET, LocalFolder(tmp_path / "down"))
    os.rename(tmp_path / "down/b", tmp_path / "elsewhere")
    (tmp_path / "down/b").symlink_to(tmp_path / "elsewhere")

    assert real.lost(plan) == {"b/c": "target_changed"}
