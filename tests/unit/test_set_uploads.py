"""Files of a folder go to a prefix, proven, and nothing that changed under the upload is taken for moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import IntegrityError, NotProven
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.manifest import Row, Victim
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.crew import Crew
from tests.moving_world import PREFIX, Batches, write
from tests.world import BUCKET, PART, some_bytes

LARGE = 5 * PART


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def test_each_file_is_an_object_of_its_relative_name_and_bytes(oss: LocalOSS, folder: Path) -> None:
    files = {"a": b"1", "b/c": some_bytes(300_000), "b/d/é": b"", "large": some_bytes(LARGE)}
    write(folder, files)
    batches = Batches(oss, folder, "upload")
    report = batches.run(small_size=LARGE)
    assert batches.objects() == files
    assert (report.done, report.failed, report.proven) == (4, 0, 4)
    assert report.bytes_moved == sum(map(len, files.values()))


def test_the_ledger_has_what_a_later_listing_of_both_sides_shows(oss: LocalOSS, folder: Path) -> None:
    files = {"small": some_bytes(1_000), "large": some_bytes(LARGE)}
    write(folder, files)
    batches = Batches(oss, folder, "upload")
    rows = batches.rows()
    batches.run(rows, small_size=LARGE)
    mover = batches.mover()
    sources = batches.entries(mover.source, is_source=True)
    targets = batches.entries(mover.target, is_source=False)
    for row in rows:
        kept = batches.ledger.kept[row.number]
        assert (kept.source, kept.target) == (sources[row.name].identity, targets[row.name].identity)
        assert (kept.crc64, kept.size) == (crc64(files[row.name]), len(files[row.name]))


def test_an_empty_folder_becomes_a_marker_where_that_is_asked_for(oss: LocalOSS, folder: Path) -> None:
    (folder / "a" / "empty").mkdir(parents=True)
    batches = Batches(oss, folder, "upload", empty_folders="marker")
    batches.run()
    assert batches.objects() == {"a/empty/": b""}


def test_the_mtime_is_left_in_the_metadata_where_that_is_asked_for(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1"})
    Batches(oss, folder, "upload", keep_mtime=True).run()
    [put] = oss.calls("PutObject")
    assert put.headers["x-oss-meta-ossresume-mtime"] == str((folder / "a").stat().st_mtime_ns)


@pytest.mark.parametrize("size", [1_000, LARGE])
def test_a_file_that_is_not_what_the_plan_saw_is_left_and_named(oss: LocalOSS, folder: Path, size: int) -> None:
    write(folder, {"a": some_bytes(size)})
    batches = Batches(oss, folder, "upload")
    rows = batches.rows()
    write(folder, {"a": some_bytes(size + 1)})
    report = batches.run(rows, small_size=LARGE)
    assert batches.objects() == {}
    assert batches.results() == {1: ("skipped", "source_changed")}
    assert report.skipped == {"source_changed": 1}
    assert list(report.left) == ["a"]


@pytest.mark.parametrize("size", [1_000, LARGE])
def test_a_file_that_is_not_what_the_plan_saw_is_taken_as_it_is_where_that_is_asked_for(
    oss: LocalOSS, folder: Path, size: int
) -> None:
    write(folder, {"a": some_bytes(size)})
    batches = Batches(oss, folder, "upload", source_changed="take")
    rows = batches.rows()
    write(folder, {"a": b"now"})
    batches.run(rows, small_size=LARGE)
    assert batches.objects() == {"a": b"now"}
    assert batches.results() == {1: ("done", "")}


def test_a_file_that_is_not_what_the_plan_saw_fails_for_good_where_that_is_asked_for(
    oss: LocalOSS, folder: Path
) -> None:
    write(folder, {"a": b"1"})
    batches = Batches(oss, folder, "upload", source_changed="fail")
    rows = batches.rows()
    write(folder, {"a": b"now"})
    report = batches.run(rows)
    assert batches.results() == {1: ("failed", "SourceChanged")}
    assert not report.is_retryable


def test_a_file_with_another_mode_or_hard_link_is_still_what_the_plan_saw(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1"})
    batches = Batches(oss, folder, "upload")
    rows = batches.rows()
    (folder / "a").chmod(0o600)
    os.link(folder / "a", folder.parent / "link")
    batches.run(rows)
    assert batches.objects() == {"a": b"1"}


@pytest.mark.parametrize("size", [1_000, LARGE])
def test_a_file_that_is_gone_is_left_and_named(oss: LocalOSS, folder: Path, size: int) -> None:
    write(folder, {"a": some_bytes(size), "b": b"stays"})
    batches = Batches(oss, folder, "upload")
    rows = batches.rows()
    (folder / "a").unlink()
    batches.run(rows, small_size=LARGE)
    assert batches.objects() == {"b": b"stays"}
    assert batches.results() == {1: ("skipped", "vanished"), 2: ("done", "")}


def test_a_file_that_is_gone_fails_where_that_is_asked_for(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1"})
    batches = Batches(oss, folder, "upload", vanished="fail")
    rows = batches.rows()
    (folder / "a").unlink()
    assert batches.run(rows).failed == 1


def test_a_link_that_takes_a_files_place_is_not_followed(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1", "b/c": b"2"})
    write(folder.parent, {"secrets/c": b"secret"})
    batches = Batches(oss, folder, "upload", source_changed="take")
    rows = batches.rows()
    (folder / "a").unlink()
    (folder / "a").symlink_to(folder.parent / "secrets" / "c")
    (folder / "b").rename(folder.parent / "was-b")
    (folder / "b").symlink_to(folder.parent / "secrets")
    report = batches.run(rows)
    assert batches.objects() == {}
    assert report.failed == 2


@pytest.mark.parametrize("change", ["rewritten", "grown", "shrunk", "rewritten in secret"])
@pytest.mark.parametrize("size", [1_000, 700_000, LARGE])
def test_a_file_that_changes_while_it_is_read_is_never_stored_in_two_contents(
    oss: LocalOSS, folder: Path, size: int, change: str
) -> None:
    write(folder, {"a": some_bytes(size)})
    batches = Batches(oss, folder, "upload")
    rows = batches.rows()
    changed = {"grown": some_bytes(size + 1, seed=2), "shrunk": some_bytes(size - 1, seed=2)}
    found = (folder / "a").stat()

    def rewrite(request: Request) -> None:
        if request.operation in ("PutObject", "UploadPart"):
            (folder / "a").write_bytes(changed.get(change, some_bytes(size, seed=2)))
            if change == "rewritten in secret":
                os.utime(folder / "a", ns=(found.st_atime_ns, found.st_mtime_ns))

    oss.on_request = rewrite  # the head of the request is there, its body not yet
    batches.run(rows, small_size=LARGE)
    oss.on_request = None
    [kept] = batches.ledger.kept.values()
    if kept.is_proven:  # all of it had been read before the change; or after one that nothing but the ctime tells
        contents = [some_bytes(size)] + [some_bytes(size, seed=2)] * (change == "rewritten in secret")
        assert batches.objects()["a"] in contents
    else:
        assert (kept.result, kept.reason, batches.objects()) == ("skipped", "source_changed", {})


def test_what_is_damaged_on_its_way_is_sent_again(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": some_bytes(1_000)})
    batches = Batches(oss, folder, "upload")
    with oss.failing("PutObject", fault=Fault("flip", after_bytes=10), times=1):
        batches.run()
    assert batches.objects() == {"a": some_bytes(1_000)}


def test_an_upload_that_is_always_damaged_fails_alone(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1", "b": b"2"})
    batches = Batches(oss, folder, "upload")
    with oss.failing("PutObject", fault=Fault("wrong-crc"), key=f"{PREFIX}a"):
        report = batches.run()
    assert batches.results() == {1: ("failed", IntegrityError.__name__), 2: ("done", "")}
    assert report.is_retryable


def test_an_object_that_others_wrote_since_the_plan_is_kept_where_that_is_asked_for(
    oss: LocalOSS, folder: Path
) -> None:
    write(folder, {"new": b"1", "old": b"2", "large": some_bytes(LARGE), "same": b"3"})
    batches = Batches(oss, folder, "upload", target_changed="fail")
    batches.put({"old": b"before", "same": b"before"})
    rows = batches.rows()
    batches.put({"new": b"theirs", "old": b"theirs", "large": b"theirs"})
    report = batches.run(rows, small_size=LARGE)
    assert batches.objects() == {"new": b"theirs", "old": b"theirs", "large": b"theirs", "same": b"3"}
    assert (report.failed, report.done, report.is_retryable) == (3, 1, False)


def test_an_answer_that_is_lost_is_no_other_writer(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"new": b"1"})
    batches = Batches(oss, folder, "upload", target_changed="fail")
    with oss.failing("PutObject", fault=Fault("answer-lost"), times=1):
        report = batches.run()
    assert (report.done, batches.objects()) == (1, {"new": b"1"})


def test_equal_bytes_are_proven_by_their_crc64_alone(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"same": b"1", "other": b"2", "longer": b"12"})
    batches = Batches(oss, folder, "upload")
    batches.put({"same": b"1", "other": b"3", "longer": b"1"})
    mover = batches.mover()
    sources = batches.entries(mover.source, is_source=True)
    targets = batches.entries(mover.target, is_source=False)
    facts = batches.facts()
    assert list(facts) == ["same"]
    fact = facts["same"]
    assert (fact.source, fact.target, fact.crc64) == (sources["same"].identity, targets["same"].identity, crc64(b"1"))


def test_only_objects_that_are_what_the_plan_saw_are_deleted(oss: LocalOSS, folder: Path) -> None:
    batches = Batches(oss, folder, "upload")
    batches.put({"victim": b"1", "changed": b"2", "gone": b"3", "stays": b"4"})
    mover = batches.mover()
    there = batches.entries(mover.target, is_source=False)
    victims = [Victim(name, there[name].size, there[name].identity) for name in ("victim", "changed", "gone")]
    batches.put({"changed": b"theirs"})
    batches.client.delete_object(ObjectRef(BUCKET, f"{PREFIX}gone"))
    with Crew(workers=4, tick=lambda: None) as crew:
        fates = {victim.name: fate for victim, fate in mover.delete(victims, crew)}
    assert fates == {"victim": "deleted", "changed": "changed", "gone": "gone"}
    assert batches.objects() == {"changed": b"theirs", "stays": b"4"}


def test_a_row_of_another_plan_does_not_lead_out_of_the_folder(oss: LocalOSS, folder: Path) -> None:
    write(folder.parent, {"secret": b"1"})
    batches = Batches(oss, folder, "upload", source_changed="take")
    report = batches.run([Row(1, "../secret", 1, "f:1:1:1")])
    assert (report.failed, batches.objects()) == (1, {})


def test_errors_of_a_file_that_cannot_be_read_name_it(oss: LocalOSS, folder: Path) -> None:
    write(folder, {"a": b"1"})
    batches = Batches(oss, folder, "upload", source_changed="fail")
    rows = batches.rows()
    write(folder, {"a": b"12"})
    report = batches.run(rows)
    assert str(folder / "a") in report.failures["a"]
    with pytest.raises(NotProven, match="1 of 1 files failed"):
        report.raise_for_failures()
