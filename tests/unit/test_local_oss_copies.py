"""The local OSS server copies as OSS does: limits, what goes along, archived, retained and huge objects."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.local_oss.restoring import ARCHIVED
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.parts import GIB, MIB
from tests.unit.test_local_oss import Client, md5_of

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]

SOURCE = {"x-oss-copy-source": "/bucket/source"}


@pytest.fixture
def client(local_oss: LocalOSS) -> Client:
    local_oss.create_bucket("other")
    return Client(local_oss)


def test_storage_class_encryption_and_acl_are_the_request_s_whatever_goes_along(client: Client) -> None:
    client.oss.put(
        "bucket", "source", b"bytes", x_oss_meta_a="1", x_oss_storage_class="IA", x_oss_object_acl="public-read",
        x_oss_server_side_encryption="AES256",
    )  # fmt: skip

    client("PUT", "plain", headers=SOURCE)
    given = {"x-oss-storage-class": "Standard", "x-oss-server-side-encryption": "KMS", "x-oss-object-acl": "private"}
    answer = client("PUT", "asked", headers={**SOURCE, **given})

    plain, asked = client("HEAD", "plain").headers, client("HEAD", "asked").headers
    assert (plain["x-oss-storage-class"], plain["x-oss-meta-a"]) == ("IA", "1")
    assert "x-oss-server-side-encryption" not in plain  # OSS: the source's encryption is not copied
    assert client("GET", "plain", {"acl": ""}).texts("AccessControlList/Grant") == ["default"]
    assert (asked["x-oss-storage-class"], asked["x-oss-server-side-encryption"]) == ("Standard", "KMS")
    assert answer.headers["x-oss-server-side-encryption"] == "KMS"
    assert client("GET", "asked", {"acl": ""}).texts("AccessControlList/Grant") == ["private"]


def test_a_copy_onto_itself_takes_the_request_s_metadata_whatever_its_directive(client: Client) -> None:
    client.oss.put("bucket", "source", b"bytes", x_oss_meta_a="1", x_oss_tagging="t=1")

    client("PUT", "source", headers={**SOURCE, "x-oss-meta-b": "2", "x-oss-metadata-directive": "COPY"})

    head = client("HEAD", "source").headers
    assert ("x-oss-meta-a" in head, head["x-oss-meta-b"], head["x-oss-tagging-count"]) == (False, "2", "1")
    assert client.oss.object("bucket", "source") == b"bytes"


def test_the_copy_of_a_symbolic_link_is_a_link(client: Client) -> None:
    client.oss.put("bucket", "target", b"bytes")
    client.oss.link("bucket", "source", "target")

    client("PUT", "copy", headers={**SOURCE, "x-oss-metadata-directive": "REPLACE"})

    assert client("GET", "copy", {"symlink": ""}).headers["x-oss-symlink-target"] == "target"
    assert client("GET", "copy").body == b"bytes"
    part = client("PUT", "key", {"uploadId": client.initiate(), "partNumber": "1"}, SOURCE)
    assert part.code == "OperationNotSupported"


@pytest.mark.parametrize(
    ("size", "bucket", "headers", "status"),
    [
        (48 * GIB, "bucket", {}, 200),
        (5 * GIB, "other", {}, 200),
        (5 * GIB + 1, "other", {}, 400),
        (GIB, "bucket", {"x-oss-storage-class": "IA"}, 200),
        (GIB + 1, "bucket", {"x-oss-storage-class": "IA"}, 400),
        (GIB + 1, "bucket", {"x-oss-storage-class": "Standard"}, 200),
        (GIB + 1, "bucket", {"x-oss-server-side-encryption": "AES256"}, 400),
    ],
)
def test_one_request_copies_what_oss_allows(
    client: Client, size: int, bucket: str, headers: dict[str, str], status: int
) -> None:
    client.oss.put_zeros("bucket", "source", size)

    answer = client("PUT", "copy", headers={**SOURCE, **headers}, bucket=bucket)

    assert answer.status == status
    if status == 400:
        assert answer.code == "EntityTooLarge"


def test_a_part_is_copied_from_at_most_5_gib(client: Client) -> None:
    client.oss.put_zeros("bucket", "source", 6 * GIB)
    query = {"uploadId": client.initiate(), "partNumber": "1"}

    for wanted in ({}, {"x-oss-copy-source-range": f"bytes=1-{5 * GIB + 1}"}):
        assert client("PUT", "key", query, {**SOURCE, **wanted}).code == "EntityTooLarge"


def test_a_huge_object_and_its_copies_take_neither_room_nor_memory(client: Client, tmp_path: Path) -> None:
    size, part = 10 * GIB, 512 * MIB
    client.oss.put_zeros("bucket", "source", size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    upload_id = client.initiate()
    etags = []
    for number, start in enumerate(range(0, size, part), 1):
        wanted = {**SOURCE, "x-oss-copy-source-range": f"bytes={start}-{start + part - 1}"}
        answer = client("PUT", "key", {"uploadId": upload_id, "partNumber": str(number)}, wanted)
        etags.append((number, answer.texts("ETag")[0]))

    whole = client.complete(upload_id, etags)

    head = client("HEAD", "key").headers
    assert (head["content-length"], head["x-oss-hash-crc64ecma"]) == (
        str(size), client("HEAD", "source").headers["x-oss-hash-crc64ecma"],
    )  # fmt: skip
    assert whole.headers["x-oss-hash-crc64ecma"] == head["x-oss-hash-crc64ecma"]
    blocks = sum(path.stat().st_blocks for path in (client.oss.root / "data").iterdir())
    assert blocks * 512 < 16 * MIB
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 128 * MIB


def test_zeros_are_bytes_like_others(client: Client) -> None:
    client.oss.put_zeros("bucket", "source", 1_000_001)
    zeros = bytes(1_000_001)
    answer = client("PUT", "key", {"uploadId": client.initiate(), "partNumber": "1"}, SOURCE)

    assert client("HEAD", "source").headers["x-oss-hash-crc64ecma"] == str(crc64(zeros))
    assert client("GET", "source", headers={"Range": "bytes=1000000-1000000"}).body == b"\0"
    assert client.oss.object("bucket", "source") == zeros
    assert answer.texts("ETag") == [f'"{md5_of(zeros)}"']


def test_holes_between_other_bytes_are_copied_as_what_they_are(client: Client) -> None:
    ends = b"a" * 102_400, b"z" * 102_400
    client.oss.put_zeros("bucket", "source", 3 * MIB)
    upload_id = client.initiate("mixed")
    query = {"uploadId": upload_id, "partNumber": "2"}
    etags = [(2, client("PUT", "mixed", query, SOURCE).texts("ETag")[0])]
    for number, end in zip((1, 3), ends, strict=True):
        put = client("PUT", "mixed", {"uploadId": upload_id, "partNumber": str(number)}, body=end)
        etags.append((number, put.headers["etag"]))
    client.complete(upload_id, sorted(etags), "mixed")

    client("PUT", "copy", headers={"x-oss-copy-source": "/bucket/mixed"})

    data = ends[0] + bytes(3 * MIB) + ends[1]
    assert client.oss.object("bucket", "copy") == data
    assert client("HEAD", "copy").headers["x-oss-hash-crc64ecma"] == str(crc64(data))


# --- archived, retained -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage_class", ARCHIVED)
def test_an_archived_object_is_read_and_copied_only_when_it_is_restored(client: Client, storage_class: str) -> None:
    client.oss.put("bucket", "source", b"bytes", x_oss_storage_class=storage_class)
    query = {"uploadId": client.initiate(), "partNumber": "1"}

    def asked() -> list[int]:
        calls = (client("GET", "source"), client("PUT", "copy", headers=SOURCE), client("PUT", "key", query, SOURCE))
        assert {call.code for call in calls if call.status != 200} <= {"InvalidObjectState"}
        return [call.status for call in calls]

    assert asked() == [403, 403, 403]
    client.oss.restore("bucket", "source", ongoing=True)
    assert asked() == [403, 403, 403]
    assert client("HEAD", "source").headers["x-oss-restore"] == 'ongoing-request="true"'
    client.oss.restore("bucket", "source")
    assert asked() == [200, 200, 200]
    assert client("HEAD", "source").headers["x-oss-restore"].startswith('ongoing-request="false", expiry-date="')
    assert "x-oss-restore" not in client("HEAD", "copy").headers


def test_who_restores_nothing_is_told(client: Client) -> None:
    with pytest.raises(KeyError):
        client.oss.restore("bucket", "missing")


def test_a_retained_object_is_neither_overwritten_nor_deleted(client: Client) -> None:
    client.oss.put("bucket", "source", b"bytes")
    client("POST", "kept", {"append": "", "position": "0"}, body=b"bytes")
    client.oss.retain("bucket", days=1)
    upload_id = client.initiate("kept")
    etag = client("PUT", "kept", {"uploadId": upload_id, "partNumber": "1"}, SOURCE).texts("ETag")[0]

    for refused in (
        client("PUT", "kept", body=b"others"),
        client("PUT", "kept", headers=SOURCE),
        client("POST", "kept", {"append": "", "position": "5"}, body=b"more"),
        client("DELETE", "kept"),
        client.complete(upload_id, [(1, etag)], "kept"),
    ):
        assert (refused.status, refused.code) == (409, "FileImmutable")
    assert client.oss.object("bucket", "kept") == b"bytes"
    assert client("PUT", "new", body=b"bytes").status == 200
    client.oss.retain("bucket", days=0)
    assert client.complete(upload_id, [(1, etag)], "kept").status == 200


def test_a_date_may_be_as_xml_has_it(client: Client) -> None:
    client.oss.put("bucket", "source", b"bytes")
    for date, status in (("2019-04-09T07:01:56.000Z", 412), ("2119-04-09T07:01:56.000Z", 200)):
        assert client("PUT", "copy", headers={**SOURCE, "x-oss-copy-source-if-unmodified-since": date}).status == status
