"""Copies: OSS moves the bytes, a retry asks only for the parts that are missing, and the whole is compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import AccessDenied, AlreadyExists, NoSuchKey, NotCopyable, ObjectChanged
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.copy_options import copied_properties
from tests.world import BUCKET, PART, Transfers, some_bytes

CONTENT = some_bytes(5 * PART - 7)
DENIED = Fault("status", status=403, code="AccessDenied")


@pytest.fixture
def transfers(oss: LocalOSS) -> Iterator[Transfers]:
    oss.put(BUCKET, "source", CONTENT)
    return Transfers(oss)


def by_parts(**options: object) -> dict[str, object]:
    """OSS would take a small object by one request within its bucket, but not for another storage class."""
    return {"threshold": 0, "properties": copied_properties("copy", {"storage_class": "IA"}), **options}


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_a_copy_has_the_bytes_of_its_source(transfers: Transfers, mode: str) -> None:
    result = transfers.copy("source", mode=mode)

    assert transfers.oss.object(BUCKET, "copy") == CONTENT
    assert (result.outcome, result.size, result.path) == ("transferred", len(CONTENT), f"oss://{BUCKET}/source")
    assert result.report()["source"] == f"oss://{BUCKET}/source"


def test_no_byte_of_a_copy_passes_the_worker(transfers: Transfers) -> None:
    result = transfers.copy("source", **by_parts())

    assert transfers.oss.object(BUCKET, "copy") == CONTENT
    assert (result.parts, result.bytes_moved) == (5, 0)
    assert transfers.calls("GetObject") == 0
    assert transfers.part_numbers("UploadPartCopy") == [1, 2, 3, 4, 5]


def test_a_retry_copies_only_the_parts_that_are_missing(transfers: Transfers) -> None:
    with transfers.oss.failing("UploadPartCopy", after=3, fault=DENIED), pytest.raises(AccessDenied):
        transfers.copy("source", **by_parts())
    transfers.oss.clear_requests()

    result = transfers.copy("source", **by_parts())

    assert transfers.part_numbers("UploadPartCopy") == [4, 5]
    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert transfers.oss.object(BUCKET, "copy") == CONTENT


def test_a_source_that_changes_between_tries_is_copied_from_the_beginning(transfers: Transfers) -> None:
    with transfers.oss.failing("UploadPartCopy", after=3, fault=DENIED), pytest.raises(AccessDenied):
        transfers.copy("source", **by_parts())
    other = some_bytes(len(CONTENT), seed=2)
    transfers.oss.put(BUCKET, "source", other)

    result = transfers.copy("source", **by_parts())

    assert result.parts_kept == 0
    assert transfers.oss.object(BUCKET, "copy") == other
    assert transfers.oss.uploads(BUCKET) == []


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_a_source_that_changes_under_the_copy_is_never_mixed(transfers: Transfers, mode: str) -> None:
    other = some_bytes(len(CONTENT), seed=2)
    operation = "UploadPartCopy" if mode == "server" else "GetObject"
    seen = []

    def rewrite(request: object) -> None:
        if getattr(request, "operation", "") == operation:
            seen.append(request)
            if len(seen) == 3:
                transfers.oss.put(BUCKET, "source", other)

    transfers.oss.on_request = rewrite

    transfers.copy("source", **by_parts(mode=mode))

    assert transfers.oss.object(BUCKET, "copy") == other
    assert transfers.oss.uploads(BUCKET) == []


def test_a_source_that_changes_fails_the_copy_where_that_is_asked_for(transfers: Transfers) -> None:
    def rewrite(request: object) -> None:
        if getattr(request, "operation", "") == "UploadPartCopy":
            transfers.oss.put(BUCKET, "source", some_bytes(len(CONTENT), seed=2))

    transfers.oss.on_request = rewrite

    with pytest.raises(ObjectChanged):
        transfers.copy("source", **by_parts(object_changed="fail"))

    with pytest.raises(KeyError):
        transfers.oss.object(BUCKET, "copy")


def test_what_is_there_already_is_not_overwritten_where_that_is_forbidden(transfers: Transfers) -> None:
    transfers.oss.put(BUCKET, "copy", b"other")

    with pytest.raises(AlreadyExists):
        transfers.copy("source", if_exists="fail")

    assert transfers.oss.object(BUCKET, "copy") == b"other"


def test_a_copy_that_is_there_already_is_skipped_where_that_is_asked_for(transfers: Transfers) -> None:
    transfers.copy("source")

    assert transfers.copy("source", if_exists="skip_if_same").outcome == "skipped"


def test_a_copy_onto_itself_that_changes_nothing_is_refused(transfers: Transfers) -> None:
    with pytest.raises(NotCopyable, match="nothing would change"):
        transfers.copy("source", key="source")


def test_a_source_that_is_missing_is_named(transfers: Transfers) -> None:
    with pytest.raises(NoSuchKey, match="oss://bucket/gone"):
        transfers.copy("gone")


def test_a_copy_that_is_dropped_leaves_no_upload(transfers: Transfers, tmp_path: Path) -> None:
    with transfers.oss.failing("UploadPartCopy", after=3, fault=DENIED), pytest.raises(AccessDenied):
        transfers.copy("source", **by_parts(), drop_when=lambda error: True)

    assert transfers.oss.uploads(BUCKET) == []
