"""Object tags on the local OSS server: what is refused, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.unit.test_local_oss import Client, content_md5_of

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]


@pytest.fixture
def client(local_oss: LocalOSS) -> Client:
    local_oss.put("bucket", "key", b"bytes", x_oss_tagging="kept=1")
    return Client(local_oss)


def tagging_xml(*tags: tuple[str, str]) -> bytes:
    listed = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags)
    return f"<Tagging><TagSet>{listed}</TagSet></Tagging>".encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (tagging_xml(*((f"t{number}", "") for number in range(11))), "InvalidTag"),
        (tagging_xml(("a", "1"), ("a", "2")), "InvalidTag"),
        (tagging_xml(("", "1")), "InvalidTag"),
        (tagging_xml(("k" * 129, "1")), "InvalidTag"),
        (tagging_xml(("a", "v" * 257)), "InvalidTag"),
        (tagging_xml(("a", "中")), "InvalidTag"),
        (b"<Tags/>", "MalformedXML"),
        (b"", "MalformedXML"),
    ],
)
def test_tags_that_oss_has_not_are_refused_and_the_old_ones_stay(client: Client, body: bytes, code: str) -> None:
    reply = client("PUT", "key", {"tagging": ""}, body=body)

    assert (reply.status, reply.code) == (400, code)
    assert client("GET", "key", {"tagging": ""}).texts("TagSet/Tag/Key") == ["kept"]


def test_a_tag_may_have_no_value(client: Client) -> None:
    client("PUT", "key", {"tagging": ""}, body=b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>")

    assert client("GET", "key", {"tagging": ""}).texts("TagSet/Tag/Value") == [""]
    assert client("HEAD", "key").headers["x-oss-tagging-count"] == "1"


def test_tags_are_checked_against_their_md5(client: Client) -> None:
    body = tagging_xml(("a", "1"))
    wrong = client("PUT", "key", {"tagging": ""}, {"Content-MD5": content_md5_of(b"other")}, body)

    assert (wrong.status, wrong.code) == (400, "InvalidDigest")
    assert client("PUT", "key", {"tagging": ""}, {"Content-MD5": content_md5_of(body)}, body).status == 200


def test_a_version_has_tags_of_its_own(client: Client) -> None:
    client.oss.keep_versions("bucket")
    first = client("PUT", "key", body=b"first").headers["x-oss-version-id"]
    second = client("PUT", "key", body=b"second").headers["x-oss-version-id"]

    for version in (first, second):
        tagged = client("PUT", "key", {"tagging": "", "versionId": version}, body=tagging_xml(("is", version)))
        assert (tagged.status, tagged.headers["x-oss-version-id"]) == (200, version)

    for version in (first, second):
        assert client("GET", "key", {"tagging": "", "versionId": version}).texts("TagSet/Tag/Value") == [version]
    assert client("DELETE", "key", {"tagging": "", "versionId": first}).status == 204
    assert client("GET", "key", {"tagging": "", "versionId": first}).texts("TagSet/Tag") == []
    assert client("GET", "key", {"tagging": ""}).texts("TagSet/Tag/Value") == [second]


def test_tags_outlive_the_server(tmp_path: Path) -> None:
    with LocalOSS(tmp_path) as oss:
        oss.put("bucket", "key", b"first")
        oss.keep_versions("bucket")
        oss.put("bucket", "key", b"second")
        Client(oss)("PUT", "key", {"tagging": "", "versionId": "null"}, body=tagging_xml(("of", "the first")))
        Client(oss)("PUT", "key", {"tagging": ""}, body=tagging_xml(("of", "the second")))

    with LocalOSS(tmp_path) as oss:
        client = Client(oss)
        assert client("GET", "key", {"tagging": "", "versionId": "null"}).texts("TagSet/Tag/Value") == ["the first"]
        assert client("GET", "key", {"tagging": ""}).texts("TagSet/Tag/Value") == ["the second"]
