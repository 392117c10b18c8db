"""What is fuzzed, and what it promises: a target is called with any bytes and raises when a promise is broken."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_ossresume.errors import ArgumentError, CheckpointUnreadable, CredentialsError, OSSResumeError
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.local_oss.answers import Answer, Refusal
from airflow_provider_ossresume.local_oss.authentication import Account
from airflow_provider_ossresume.local_oss.connection import Connection
from airflow_provider_ossresume.local_oss.exchange import Backend, serve
from airflow_provider_ossresume.local_oss.incoming import Body, ConnectionLost, Stream, parse_head
from airflow_provider_ossresume.local_oss.journal import Journal
from airflow_provider_ossresume.local_oss.operations import operation_of, run
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.service import Service, kept_headers
from airflow_provider_ossresume.local_oss.storage import Storage
from airflow_provider_ossresume.model.checkpoint import decode, encode
from airflow_provider_ossresume.model.object_names import resolve_target
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss import xml_responses
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import check_region, endpoint_for, parse_endpoint, quote_key
from airflow_provider_ossresume.oss.in_memory import DiscardingSink
from airflow_provider_ossresume.oss.proxies import parse_proxy
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.oss.wire import Wire
from airflow_provider_ossresume.oss.xml_reader import MalformedXML
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.properties.test_protocol import READERS
from tests.unit.test_xml import ANSWERS

MAX_INPUT = 32 * 1024  # what a socket pair takes without a reader
SECRET = "hunter2"
TARGET = ObjectRef("bucket", "key")
OBJECT = b"ten bytes."


@dataclass(frozen=True)
class Target:
    """One target: its promise in words, bytes to begin with, and words that get into them often."""

    promise: str
    check: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


# --- checkpoint -------------------------------------------------------------------------------------------------------


def checkpoint(data: bytes) -> None:
    try:
        found = decode(data.decode(errors="surrogateescape"))
    except CheckpointUnreadable:
        return
    assert decode(encode(found)) == found
    assert "/" not in getattr(found, "part_file", "")
    assert len(found.plan) >= 0


# --- xml --------------------------------------------------------------------------------------------------------------


def xml(data: bytes) -> None:
    for read in READERS:
        with contextlib.suppress(*([] if read is xml_responses.read_error else [MalformedXML])):
            read(data)


# --- url --------------------------------------------------------------------------------------------------------------


def url(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    for read in (_endpoint, partial(parse_proxy, "proxy"), endpoint_for, _object):
        try:
            read(text)
        except ArgumentError as error:
            assert len(str(error)) < 20 * len(text) + 500  # noqa: PT017 - a value would do as well


def _endpoint(text: str) -> None:
    endpoint = parse_endpoint(text)
    with contextlib.suppress(ArgumentError):
        check_region(text, endpoint)
    whole = urlsplit(endpoint.url("bucket", "a/../b?#", {"a&": "="}))
    assert whole.username is whole.password is None
    assert whole.netloc.removeprefix("bucket.") == urlsplit(str(endpoint)).netloc
    assert whole.path.endswith("a%2F..%2Fb%3F%23")


def _object(text: str) -> None:
    found = resolve_target(text, None, default_bucket="bucket")
    assert re.fullmatch(r"[A-Za-z0-9%._~/-]+", quote_key(found.key))


# --- headers ----------------------------------------------------------------------------------------------------------


def headers(data: bytes) -> None:
    client, peer = _client()
    calls: tuple[Callable[[], object], ...] = (
        lambda: client.head_object(TARGET),
        lambda: client.get_object(TARGET, DiscardingSink(64), start=0, stop=10, if_match="E"),
        lambda: client.list_parts(TARGET, "ID"),
        lambda: client.delete_object(TARGET),
    )
    for call in calls:
        peer.answer = data
        client._clock.offset = 0.0
        try:
            call()
        except OSSResumeError as error:
            assert str(error).isprintable(), str(error)  # noqa: PT017
            assert len(str(error)) < 8000  # noqa: PT017
        finally:
            client.close()
        client.presigned_url("GET", TARGET, expires=60)  # the clock that it was told can still be signed with


class _Peer:
    """Gives each connection the answer, and its end."""

    answer = b""

    def dial(self, stop: object) -> Wire:
        ours, theirs = socket.socketpair()
        theirs.sendall(self.answer[:MAX_INPUT])
        theirs.shutdown(socket.SHUT_WR)
        self._theirs = theirs  # open until the next one, so that the request can be sent
        wire = Wire()
        wire.attach(ours)
        return wire


def _client() -> tuple[OssClient, _Peer]:
    if not _made:
        client = OssClient(
            parse_endpoint("http://127.0.0.1:1"),
            StaticCredentials("id", SECRET),
            region="cn-hangzhou",
            retry=RetryPolicy(attempts=1),
            proxies={"http": ""},
        )
        peer = _Peer()
        connections: Any = client._connections
        connections._pool_of("http://127.0.0.1:1").route.dial = peer.dial
        _made.append((client, peer))
    return _made[0]


_made: list[tuple[OssClient, _Peer]] = []


# --- connection -------------------------------------------------------------------------------------------------------


def connection(data: bytes) -> None:
    try:
        extra = json.loads(data)
    except (ValueError, RecursionError):
        extra = {"proxy": data.decode(errors="replace"), "endpoint": "http://127.0.0.1"}
    given = extra if isinstance(extra, dict) else {}
    fields = {name: given.get(name) or None for name in ("login", "schema", "conn_type")}
    told = SimpleNamespace(conn_id="c", password=SECRET, extra_dejson=extra, **fields)
    hidden = json.dumps({name: value for name, value in given.items() if name not in _SECRET_FIELDS})
    try:
        settings = ConnectionSettings.from_connection(told)
        shown = repr(settings)
        settings.credentials()
        settings.client(TransferConfig()).close()
    except (ArgumentError, CredentialsError) as error:
        shown = f"{error} {error.__context__}"
    assert SECRET in hidden or SECRET not in shown, shown


_SECRET_FIELDS = ("proxy", "security_token", "access_key_secret", "external_id", "credentials_uri")


# --- server-request ---------------------------------------------------------------------------------------------------


def server_request(data: bytes) -> None:
    with _storage() as (folder, service):
        _serve(data[:MAX_INPUT], service)
        _run(data[:MAX_INPUT], service)
        assert {path.name for path in folder.iterdir()} == {"root"}
        assert {path.name for path in (folder / "root").iterdir()} <= {"buckets", "data"}


def _serve(data: bytes, service: Service) -> None:
    """As a stranger sends it: nothing is signed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        serve(Connection(ours), Backend(service, Account("id", SECRET), Journal(None)))
        answer = b"".join(iter(lambda: theirs.recv(65536), b""))
    assert not answer or re.match(rb"HTTP/1\.1 (100|[45]\d\d) ", answer), answer
    assert b"InternalError" not in answer


