"""The local OSS server with TLS: its files, its life, and clients that speak none."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import signal
import socket
import ssl
import stat
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.local_oss.incoming import Body, parse_head
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.oss.xml_requests import complete_body
from tests.unit.test_local_oss import Client
from tests.unit.test_local_oss_server import started

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]

DATA = bytes(range(250)) * 12_000


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[LocalOSS]:
    with LocalOSS(tmp_path / "root", tls=True) as oss:
        yield oss


def fetched(
    oss: LocalOSS,
    method: str = "GET",
    body: bytes | None = None,
    *,
    query: dict[str, str] | None = None,
    ca_file: object = None,
) -> bytes:
    """Send a signed request over a verified connection and return what comes back."""
    path, headers = Client(oss).signed(method, "key", query or {}, {}, bucket="bucket")
    context = ssl.create_default_context(cafile=str(ca_file or oss.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", oss.port, context=context, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_bytes_go_both_ways(oss: LocalOSS) -> None:
    fetched(oss, "PUT", DATA)

    assert oss.object("bucket", "key") == fetched(oss) == DATA
    assert [request.bytes_sent for request in oss.calls("GetObject")] == [len(DATA)]


def test_the_location_of_a_completed_upload_is_an_https_url(oss: LocalOSS) -> None:
    upload_id = ElementTree.fromstring(fetched(oss, "POST", query={"uploads": ""})).findtext("UploadId", "")
    fetched(oss, "PUT", DATA, query={"uploadId": upload_id, "partNumber": "1"})
    body = complete_body([Receipt(1, hashlib.md5(DATA).hexdigest().upper(), len(DATA), None)])

    completed = fetched(oss, "POST", body, query={"uploadId": upload_id})

    assert ElementTree.fromstring(completed).findtext("Location") == f"{oss.endpoint}/bucket/key"
    assert oss.endpoint.startswith("https://")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:9000", "https://127.0.0.1:9000/127"),
        ("oss-cn-hangzhou.aliyuncs.com", "https://oss-cn-hangzhou.aliyuncs.com/127"),
        ("127.oss-cn-hangzhou.aliyuncs.com", "https://127.oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_the_url_of_a_bucket_is_the_one_that_the_client_used(host: str, url: str) -> None:
    path = "/key" if host.startswith("127.oss") else "/127/key"
    head = f"GET {path} HTTP/1.1\r\nHost: {host}".encode()

    request = parse_head(head, body_of=lambda _: Body(None, {}, before_first=lambda: None), scheme="https")  # type: ignore[arg-type]

    assert (request.bucket_url, request.key) == (url, "key")


def test_no_private_key_stays_on_the_disk(oss: LocalOSS, tmp_path: Path) -> None:
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert any(b"BEGIN CERTIFICATE" in data for data in files)
    assert not any(b"PRIVATE KEY" in data for data in files)
    assert stat.S_ISREG((oss.ca_file or tmp_path).stat().st_mode)


def test_the_certificate_stays_over_a_stop(oss: LocalOSS) -> None:
    oss.put("bucket", "key", DATA)
    oss.stop()
    oss.start()

    assert fetched(oss) == DATA


def test_another_server_has_another_authority(oss: LocalOSS, tmp_path: Path) -> None:
    with LocalOSS(tmp_path / "other", tls=True) as other, pytest.raises(ssl.SSLCertVerificationError):
        fetched(oss, ca_file=other.ca_file)


def test_a_client_without_tls_is_sent_away_and_holds_up_nobody(oss: LocalOSS) -> None:
    oss.put("bucket", "key", DATA)
    with (
        socket.create_connection(("127.0.0.1", oss.port), timeout=30) as plain,
        socket.create_connection(("127.0.0.1", oss.port), timeout=30),
    ):  # the second one says nothing
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP/1.1" not in plain.recv(100)
        assert fetched(oss) == DATA
        oss.stop()


def test_faults_strike_under_tls_too(oss: LocalOSS) -> None:
    oss.put("bucket", "key", DATA)
    oss.fail("GetObject", fault=Fault("truncated", after_bytes=1000))
    with pytest.raises(http.client.IncompleteRead) as ended:
        fetched(oss)
    assert ended.value.partial == DATA[:1000]
    oss.fail("GetObject", fault=Fault("reset-answer", after_bytes=1000))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):  # OpenSSL takes a reset for an end
        fetched(oss)
    oss.fail("PutObject", fault=Fault("answer-lost"))
    with pytest.raises(http.client.RemoteDisconnected):
        fetched(oss, "PUT", b"new")
    assert oss.object("bucket", "key") == b"new"


def test_the_airflow_connection_names_the_bundle(oss: LocalOSS) -> None:
    connection = json.loads(oss.airflow_connection())

    assert connection["extra"]["ca_bundle"] == str(oss.ca_file)
    assert connection["extra"]["endpoint"] == f"https://127.0.0.1:{oss.port}"


@pytest.mark.parametrize("local_oss", [{"tls": True, "region": "cn-beijing"}], indirect=True)
def test_the_fixture_takes_arguments_of_the_server(local_oss: LocalOSS) -> None:
    assert (local_oss.endpoint[:8], local_oss.region) == ("https://", "cn-beijing")
    assert b"NoSuchKey" in fetched(local_oss)


def test_without_tls_there_is_no_bundle(local_oss: LocalOSS) -> None:
    assert (local_oss.ca_file, local_oss.endpoint[:7]) == (None, "http://")
    assert "ca_bundle" not in local_oss.airflow_connection()


def test_without_cryptography_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as Python marks what cannot be imported

    with pytest.raises(ArgumentError, match="pip install cryptography"):
        LocalOSS(tmp_path / "root", tls=True)

    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_path_of_the_bundle(tmp_path: Path) -> None:
    process, line = started("--root", str(tmp_path), "--tls", "--bucket", "bucket")
    try:
        found = re.search(r"endpoint=https://127\.0\.0\.1:(\d+) .* ca_file=(\S+)$", line.strip())
        assert found
        there = LocalOSS(tmp_path / "unused", port=int(found[1]))
        fetched(there, "PUT", b"bytes", ca_file=found[2])
        assert fetched(there, ca_file=found[2]) == b"bytes"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
