"""Buckets with versions on the local OSS server."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.unit.test_local_oss import Client

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
