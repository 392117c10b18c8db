"""Which uploads are stale, and the report of what became of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_ossresume.errors import ArgumentError, OSSResumeError
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Owner, UploadCheckpoint, encode
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED
from airflow_provider_ossresume.model.leftover_checkpoints import upload_ids_in
from airflow_provider_ossresume.model.objects import ListedUpload, PrefixRef
from airflow_provider_ossresume.model.stale_uploads import AbortReport, Fate, Staleness, UploadFate, first_folder

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
WEEK = timedelta(days=7)


def an_upload(key: str = "key", *, age: timedelta | None = WEEK, upload_id: str = "ID") -> ListedUpload:
    return ListedUpload(key, upload_id, None if age is None else NOW - age, NOW)


@pytest.mark.parametrize("ids", ["A,B", ["A B"], ["A", ""], "", None, 5])
def test_what_is_no_upload_id_is_refused_as_it_would_keep_nothing(ids: object) -> None:
    with pytest.raises(ArgumentError, match="keep_upload_ids="):
        Staleness.of("7d", ids)


def test_upload_ids_that_are_kept_are_read_without_the_spaces_around_them() -> None:
    assert Staleness.of("7d", [" A ", "B\n"]) == Staleness(timedelta(days=7), frozenset({"A", "B"}))


def a_report(*fates: UploadFate, prefix: str = "") -> AbortReport:
    return AbortReport.of(iter(fates), where=PrefixRef("b", prefix))


@pytest.mark.parametrize(
    ("age", "fate"),
    [
        (WEEK + timedelta(seconds=1), None),
        (WEEK, "young"),
        (timedelta(seconds=1), "young"),
        (timedelta(days=-1), "young"),  # begun after the clock that is to tell its age
        (None, "undated"),
    ],
)
def test_only_what_is_older_is_stale(age: timedelta | None, fate: Fate | None) -> None:
    assert Staleness(WEEK).spares(an_upload(age=age)) == fate


def test_an_upload_that_the_caller_names_is_kept_whatever_its_age() -> None:
    staleness = Staleness(WEEK, frozenset({"ID"}))
    assert staleness.spares(an_upload(age=10 * WEEK)) == "named"
    assert staleness.spares(an_upload(age=10 * WEEK, upload_id="id")) is None


def test_an_upload_that_a_checkpoint_names_is_kept_whatever_its_age() -> None:
    staleness = Staleness(WEEK, checkpointed_ids=frozenset({"ID"}))
    assert staleness.spares(an_upload(age=10 * WEEK)) == "checkpointed"
    assert staleness.spares(an_upload(age=timedelta(1))) == "young"
    assert staleness.spares(an_upload(age=10 * WEEK, upload_id="id")) is None


UPLOAD = UploadCheckpoint("b", "k", "ID-of.it~1", 10, 10, "0", Owner(1, "a try"))
DOWNLOAD = DownloadCheckpoint("b", "k", None, "ETAG", 10, None, 10, ".f.ossresume-part", Owner(1, "a try"))


@pytest.mark.parametrize(
    ("text", "names_it"),
    [
        (encode(UPLOAD), True),
        (encode(UPLOAD).replace('"ossresume": 1', '"ossresume": 2'), True),
        (encode(UPLOAD).replace('"upload_id"', '"uploads"'), True),
        (encode(UPLOAD)[:-1], True),
        ("upload ID-of.it~1 of a text", True),
        (encode(replace(UPLOAD, upload_id="ID-of.it~")), False),
        (encode(DOWNLOAD), False),
        ("", False),
    ],
)
def test_a_checkpoint_spares_the_upload_that_it_names_or_may_name(text: str, names_it: bool) -> None:
    assert (UPLOAD.upload_id in upload_ids_in(text)) == names_it


def test_without_the_servers_clock_nothing_is_stale() -> None:
    assert Staleness(WEEK).spares(ListedUpload("key", "ID", NOW - 10 * WEEK, None)) == "undated"


def test_a_report_counts_each_fate_and_the_bytes_of_the_stale() -> None:
    failed = OSSResumeError("AbortMultipartUpload answered 403")
    report = a_report(
        UploadFate(an_upload("x/1", age=3 * WEEK), "aborted", 100),
        UploadFate(an_upload("x/2"), "aborted", 20),
        UploadFate(an_upload("y/z/3", upload_id="F"), "failed", 3, failed),
        UploadFate(an_upload("4"), "gone"),
        UploadFate(an_upload("5", age=timedelta(1)), "young"),
        UploadFate(an_upload("6", age=None), "undated"),
        UploadFate(an_upload("7"), "named"),
        UploadFate(an_upload("8"), "checkpointed"),
    )
    assert report.report() == {
        "uri": "oss://b/",
        "found": 8,
        "aborted": 2,
        "would_abort": 0,
        "gone": 1,
        "failed": 1,
        "kept_young": 1,
        "kept_named": 1,
        "kept_checkpointed": 1,
        "kept_undated": 1,
        "bytes": 120,
        "oldest": "2026-11-04T12:00:00+00:00",
        "prefixes": {"x/": 2, "y/": 1},
        "uploads": [
            {"key": "x/1", "upload_id": "ID", "bytes": 100},
            {"key": "x/2", "upload_id": "ID", "bytes": 20},
        ],
        "errors": {"F": "AbortMultipartUpload answered 403"},
    }
    assert str(report) == (
        "8 unfinished uploads below oss://b/: 2 aborted, 1 already completed or aborted, 1 could not be aborted, "
        "1 kept because they are younger than older_than, 1 kept because keep_upload_ids names them, "
        "1 kept because a checkpoint names them, 1 kept because OSS did not send their age, 120 B; "
        "the oldest was started 2026-11-04 12:00Z"
    )


def test_bytes_that_were_not_counted_are_not_called_none() -> None:
    assert a_report(UploadFate(an_upload(), "would abort")).size is None
    assert a_report(UploadFate(an_upload(), "would abort", 0)).size == 0
    assert a_report().size == 0


def test_a_report_stays_small_however_many_there_are() -> None:
    many = 50 * MOST_NAMED
    error = OSSResumeError("no")
    report = a_report(
        *(UploadFate(an_upload(f"{n}/k", upload_id=str(n)), "aborted") for n in range(many)),
        *(UploadFate(an_upload(f"{n}/k", upload_id=str(-n)), "failed", error=error) for n in range(1, many)),
    ).report()
    assert (report["aborted"], report["failed"]) == (many, many - 1)
    assert {len(report[name]) for name in ("uploads", "prefixes", "errors")} == {MOST_NAMED}
    assert len(json.dumps(report)) < 64 * 1024


@pytest.mark.parametrize(
    ("key", "prefix", "folder"),
    [
        ("a/b/c", "", "a/"),
        ("a/b/c", "a/", "a/b/"),
        ("a/b/c", "a/b", "a/b/"),
        ("a/bc", "a/b", "a/b"),
        ("top", "", ""),
    ],
)
def test_uploads_are_counted_by_the_first_folder(key: str, prefix: str, folder: str) -> None:
    assert first_folder(key, prefix=prefix) == folder
