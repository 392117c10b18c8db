"""Which way a copy goes, in which parts, and what OSS cannot copy."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    ArgumentError,
    ConnectionFailed,
    IntegrityError,
    NotCopyable,
    ObjectTooLarge,
    ServiceError,
)
from airflow_provider_ossresume.model.copy_options import copied_properties
from airflow_provider_ossresume.model.copying import (
    CopyMethod,
    CopyPlan,
    is_proven,
    plan_copied_parts,
    plan_copy,
    refuse_retained,
)
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import GIB, MAX_OBJECT_SIZE, MIB, TIB

SOURCE = ObjectRef("bucket", "key")
NEXT = ObjectRef("bucket", "copy")  # in the same bucket
OTHER = ObjectRef("other", "key")
NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)


def meta(size: int = 5, *, version: str | None = None, crc64: int | None = 1, **headers: str) -> ObjectMeta:
    shown = {"x-oss-object-type": "Normal", "x-oss-storage-class": "Standard"}
    shown |= {name.replace("_", "-"): value for name, value in headers.items()}
    return ObjectMeta(size, "E", crc64, NOW, version_id=version, headers=shown, answered_at=NOW)


def plan(
    found: ObjectMeta, target: ObjectRef = NEXT, *, source: ObjectRef = SOURCE, how: Any = None, **options: Any
) -> CopyPlan:
    properties = copied_properties(target.key, options)  # type: ignore[arg-type]
    return plan_copy(source, found, target, properties, **(how or {}))


APPENDABLE = {"x_oss_object_type": "Appendable"}


@pytest.mark.parametrize(
    ("size", "target", "options", "method"),
    [
        (0, OTHER, {}, CopyMethod.WHOLE),
        (200 * MIB, OTHER, {}, CopyMethod.WHOLE),
        (200 * MIB + 1, OTHER, {}, CopyMethod.PARTS),
        (48 * TIB, NEXT, {}, CopyMethod.WHOLE),  # OSS copies no bytes within a bucket
        (200 * MIB, NEXT, {"storage_class": "IA"}, CopyMethod.WHOLE),
        (200 * MIB + 1, NEXT, {"storage_class": "IA"}, CopyMethod.PARTS),
        (2 * GIB, NEXT, {"server_side_encryption": "AES256"}, CopyMethod.PARTS),
        (2 * GIB, NEXT, {"storage_class": "Standard"}, CopyMethod.WHOLE),
    ],
)
def test_oss_copies_by_one_request_what_moves_few_bytes(
    size: int, target: ObjectRef, options: dict[str, Any], method: CopyMethod
) -> None:
    assert plan(meta(size), target, **options).method is method


@pytest.mark.parametrize(
    ("size", "options", "method"),
    [
        (5 * GIB, {}, CopyMethod.WHOLE),
        (5 * GIB + 1, {}, CopyMethod.PARTS),
        (GIB, {"storage_class": "IA"}, CopyMethod.WHOLE),
        (GIB + 1, {"storage_class": "IA"}, CopyMethod.PARTS),
    ],
)
def test_no_threshold_goes_beyond_what_oss_allows(size: int, options: dict[str, Any], method: CopyMethod) -> None:
    assert plan(meta(size), OTHER, how={"threshold": MAX_OBJECT_SIZE}, **options).method is method


def test_bytes_stream_through_the_worker_only_when_asked_to() -> None:
    streamed = plan(meta(GIB), OTHER, how={"mode": "stream", "source_region": "cn-beijing", "target_region": "eu-1"})

    assert (streamed.method, streamed.parts.part_size) == (CopyMethod.STREAM, 16 * MIB)
    with pytest.raises(NotCopyable, match="copy_mode='stream'") as refused:
        plan(meta(GIB), OTHER, how={"source_region": "cn-beijing", "target_region": "eu-central-1"})
    assert refused.value.reason == "region"
    assert plan(meta(5), OTHER, how={"source_region": "cn-beijing"}).method is CopyMethod.WHOLE  # the other is unknown


def test_the_version_that_was_found_is_the_one_that_is_copied() -> None:
    assert plan(meta(version="v2")).source == ObjectRef("bucket", "key", "v2")
    assert plan(meta(version="v1"), source=ObjectRef("bucket", "key", "v1")).source.version_id == "v1"
    assert plan(meta()).source == SOURCE


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "part_size", "count"),
    [(GIB, 64 * MIB, 16), (10 * GIB, 128 * MIB, 80), (TIB, 256 * MIB, 4096), (48 * TIB, 5034 * MIB, 9999)],
)
def test_copied_parts_are_large(size: int, part_size: int, count: int) -> None:
    parts = plan_copied_parts(size)

    assert (parts.part_size, len(parts)) == (part_size, count)


def test_a_part_size_may_be_given() -> None:
    assert plan_copied_parts(GIB, part_size=MIB).part_size == MIB
    with pytest.raises(ArgumentError):
        plan_copied_parts(GIB, part_size=1)


@pytest.mark.parametrize(
    ("size", "error", "goes_on"),
    [
        (GIB, ObjectTooLarge(operation="CopyObject", target="oss://b/k", status=400, code="EntityTooLarge"), True),
        (5, ObjectTooLarge(operation="CopyObject", target="oss://b/k", status=400, code="EntityTooLarge"), True),
        (GIB, ConnectionFailed("timed out", operation="CopyObject", target="oss://b/k"), True),
        (5, ConnectionFailed("timed out", operation="CopyObject", target="oss://b/k"), False),
        (GIB, ServiceError(operation="CopyObject", target="oss://b/k", status=500), False),
    ],
)
def test_what_is_too_much_for_one_request_is_copied_by_parts(size: int, error: Exception, goes_on: bool) -> None:
    whole = plan(meta(size))
    after = whole.after(error)

    assert (after and after.method) == (CopyMethod.PARTS if goes_on else None)
    if after:
        assert after.after(error) is None
        assert after.asks_for_tags


# --- what is asked for, and what is said ------------------------------------------------------------------------------


def test_only_parts_and_copies_onto_itself_ask_for_tags() -> None:
    assert not plan(meta(GIB)).asks_for_tags
    assert plan(meta(GIB), OTHER).asks_for_tags
    assert not plan(meta(GIB), OTHER, tagging_directive="replace").asks_for_tags
    onto_itself = plan(meta(GIB), SOURCE, metadata_directive="replace")
    assert (onto_itself.asks_for_tags, onto_itself.asks_for_acl) == (True, True)
    assert plan(meta(5), acl="copy").asks_for_acl
    assert not plan(meta(5)).asks_for_acl


def test_an_archived_source_is_read_before_an_upload_is_begun() -> None:
    archived = meta(GIB, x_oss_storage_class="ColdArchive")

    assert plan(archived, OTHER).asks_for_a_byte
    assert plan(archived, OTHER, how={"mode": "stream"}).asks_for_a_byte
    assert not plan(archived, NEXT).asks_for_a_byte  # CopyObject tells itself
    assert not plan(meta(0, x_oss_storage_class="Archive"), OTHER, how={"mode": "stream"}).asks_for_a_byte
    assert not plan(meta(GIB), OTHER).asks_for_a_byte


def test_a_copy_onto_itself_keeps_what_is_not_replaced() -> None:
    found = meta(5, content_type="text/csv", x_oss_meta_a="1", x_oss_storage_class="IA")

    said = plan(found, SOURCE, tagging_directive="replace", tags={"t": "1"}).whole_headers(acl="private")

    assert said == {
        "x-oss-metadata-directive": "REPLACE", "content-type": "text/csv", "x-oss-meta-a": "1",
        "x-oss-tagging-directive": "REPLACE", "x-oss-tagging": "t=1", "x-oss-storage-class": "IA",
        "x-oss-object-acl": "private",
    }  # fmt: skip


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "target", "options", "reason"),
    [
        (meta(5, x_oss_object_type="Symlink"), NEXT, {}, "link"),
        (meta(5, version="v1", **APPENDABLE), NEXT, {}, "appendable"),
        (meta(5 * GIB, **APPENDABLE), NEXT, {"storage_class": "IA"}, "appendable"),
        (meta(5, x_oss_storage_class="Archive", x_oss_restore='ongoing-request="true"'), OTHER, {}, "restoring"),
        (meta(5), SOURCE, {}, "itself"),
        (meta(5), SOURCE, {"storage_class": "copy", "acl": "copy"}, "itself"),
    ],
)
def test_what_oss_does_not_copy_is_refused_before_anything_is_sent(
    found: ObjectMeta, target: ObjectRef, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotCopyable) as refused:
        plan(found, target, **options)
    assert (refused.value.reason, refused.value.retryable) == (reason, reason == "restoring")


@pytest.mark.parametrize("found", [meta(5, x_oss_object_type="Symlink"), meta(5, version="v1", **APPENDABLE)])
def test_the_worker_can_stream_what_oss_does_not_copy(found: ObjectMeta) -> None:
    assert plan(found, OTHER, how={"mode": "stream"}).method is CopyMethod.STREAM


def test_an_appendable_object_goes_by_one_request_or_not_at_all() -> None:
    whole = plan(meta(5 * GIB, **APPENDABLE), OTHER)

    assert whole.method is CopyMethod.WHOLE
    with pytest.raises(NotCopyable, match=r"5\.0 GiB"):
        whole.after(ObjectTooLarge(operation="CopyObject", target="oss://b/k", status=400))


def test_a_restored_object_is_copied() -> None:
    restored = meta(5, x_oss_storage_class="Archive", x_oss_restore='ongoing-request="false", expiry-date="…"')

    assert plan(restored, OTHER).method is CopyMethod.WHOLE


def test_an_older_version_may_become_the_current_one() -> None:
    assert plan(meta(5, version="v1"), SOURCE, source=ObjectRef("bucket", "key", "v1")).method is CopyMethod.WHOLE


def test_a_retained_target_is_refused_by_the_clock_of_oss() -> None:
    there = ObjectMeta(5, "E", last_modified=NOW - timedelta(days=3), answered_at=NOW)

    refuse_retained(OTHER, there, days=3)
    with pytest.raises(NotCopyable, match=r"2026-11-30 12:00 UTC.*another key") as refused:
        refuse_retained(OTHER, there, days=4)
    assert refused.value.reason == "retained"


# --- proof ------------------------------------------------------------------------------------------------------------


def test_a_copy_is_proven_by_its_crc64() -> None:
    assert is_proven(meta(5), target=OTHER, size=5, crc64=1)
    assert not is_proven(meta(5, crc64=None), target=OTHER, size=5, crc64=1)
    assert not is_proven(meta(5), target=OTHER, size=5, crc64=None)
    for size, crc in ((4, 1), (5, 2), (4, None)):
        with pytest.raises(IntegrityError):
            is_proven(meta(5), target=OTHER, size=size, crc64=crc)
