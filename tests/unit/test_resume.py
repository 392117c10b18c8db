"""The decisions of a resume."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint, Owner, Run, UploadCheckpoint
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part, PartPlan
from airflow_provider_ossresume.model.resume import (
    Begin,
    Restart,
    Resume,
    candidate_parts,
    decide_download,
    decide_upload,
    same_content,
)

TARGET = ObjectRef("bucket", "key")
OWNER = Owner(1, "try-1")
UPLOAD = UploadCheckpoint("bucket", "key", "ID", 25, 10, "digest", OWNER)
DOWNLOAD = DownloadCheckpoint("bucket", "key", None, "ETAG", 25, 7, 10, ".part", OWNER, (Run(1, 2, 3),))
META = ObjectMeta(size=25, etag="ETAG", crc64=7)


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_goes_on_when_everything_fits() -> None:
    assert decide_upload(UPLOAD, target=TARGET, size=25, options="digest") == Resume(UPLOAD)


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        (None, "there is no checkpoint"),
        (replace(UPLOAD, bucket="other"), "to another transfer (upload of oss://other/key)"),
        (replace(UPLOAD, key="other"), "to another transfer (upload of oss://bucket/other)"),
        (DOWNLOAD, "to another transfer (download of oss://bucket/key)"),
    ],
)
def test_an_upload_begins_when_there_is_nothing_of_it(checkpoint: Checkpoint | None, reason: str) -> None:
    decision = decide_upload(checkpoint, target=TARGET, size=25, options="digest")

    assert isinstance(decision, Begin)
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("size", "options", "reason"),
    [
        (26, "digest", "the source's size was 25 bytes and is now 26"),
        (0, "digest", "the source's size was 25 bytes and is now 0"),
        (25, "other", "metadata or other options"),
        (26, "other", "the source's size was 25 bytes and is now 26"),
    ],
)
def test_an_upload_restarts_with_its_reason_and_what_is_to_be_dropped(size: int, options: str, reason: str) -> None:
    decision = decide_upload(UPLOAD, target=TARGET, size=size, options=options)

    assert isinstance(decision, Restart)
    assert reason in decision.reason
    assert decision.checkpoint == UPLOAD


def test_a_version_in_the_target_does_not_matter_to_an_upload() -> None:
    target = ObjectRef("bucket", "key", "version")

    assert decide_upload(UPLOAD, target=target, size=25, options="digest") == Resume(UPLOAD)


# --- downloads --------------------------------------------------------------------------------------------------------


def decided(
    checkpoint: Checkpoint | None,
    *,
    target: ObjectRef = TARGET,
    meta: ObjectMeta = META,
    part_file: str = ".part",
    part_file_exists: bool = True,
) -> Begin | Resume[DownloadCheckpoint] | Restart[DownloadCheckpoint]:
    return decide_download(checkpoint, target=target, meta=meta, part_file=part_file, part_file_exists=part_file_exists)


def test_a_download_goes_on_when_everything_fits() -> None:
    assert decided(DOWNLOAD) == Resume(DOWNLOAD)


def test_a_download_goes_on_whatever_crc_oss_tells_now() -> None:
    # The ETag says that it is the same object; a CRC-64 may be absent from one answer.
    assert decided(DOWNLOAD, meta=replace(META, crc64=None)) == Resume(DOWNLOAD)


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        (None, "there is no checkpoint"),
        (UPLOAD, "to another transfer (upload of oss://bucket/key)"),
        (replace(DOWNLOAD, bucket="other"), "to another transfer (download of oss://other/key)"),
        (replace(DOWNLOAD, key="other"), "to another transfer"),
        (replace(DOWNLOAD, version_id="v1"), "to another transfer"),
        (replace(DOWNLOAD, part_file=".other"), "to another transfer"),
    ],
)
def test_a_download_begins_when_there_is_nothing_of_it(checkpoint: Checkpoint | None, reason: str) -> None:
    decision = decided(checkpoint)

    assert isinstance(decision, Begin)
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("meta", "part_file_exists", "reason"),
    [
        (replace(META, etag="NEW"), True, "its ETag was ETAG and is now NEW"),
        (replace(META, size=26), True, "its size was 25 bytes and is now 26"),
        (META, False, "the part file .part is not on this worker"),
    ],
)
def test_a_download_restarts_with_its_reason(meta: ObjectMeta, part_file_exists: bool, reason: str) -> None:
    decision = decided(DOWNLOAD, meta=meta, part_file_exists=part_file_exists)

    assert isinstance(decision, Restart)
    assert reason in decision.reason
    assert decision.checkpoint == DOWNLOAD


def test_one_version_of_an_object_is_resumed_by_that_version_only() -> None:
    checkpoint = replace(DOWNLOAD, version_id="v1")

    assert decided(checkpoint, target=ObjectRef("bucket", "key", "v1")) == Resume(checkpoint)
    assert isinstance(decided(checkpoint, target=ObjectRef("bucket", "key", "v2")), Begin)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_listed_part_may_be_kept_when_number_size_and_a_crc_fit() -> None:
    plan = PartPlan(25, 10)
    good = [Receipt(3, "E3", 5, 0), Receipt(1, "E1", 10, 9)]
    bad = [
        Receipt(2, "E2", 9, 9),  # too small
        Receipt(2, "E2", 10, None),  # nothing proves it
        Receipt(3, "E3", 10, 9),  # the last part is shorter
        Receipt(0, "E0", 10, 9),
        Receipt(4, "E4", 10, 9),
        Receipt(10_000, "E9", 5, 9),
    ]

    assert candidate_parts([*bad, *good], plan) == [(Part(3, 20, 25), good[0]), (Part(1, 0, 10), good[1])]
    assert candidate_parts([], plan) == []


@pytest.mark.parametrize(
    ("meta", "is_same"),
    [
        (ObjectMeta(size=25, etag="E", crc64=7), True),
        (ObjectMeta(size=25, etag="E", crc64=8), False),
        (ObjectMeta(size=24, etag="E", crc64=7), False),
        (ObjectMeta(size=25, etag="E", crc64=None), False),
    ],
)
def test_only_a_crc_proves_the_same_content(meta: ObjectMeta, is_same: bool) -> None:
    assert same_content(meta, size=25, crc64=7) is is_same


def test_a_crc_of_zero_is_a_crc() -> None:
    assert same_content(ObjectMeta(size=0, etag="E", crc64=0), size=0, crc64=0)
    assert len(candidate_parts([Receipt(1, "E", 10, 0)], PartPlan(25, 10))) == 1
