"""What makes an object that is there the one that an upload would make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.md5 import md5_hex
from airflow_provider_ossresume.model.object_comparison import difference
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.model.resume import proven
from tests.world import BUCKET, PART, Transfers, a_file

TARGET = ObjectRef(BUCKET, "key")
PLAIN = {
    "content-type": "text/csv", "x-oss-object-type": "Normal", "x-oss-storage-class": "Standard", "etag": '"E"',
    "date": "…", "x-oss-hash-crc64ecma": "1", "content-length": "9",
}  # fmt: skip
ASKED = {"Content-Type": "text/csv"}


def differs(
    shown: Mapping[str, str] = {},
    asked: Mapping[str, str] = {},
    *,
    acl: str | None = "default",
    tags: Mapping[str, str] | None = None,
) -> str:
    return difference({**PLAIN, **shown}, {**ASKED, **asked}, acl=lambda: acl, tags=lambda: tags)


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ({}, {}),
        ({"cache-control": "no-store"}, {"Cache-Control": " no-store "}),
        ({"x-oss-meta-a": "ü"}, {"x-oss-meta-A": "ü"}),
        # What the bucket may have set by itself, where nothing was asked for.
        ({"x-oss-storage-class": "IA"}, {}),
        ({"x-oss-server-side-encryption": "KMS", "x-oss-server-side-encryption-key-id": "k"}, {}),
        (
            {"x-oss-server-side-encryption": "KMS", "x-oss-server-side-encryption-key-id": "the account's own"},
            {"x-oss-server-side-encryption": "KMS"},
        ),
        ({"x-oss-object-type": "Multipart"}, {}),
        # They are about the request.
        ({}, {"x-oss-callback": "e30=", "x-oss-callback-var": "e30=", "x-oss-forbid-overwrite": "true"}),
    ],
)
def test_an_object_with_all_that_was_asked_for_and_no_more_is_the_same(
    shown: dict[str, str], asked: dict[str, str]
) -> None:
    assert differs(shown, asked) == ""


HEADERS = [
    "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires", "x-oss-meta-a"
]  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_nobody_asked_for_makes_it_another_object_as_does_one_that_is_missing(name: str) -> None:
    assert name.lower() in differs({name.lower(): "x"})
    assert name.lower() in differs({}, {name: "x"})
    assert name.lower() in differs({name.lower(): "x"}, {name: "y"})


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ({"content-type": "text/plain"}, {}),
        ({"x-oss-storage-class": "Standard"}, {"x-oss-storage-class": "IA"}),
        ({}, {"x-oss-server-side-encryption": "AES256"}),
        ({}, {"x-oss-something-new": "1"}),
        ({"x-oss-object-type": "Appendable"}, {}),
        ({"x-oss-object-type": "Symlink"}, {}),
    ],
)
def test_another_value_makes_it_another_object(shown: dict[str, str], asked: dict[str, str]) -> None:
    assert differs(shown, asked)


@pytest.mark.parametrize(
    ("count", "tags", "tagging", "same"),
    [
        (None, None, "", True),
        ("0", None, "", True),
        ("1", None, "", False),
        ("1", {"a b": "1"}, "a%20b=1", True),
        ("1", {"a b": ""}, "a%20b=", True),
        (None, {"a": "1"}, "a=2", False),
        (None, {}, "a=1", False),
        ("1", None, "a=1", False),  # they cannot be read
    ],
)
def test_tags_are_asked_for_where_some_were_asked_for(
    count: str | None, tags: dict[str, str] | None, tagging: str, same: bool
) -> None:
    shown = {"x-oss-tagging-count": count} if count else {}
    asked = {"x-oss-tagging": tagging} if tagging else {}
    assert (differs(shown, asked, tags=tags) == "") is same


@pytest.mark.parametrize(
    ("found", "asked", "same"),
    [
        ("default", None, True),
        ("default", "default", True),
        ("public-read", None, False),
        ("public-read", "public-read", True),
        ("default", "private", False),
        (None, None, True),  # it cannot be read, and nobody asked for one
        (None, "private", False),
    ],
)
def test_the_acl_is_asked_for(found: str | None, asked: str | None, same: bool) -> None:
    headers = {"x-oss-object-acl": asked} if asked else {}
    assert (differs(asked=headers, acl=found) == "") is same


# --- in an upload -----------------------------------------------------------------------------------------------------

LOOKS: list[dict[str, str]] = [
    {},
    {"x-oss-meta-owner": "finance"},
    {"Cache-Control": "no-store"},
    {"x-oss-storage-class": "IA"},
    {"x-oss-server-side-encryption": "KMS"},
    {"x-oss-tagging": "team=finance"},
    {"x-oss-object-acl": "private"},
    {"Content-Type": "text/csv"},
]


@pytest.mark.parametrize("config", [{}, {"multipart_threshold": "16MiB"}], ids=["parts", "one request"])
@pytest.mark.parametrize("looks", LOOKS[1:])
@pytest.mark.parametrize("if_exists", ["overwrite", "skip_if_same"])
def test_yesterdays_object_with_other_looks_is_never_taken_for_todays(
    transfers: Transfers, tmp_path: Path, config: dict[str, Any], looks: dict[str, str], if_exists: str
) -> None:
    source = a_file(tmp_path)
    for yesterday, today in ((LOOKS[0], looks), (looks, LOOKS[0])):
        if not today and ("storage" in str(yesterday) or "encryption" in str(yesterday)):
            continue  # the bucket may have set it
        transfers.upload(source, headers=yesterday, config=config)
        again = transfers.upload(source, headers=today, config=config, if_exists=if_exists, earlier_try=True)
        assert again.outcome == "transferred"
        again = transfers.upload(source, headers=today, config=config, if_exists=if_exists, earlier_try=True)
        assert again.outcome == "already there"


@pytest.mark.parametrize(
    ("operation", "looks", "outcome"),
    [
        ("GetObjectAcl", {}, "already there"),
        ("GetObjectAcl", {"x-oss-object-acl": "private"}, "transferred"),
        ("GetObjectTagging", {"x-oss-tagging": "a=1"}, "transferred"),
    ],
)
def test_what_may_not_be_read_is_written_again_if_it_was_asked_for(
    transfers: Transfers, tmp_path: Path, operation: str, looks: dict[str, str], outcome: str
) -> None:
    source = a_file(tmp_path)
    transfers.upload(source, headers=looks)
    transfers.oss.fail(operation, fault=Fault("status", status=403, code="AccessDenied"), times=None)

    assert transfers.upload(source, headers=looks, earlier_try=True).outcome == outcome


def test_acl_and_tags_come_as_they_were_given(transfers: Transfers, tmp_path: Path) -> None:
    headers = {"x-oss-tagging": "a%20b=1&c=", "x-oss-object-acl": "public-read"}
    transfers.upload(a_file(tmp_path), headers=headers)

    assert transfers.client.get_object_tagging(TARGET) == {"a b": "1", "c": ""}
    assert transfers.client.get_object_acl(TARGET) == "public-read"


# --- a listing without CRC-64 -----------------------------------------------------------------------------------------

MD5 = "5D41402ABC4B2A76B9719D911017C592"


@pytest.mark.parametrize(
    ("listed", "crc64", "md5", "crc_of_kept"),
    [
        (Receipt(1, MD5, 5, 7), 7, None, 7),
        (Receipt(1, MD5, 5, 7), 8, MD5, None),  # the CRC-64 decides where there is one
        (Receipt(1, MD5, 5, None), 7, MD5.lower(), 7),
        (Receipt(1, MD5, 5, None), 7, "0" * 32, None),
        (Receipt(1, MD5, 5, None), 7, None, None),  # a Python without MD5
        (Receipt(1, "X", 5, None), 7, MD5, None),
    ],
)
def test_a_listed_part_is_proven_by_its_crc_or_else_by_its_etag(
    listed: Receipt, crc64: int, md5: str | None, crc_of_kept: int | None
) -> None:
    kept = proven(listed, crc64=crc64, md5=md5)

    assert (kept.crc64 if kept else None) == crc_of_kept


def test_the_md5_is_that_of_the_bytes() -> None:
    assert md5_hex([b"he", memoryview(b"llo")]) == MD5.lower()


def test_parts_of_a_server_that_lists_no_crc_are_kept_by_their_md5(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=5 * PART)
    with transfers.oss.failing("UploadPart", after=3), pytest.raises(Exception, match="UploadPart"):
        transfers.upload(source)
    transfers.oss.fail("ListParts", fault=Fault("no-crc"), times=None)
    data = bytearray(source.read_bytes())
    data[PART + 5] ^= 1  # of part 2
    source.write_bytes(data)

    result = transfers.upload(source)

    assert (result.parts_kept, result.parts_sent) == (2, 3)
    assert transfers.oss.object(BUCKET, "key") == bytes(data)
    assert result.crc64 is not None
