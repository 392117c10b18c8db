"""OSS copies the objects of a prefix to another one, and no byte of them passes the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.moving_world import FROM, PREFIX, Batches, MemoryLedger
from tests.world import BUCKET, PART, some_bytes

LARGE = 5 * PART
SIZES = pytest.mark.parametrize("size", [1_000, LARGE])


@pytest.fixture
def copies(oss: LocalOSS, tmp_path: Path) -> Batches:
    return Batches(oss, tmp_path, "copy")


def put(oss: LocalOSS, files: dict[str, bytes], **headers: str) -> None:
    for name, data in files.items():
        oss.put(BUCKET, FROM + name, data, **headers)


def test_each_object_is_copied_with_its_metadata(oss: LocalOSS, copies: Batches) -> None:
    files = {"a": b"1", "b/c": some_bytes(300_000), "b/d/é": b"", "large": some_bytes(LARGE)}
    put(oss, files, **{"x-oss-meta-kept": "yes"})
    report = copies.run(small_size=LARGE)
    assert copies.objects() == files
    assert (report.done, report.failed, report.bytes_moved) == (4, 0, 0)
    assert oss.calls("GetObject") == oss.calls("PutObject") == []
    for name in files:
        meta = copies.client.head_object(ObjectRef(BUCKET, PREFIX + name))
        assert meta.metadata == {"kept": "yes"}


def test_what_is_given_replaces_what_the_source_has(oss: LocalOSS, tmp_path: Path) -> None:
    copies = Batches(oss, tmp_path, "copy", object_options={"metadata": {"new": "1"}})
    put(oss, {"a": b"1", "large": some_bytes(LARGE)}, **{"x-oss-meta-kept": "no"})
    copies.run(small_size=LARGE)
    for name in ("a", "large"):
        assert copies.client.head_object(ObjectRef(BUCKET, PREFIX + name)).metadata == {"new": "1"}


def test_the_ledger_has_what_a_later_listing_of_both_sides_shows(oss: LocalOSS, copies: Batches) -> None:
    files = {"small": some_bytes(1_000), "large": some_bytes(LARGE)}
    put(oss, files)
    rows = copies.rows()
    copies.run(rows, small_size=LARGE)
    mover = copies.mover()
    sources = copies.entries(mover.source, is_source=True)
    targets = copies.entries(mover.target, is_source=False)
    for row in rows:
        kept = copies.ledger.kept[row.number]
        assert (kept.source, kept.target) == (sources[row.name].identity, targets[row.name].identity)
        assert (kept.crc64, kept.size) == (crc64(files[row.name]), len(files[row.name]))


@SIZES
def test_an_object_that_is_not_what_the_plan_saw_is_left_and_named(oss: LocalOSS, copies: Batches, size: int) -> None:
    put(oss, {"changed": some_bytes(size), "gone": some_bytes(size)})
    rows = copies.rows()
    put(oss, {"changed": some_bytes(size, seed=2)})
    copies.client.delete_object(ObjectRef(BUCKET, f"{FROM}gone"))
    copies.run(rows, small_size=LARGE)
    assert copies.objects() == {}
    assert copies.results() == {1: ("skipped", "source_changed"), 2: ("skipped", "vanished")}


@SIZES
def test_an_object_that_is_not_what_the_plan_saw_is_taken_as_it_is_where_that_is_asked_for(
    oss: LocalOSS, tmp_path: Path, size: int
) -> None:
    copies = Batches(oss, tmp_path, "copy", source_changed="take")
    put(oss, {"a": some_bytes(size)})
    rows = copies.rows()
    put(oss, {"a": some_bytes(size, seed=2)})
    copies.run(rows, small_size=LARGE)
    assert copies.objects() == {"a": some_bytes(size, seed=2)}


def test_an_object_that_others_wrote_since_the_plan_is_kept_where_that_is_asked_for(
    oss: LocalOSS, tmp_path: Path
) -> None:
    copies = Batches(oss, tmp_path, "copy", target_changed="fail")
    put(oss, {"new": b"1", "old": b"2", "large": some_bytes(LARGE), "same": b"3"})
    copies.put({"old": b"before", "same": b"before"})
    rows = copies.rows()
    theirs = {"new": b"theirs", "old": b"theirs", "large": b"theirs"}
    copies.put(theirs)
    report = copies.run(rows, small_size=LARGE)
    assert copies.objects() == {**theirs, "same": b"3"}
    assert (report.failed, report.done) == (3, 1)


def test_what_was_copied_before_a_kill_is_found_and_not_copied_again(oss: LocalOSS, copies: Batches) -> None:
    put(oss, {"a": b"1", "large": some_bytes(LARGE)})
    rows = copies.rows()
    copies.run(rows, small_size=LARGE, ledger=MemoryLedger())
    before = len(oss.calls("CopyObject")), len(oss.calls("UploadPartCopy"))
    report = copies.run(rows, small_size=LARGE, check_first=True)
    assert (report.same, report.done) == (2, 0)
    assert (len(oss.calls("CopyObject")), len(oss.calls("UploadPartCopy"))) == before


def test_a_copy_that_is_not_its_source_fails_alone(oss: LocalOSS, copies: Batches) -> None:
    put(oss, {"a": b"1", "b": b"2"})
    with oss.failing("CopyObject", fault=Fault("wrong-crc"), key=f"{PREFIX}a"):
        report = copies.run()
    assert copies.results() == {1: ("failed", "IntegrityError"), 2: ("done", "")}
    assert report.is_retryable


def test_equal_bytes_are_proven_by_their_crc64_alone(oss: LocalOSS, copies: Batches) -> None:
    put(oss, {"same": b"1", "other": b"2", "longer": b"12"})
    copies.put({"same": b"1", "other": b"3", "longer": b"1"})
    assert list(copies.facts()) == ["same"]
