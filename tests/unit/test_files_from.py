"""Lists of names: only what a list names is looked up and moved, and neither side is listed."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    ArgumentError,
    IntegrityError,
    NoSuchBucket,
    NoSuchKey,
    NotProven,
    PlanRefused,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.packed_rows import unpack_rows
from airflow_provider_ossresume.model.plan_layout import left_out_name
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.ports import Location, ScanItem
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_batch
from airflow_provider_ossresume.transfer.crew import Crew
from tests.moving_world import write
from tests.sets_world import Sets
from tests.world import BUCKET, a_client

TARGET = PrefixRef(BUCKET, "set/")
FILES = {"a.csv": b"1", "b/c.csv": b"22", "b-d": b"333", "#no comment": b"4", "other": b"55555"}


class World:
    """A folder with files, a prefix, and transfers between them."""

    def __init__(self, oss: LocalOSS, root: Path) -> None:
        self.oss = oss
        self.root = root
        self.folder = root / "source"
        self.work = root / "work"
        self.transfers = SetTransfers(a_client(oss))

    def a_list(self, data: bytes, name: str = "list.txt") -> str:
        (self.root / name).write_bytes(data)
        return str(self.root / name)

    def plan(self, files_from: str, **options: Any) -> Plan:
        chosen = SetOptions(files_from=files_from, **options)
        return self.transfers.plan(LocalFolder(self.folder), TARGET, options=chosen, work_folder=str(self.work))

    def rows(self, plan: Plan) -> list[str]:
        work = open_work_folder(self.work)
        return [row.name for uri in plan.batch_uris for row in read_batch(work, uri)]

    def left_out(self, plan: Plan) -> dict[str, str]:
        data = open_work_folder(self.work).read(left_out_name(plan.header.plan_id)) or b""
        rows = [json.loads(line) for line in unpack_rows(data)]
        return {row["name"]: row["reason"] for row in rows}


@pytest.fixture
def world(oss: LocalOSS, tmp_path: Path) -> World:
    made = World(oss, tmp_path)
    write(made.folder, FILES)
    return made


# --- what a list is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\n\r\n\n"], ids=["unix", "windows", "empty lines"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_text_has_one_name_a_line_sorted_and_each_once(world: World, ending: bytes, packed: bool) -> None:
    data = ending.join([b"b/c.csv", b"#no comment", b"b-d", b"b/c.csv"])
    name = "list.txt.gz" if packed else "list.txt"

    plan = world.plan(world.a_list(gzip.compress(data) if packed else data, name))

    assert world.rows(plan) == ["#no comment", "b-d", "b/c.csv"]
    assert plan.header.found["source_files"] == 3
    assert plan.header.left_out == {}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_json_lines_have_objects_with_a_name(world: World, packed: bool) -> None:
    data = b'{"name": "b-d", "reason": "x"}\r\n\n{"size": 1, "name": "a.csv"}\n'
    name = "list.jsonl.gz" if packed else "list.jsonl"

    plan = world.plan(world.a_list(gzip.compress(data) if packed else data, name))

    assert world.rows(plan) == ["a.csv", "b-d"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(world: World) -> None:
    assert world.rows(world.plan(world.a_list(b"\xef\xbb\xbfa.csv\r\n"))) == ["a.csv"]


def test_a_list_may_lie_on_oss_and_may_be_named_by_a_url_of_a_file(world: World) -> None:
    world.oss.put(BUCKET, "lists/today.jsonl.gz", gzip.compress(b'{"name": "a.csv"}\n'))
    path = Path(world.a_list(b"b-d\n", "a list ü.txt"))

    assert world.rows(world.plan(f"oss://{BUCKET}/lists/today.jsonl.gz")) == ["a.csv"]
    assert world.rows(world.plan(path.as_uri())) == ["b-d"]


def test_a_list_whose_transmission_breaks_is_read_whole(world: World) -> None:
    names = [f"file-{number:05}" for number in range(30_000)]
    random.Random(1).shuffle(names)
    world.oss.put(BUCKET, "lists/long.txt", "\n".join([*names, "a.csv"]).encode())
    world.oss.fail("GetObject", key="lists/long.txt", nth=1, times=2, fault=Fault("reset-answer", after_bytes=100_000))

    plan = world.plan(f"oss://{BUCKET}/lists/long.txt")

    assert world.rows(plan) == ["a.csv"]
    assert plan.header.left_out == {"vanished": 30_000}


def test_a_list_that_is_damaged_on_its_way_is_not_believed(world: World) -> None:
    world.oss.put(BUCKET, "lists/today.txt", b"a.csv")
    world.oss.fail("GetObject", key="lists/today.txt", fault=Fault("flip-answer", after_bytes=2))

    with pytest.raises(IntegrityError, match=r"lists/today\.txt"):
        world.plan(f"oss://{BUCKET}/lists/today.txt")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("l.txt", b"", "the list is empty"),
        ("l.txt", b"\n\r\n\n", "the list is empty"),
        ("l.jsonl", b"\n", "the list is empty"),
        ("l.jsonl", b'{"name": "a"}\n"b"\n', "line 2 is not a JSON object"),
        ("l.jsonl", b'{"name": ""}', "line 1 is not a JSON object"),
        ("l.jsonl", b'{"name": null}', "line 1 is not a JSON object"),
        ("l.jsonl", b'{"name": "\\ud800"}', "line 1 is not a JSON object"),
        ("l.jsonl", b"a.csv\n", "line 1 is not a JSON object"),
        ("l.txt", b"a" * 70_000, "line 1 is longer than 64 KiB"),
        ("l.txt.gz", b"a.csv\n", "damaged after line 0"),
        ("l.txt.gz", gzip.compress(b"a.csv\n" * 9, mtime=0)[:-9], "is damaged"),
    ],
    ids=[
        "an empty text",
        "a text of empty lines",
        "an empty line of JSON",
        "no object",
        "an empty name",
        "a null",
        "half a surrogate",
        "a text for JSON",
        "an endless line",
        "a text for gzip",
        "a torn gzip",
    ],
)
def test_what_is_no_list_or_names_nothing_is_refused(world: World, name: str, data: bytes, said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as raised:
        world.plan(world.a_list(data, name))

    assert raised.value.argument == "files_from"
    assert not world.work.exists()


def test_a_list_that_is_not_there_is_named(world: World) -> None:
    with pytest.raises(ArgumentError, match="does not exist on this worker") as raised:
        world.plan(str(world.root / "absent.txt"))
    assert raised.value.retryable  # by a worker that has it
    with pytest.raises(ArgumentError, match="this is not a file"):
        world.plan(str(world.root))
    with pytest.raises(NoSuchKey, match=r"lists/absent\.txt"):
        world.plan(f"oss://{BUCKET}/lists/absent.txt")


@pytest.mark.parametrize("where", ["", " ", "None", "relative.txt", 7, "oss://", "oss://bucket", "oss://bucket/", []])
def test_a_place_where_no_list_can_be_is_refused(where: Any) -> None:
    with pytest.raises(ArgumentError, match="files_from"):
        SetOptions(files_from=where)


def test_a_mirror_takes_no_list_as_it_would_delete_all_the_rest() -> None:
    with pytest.raises(ArgumentError, match=r'files_from.*mode="mirror"'):
        SetOptions(files_from="/list.txt", mode="mirror")


# --- what is moved ----------------------------------------------------------------------------------------------------


def test_only_what_is_named_is_moved_and_the_target_is_not_listed(world: World) -> None:
    world.oss.put(BUCKET, "set/a.csv", b"1")
    world.oss.put(BUCKET, "set/other", b"kept")
    listing = world.a_list(b"a.csv\nb/c.csv\n")

    verdict = world.transfers.transfer(
        LocalFolder(world.folder), TARGET, options=SetOptions(files_from=listing), work_folder=str(world.work)
    )

    assert (verdict.outcome, verdict.moved, verdict.there) == ("proven", 1, 1)
    assert world.oss.object(BUCKET, "set/b/c.csv") == b"22"
    assert world.oss.object(BUCKET, "set/other") == b"kept"
    assert "set/b-d" not in world.oss.objects(BUCKET)
    assert not world.oss.calls("ListObjectsV2")


@pytest.mark.parametrize("to", ["folder", "prefix"])
def test_a_download_and_a_copy_look_each_name_up_by_one_head(world: World, to: str) -> None:
    for name, data in FILES.items():
        world.oss.put(BUCKET, f"from/{name}", data)
    listing = world.a_list(b"b/c.csv\nb-d\nabsent\n")
    folder = world.root / "down"
    target = LocalFolder(folder) if to == "folder" else TARGET

    verdict = world.transfers.transfer(
        PrefixRef(BUCKET, "from/"), target, options=SetOptions(files_from=listing), work_folder=str(world.work)
    )

    assert (verdict.outcome, verdict.moved, dict(verdict.left_out)) == ("proven", 2, {"vanished": 1})
    moved = {"b/c.csv": b"22", "b-d": b"333"}
    if to == "folder":
        assert {name: (folder / name).read_bytes() for name in moved} == moved
    else:
        assert {name: world.oss.object(BUCKET, f"set/{name}") for name in moved} == moved
    assert not world.oss.calls("ListObjectsV2")
    assert [call.key for call in world.oss.calls("HeadObject")].count("from/absent") == 1


def test_what_is_not_there_is_counted_and_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        plan = world.plan(world.a_list(b"a.csv\nabsent\nother/below a file\n"))

    assert world.rows(plan) == ["a.csv"]
    assert plan.header.left_out == {"vanished": 2}
    assert world.left_out(plan) == {"absent": "vanished", "other/below a file": "vanished"}
    assert "2 names of the list" in caplog.text


def test_what_is_not_there_fails_the_plan_where_that_is_asked_for(world: World) -> None:
    with pytest.raises(PlanRefused, match='vanished="skip"') as raised:
        world.plan(world.a_list(b"a.csv\nabsent\n"), vanished="fail")

    assert list(raised.value.found) == ["absent"]


def test_filters_apply_to_what_is_named(world: World) -> None:
    names = b"a.csv\nb/c.csv\nb-d\nother\nabsent\n"
    plan = world.plan(world.a_list(names), include=["**/*.csv", "other"], exclude=["b/**"], max_size=4)

    assert world.rows(plan) == ["a.csv"]
    assert world.left_out(plan) == dict.fromkeys(["absent", "b-d", "b/c.csv", "other"], "filtered")


BAD = ["../source/a.csv", "b/../a.csv", "/etc/passwd", "./a.csv", "b//c.csv", "a\0b", "x" * 1_100, "b", "b\udcff"]


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_a_bad_name_fails_the_plan_and_can_be_skipped(world: World, name: str) -> None:
    listing = world.a_list(name.encode("utf-8", "surrogateescape") + b"\na.csv\n")

    with pytest.raises(PlanRefused, match='bad_names="skip"'):
        world.plan(listing)

    plan = world.plan(listing, bad_names="skip")
    assert world.rows(plan) == ["a.csv"]
    assert plan.header.left_out == {"bad_name": 1}


def test_what_lies_in_a_work_folder_is_never_moved(world: World) -> None:
    write(world.folder, {".ossresume/plans/x": b"1", "work/plans/y": b"2", "work/x": b"3"})
    world.work = world.folder / "work"
    plan = world.plan(world.a_list(b".ossresume/plans/x\nwork/plans/y\nworked\na.csv\n"), bad_names="skip")

    assert world.rows(plan) == ["a.csv"]
    assert plan.header.left_out == {"bad_name": 2, "vanished": 1}


def test_the_list_of_what_failed_is_a_list_as_it_is(world: World) -> None:
    world.oss.fail("PutObject", key="set/b-d", times=None, fault=Fault("status", status=403, code="AccessDenied"))
    end = LocalFolder(world.folder)
    with pytest.raises(NotProven):
        world.transfers.transfer(end, TARGET, options=SetOptions(), work_folder=str(world.work))
    [failed] = world.work.glob("plans/*/failed.jsonl.gz")
    world.oss.clear_faults()

    options = SetOptions(files_from=failed.as_uri())
    verdict = world.transfers.transfer(end, TARGET, options=options, work_folder=str(world.work))

    assert (verdict.outcome, verdict.files, verdict.moved) == ("proven", 1, 1)


def test_a_bucket_that_is_not_there_is_no_list_of_vanished_names(world: World) -> None:
    options = SetOptions(files_from=world.a_list(b"a\n"))
    with pytest.raises(NoSuchBucket):
        world.transfers.plan(PrefixRef("no-such-bucket", "a/"), TARGET, options=options, work_folder=str(world.work))


def test_facts_of_what_a_list_does_not_name_are_kept(tmp_path: Path) -> None:
    files = {f"{number:04}": b"%d" % number for number in range(3_000)}
    world = Sets(tmp_path, files)
    world.move()
    (tmp_path / "list").write_text("0001\nnew\n")
    world.source.write("new", b"new")
    world.target.write("new", b"new")

    plan = world.plan(files_from=str(tmp_path / "list"))
    assert (plan.header.actions["same"], world.mover.compared) == (2, ["new"])
    assert world.target.looked_up == ["0001", "new"]

    assert world.plan().header.actions["same"] == 3_001
    assert world.mover.compared == ["new"]


def test_an_unfinished_plan_loses_nothing_to_one_with_a_list(tmp_path: Path) -> None:
    world = Sets(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    world.run(world.plan())
    (tmp_path / "list").write_text("c\n")
    world.run(world.plan(files_from=str(tmp_path / "list")))

    assert world.plan().header.actions["same"] == 3
    assert world.mover.compared == []


# --- a look sees what a scan sees -------------------------------------------------------------------------------------


def looked_up(end: Location, names: list[str], *, is_source: bool, **options: Any) -> list[ScanItem]:
    chosen = SetOptions(**options)
    with Crew(workers=4, tick=lambda: None) as crew:
        return list(end.look_up(sorted(names, key=str.encode), chosen, is_source=is_source, crew=crew))


def scanned(end: Location, *, is_source: bool, **options: Any) -> list[Entry]:
    found = end.scan(SetOptions(**options), is_source=is_source, watch=lambda: None)
    return [each for each in found if isinstance(each, Entry)]


@pytest.mark.parametrize("is_source", [True, False])
@pytest.mark.parametrize("symlinks", ["skip", "follow"])
@pytest.mark.parametrize("empty_folders", ["ignore", "marker"])
def test_a_look_into_a_folder_sees_what_a_scan_sees(
    tmp_path: Path, is_source: bool, symlinks: str, empty_folders: str
) -> None:
    write(tmp_path / "set", {**FILES, "d/e/f": b"6"})
    write(tmp_path, {"outside/x": b"7"})
    (tmp_path / "set/empty").mkdir()
    os.mkfifo(tmp_path / "set/pipe")
    links = {"file": "d/e/f", "folder": "d"}
    if symlinks == "skip":  # a scan that follows links refuses these
        links |= {"out": "../outside", "nowhere": "absent"}
    for link, to in links.items():
        (tmp_path / f"set/to-{link}").symlink_to(to)
    end = LocalFolder(tmp_path / "set")
    options = {"symlinks": symlinks, "empty_folders": empty_folders, "special_files": "skip", "bad_names": "skip"}
    names = [*FILES, "d/e/f", "empty/", "pipe", "to-file", "to-folder/e/f", "to-out/x", "to-nowhere", "absent", "d/"]

    found = looked_up(end, names, is_source=is_source, **options)

    assert [each for each in found if isinstance(each, Entry) and each.name != "d/"] == scanned(
        end, is_source=is_source, **options
    )
    if is_source:
        assert [each.name for each in found] == sorted(names, key=str.encode)


@pytest.mark.parametrize("is_source", [True, False])
def test_a_look_below_a_prefix_sees_what_a_scan_sees(oss: LocalOSS, is_source: bool) -> None:
    for name, data in FILES.items():
        oss.put(BUCKET, f"set/{name}", data)
    oss.put(BUCKET, "set/cold", b"8", x_oss_storage_class="ColdArchive")
    oss.put(BUCKET, "set/thawed", b"9", x_oss_storage_class="ColdArchive")
    oss.restore(BUCKET, "set/thawed")
    oss.put(BUCKET, "set/marker/", b"")
    end = OssPrefix(a_client(oss), TARGET)
    names = [*FILES, "cold", "thawed", "absent", "marker/"]
    options = {"archived": "skip", "empty_folders": "marker"}

    found = looked_up(end, names, is_source=is_source, **options)

    assert [each for each in found if isinstance(each, Entry)] == scanned(end, is_source=is_source, **options)
    if is_source:
        assert [each.name for each in found] == sorted(names, key=str.encode)