def _run(data: bytes, service: Service) -> None:
    """As one sends it who may do everything."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(Refusal, ConnectionLost):
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        stream = Stream(ours)
        head = stream.head()
        if head is None:
            return
        request = parse_head(head, body_of=lambda fields: Body(stream, fields, before_first=lambda: None))
        answer = run(operation_of(request), service, request)
        assert isinstance(answer, Answer)
        assert not any("\r" in value or "\n" in value for value in answer.headers.values())
        answer.close()


@contextlib.contextmanager
def _storage() -> Iterator[tuple[Path, Service]]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None) as name:
        root = Path(name) / "root"
        root.mkdir()
        storage = Storage(root, clock=lambda: 0.0)
        storage.create_bucket("bucket")
        content = storage.contents.receive([memoryview(OBJECT)])
        storage.put("bucket", StoredObject("key", content, content.md5, "Normal", kept_headers({}), 0.0))
        yield Path(name), Service(storage, "cn-hangzhou", lambda: 0.0)


# --- all of them ------------------------------------------------------------------------------------------------------

UPLOAD = (
    b'{"ossresume": 1, "kind": "upload", "bucket": "b", "key": "k", "upload_id": "u", "size": 9, "part_size": 4, '
    b'"options": "", "owner": {"try_number": 1, "identity": "i"}}'
)
DOWNLOAD = (
    b'{"ossresume": 1, "kind": "download", "bucket": "b", "key": "k", "version_id": null, "etag": "e", "size": 9, '
    b'"crc64": 9, "part_size": 2, "part_file": "p", "owner": {"try_number": 1, "identity": "i"}, '
    b'"runs": [[1, 2, "00000000000000ff"]]}'
)
ANSWER = (
    b'HTTP/1.1 %s\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\nETag: "E"\r\nx-oss-hash-crc64ecma: 1\r\n'
    b"Date: Wed, 25 Nov 2026 01:30:07 GMT\r\nRetry-After: 3\r\nx-oss-qos-delay-time: 300\r\nx-oss-request-id: R\r\n"
    b"Last-Modified: Wed, 25 Nov 2026 01:30:07 GMT\r\nx-oss-meta-a: \xc3\xbc\r\n%s\r\nten bytes."
)
SKEWED = (
    b"HTTP/1.1 403 F\r\nDate: Fri, 31 Dec 9999 23:59:59 -2359\r\nContent-Length: 47\r\n\r\n"
    b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n<List\r\n0\r\nTrailer: x\r\n\r\n"
REQUESTS = (
    b"GET /bucket/key HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=1-3\r\nIf-Match: E\r\n\r\n",
    b"PUT /bucket/a%2F..%2Fb HTTP/1.1\r\nContent-Length: 5\r\nx-oss-meta-a: b\r\nContent-MD5: XUFAKrxLKna5cZ2REBfFkg=="
    b"\r\n\r\nhello",
    b"PUT /bucket/key HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"PUT /bucket/copy HTTP/1.1\r\nx-oss-copy-source: /bucket/key\r\nContent-Length: 0\r\n\r\n",
    b"POST /bucket/key?uploads HTTP/1.1\r\nHost: bucket.oss-cn-hangzhou.aliyuncs.com\r\nContent-Length: 0\r\n\r\n",
    b"POST /bucket/?delete HTTP/1.1\r\nContent-MD5: x\r\nContent-Length: 52\r\n\r\n"
    b"<Delete><Object><Key>key</Key></Object></Delete>    ",
    b"POST /bucket/log?append&position=0 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    b"GET /bucket/?list-type=2&prefix=a&delimiter=%2F&continuation-token=eA&max-keys=9"
    b"&encoding-type=url HTTP/1.1\r\n\r\n",
    b"GET /?Signature=x&OSSAccessKeyId=id&Expires=9 HTTP/1.1\r\nx-oss-date: 19700101T000000Z\r\n\r\n",
    b"HEAD /bucket/key?x-oss-signature=x&x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=9"
    b"&x-oss-date=19700101T000000Z"
    b"&x-oss-credential=id%2F19700101%2Fcn-hangzhou%2Foss%2Faliyun_v4_request HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: OSS4-HMAC-SHA256 Credential=id/19700101/cn-hangzhou/oss/aliyun_v4_request,"
    b"AdditionalHeaders=host,Signature=00\r\nx-oss-date: 19700101T000000Z\r\n\r\n",
    b"PUT /bucket/key?tagging HTTP/1.1\r\nContent-Length: 76\r\n\r\n"
    b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging> ",
    b"PUT /bucket/?versioning HTTP/1.1\r\nContent-Length: 74\r\n\r\n"
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    b"GET /bucket/?versions&key-marker=key&version-id-marker=null&delimiter=%2F HTTP/1.1\r\n\r\n",
    b"DELETE /bucket/key?versionId=null HTTP/1.1\r\n\r\n",
    b"PUT /bucket/link?symlink HTTP/1.1\r\nx-oss-symlink-target: key\r\nContent-Length: 0\r\n\r\n",
    b"POST /bucket/key?restore HTTP/1.1\r\nContent-Length: 49\r\n\r\n<RestoreRequest><Days>1</Days></RestoreRequest>  ",
    b"DELETE /bucket/key HTTP/1.1\r\nAuthorization: OSS id:x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
)

TARGETS = {
    "checkpoint": Target(
        "any text decodes to a checkpoint that survives being encoded, or raises CheckpointUnreadable",
        checkpoint,
        (UPLOAD, DOWNLOAD),
        (b"null", b"true", b"-1", b"1e999", b"18446744073709551616", b'"../x"', b"\\u0000", b"[]", b"{}", b"NaN"),
    ),
    "xml": Target(
        "any bytes are an answer or MalformedXML, whichever was expected; as an error they are always a value",
        xml,
        tuple(body.encode() for body, _, _ in ANSWERS.values()),
        (
            b"<!DOCTYPE x [",
            b"<!ENTITY a '&b;'>",
            b"&a;",
            b"<![CDATA[",
            b"]]>",
            b"xmlns='",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
        ),
    ),
    "url": Target(
        "any text is an endpoint, a proxy, a region, an object, or raises ArgumentError, and is quoted without a rest",
        url,
        (
            b"https://oss-cn-hangzhou.aliyuncs.com",
            b"http://user:hunter2@proxy:3128",
            b"oss://bucket/a/../b",
            b"[::1]:80",
        ),
        (
            b"://",
            b"@",
            b"[",
            b"]",
            b":",
            b"%2e",
            b"\\",
            b"\x00",
            b"\r\n",
            b"..",
            b"oss://",
            b"\xc2\xad",
            b"\xef\xbc\x8f",
        ),
    ),
    "headers": Target(
        "any bytes as OSS's answer are a result or an error of ours of one line, and the client can sign afterwards",
        headers,
        (
            ANSWER % (b"200 OK", b""),
            ANSWER % (b"206 Partial Content", b"Content-Encoding: gzip\r\n"),
            ANSWER % (b"403 Forbidden", b"x-oss-err: PEVycm9yPjxDb2RlPkE8L0NvZGU+PC9FcnJvcj4=\r\n"),
            ANSWER % (b"503 Slow Down", b"Location: http://elsewhere/?signature=x\r\n"),
            SKEWED,
            CHUNKED,
            b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER % (b"307 Moved", b"Location: //\r\n"),
        ),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"HTTP/1.1 ",
            b"99999999999999999999",
            b"9" * 5000,
            b"\r\n ",
            b"-2359",
            b"\x1b",
        ),
    ),
    "connection": Target(
        "any JSON as a connection's extra gives a client or an error that names what is wrong and shows no secret",
        connection,
        (
            b'{"endpoint": "http://127.0.0.1:9", "region": "cn-hangzhou", "login": "id", '
            b'"proxy": "http://u:hunter2@h:1"}',
            b'{"region": "cn-hangzhou", "login": "id", "auth_type": "sts", '
            b'"security_token": "hunter2", "verify_tls": 0}',
            b'{"endpoint_kind": "internal", "region": "oss-x", "addressing": "path", '
            b'"signature_version": "V1", "login": 1}',
            b'{"region": "cn-hangzhou", "login": "id", "auth_type": "ram_role_arn", "role_arn": "acs:ram::1:role/r", '
            b'"external_id": "hunter2", "role_session_duration": 900, "role_policy": {"Version": "1"}}',
            b'{"region": "cn-hangzhou", "auth_type": "oidc", "role_arn": "acs:ram::1:role/r", '
            b'"oidc_provider_arn": "acs:ram::1:oidc-provider/p", "oidc_token_file": "/t", "sts_endpoint": "h:1"}',
            b'{"region": "cn-hangzhou", "auth_type": "credentials_uri", "credentials_uri": "http://h:1/hunter2"}',
            b'{"region": "cn-hangzhou", "auth_type": "ecs_ram_role", "role_name": "r", "metadata_endpoint": "http://h"}',
            b"http://user:hunter2@127.0.0.1:3128",
            b"[1]",
        ),
        (
            b'"ca_bundle": "/none"',
            b"null",
            b"[]",
            b"{}",
            b"anonymous",
            b"environment",
            b"hunter2@",
            b"\\u0000",
            b"1e999",
        ),
    ),
    "server-request": Target(
        "any bytes as a request get an error of OSS's or end the connection, and nothing leaves the folder",
        server_request,
        REQUESTS,
        (
            b"..%2f",
            b"%2e%2e/",
            b"%00",
            b"\r\n",
            b"uploadId=",
            b"partNumber=1&",
            b"x-oss-copy-source: ",
            b"Expect: 100-continue\r\n",
        ),
    ),
}
