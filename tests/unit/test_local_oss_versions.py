"""Buckets with versions on the local OSS server."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.unit.test_local_oss import Client, content_md5_of

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]


@pytest.fixture
def client(local_oss: LocalOSS) -> Client:
    local_oss.put("bucket", "key", b"zeroth", x_oss_tagging="n=0")
    local_oss.keep_versions("bucket")
    return Client(local_oss)


def written(client: Client, data: bytes) -> str:
    return client("PUT", "key", body=data, headers={"x-oss-tagging": "n=1"}).headers["x-oss-version-id"]


def test_what_is_overwritten_or_deleted_is_read_by_its_version(client: Client) -> None:
    first, second = written(client, b"first"), written(client, b"second")
    client("DELETE", "key")

    assert client("GET", "key").code == "NoSuchKey"
    for version, data in ((first, b"first"), (second, b"second"), ("null", b"zeroth")):
        assert client("GET", "key", {"versionId": version}).body == data
        assert client("HEAD", "key", {"versionId": version}).headers["content-length"] == str(len(data))
    assert client("GET", "key", {"versionId": first}).headers["x-oss-version-id"] == first
    assert client("GET", "key", {"versionId": "null", "tagging": ""}).texts("TagSet/Tag/Value") == ["0"]
    assert client("GET", "key", {"versionId": "CAEQ"}).code == "NoSuchVersion"


def test_parts_are_copied_from_the_version_that_is_named(client: Client) -> None:
    first = written(client, b"first")
    written(client, b"second")
    upload_id = client.initiate("copy")
    source = {"x-oss-copy-source": f"/bucket/key?versionId={first}"}

    part = client("PUT", "copy", {"uploadId": upload_id, "partNumber": "1"}, source)
    done = client.complete(upload_id, [(1, part.texts("ETag")[0])], "copy")

    assert client.oss.object("bucket", "copy") == b"first"
    assert part.headers["x-oss-copy-source-version-id"] == first
    assert done.headers["x-oss-version-id"] == client("HEAD", "copy").headers["x-oss-version-id"]
    again = client("PUT", "copy", headers=source)
    assert again.headers["x-oss-copy-source-version-id"] == first
    assert again.headers["x-oss-version-id"] != done.headers["x-oss-version-id"]


def test_nothing_forbids_to_overwrite_where_there_are_versions(client: Client) -> None:
    assert client("PUT", "key", body=b"new", headers={"x-oss-forbid-overwrite": "true"}).status == 200
    assert client.oss.object("bucket", "key") == b"new"


def test_an_appendable_object_with_versions_grows_and_is_not_copied(client: Client) -> None:
    version = client("POST", "log", {"append": "", "position": "0"}, body=b"one").headers["x-oss-version-id"]
    client("POST", "log", {"append": "", "position": "3"}, body=b"two")

    assert client("GET", "log", {"versionId": version}).body == b"onetwo"
    assert client("PUT", "copy", headers={"x-oss-copy-source": "/bucket/log"}).code == "OperationNotSupported"


def test_a_copy_onto_itself_keeps_the_metadata_where_there_are_versions(client: Client) -> None:
    client("PUT", "key", body=b"bytes", headers={"x-oss-meta-a": "1"})
    client("PUT", "key", headers={"x-oss-copy-source": "/bucket/key"})

    assert client("HEAD", "key").headers["x-oss-meta-a"] == "1"


def test_a_marker_tells_itself_in_the_headers(client: Client) -> None:
    marker = client("DELETE", "key").headers["x-oss-version-id"]

    for reply in (client("GET", "key"), client("HEAD", "key"), client("GET", "key", {"versionId": marker})):
        assert (reply.headers["x-oss-delete-marker"], reply.headers["x-oss-version-id"]) == ("true", marker)
    for method, query in (("GET", {"tagging": ""}), ("HEAD", {"objectMeta": ""}), ("GET", {"acl": ""})):
        assert client(method, "key", {**query, "versionId": marker}).status == 405


def test_a_deletion_is_strict_about_versions(client: Client) -> None:
    first = written(client, b"first")

    assert client("DELETE", "key", {"versionId": "CAEQ"}).status == 204
    body = b"<Delete><Object><Key>key</Key><VersionId></VersionId></Object></Delete>"
    empty = client("POST", query={"delete": ""}, headers={"Content-MD5": content_md5_of(body)}, body=body)

    assert (empty.status, empty.code, empty.headers["x-oss-ec"]) == (400, "InvalidArgument", "0016-00000612")
    assert client.oss.versions("bucket", "key") == [first, "null"]
    assert client("GET", "key").body == b"first"


@pytest.mark.parametrize(
    ("method", "query", "body", "code"),
    [
        ("PUT", {"versioning": ""}, b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
         "MalformedXML"),
        ("PUT", {"versioning": ""}, b"<VersioningConfiguration/>", "MalformedXML"),
        ("PUT", {"versioning": ""}, b"", "MalformedXML"),
        ("GET", {"versions": "", "version-id-marker": "null"}, None, "InvalidArgument"),
        ("GET", {"versions": "", "key-marker": "key", "version-id-marker": "nonsense"}, None, "InvalidArgument"),
        ("GET", {"versions": "", "max-keys": "1001"}, None, "InvalidArgument"),
    ],
)  # fmt: skip
def test_what_oss_has_not_is_refused(
    client: Client, method: str, query: dict[str, str], body: bytes | None, code: str
) -> None:
    reply = client(method, query=query, body=body)

    assert (reply.status, reply.code) == (400, code)
    assert client("GET", query={"versioning": ""}).texts("Status") == ["Enabled"]


def test_a_retained_version_is_not_deleted_and_a_marker_is(client: Client) -> None:
    first, _ = written(client, b"first"), written(client, b"second")
    marker = client("DELETE", "key").headers["x-oss-version-id"]
    client.oss.retain("bucket", days=1)

    for version in (first, "null"):
        reply = client("DELETE", "key", {"versionId": version})
        assert (reply.status, reply.code) == (409, "FileImmutable")
    assert client("DELETE", "key", {"versionId": marker}).status == 204
    assert client.oss.object("bucket", "key") == b"second"


def test_bucket_info_tells_the_versioning(client: Client) -> None:
    assert client("GET", query={"bucketInfo": ""}).texts("Bucket/Versioning") == ["Enabled"]


def test_no_bytes_are_left_of_deleted_versions(client: Client) -> None:
    written(client, b"first")
    written(client, b"second")
    client("DELETE", "key")
    for version in client.oss.versions("bucket", "key"):
        client("DELETE", "key", {"versionId": version})

    assert list((client.oss.root / "data").iterdir()) == []
    assert list((client.oss.root / "buckets" / "bucket" / "older").iterdir()) == []
    assert client("DELETE", bucket="bucket").status == 204


def test_a_test_reads_versions_too(client: Client) -> None:
    first = written(client, b"first")
    client.oss.delete("bucket", "key")

    assert client.oss.versions("bucket", "key")[1:] == [first, "null"]
    assert client.oss.object("bucket", "key", "null") == b"zeroth"
    for version in ("", "CAEQ", client.oss.versions("bucket", "key")[0]):
        with pytest.raises(KeyError):
            client.oss.object("bucket", "key", version)
    with pytest.raises(KeyError):
        client.oss.delete("bucket", "key")


def test_delete_markers_outlive_the_server_and_a_version_left_twice_is_one(tmp_path: Path) -> None:
    with LocalOSS(tmp_path) as oss:
        oss.keep_versions("bucket")
        first, second = written(Client(oss), b"first"), written(Client(oss), b"second")
        Client(oss)("DELETE", "gone")
    records = tmp_path / "buckets" / "bucket"
    [current] = (records / "objects").iterdir()
    (records / "older" / f"{'0' * 64}.json").write_bytes(current.read_bytes())  # as a kill leaves it

    with LocalOSS(tmp_path) as oss:
        assert oss.versions("bucket", "key") == [second, first]
        assert len(oss.versions("bucket", "gone")) == 1
        assert Client(oss)("GET", "gone").headers["x-oss-delete-marker"] == "true"
        third = written(Client(oss), b"third")
        Client(oss)("DELETE", "key", {"versionId": third})
        assert oss.object("bucket", "key") == b"second"


def test_versions_and_retention_outlive_the_server(tmp_path: Path) -> None:
    with LocalOSS(tmp_path) as oss:
        oss.put("bucket", "key", b"zeroth")
        oss.keep_versions("bucket")
        first = written(Client(oss), b"first")
        oss.put("bucket", "key", b"second")
        oss.retain("bucket", days=1)

    with LocalOSS(tmp_path) as oss:
        client = Client(oss)
        assert client("GET", "key", {"versionId": first}).body == b"first"
        assert client("GET", "key", {"versionId": "null"}).body == b"zeroth"
        assert client("DELETE", "key").code == "FileImmutable"
        oss.retain("bucket", days=0)
        assert written(client, b"third") != first
        assert client("DELETE", bucket="bucket").code == "BucketNotEmpty"
