"""Objects of a prefix become files of a folder, whole, proven, and nowhere else."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import IntegrityError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.manifest import Row, Victim
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.left_files import PART_FILE
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.moving_world import PREFIX, Batches, read, write
from tests.world import BUCKET, PART, some_bytes

LARGE = 5 * PART
SIZES = pytest.mark.parametrize("size", [1_000, LARGE])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_each_object_is_a_file_of_its_relative_name_and_bytes(oss: LocalOSS, folder: Path) -> None:
    files = {"a": b"1", "b/c": some_bytes(3_000_000), "b/d/é": b"", "large": some_bytes(LARGE)}
    batches = Batches(oss, folder, "download")
    batches.put(files)
    report = batches.run(small_size=LARGE)
    assert read(folder) == files
    assert (report.done, report.failed, report.proven) == (4, 0, 4)


@SIZES
@pytest.mark.parametrize("text", ["9" * 30, "9" * 5_000, str(2**63 - 1), "-1", "1.5", "x", ""])
def test_a_time_that_no_file_can_have_is_no_failure(oss: LocalOSS, folder: Path, size: int, text: str) -> None:
    batches = Batches(oss, folder, "download", keep_mtime=True)
    oss.put(BUCKET, f"{PREFIX}a", some_bytes(size), **{"x-oss-meta-ossresume-mtime": text})
    report = batches.run(small_size=LARGE)
    assert (report.done, report.failed) == (1, 0)
    assert read(folder) == {"a": some_bytes(size)}


def test_what_takes_a_files_place_at_once_is_not_taken_for_proven(
    oss: LocalOSS, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = PartFile.publish

    def publish_and_replace(self: PartFile, final: Path, **how: Any) -> None:
        publish(self, final, **how)
        write(folder, {"other": b"2"})
        os.replace(folder / "other", final)

    monkeypatch.setattr(PartFile, "publish", publish_and_replace)
    batches = Batches(oss, folder, "download")
    batches.put({"a": b"1"})
    batches.run()
    assert batches.ledger.kept[1].target == ""


def test_a_try_that_was_killed_before_it_set_the_time_is_made_up_for(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download", keep_mtime=True)
    oss.put(BUCKET, f"{PREFIX}a", b"1", **{"x-oss-meta-ossresume-mtime": "1000000001"})
    rows = batches.rows()
    write(folder, {"a": b"1"})
    report = batches.run(rows)
    assert (report.same, (folder / "a").stat().st_mtime_ns) == (1, 1_000_000_001)


def test_the_ledger_has_what_a_later_scan_of_both_sides_shows(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download", keep_mtime=True)
    files = {"small": some_bytes(1_000), "large": some_bytes(LARGE)}
    batches.put(files)
    rows = batches.rows()
    batches.run(rows, small_size=LARGE)
    mover = batches.mover()
    sources = batches.entries(mover.source, is_source=True)
    targets = batches.entries(mover.target, is_source=False)
    for row in rows:
        kept = batches.ledger.kept[row.number]
        assert (kept.source, kept.target) == (sources[row.name].identity, targets[row.name].identity)
        assert (kept.crc64, kept.size) == (crc64(files[row.name]), len(files[row.name]))


@SIZES
def test_a_file_has_the_mode_that_the_umask_gives(oss: LocalOSS, folder: Path, size: int) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a/b": some_bytes(size)})
    before = os.umask(0o027)
    try:
        batches.run(small_size=LARGE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "a/b").stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o750


@SIZES
def test_the_mtime_that_an_upload_left_is_set_to_the_nanosecond(oss: LocalOSS, folder: Path, size: int) -> None:
    batches = Batches(oss, folder, "download", keep_mtime=True)
    oss.put(BUCKET, f"{PREFIX}a", some_bytes(size), **{"x-oss-meta-ossresume-mtime": "1600000000123456789"})
    batches.run(small_size=LARGE)
    assert (folder / "a").stat().st_mtime_ns == 1_600_000_000_123_456_789


def test_a_marker_becomes_an_empty_folder_where_that_is_asked_for(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download", empty_folders="marker")
    batches.put({"a/empty/": b""})
    batches.run()
    assert (folder / "a" / "empty").is_dir()


@SIZES
def test_an_object_that_is_not_what_the_plan_saw_is_left_and_named(oss: LocalOSS, folder: Path, size: int) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(size)})
    rows = batches.rows()
    batches.put({"a": some_bytes(size, seed=2)})
    batches.run(rows, small_size=LARGE)
    assert read(folder) == {}
    assert batches.results() == {1: ("skipped", "source_changed")}


@SIZES
def test_an_object_that_is_not_what_the_plan_saw_is_taken_as_it_is_where_that_is_asked_for(
    oss: LocalOSS, folder: Path, size: int
) -> None:
    batches = Batches(oss, folder, "download", source_changed="take")
    batches.put({"a": some_bytes(size)})
    rows = batches.rows()
    batches.put({"a": b"now"})
    batches.run(rows, small_size=LARGE)
    assert read(folder) == {"a": b"now"}
    assert batches.results() == {1: ("done", "")}


@SIZES
def test_an_object_that_is_gone_is_left_and_named(oss: LocalOSS, folder: Path, size: int) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(size), "b": b"stays"})
    rows = batches.rows()
    batches.client.delete_object(ObjectRef(BUCKET, f"{PREFIX}a"))
    batches.run(rows, small_size=LARGE)
    assert read(folder) == {"b": b"stays"}
    assert batches.results() == {1: ("skipped", "vanished"), 2: ("done", "")}


def test_an_object_that_changes_while_it_is_read_is_never_mixed(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(3_000_000)})
    rows = batches.rows()
    with oss.failing("GetObject", fault=Fault("truncated", after_bytes=2_000_000), times=1):
        requests = itertools.count(1)

        def replace(request: Request) -> None:
            if request.operation == "GetObject" and next(requests) > 1:
                batches.put({"a": some_bytes(3_000_000, seed=2)})

        oss.on_request = replace
        batches.run(rows)
    assert read(folder) == {}
    assert batches.results() == {1: ("skipped", "source_changed")}


def test_what_breaks_off_goes_on_behind_the_last_byte(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(3_000_000)})
    with oss.failing("GetObject", fault=Fault("truncated", after_bytes=2_000_000), times=1):
        batches.run()
    assert read(folder) == {"a": some_bytes(3_000_000)}
    assert sum(call.bytes_sent for call in oss.calls("GetObject")) < 4_000_000


def test_what_comes_damaged_is_fetched_again_once(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(1_000)})
    with oss.failing("GetObject", fault=Fault("flip", after_bytes=10), times=1):
        batches.run()
    assert read(folder) == {"a": some_bytes(1_000)}


def test_what_always_comes_damaged_leaves_nothing(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(1_000), "b": b"2"})
    with oss.failing("GetObject", fault=Fault("flip", after_bytes=10), key=f"{PREFIX}a"):
        batches.run()
    assert read(folder) == {"b": b"2"}
    assert batches.results() == {1: ("failed", IntegrityError.__name__), 2: ("done", "")}


def test_an_object_without_a_crc64_is_taken_by_its_etag_and_size(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(1_000)})
    rows = batches.rows()
    with oss.failing("*", fault=Fault("no-crc")):
        batches.run(rows)
    assert read(folder) == {"a": some_bytes(1_000)}


def test_what_a_killed_try_left_is_gone_with_the_next_one(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(1_000)})
    write(folder, {part_file_name("a", f"oss://{BUCKET}/{PREFIX}a"): some_bytes(5_000, seed=2)})
    batches.run()
    assert read(folder) == {"a": some_bytes(1_000)}


def test_a_file_grows_under_a_name_that_scans_leave_out_and_the_janitor_knows(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(100_000)})
    rows = batches.rows()
    names: set[str] = set()
    oss.on_request = lambda request: names.update(os.listdir(folder))
    batches.run(rows)
    [growing] = names - {"a"}
    assert re.fullmatch(PART_FILE, growing.encode())
    (folder / growing).write_bytes(b"")
    assert list(batches.entries(batches.mover().target, is_source=False)) == ["a"]


def test_a_part_file_that_another_try_writes_to_is_left_to_it(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": b"1"})
    folder.mkdir()
    name = part_file_name("a", f"oss://{BUCKET}/{PREFIX}a")
    with (folder / name).open("wb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        theirs.write(b"theirs")
        theirs.flush()
        batches.run()
    assert read(folder) == {"a": b"1", name: b"theirs"}


@SIZES
def test_links_on_the_way_are_refused_and_lead_nowhere(oss: LocalOSS, folder: Path, size: int) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "name").symlink_to(outside / "file")
    batches = Batches(oss, folder, "download")
    batches.put({"link/a": some_bytes(size), "name": some_bytes(size), "good": b"1"})
    report = batches.run(small_size=LARGE)
    assert read(outside) == {"file": b"theirs"}
    assert (folder / "good").read_bytes() == b"1"
    assert (folder / "name").is_symlink()
    assert (report.failed, report.done) == (2, 1)


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "./a", "a//b", "a\0b", ".."])
@SIZES
def test_a_row_of_another_plan_leads_nowhere(oss: LocalOSS, folder: Path, name: str, size: int) -> None:
    batches = Batches(oss, folder, "download", source_changed="take")
    folder.mkdir()
    report = batches.run([Row(1, name, size, "o:1")], small_size=LARGE)
    assert report.failed + sum(report.skipped.values()) == 1
    assert read(folder.parent) == {}


@SIZES
def test_a_folder_that_is_moved_while_a_file_comes_takes_the_file_along(oss: LocalOSS, folder: Path, size: int) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    batches = Batches(oss, folder, "download")
    batches.put({"b/a": some_bytes(size)})
    rows = batches.rows()

    def swap(request: Request) -> None:
        if request.operation == "GetObject" and not (folder / "b").is_symlink():
            (folder / "b").rename(folder / "moved")
            (folder / "b").symlink_to(outside)

    oss.on_request = swap
    batches.run(rows, small_size=LARGE)
    assert read(outside) == {}
    assert read(folder) == {"moved/a": some_bytes(size)}


@SIZES
def test_a_folder_in_a_files_place_is_refused_and_kept(oss: LocalOSS, folder: Path, size: int) -> None:
    write(folder, {"a/theirs": b"1"})
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(size)})
    report = batches.run([row for row in batches.rows() if row.name == "a"], small_size=LARGE)
    assert read(folder) == {"a/theirs": b"1"}
    assert (report.failed, report.is_retryable) == (1, False)
    assert str(folder / "a") in report.failures["a"]


def test_a_file_that_others_wrote_since_the_plan_is_kept_where_that_is_asked_for(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"old": b"before", "same": b"before", "large": b"before"})
    batches = Batches(oss, folder, "download", target_changed="fail")
    batches.put({"new": b"1", "old": b"2", "same": b"3", "large": some_bytes(LARGE), "large-new": some_bytes(LARGE)})
    rows = batches.rows()
    theirs = {"new": b"theirs", "old": b"theirs", "large": b"theirs", "large-new": b"theirs"}
    write(folder, theirs)
    report = batches.run(rows, small_size=LARGE)
    assert read(folder) == {**theirs, "same": b"3"}
    assert (report.failed, report.done) == (4, 1)


def test_a_file_that_holds_the_bytes_already_is_not_fetched(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "download")
    batches.put({"a": some_bytes(1_000)})
    rows = batches.rows()
    write(folder, {"a": some_bytes(1_000)})  # by a try that was killed before its ledger said so
    report = batches.run(rows)
    assert (report.same, report.bytes_moved, len(oss.calls("GetObject"))) == (1, 0, 0)


def test_equal_bytes_are_proven_by_their_crc64_alone(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"same": b"1", "other": b"2", "longer": b"12"})
    batches = Batches(oss, folder, "download")
    batches.put({"same": b"1", "other": b"3", "longer": b"1"})
    mover = batches.mover()
    sources = batches.entries(mover.source, is_source=True)
    targets = batches.entries(mover.target, is_source=False)
    facts = batches.facts()
    assert list(facts) == ["same"]
    assert (facts["same"].source, facts["same"].target) == (sources["same"].identity, targets["same"].identity)


def test_only_files_that_are_what_the_plan_saw_are_deleted(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"b/victim": b"1", "changed": b"2", "gone": b"3", "stays": b"4", "c/gone": b"5"})
    batches = Batches(oss, folder, "download")
    mover = batches.mover()
    there = batches.entries(mover.target, is_source=False)
    victims = [Victim(name, there[name].size, there[name].identity) for name in there if name != "stays"]
    (folder / "gone").unlink()
    (folder / "c/gone").unlink()
    (folder / "c").rmdir()
    write(folder, {"changed": b"theirs"})
    with Crew(workers=4, tick=lambda: None) as crew:
        fates = {victim.name: fate for victim, fate in mover.delete(victims, crew)}
    assert fates == {"b/victim": "deleted", "changed": "changed", "gone": "gone", "c/gone": "gone"}
    assert read(folder) == {"changed": b"theirs", "stays": b"4"}


@SIZES
def test_a_symbolic_link_that_is_followed_becomes_a_file_of_what_it_leads_to(
    oss: LocalOSS, folder: Path, size: int
) -> None:
    batches = Batches(oss, folder, "download", symlinks="follow")
    oss.put(BUCKET, "elsewhere", some_bytes(size))
    oss2 = pytest.importorskip("oss2")
    auth = oss2.Auth(oss.access_key_id, oss.access_key_secret)
    oss2.Bucket(auth, oss.endpoint, BUCKET).put_symlink("elsewhere", f"{PREFIX}link")
    batches.run(small_size=LARGE)
    assert read(folder) == {"link": some_bytes(size)}
