"""The OSS client, on real sockets: against the local OSS server, and against servers that no OSS would be."""

from __future__ import annotations

import contextlib
import datetime
import functools
import ipaddress
import logging
import pickle
import re
import select
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_ossresume import __version__
from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ArgumentError,
    BadAnswer,
    ConnectionFailed,
    CredentialsError,
    IntegrityError,
    InvalidPart,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    ObjectArchived,
    OSSResumeError,
    PreconditionFailed,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import (
    AnonymousCredentials,
    Credentials,
    CredentialsProvider,
    StaticCredentials,
)
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.results import MAX_XML_BYTES
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.unit.test_retry import Clock
from tests.world import BUCKET, PART, a_client, some_bytes

TARGET = ObjectRef(BUCKET, "key")
DATA = some_bytes(3 * PART + 17)
TOKEN = "the-security-token"

KEYS = [
    "a b", "a+b", "100%", "%2F", "a/../b", "a//b", "./a", "a/.", "..", ".", "a/", "键/值", "😀", "a?b#c&d=e", "<&>'\"",
    "]]>", " x ", "\u2028", "~-_.", "x" * 1023, "ü" * 511 + "x",
]  # fmt: skip


@pytest.fixture
def client(oss: LocalOSS) -> OssClient:
    return a_client(oss)


@pytest.fixture(params=["v4", "v1", "v4 with a token", "v1 with a token"])
def signing(request: pytest.FixtureRequest, oss: LocalOSS) -> OssClient:
    """A client for each way to sign."""
    version, _, token = request.param.partition(" ")
    oss.security_token = TOKEN if token else None
    return a_client(oss, signature_version=version)


# --- objects ----------------------------------------------------------------------------------------------------------


def test_what_is_put_is_there_with_its_crc(signing: OssClient, oss: LocalOSS) -> None:
    meta = signing.put_object(TARGET, Bytes(DATA))

    assert oss.object(BUCKET, "key") == DATA
    assert (meta.size, meta.crc64) == (len(DATA), crc64(DATA))
    assert re.fullmatch("[0-9A-F]{32}", meta.etag)


def test_what_is_got_is_the_object(signing: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    sink = Collected()

    meta = signing.get_object(TARGET, sink)

    assert sink.data == DATA
    assert (meta.size, meta.crc64) == (len(DATA), crc64(DATA))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, len(DATA)), (PART, 2 * PART), (len(DATA) - 1, len(DATA))])
def test_a_range_is_half_open_and_the_meta_is_the_whole_objects(
    client: OssClient, oss: LocalOSS, start: int, stop: int
) -> None:
    oss.put(BUCKET, "key", DATA)
    sink = Collected()

    meta = client.get_object(TARGET, sink, start=start, stop=stop, if_match=client.head_object(TARGET).etag)

    assert sink.data == DATA[start:stop]
    assert (meta.size, meta.crc64) == (len(DATA), crc64(DATA))


def test_a_head_tells_what_the_object_was_given(client: OssClient) -> None:
    headers = {"Content-Type": "text/x", "x-oss-meta-Colour": "blau", "x-oss-meta-city": "杭州 ü"}
    stored = client.put_object(TARGET, Bytes(DATA), headers=headers)

    meta = client.head_object(TARGET)

    assert (meta.size, meta.etag, meta.crc64) == (stored.size, stored.etag, stored.crc64)
    assert meta.content_type == meta.headers["content-type"] == "text/x"
    assert meta.metadata == {"colour": "blau", "city": "杭州 ü"}
    assert meta.last_modified is not None
    assert abs(meta.last_modified.timestamp() - time.time()) < 3600


def test_an_empty_object_is_put_and_got(client: OssClient) -> None:
    client.put_object(TARGET, Bytes(b""))
    sink = Collected()

    assert client.get_object(TARGET, sink).size == 0
    assert (sink.data, client.head_object(TARGET).crc64) == (b"", 0)


def test_a_body_that_is_gzip_stays_gzip(client: OssClient, oss: LocalOSS) -> None:
    client.put_object(TARGET, Bytes(DATA), headers={"Content-Encoding": "gzip"})
    sink = Collected()

    client.get_object(TARGET, sink)

    assert sink.data == DATA
    assert oss.calls("GetObject")[0].headers["accept-encoding"] == "identity"


def test_an_object_is_deleted_even_when_it_is_not_there(signing: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    signing.delete_object(TARGET)
    signing.delete_object(TARGET)

    assert oss.objects(BUCKET) == []


def test_a_thousand_objects_and_more_are_listed_and_deleted_in_pages(client: OssClient, oss: LocalOSS) -> None:
    keys = sorted(f"k{number}" for number in range(1001))
    for key in keys:
        oss.put(BUCKET, key, b"")

    listed = [found.key for found in client.list_objects(BUCKET)]
    gone = client.delete_objects(BUCKET, [*keys, "never there"])

    assert listed == keys
    assert gone == [*keys, "never there"]
    assert oss.objects(BUCKET) == []
    assert (len(oss.calls("ListObjectsV2")), len(oss.calls("DeleteMultipleObjects"))) == (2, 2)


def test_deleting_no_objects_asks_nothing(client: OssClient, oss: LocalOSS) -> None:
    assert client.delete_objects(BUCKET, []) == []
    assert oss.requests == []


def test_a_copy_is_another_object_with_the_same_bytes(signing: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "键 ü/../+%", DATA)

    copied = signing.copy_object(ObjectRef(BUCKET, "键 ü/../+%"), TARGET, headers={"x-oss-forbid-overwrite": "true"})

    assert oss.object(BUCKET, "key") == DATA
    assert (signing.head_object(TARGET).etag, copied.crc64) == (copied.etag, crc64(DATA))


def test_a_copy_is_of_the_source_that_was_seen_or_of_none(signing: OssClient, oss: LocalOSS) -> None:
    source = ObjectRef(BUCKET, "source")
    oss.put(BUCKET, source.key, DATA)
    etag = signing.head_object(source).etag

    signing.copy_object(source, TARGET, if_match=etag)
    oss.put(BUCKET, source.key, b"others")
    with pytest.raises(PreconditionFailed) as refused:
        signing.copy_object(source, TARGET, if_match=etag)

    assert refused.value.target == "oss://bucket/source"
    assert oss.object(BUCKET, "key") == DATA


def test_a_weak_etag_of_a_source_is_a_condition_without_the_mark_of_a_proxy(client: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "source", DATA)
    upload_id = client.initiate(TARGET)

    source, etag = ObjectRef(BUCKET, "source"), client.head_object(ObjectRef(BUCKET, "source")).etag

    client.copy_object(source, ObjectRef(BUCKET, "copy"), if_match=f'W/"{etag}"')
    client.upload_part_copy(source, TARGET, upload_id, 1, start=0, stop=1, if_match=f'W/"{etag}"')

    for request in (*oss.calls("CopyObject"), *oss.calls("UploadPartCopy")):
        assert request.headers["x-oss-copy-source-if-match"] == f'"{etag}"'
    with pytest.raises(PreconditionFailed):
        client.copy_object(source, ObjectRef(BUCKET, "copy"), if_match='W/"5D"')


def test_a_copy_between_buckets_names_the_one_that_is_missing(client: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "source", DATA)

    with pytest.raises(NoSuchBucket) as no_source:
        client.copy_object(ObjectRef("missing", "source"), TARGET)
    with pytest.raises(NoSuchBucket) as no_target:
        client.copy_object(ObjectRef(BUCKET, "source"), ObjectRef("missing", "copy"))

    assert (no_source.value.target, no_target.value.target) == ("oss://missing/source", "oss://missing/copy")


def test_a_version_goes_with_the_request(client: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    first = ObjectRef(BUCKET, "key", "null")  # the only one that a bucket without versions has

    assert client.head_object(first).size == len(DATA)
    client.get_object(first, Collected())
    client.copy_object(first, ObjectRef(BUCKET, "copy"))

    assert [request.query.get("versionId") for request in oss.requests] == ["null", "null", None]
    assert oss.calls("CopyObject")[0].headers["x-oss-copy-source"] == "/bucket/key?versionId=null"


def test_reading_a_byte_tells_whether_an_archived_object_can_be_read(client: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA, x_oss_storage_class="ColdArchive")
    etag = client.head_object(TARGET).etag

    with pytest.raises(ObjectArchived, match="restore it first"):
        client.check_readable(TARGET, if_match=etag)
    oss.restore(BUCKET, "key")
    client.check_readable(TARGET, if_match=etag)

    assert {request.range for request in oss.calls("GetObject")} == {"bytes=0-0"}
    assert oss.calls("GetObject")[-1].bytes_sent == 1


def test_a_retention_policy_tells_its_days(signing: OssClient, oss: LocalOSS) -> None:
    assert signing.get_retention_days(BUCKET) == 0
    oss.retain(BUCKET, days=30)
    assert signing.get_retention_days(BUCKET) == 30
    with pytest.raises(NoSuchBucket):
        signing.get_retention_days("missing")


# --- multipart uploads ------------------------------------------------------------------------------------------------


def test_parts_become_one_object_whatever_their_order(signing: OssClient, oss: LocalOSS) -> None:
    upload_id = signing.initiate(TARGET, headers={"x-oss-meta-a": "1", "Content-Type": "text/x"})
    last = signing.upload_part(TARGET, upload_id, 7, Bytes(DATA[PART:]))
    first = signing.upload_part(TARGET, upload_id, 2, Bytes(DATA[:PART]))

    assert signing.list_parts(TARGET, upload_id) == [first, last]
    assert [upload.upload_id for upload in signing.list_uploads(BUCKET)] == [upload_id]
    meta = signing.complete(TARGET, upload_id, [last, first])

    assert oss.object(BUCKET, "key") == DATA
    assert (meta.size, meta.crc64) == (len(DATA), crc64(DATA))
    head = signing.head_object(TARGET)
    assert (head.etag, head.metadata, head.content_type) == (meta.etag, {"a": "1"}, "text/x")


def test_a_part_is_told_with_its_size_etag_and_crc(client: OssClient) -> None:
    upload_id = client.initiate(TARGET)

    part = client.upload_part(TARGET, upload_id, 3, Bytes(DATA))

    assert (part.number, part.size, part.crc64) == (3, len(DATA), crc64(DATA))
    assert re.fullmatch("[0-9A-F]{32}", part.etag)


def test_a_part_sent_again_replaces_the_former_one(client: OssClient, oss: LocalOSS) -> None:
    upload_id = client.initiate(TARGET)
    client.upload_part(TARGET, upload_id, 1, Bytes(b"former"))
    part = client.upload_part(TARGET, upload_id, 1, Bytes(DATA))

    client.complete(TARGET, upload_id, [part])

    assert oss.object(BUCKET, "key") == DATA


def test_all_pages_of_parts_are_listed(client: OssClient, oss: LocalOSS) -> None:
    upload_id = client.initiate(TARGET)
    with ThreadPoolExecutor(8) as threads:
        sent = list(
            threads.map(lambda number: client.upload_part(TARGET, upload_id, number, Bytes(b"x")), range(1, 1003))
        )

    assert client.list_parts(TARGET, upload_id) == sent
    assert len(oss.calls("ListParts")) == 2


def test_an_upload_without_parts_has_none(client: OssClient) -> None:
    assert client.list_parts(TARGET, client.initiate(TARGET)) == []


def test_oss_may_copy_the_bytes_of_parts_itself(signing: OssClient, oss: LocalOSS) -> None:
    source = ObjectRef(BUCKET, "a/../b ü")
    oss.put(BUCKET, source.key, DATA)
    etag = signing.head_object(source).etag
    upload_id = signing.initiate(TARGET)

    copied = [
        signing.upload_part_copy(source, TARGET, upload_id, number, start=start, stop=stop, if_match=etag)
        for number, (start, stop) in enumerate([(0, PART), (PART, len(DATA))], 1)
    ]
    listed = signing.list_parts(TARGET, upload_id)
    assert copied == [replace(part, crc64=None) for part in listed]  # OSS tells it in the listing only
    signing.complete(TARGET, upload_id, copied)

    assert oss.object(BUCKET, "key") == DATA
    with pytest.raises(PreconditionFailed):
        signing.upload_part_copy(
            source, TARGET, signing.initiate(TARGET), 1, start=0, stop=PART, if_match="of another object"
        )


def test_an_aborted_upload_is_gone(signing: OssClient, oss: LocalOSS) -> None:
    upload_id = signing.initiate(TARGET)
    part = signing.upload_part(TARGET, upload_id, 1, Bytes(DATA))
    signing.abort(TARGET, upload_id)

    assert oss.uploads(BUCKET) == []
    for call in (
        lambda: signing.abort(TARGET, upload_id),
        lambda: signing.list_parts(TARGET, upload_id),
        lambda: signing.upload_part(TARGET, upload_id, 1, Bytes(DATA)),
        lambda: signing.complete(TARGET, upload_id, [part]),
    ):
        with pytest.raises(NoSuchUpload):
            call()


# --- the bucket -------------------------------------------------------------------------------------------------------


def test_uploads_are_listed_by_key(client: OssClient) -> None:
    started = [(key, client.initiate(ObjectRef(BUCKET, key))) for key in ("b/2", "a/1", "b/2")]

    listed = [(upload.key, upload.upload_id) for upload in client.list_uploads(BUCKET)]

    assert sorted(listed) == sorted(started)
    assert [key for key, _ in listed] == ["a/1", "b/2", "b/2"]
    assert {upload.key for upload in client.list_uploads(BUCKET, prefix="b/")} == {"b/2"}
    assert all(upload.initiated for upload in client.list_uploads(BUCKET))


def test_all_pages_of_uploads_are_listed() -> None:
    page = (
        "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>{}</IsTruncated>"
        "<NextKeyMarker>a%20b%2F1</NextKeyMarker><NextUploadIdMarker>ID1</NextUploadIdMarker>"
        "<Upload><Key>{}</Key><UploadId>{}</UploadId></Upload></ListMultipartUploadsResult>"
    )
    pages = [page.format("true", "a%20b%2F1", "ID1"), page.format("false", "z", "ID2")]
    with Scripted(*(an_answer(200, body.encode()) for body in pages)) as server:
        listed = [(upload.key, upload.upload_id) for upload in server.client().list_uploads(BUCKET)]

    assert listed == [("a b/1", "ID1"), ("z", "ID2")]
    assert "key-marker=" not in server.heads[0]
    assert "key-marker=a%20b%2F1&upload-id-marker=ID1" in server.heads[1]


def test_objects_are_listed_in_the_order_of_their_keys_bytes(client: OssClient, oss: LocalOSS) -> None:
    for key in KEYS:
        oss.put(BUCKET, key, b"x")

    assert [found.key for found in client.list_objects(BUCKET)] == sorted(KEYS, key=str.encode)


def test_a_listing_may_begin_later_and_may_leave_out_what_is_below_a_delimiter(
    client: OssClient, oss: LocalOSS
) -> None:
    for key in ("a", "a/1", "a/2/3", "a/4", "b"):
        oss.put(BUCKET, key, b"x")

    def listed(**options: str) -> list[str]:
        return [found.key for found in client.list_objects(BUCKET, **options)]

    assert listed(prefix="a/") == ["a/1", "a/2/3", "a/4"]
    assert listed(prefix="a/", delimiter="/") == ["a/1", "a/4"]
    assert listed(delimiter="/") == ["a", "b"]
    assert listed(start_after="a/1") == ["a/2/3", "a/4", "b"]
    assert listed(prefix="z") == []


def test_a_bucket_tells_where_it_is(signing: OssClient, oss: LocalOSS) -> None:
    info = signing.get_bucket_info(BUCKET)

    assert (info.name, info.region, info.storage_class) == (BUCKET, "cn-hangzhou", "Standard")
    assert info.extranet_endpoint
    assert info.owner == "1234567890"
    assert info.answered_at


def test_a_key_tells_whose_it_is(signing: OssClient) -> None:
    info = signing.get_service_info()

    assert info.owner == "1234567890"
    assert info.answered_at


# --- awkward keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v4", "v1"])
@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:20])
def test_every_operation_takes_every_key(oss: LocalOSS, key: str, version: str) -> None:
    client = a_client(oss, signature_version=version)
    target, copy, sink = ObjectRef(BUCKET, key), ObjectRef(BUCKET, "copy"), Collected()

    client.put_object(target, Bytes(DATA))
    assert oss.objects(BUCKET) == [key]
    assert client.head_object(target).size == len(DATA)
    client.get_object(target, sink, start=0, stop=PART)
    assert sink.data == DATA[:PART]
    assert [found.key for found in client.list_objects(BUCKET, prefix=key)] == [key]
    client.copy_object(target, copy)
    assert oss.object(BUCKET, "copy") == DATA

    upload_id = client.initiate(target)
    assert [(found.key, found.upload_id) for found in client.list_uploads(BUCKET, prefix=key)] == [(key, upload_id)]
    part = client.upload_part(target, upload_id, 1, Bytes(b"new"))
    assert client.list_parts(target, upload_id) == [part]
    client.complete(target, upload_id, [part])
    assert oss.object(BUCKET, key) == b"new"
    client.abort(target, client.initiate(target))

    assert client.delete_objects(BUCKET, [key]) == [key]
    client.put_object(target, Bytes(DATA))
    client.delete_object(target)
    assert oss.objects(BUCKET) == ["copy"]


# --- URLs for others --------------------------------------------------------------------------------------------------

URL_KEYS = [key for key in KEYS if key not in ("..", ".")]  # which requests, not ours, takes for dot segments


@pytest.mark.parametrize("key", URL_KEYS, ids=lambda key: ascii(key)[:20])
def test_whoever_has_a_presigned_url_needs_no_key(signing: OssClient, oss: LocalOSS, key: str) -> None:
    target = ObjectRef(BUCKET, key)

    put = plainly("PUT", signing.presigned_url("put", target, expires=60), data=DATA)
    got = plainly("GET", signing.presigned_url("GET", target, expires=60))

    assert (put.status_code, got.status_code, got.content) == (200, 200, DATA)
    assert oss.object(BUCKET, key) == DATA


def test_a_presigned_url_is_good_for_one_thing_only(signing: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.put(BUCKET, "kez", DATA)
    url = signing.presigned_url("GET", TARGET, expires=60)

    assert plainly("GET", url).status_code == 200
    assert plainly("PUT", url, data=b"x").status_code == 403
    assert plainly("GET", url.replace("/key?", "/kez?")).status_code == 403
    assert plainly("GET", re.sub(r"(?i)(expires=)\d+", r"\g<1>99999", url)).status_code in (400, 403)


def test_a_presigned_url_may_say_how_the_answer_is_to_look(signing: OssClient, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    query = {"response-content-type": "text/x ü", "versionId": "null"}

    got = plainly("GET", signing.presigned_url("GET", TARGET, expires=60, query=query))

    assert got.status_code == 200
    assert got.headers["Content-Type"].encode("latin-1").decode() == "text/x ü"


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_a_presigned_url_ends(version: str) -> None:
    now = [time.time()]
    with LocalOSS(clock=lambda: now[0]) as oss:
        oss.put(BUCKET, "key", DATA)
        url = a_client(oss, signature_version=version).presigned_url("GET", TARGET, expires=60)
        assert plainly("GET", url).status_code == 200
        now[0] += 62

        assert plainly("GET", url).status_code == 403


@pytest.mark.parametrize(
    ("version", "header", "query"),
    [
        (
            "v4",
            r"OSS4-HMAC-SHA256 Credential=id/\d{8}/cn-hangzhou/oss/aliyun_v4_request,Signature=[0-9a-f]{64}",
            "x-oss-",
        ),
        ("v1", r"OSS id:[A-Za-z0-9+/]{27}=", "OSSAccessKeyId=id&Expires="),
    ],
)
def test_requests_and_urls_are_signed_as_was_chosen(version: str, header: str, query: str) -> None:
    with Scripted(an_answer(200, **HEAD_OK)) as server:
        client = server.client(signature_version=version)
        client.head_object(TARGET)

        assert re.fullmatch(header, server.header("Authorization") or "")
        assert client.presigned_url("GET", TARGET, expires=60).startswith(f"{server.url}/bucket/key?{query}")


@pytest.mark.parametrize(("version", "expires"), [("v4", 1), ("v4", 604_800), ("v1", 1), ("v1", 10_000_000)])
def test_an_expiry_that_oss_takes_is_taken(oss: LocalOSS, version: str, expires: int) -> None:
    oss.put(BUCKET, "key", DATA)
    url = a_client(oss, signature_version=version).presigned_url("HEAD", TARGET, expires=expires)

    assert expires == 1 or plainly("HEAD", url).status_code == 200


@pytest.mark.parametrize(
    ("expires", "seconds"), [("60", 60), ("1m", 60), (1.5, 1), (datetime.timedelta(hours=1), 3600)]
)
def test_an_expiry_is_read_as_every_duration_is(client: OssClient, expires: Any, seconds: int) -> None:
    assert f"x-oss-expires={seconds}&" in client.presigned_url("GET", TARGET, expires=expires)


@pytest.mark.parametrize(("version", "expires"), [("v4", 0), ("v4", -1), ("v4", 604_801), ("v1", 0), ("v4", True)])
def test_an_expiry_that_oss_would_refuse_is_refused_here(oss: LocalOSS, version: str, expires: int) -> None:
    with pytest.raises(ArgumentError, match=rf"^expires={expires}: give a duration from 1s to "):
        a_client(oss, signature_version=version).presigned_url("GET", TARGET, expires=expires)


@pytest.mark.parametrize("method", ["POST", "", "GET\n", "DELETE / HTTP/1.1"])
def test_a_url_for_another_method_is_refused(client: OssClient, method: str) -> None:
    with pytest.raises(ArgumentError, match=r"^method=.*GET, HEAD, PUT or DELETE"):
        client.presigned_url(method, TARGET, expires=60)


def test_without_credentials_a_url_is_just_a_url(oss: LocalOSS) -> None:
    client = a_client(oss, credentials=AnonymousCredentials())

    assert client.presigned_url("GET", TARGET, expires=60) == f"{oss.endpoint}/bucket/key"
    version = ObjectRef(BUCKET, "key", "v/1")
    assert client.presigned_url("GET", version, expires=60) == f"{oss.endpoint}/bucket/key?versionId=v%2F1"


# --- errors -----------------------------------------------------------------------------------------------------------

# What OSS answers and what is made of it: status and code, class, whether it may pass, and the next step in the text.
ERRORS: list[tuple[int, str, type[ServiceError], bool, str]] = [
    (400, "InvalidArgument", ServiceError, False, ""),
    (400, "InvalidPart", InvalidPart, False, ""),
    (400, "EntityTooSmall", ServiceError, False, ""),
    (400, "InvalidDigest", ServiceError, True, ""),
    (401, "Unauthorized", AccessDenied, False, ""),
    (403, "AccessDenied", AccessDenied, False, "grant oss:ListParts"),
    (403, "SignatureDoesNotMatch", AccessDenied, False, "check the Access Key Secret and the region"),
    (403, "InvalidAccessKeyId", AccessDenied, False, "check the Access Key ID"),
    (403, "SecurityTokenExpired", AccessDenied, False, "the STS token has expired"),
    (403, "InvalidSecurityToken", AccessDenied, False, "does not belong to the Access Key ID"),
    (404, "NoSuchBucket", NoSuchBucket, False, "check the bucket's name, and that the endpoint is in its region"),
    (404, "NoSuchKey", NoSuchKey, False, ""),
    (404, "NoSuchUpload", NoSuchUpload, False, ""),
    (404, "SomethingNew", ServiceError, False, ""),
    (405, "MethodNotAllowed", ServiceError, False, ""),
    (408, "RequestTimeout", ServiceError, True, ""),
    (409, "FileAlreadyExists", AlreadyExists, False, "must not be overwritten"),
    (412, "PreconditionFailed", PreconditionFailed, False, ""),
    (416, "InvalidRange", InvalidRange, False, ""),
    (429, "QpsLimitExceeded", ServiceError, True, ""),
    (500, "InternalError", ServiceError, True, ""),
    (503, "ServiceUnavailable", ServiceError, True, ""),
]


@pytest.mark.parametrize(("status", "code", "kind", "retryable", "hint"), ERRORS)
def test_what_oss_answers_becomes_an_error_with_all_its_facts(
    oss: LocalOSS, status: int, code: str, kind: type[ServiceError], retryable: bool, hint: str
) -> None:
    oss.fail("ListParts", fault=Fault("status", status=status, code=code), times=None)

    error = failure(ServiceError, lambda: a_client(oss, retry=once()).list_parts(TARGET, "ID"))

    assert type(error) is kind
    assert (error.status, error.code, error.operation, error.target) == (status, code, "ListParts", "oss://bucket/key")
    assert error.retryable is retryable
    assert hint in error.hint
    assert hint in str(error)
    assert re.fullmatch("[0-9A-F]{24}", error.request_id)
    assert error.host_id == f"127.0.0.1:{oss.port}"
    assert f"ListParts oss://bucket/key answered {status} {code}" in str(error)
    assert f"request id {error.request_id}" in str(error)
    assert error.ec in str(error)


@pytest.mark.parametrize(("status", "code", "kind", "retryable", "hint"), [row for row in ERRORS if row[0] != 400])
def test_a_head_tells_the_same_though_it_has_no_body(
    oss: LocalOSS, status: int, code: str, kind: type[ServiceError], retryable: bool, hint: str
) -> None:
    oss.fail("HeadObject", fault=Fault("status", status=status, code=code), times=None)

    error = failure(ServiceError, lambda: a_client(oss, retry=once()).head_object(TARGET))

    assert (type(error), error.status, error.code, error.retryable) == (kind, status, code, retryable)
    assert hint.replace("oss:ListParts", "oss:GetObject") in error.hint
    assert re.fullmatch("[0-9A-F]{24}", error.request_id)


# How the server's own rules come out.
RULES: dict[str, tuple[Callable[[OssClient], object], type[ServiceError], str]] = {
    "no object": (lambda client: client.head_object(ObjectRef(BUCKET, "none")), NoSuchKey, "0026-00000001"),
    "no object to get": (
        lambda client: client.get_object(ObjectRef(BUCKET, "none"), Collected()),
        NoSuchKey,
        "0026-00000001",
    ),
    "no bucket": (lambda client: list(client.list_objects("no-bucket")), NoSuchBucket, "0015-00000101"),
    "no bucket to tell of": (lambda client: client.get_bucket_info("no-bucket"), NoSuchBucket, "0015-00000101"),
    "another ETag": (
        lambda client: client.get_object(TARGET, Collected(), if_match="OTHER"),
        PreconditionFailed,
        "0017-00001001",
    ),
    "behind the end": (
        lambda client: client.get_object(TARGET, Collected(), start=len(DATA), stop=len(DATA) + 1),
        InvalidRange,
        "",
    ),
    "it exists": (
        lambda client: client.put_object(TARGET, Bytes(b"x"), headers={"x-oss-forbid-overwrite": "true"}),
        AlreadyExists,
        "0026-00000002",
    ),
    "no such part": (
        lambda client: client.complete(TARGET, client.initiate(TARGET), [Receipt(1, "E" * 32, 1, None)]),
        InvalidPart,
        "",
    ),
    "part number 0": (
        lambda client: client.upload_part(TARGET, client.initiate(TARGET), 0, Bytes(b"x")),
        ServiceError,
        "",
    ),
}


@pytest.mark.parametrize(("call", "kind", "ec"), RULES.values(), ids=RULES)
def test_what_breaks_a_rule_of_oss_fails_at_once_by_its_name(
    oss: LocalOSS, client: OssClient, call: Callable[[OssClient], object], kind: type[ServiceError], ec: str
) -> None:
    oss.put(BUCKET, "key", DATA)

    error = failure(kind, lambda: call(client))

    assert type(error) is kind
    assert error.ec == ec
    assert not error.retryable
    assert len({request.number for request in oss.requests if request.status >= 400}) == 1


def test_a_wrong_secret_is_told_from_a_missing_permission(oss: LocalOSS) -> None:
    client = a_client(oss, credentials=StaticCredentials(oss.access_key_id, "wrong"))

    error = failure(AccessDenied, lambda: client.head_object(TARGET))

    assert (error.code, len(oss.requests)) == ("SignatureDoesNotMatch", 1)


def test_an_answer_that_is_no_xml_is_an_error_by_its_status() -> None:
    with Scripted(an_answer(502, b"<html><h1>Bad Gateway")) as server:
        url = server.url
        error = failure(ServiceError, lambda: server.client(attempts=2).list_parts(TARGET, "ID"))

    assert (error.status, error.code, error.request_id, error.retryable) == (502, "", "", True)
    assert str(error).startswith("ListParts oss://bucket/key answered 502; this response did not come from OSS")
    assert str(error).endswith(f"[asked {url}, endpoint set by endpoint, addressing path by auto]")
    assert len(server.heads) == 2


@pytest.mark.parametrize("in_header", ["", "!!! no base64", "bm8geG1s"])
def test_a_head_that_only_says_404_says_that_there_is_no_such_object(in_header: str) -> None:
    with Scripted(an_answer(404, b"", **{"x-oss-err": in_header, "x-oss-ec": "0026-00000001"})) as server:
        error = failure(NoSuchKey, lambda: server.client().head_object(TARGET))

    assert (error.code, error.ec) == ("NoSuchKey", "0026-00000001")


@pytest.mark.parametrize("code", ["InternalError", "NoSuchUpload"])
def test_a_success_with_an_error_in_its_body_is_an_error(code: str) -> None:
    body = f"<Error><Code>{code}</Code><RequestId>7</RequestId></Error>".encode()
    with Scripted(an_answer(200, body)) as server:
        error = failure(ServiceError, lambda: server.client(attempts=2).complete(TARGET, "ID", []))

    assert (error.code, error.status, error.request_id) == (code, 500, "7")
    assert len(server.heads) == 2


ODD_HEADERS = [
    (200, {"x-oss-hash-crc64ecma": "²"}),
    (200, {"Content-Length": "²"}),
    (200, {"Last-Modified": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}),
    (403, {"Date": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}),
    (403, {"x-oss-err": "é"}),
    (503, {"Retry-After": "²"}),
    (503, {"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999"}),
    (503, {"x-oss-qos-delay-time": "²"}),
    (503, {"x-oss-qos-delay-time": "9" * 400}),
]


@pytest.mark.parametrize(("status", "headers"), ODD_HEADERS, ids=str)
def test_whatever_the_headers_of_an_answer_say_only_errors_of_ours_come_out(
    status: int, headers: dict[str, str]
) -> None:
    with Scripted(an_answer(status, **{"ETag": '"E"', **headers})) as server:
        try:
            server.client().head_object(TARGET)
        except RequestError as error:
            assert "HeadObject" in str(error)  # noqa: PT017 - a value would do as well


# --- what is tried again ----------------------------------------------------------------------------------------------

ATTEMPTS = 3
RETRIED = [
    ("HeadObject", Fault("status", status=500)),
    ("HeadObject", Fault("status", status=503, code="ServiceUnavailable")),
    ("HeadObject", Fault("status", status=429, code="QpsLimitExceeded")),
    ("HeadObject", Fault("status", status=408, code="RequestTimeout")),
    ("HeadObject", Fault("refuse")),
    ("HeadObject", Fault("answer-lost")),
    ("GetObject", Fault("reset-answer", after_bytes=1000)),
    ("GetObject", Fault("truncated", after_bytes=1000)),
    ("GetObject", Fault("truncated", after_bytes=0)),
    ("PutObject", Fault("reset-request", after_bytes=1000)),
    ("PutObject", Fault("status", status=400, code="InvalidDigest")),
    ("PutObject", Fault("flip", after_bytes=99)),
    ("PutObject", Fault("wrong-crc")),
    ("PutObject", Fault("answer-lost")),
    ("ListObjectsV2", Fault("malformed-xml")),
    ("ListObjectsV2", Fault("truncated", after_bytes=50)),
    ("ListObjectsV2", Fault("huge-xml", after_bytes=MAX_XML_BYTES + 1)),
]
NOT_RETRIED = [
    ("HeadObject", Fault("status", status=403, code="AccessDenied")),
    ("GetObject", Fault("status", status=404, code="NoSuchKey")),
    ("PutObject", Fault("status", status=400, code="InvalidArgument")),
    ("PutObject", Fault("status", status=409, code="FileAlreadyExists")),
    ("ListObjectsV2", Fault("status", status=405, code="MethodNotAllowed")),
]


def told(row: tuple[str, Fault]) -> str:
    operation, fault = row
    return f"{operation} {fault.kind} {fault.status if fault.kind == 'status' else fault.after_bytes}"


@pytest.mark.parametrize("row", RETRIED, ids=told)
def test_a_fault_that_passes_costs_one_more_attempt(oss: LocalOSS, client: OssClient, row: tuple[str, Fault]) -> None:
    operation, fault = row
    oss.put(BUCKET, "key", DATA)
    oss.fail(operation, fault=fault)

    assert works(client, operation)
    assert len(oss.calls(operation)) == 2


@pytest.mark.parametrize("row", RETRIED, ids=told)
def test_a_fault_that_stays_ends_after_the_last_attempt(oss: LocalOSS, row: tuple[str, Fault]) -> None:
    operation, fault = row
    oss.put(BUCKET, "key", DATA)
    oss.fail(operation, fault=fault, times=None)
    client = a_client(oss, retry=RetryPolicy(attempts=ATTEMPTS, sleep=lambda _: None))

    error = failure(OSSResumeError, lambda: works(client, operation))

    assert error.retryable
    assert len(oss.calls(operation)) == ATTEMPTS


@pytest.mark.parametrize("row", NOT_RETRIED, ids=told)
def test_what_no_attempt_mends_is_tried_once(oss: LocalOSS, client: OssClient, row: tuple[str, Fault]) -> None:
    operation, fault = row
    oss.put(BUCKET, "key", DATA)
    oss.fail(operation, fault=fault)

    error = failure(OSSResumeError, lambda: works(client, operation))

    assert not error.retryable
    assert len(oss.calls(operation)) == 1


def test_each_attempt_sends_the_body_from_its_start_and_a_sink_goes_on(oss: LocalOSS, client: OssClient) -> None:
    oss.fail("PutObject", fault=Fault("reset-request", after_bytes=1000), times=2)
    oss.fail("GetObject", fault=Fault("truncated", after_bytes=1000), times=2)
    body, sink = Bytes(DATA), Collected()

    client.put_object(TARGET, body)
    client.get_object(TARGET, sink)

    assert sink.data == oss.object(BUCKET, "key") == DATA
    assert (body.opened, sink.opened) == (3, 1)


def test_what_the_source_of_a_body_raises_comes_out_as_it_is(oss: LocalOSS, client: OssClient) -> None:
    class Broken(Bytes):
        def open(self) -> Iterator[bytes]:
            yield DATA[:1000]
            raise ArgumentError("file", "x", "the disk is broken")

    with pytest.raises(ArgumentError, match="the disk is broken"):
        client.put_object(TARGET, Broken(DATA))

    assert oss.objects(BUCKET) == []
    assert client.put_object(TARGET, Bytes(DATA)).size == len(DATA)


def test_oss_is_left_alone_for_as_long_as_it_asks(oss: LocalOSS) -> None:
    waits: list[float] = []
    oss.fail("HeadObject", fault=Fault("status", status=503, code="ServiceUnavailable", retry_after=7))
    oss.put(BUCKET, "key", DATA)

    a_client(oss, retry=RetryPolicy(sleep=waits.append)).head_object(TARGET)

    assert waits == [7.0]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "31"}, 31.0),
        ({"x-oss-qos-delay-time": "31500"}, 31.5),
        ({"Retry-After": "31", "x-oss-qos-delay-time": "42000"}, 42.0),
        ({"Retry-After": "in half an hour"}, pytest.approx(1800, abs=300)),
        # By the clock that says so, not by this machine's.
        (
            {"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"},
            30.0,
        ),
        (
            {"Date": "Thu, 01 Jan 2099 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2099 00:00:30 GMT"},
            30.0,
        ),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}, pytest.approx(0.1, abs=0.1)),  # over: the random wait
        ({"Retry-After": "soon"}, pytest.approx(0.1, abs=0.1)),
    ],
)
def test_the_wait_may_be_asked_for_in_several_ways(headers: dict[str, str], wait: float) -> None:
    if headers.get("Retry-After") == "in half an hour":  # from now, not from when the tests were collected
        headers = {"Retry-After": formatdate(time.time() + 1800, usegmt=True)}
    waits: list[float] = []
    with Scripted(an_answer(503, **headers), an_answer(200, **{"Content-Length": "7"})) as server:
        server.client(retry=RetryPolicy(total=7200, sleep=waits.append)).head_object(TARGET)

    assert waits == [wait]


def test_the_time_in_which_a_body_is_sent_is_not_spent() -> None:
    clock = Clock()

    class Slow(Bytes):
        def open(self) -> Iterator[bytes]:
            for piece in super().open():
                clock.now += 200
                yield piece

    with Scripted(an_answer(500)) as server:
        client = server.client(retry=clock.policy(attempts=4, total=300))
        failure(ServiceError, lambda: client.put_object(TARGET, Slow(bytes(200_000))))

    assert len(server.heads) == 4


def test_a_wait_beyond_the_total_time_is_not_begun(oss: LocalOSS) -> None:
    waits: list[float] = []
    oss.fail("HeadObject", fault=Fault("status", status=503, retry_after=301))

    error = failure(
        ServiceError, lambda: a_client(oss, retry=RetryPolicy(total=300, sleep=waits.append)).head_object(TARGET)
    )

    assert (waits, error.retry_after, len(oss.requests)) == ([], 301.0, 1)


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v4", "v1"])
@pytest.mark.parametrize("hours", [-30, 2])
def test_a_clock_that_is_off_is_corrected_once(hours: int, version: str, caplog: pytest.LogCaptureFixture) -> None:
    with LocalOSS(clock=lambda: time.time() + 3600 * hours) as oss, caplog.at_level(logging.WARNING):
        oss.put(BUCKET, "key", DATA)
        client = a_client(oss, signature_version=version)

        assert [client.head_object(TARGET).size for _ in range(3)] == [len(DATA)] * 3
        url = client.presigned_url("GET", TARGET, expires=60)

        assert [request.status for request in oss.requests] == [403, 200, 200, 200]
        assert plainly("GET", url).content == DATA
    assert client.clock_offset == pytest.approx(3600 * hours, abs=30)
    assert len([message for message in caplog.messages if "requests use OSS's time" in message]) == 1


def test_a_clock_that_is_off_is_corrected_for_every_request_that_was_signed_with_it() -> None:
    with LocalOSS(clock=lambda: time.time() + 7200) as oss:
        oss.put(BUCKET, "key", DATA)
        client = a_client(oss)
        all_are_signed, arrived = threading.Barrier(4), []

        def meet(request: object) -> None:
            arrived.append(request)
            if len(arrived) <= 4:
                all_are_signed.wait(30)

        oss.on_request = meet
        with ThreadPoolExecutor(4) as threads:
            sizes = list(threads.map(lambda _: client.head_object(TARGET).size, range(4)))

    assert sizes == [len(DATA)] * 4


def test_a_clock_that_goes_wrong_later_is_corrected_again(oss: LocalOSS) -> None:
    now = [time.time()]
    oss.put(BUCKET, "key", DATA)
    client = a_client(oss, clock=lambda: now[0])
    client.head_object(TARGET)

    now[0] += 7200
    client.head_object(TARGET)
    now[0] -= 7200
    client.head_object(TARGET)

    assert [request.status for request in oss.requests] == [200, 403, 200, 403, 200]


@pytest.mark.parametrize(("seconds", "attempts"), [(0, 1), (7200, 2)])
def test_a_skew_that_cannot_be_corrected_is_an_error(seconds: int, attempts: int) -> None:
    body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    with Scripted(an_answer(403, body, Date=formatdate(time.time() + seconds, usegmt=True))) as server:
        error = failure(AccessDenied, lambda: server.client(attempts=8).list_parts(TARGET, "ID"))

    assert "set this worker's clock" in str(error)
    assert len(server.heads) == attempts


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}])
def test_a_skew_without_the_servers_time_cannot_be_corrected(date: dict[str, str]) -> None:
    with Scripted(an_answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", **date)) as server:
        error = failure(AccessDenied, lambda: server.client(attempts=8).list_parts(TARGET, "ID"))

    assert (error.server_time, len(server.heads)) == (None, 1)


# --- credentials ------------------------------------------------------------------------------------------------------


class Rotating:
    """Gives the present token, and a new one when the present one has expired."""

    def __init__(self, oss: LocalOSS, *, accepted: bool = True) -> None:
        self._oss = oss
        self._accepted = accepted
        self._current = Credentials(oss.access_key_id, oss.access_key_secret, oss.security_token)
        self.renewals = 0

    def get(self) -> Credentials:
        return self._current

    def renew(self, expired: Credentials) -> Credentials:
        if expired == self._current:
            self.renewals += 1
            token = f"token {self.renewals}".replace(" ", "-")
            self._current = Credentials(expired.access_key_id, expired.access_key_secret, token)
            if self._accepted:
                self._oss.security_token = token
        return self._current


def test_an_expired_token_is_renewed_through_its_provider(oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    oss.put(BUCKET, "key", DATA)
    provider = Rotating(oss)
    client = a_client(oss, credentials=provider)
    client.head_object(TARGET)
    oss.expire_token()

    assert [client.head_object(TARGET).size for _ in range(2)] == [len(DATA)] * 2

    assert [(request.status, request.code) for request in oss.requests] == [
        (200, ""),
        (403, "SecurityTokenExpired"),
        (200, ""),
        (200, ""),
    ]
    assert provider.renewals == 1


def test_many_threads_renew_an_expired_token_together(oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    oss.put(BUCKET, "key", DATA)
    provider = Rotating(oss)
    client = a_client(oss, credentials=provider)
    oss.expire_token()
    all_here, arrived = threading.Barrier(4), []

    def meet(request: object) -> None:
        arrived.append(request)
        if len(arrived) <= 4:
            all_here.wait(30)

    oss.on_request = meet
    with ThreadPoolExecutor(4) as threads:
        sizes = list(threads.map(lambda _: client.head_object(TARGET).size, range(4)))

    assert sizes == [len(DATA)] * 4
    assert [request.status for request in oss.requests].count(403) == 4


def test_tokens_that_are_all_refused_do_not_go_on_for_ever(oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    oss.expire_token()
    provider = Rotating(oss, accepted=False)

    error = failure(AccessDenied, lambda: a_client(oss, credentials=provider).head_object(TARGET))

    assert "STS token" in str(error)
    assert len(oss.requests) <= 4  # the attempts of the policy


@pytest.mark.parametrize("code", ["SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"])
def test_credentials_that_cannot_be_renewed_fail_at_once(oss: LocalOSS, client: OssClient, code: str) -> None:
    oss.fail("*", fault=Fault("status", status=403, code=code), times=None)

    failure(AccessDenied, lambda: client.head_object(TARGET))

    assert len(oss.requests) == 1


def test_a_provider_without_credentials_is_an_error_before_anything_is_sent(oss: LocalOSS) -> None:
    class Empty(StaticCredentials):
        def __init__(self) -> None: ...
        def get(self) -> Credentials:
            raise CredentialsError("nobody is logged in")

    with pytest.raises(CredentialsError, match="nobody is logged in"):
        a_client(oss, credentials=Empty()).head_object(TARGET)

    assert oss.requests == []


def test_credentials_are_asked_for_at_each_attempt(oss: LocalOSS) -> None:
    class Counting(StaticCredentials):
        asked = 0

        def get(self) -> Credentials:
            Counting.asked += 1
            return super().get()

    oss.put(BUCKET, "key", DATA)
    oss.fail("HeadObject")

    a_client(oss, credentials=Counting(oss.access_key_id, oss.access_key_secret)).head_object(TARGET)

    assert Counting.asked == 2


def test_without_credentials_nothing_is_signed() -> None:
    with Scripted(an_answer(200, b"x", ETag='"E"')) as server:
        server.client(credentials=AnonymousCredentials()).get_object(TARGET, Collected())

    assert server.header("Authorization") is None
    assert server.header("x-oss-date") is None


# --- roads not taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["{elsewhere}/key?x-oss-signature=of-somebody", "http://[::1", "//"])
def test_a_redirect_is_an_error_that_names_where_and_nobody_goes_there(status: int, where: str) -> None:
    with Scripted(an_answer(200)) as elsewhere:
        location = where.format(elsewhere=elsewhere.url)
        with Scripted(an_answer(status, Location=location)) as server:
            client = server.client()
            error = failure(ServiceError, lambda: client.get_object(TARGET, Collected()))
            failure(ServiceError, lambda: client.put_object(TARGET, Bytes(DATA)))

    assert elsewhere.heads == []
    assert (error.status, error.retryable) == (status, False)
    assert f"the redirect to {location.partition('?')[0]} was not followed" in str(error)
    assert "of-somebody" not in str(error)
    assert len(server.heads) == 2


REDIRECTED: dict[str, Callable[[OssClient], object]] = {
    "HeadObject": lambda client: client.head_object(TARGET),
    "UploadPart": lambda client: client.upload_part(TARGET, "ID", 1, Bytes(DATA)),
    "CompleteMultipartUpload": lambda client: client.complete(TARGET, "ID", []),
    "ListParts": lambda client: client.list_parts(TARGET, "ID"),
    "DeleteObject": lambda client: client.delete_object(TARGET),
}


@pytest.mark.parametrize(("here", "there"), [("http", "https"), ("https", "http"), ("https", "https")])
@pytest.mark.parametrize("call", REDIRECTED.values(), ids=REDIRECTED)
def test_nor_from_one_scheme_to_the_other(
    certificate: Path, no_environment: pytest.MonkeyPatch, call: Callable[[OssClient], object], here: str, there: str
) -> None:
    with Scripted(certificate=certificate if there == "https" else None) as elsewhere:
        answer = an_answer(307, Location=f"{elsewhere.url}/key")
        with Scripted(answer, certificate=certificate if here == "https" else None) as server:
            failure(ServiceError, lambda: call(server.client(attempts=3, verify_tls=str(certificate))))

    assert elsewhere.connections == 0
    assert len(server.heads) == 1


@pytest.mark.parametrize("credentials", [StaticCredentials("id", "secret"), AnonymousCredentials()])
def test_netrc_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: CredentialsProvider) -> None:
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login somebody password from-netrc\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    with Scripted(an_answer(200, b"x", ETag='"E"')) as server:
        server.client(credentials=credentials).get_object(TARGET, Collected())

    assert not (server.header("Authorization") or "").startswith("Basic")
    assert (server.header("Authorization") is None) is isinstance(credentials, AnonymousCredentials)


def test_cookies_are_not_kept() -> None:
    with Scripted(an_answer(200, b"x", **{"ETag": '"E"', "Set-Cookie": "a=b; Path=/"})) as server:
        client = server.client()
        for _ in range(2):
            client.get_object(TARGET, Collected())

    assert len(server.heads) == 2
    assert server.header("Cookie") is None


def test_a_request_says_who_sends_it(oss: LocalOSS, client: OssClient) -> None:
    client.delete_object(TARGET)

    assert oss.requests[0].headers["user-agent"] == f"airflow-provider-ossresume/{__version__}"


# --- proxies and addressing -------------------------------------------------------------------------------------------


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxy and no CA bundle but those that a test sets."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("endpoint", "addressing"),
    [
        ("http://oss-cn-hangzhou.aliyuncs.com", "virtual"),
        ("http://oss.example.com:8080", "path"),
        ("http://bucket.example.com", "cname"),
    ],
)
@pytest.mark.parametrize("key", ["key", "a/../b", "a//b", "键 ü+%?#", "a/", ".", ".."])
def test_a_proxy_is_asked_for_the_whole_url(oss: LocalOSS, endpoint: str, addressing: str, key: str) -> None:
    # The local server answers as a proxy would: it takes a request line with a whole URL.
    client = OssClient(
        parse_endpoint(endpoint, addressing=addressing),  # type: ignore[arg-type]
        StaticCredentials(oss.access_key_id, oss.access_key_secret),
        region=oss.region,
        proxies={"http": oss.endpoint},
        retry=once(),
    )

    client.put_object(ObjectRef(BUCKET, key), Bytes(DATA))

    assert oss.object(BUCKET, key) == DATA
    assert [found.key for found in client.list_objects(BUCKET)] == [key]


def test_a_proxy_gets_its_own_password_and_oss_does_not(no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(an_answer(200, **{"Content-Length": "7"})) as proxy:
        client = a_scripted_client(
            "http://oss.example.com", proxies={"http": proxy.url.replace("//", "//somebody:proxy-password@")}
        )
        client.head_object(TARGET)

    assert proxy.heads[0].startswith("HEAD http://bucket.oss.example.com/key HTTP/1.1\r\n")
    assert proxy.header("Host") == "bucket.oss.example.com"
    assert proxy.header("Proxy-Authorization") == requests.auth._basic_auth_str("somebody", "proxy-password")


def test_a_proxy_that_is_away_is_named_without_its_password(no_environment: pytest.MonkeyPatch) -> None:
    proxy = f"http://somebody:proxy-password@127.0.0.1:{closed_port()}"
    client = a_scripted_client("http://oss.example.com", proxies={"http": proxy})

    error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "refused" in str(error)
    assert "proxy-password" not in everything_about(error)


def test_the_environments_proxy_is_taken_but_for_where_it_says_no(no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(an_answer(200, **{"Content-Length": "7"})) as proxy:
        no_environment.setenv("HTTP_PROXY", proxy.url)
        no_environment.setenv("http_proxy", proxy.url)
        assert a_scripted_client("http://oss.example.com").head_object(TARGET).size == 7
        no_environment.setenv("NO_PROXY", "example.com")
        no_environment.setenv("no_proxy", "example.com")
        around = a_scripted_client("http://oss.example.com", read_timeout=1, connect_timeout=1)

        failure(ConnectionFailed, lambda: around.head_object(TARGET))

    assert len(proxy.heads) == 1


def test_the_host_of_a_bucket_may_be_past_the_proxy(oss: LocalOSS, no_environment: pytest.MonkeyPatch) -> None:
    """As an administrator opens the way to one bucket, and no other."""
    no_environment.setenv("http_proxy", oss.endpoint)  # the local server answers as a proxy would
    no_environment.setenv("no_proxy", "bucket.oss.invalid")
    key = StaticCredentials(oss.access_key_id, oss.access_key_secret)
    client = a_scripted_client("http://oss.invalid", credentials=key)

    error = failure(ConnectionFailed, lambda: client.head_object(ObjectRef("bucket", "key")))
    assert "[asked http://bucket.oss.invalid, endpoint set by endpoint, addressing virtual by auto]" in str(error)
    failure(NoSuchBucket, lambda: client.list_parts(ObjectRef("another-bucket", "key"), "ID"))
    assert len(oss.requests) == 1


def test_an_error_on_the_way_names_the_place_the_proxy_and_what_set_them(no_environment: pytest.MonkeyPatch) -> None:
    port = closed_port()
    no_environment.setenv("ALL_PROXY", f"somebody:proxy-password@127.0.0.1:{port}")

    error = failure(ConnectionFailed, lambda: a_scripted_client("https://oss.example.com").head_object(TARGET))

    assert str(error).endswith(
        "[asked https://bucket.oss.example.com, endpoint set by endpoint, addressing virtual by auto, "
        f"proxy http://127.0.0.1:{port} set by ALL_PROXY in the environment]"
    )
    assert "proxy-password" not in everything_about(error)


def test_a_certificate_that_names_the_domain_and_not_the_bucket_below_it_leads_to_the_addressing(
    tmp_path: Path, no_environment: pytest.MonkeyPatch
) -> None:
    certificate = a_certificate(tmp_path / "other.pem", address="127.0.0.2")
    with Scripted(certificate=certificate) as server:
        endpoint = server.url.replace("127.0.0.1", "oss.localhost")  # a name below localhost leads to loopback
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.getaddrinfo", _to_loopback(socket.getaddrinfo))
            client = a_scripted_client(endpoint, verify_tls=str(certificate))
            error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "the certificate is for another host; set addressing to cname if oss.localhost is the bucket's" in str(error)
    assert not error.retryable


def _to_loopback(real: Any) -> Any:
    return lambda host, *rest, **more: real("127.0.0.1", *rest, **more)


def test_a_proxy_of_the_connection_goes_before_the_environments(no_environment: pytest.MonkeyPatch) -> None:
    no_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    no_environment.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    with Scripted(an_answer(200, **{"Content-Length": "7"})) as proxy:
        client = a_scripted_client("http://oss.example.com", proxies={"http": proxy.url})

        assert client.head_object(TARGET).size == 7


# --- bad peers --------------------------------------------------------------------------------------------------------


def test_a_port_that_nobody_listens_on_is_a_failed_connection() -> None:
    client = a_scripted_client(f"http://127.0.0.1:{closed_port()}")

    error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert error.retryable
    assert (error.operation, error.target) == ("HeadObject", "oss://bucket/key")
    assert "refused" in str(error)


def test_a_host_that_does_not_exist_is_a_failed_connection(no_environment: pytest.MonkeyPatch) -> None:
    error = failure(ConnectionFailed, lambda: a_scripted_client("http://oss.invalid").head_object(TARGET))

    assert "HeadObject oss://bucket/key: " in str(error)


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject", "ListObjectsV2", "PutObject"])
def test_a_peer_that_falls_silent_is_given_up_and_asked_again(oss: LocalOSS, operation: str) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail(operation, fault=Fault("stall", after_bytes=-1))

    assert works(a_client(oss, read_timeout=0.4), operation)
    assert len(oss.calls(operation)) == 2


def test_a_body_that_falls_silent_is_given_up(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault("stall", after_bytes=1000), times=None)

    error = failure(
        ConnectionFailed, lambda: a_client(oss, read_timeout=0.2, retry=once()).get_object(TARGET, Collected())
    )

    assert "GetObject oss://bucket/key: " in str(error)
    assert "no more data came within 0.2 s" in str(error)


def test_a_peer_that_stops_reading_is_given_up_and_asked_again(oss: LocalOSS) -> None:
    oss.fail("PutObject", fault=Fault("stall-request", after_bytes=1000))
    body = Bytes(bytes(16 * 2**20))  # more than the sockets' buffers take

    a_client(oss, connect_timeout=0.4, read_timeout=0.4).put_object(TARGET, body)

    assert len(oss.object(BUCKET, "key")) == body.size
    assert body.opened == 2


def test_a_slow_upload_is_not_cut_by_the_connect_timeout(oss: LocalOSS) -> None:
    oss.fail("PutObject", fault=Fault("bandwidth", bytes_per_second=5_000_000), times=None)
    body = Bytes(bytes(10 * 2**20), piece_size=256 * 1024)  # more than the sockets' buffers take

    a_client(oss, connect_timeout=0.02, read_timeout=30, retry=once()).put_object(TARGET, body)

    assert len(oss.object(BUCKET, "key")) == body.size


def test_a_body_that_trickles_is_given_up_and_fetched_again(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault("bandwidth", bytes_per_second=20_000))
    sink = Collected()

    a_client(oss, stall_timeout=0.3, read_timeout=30).get_object(TARGET, sink)

    assert sink.data == DATA
    assert len(oss.calls("GetObject")) == 2


def test_headers_that_trickle_are_given_up() -> None:
    def slowly() -> Iterator[bytes]:
        for byte in an_answer(200, **HEAD_OK):
            yield bytes([byte])
            threading.Event().wait(0.02)

    with Scripted(slowly) as server:
        error = failure(ConnectionFailed, lambda: server.client(stall_timeout=0.2, read_timeout=30).head_object(TARGET))

    assert "the response headers did not arrive completely within 0.2 s" in str(error)
    assert error.retryable


def test_a_body_that_trickles_for_good_is_an_error_with_the_numbers(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault("bandwidth", bytes_per_second=20_000), times=None)

    error = failure(
        ConnectionFailed, lambda: a_client(oss, stall_timeout=0.1, retry=once()).get_object(TARGET, Collected())
    )

    assert re.search(r"GetObject oss://bucket/key: the transfer stalled: \d+ bytes in 0 s", str(error))


def test_a_slow_body_that_moves_enough_is_waited_for(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault("bandwidth", bytes_per_second=1_000_000))
    sink = Collected()

    a_client(oss, stall_timeout=0.15).get_object(TARGET, sink)

    assert sink.data == DATA


def test_xml_that_trickles_is_given_up(oss: LocalOSS) -> None:
    for number in range(9):
        oss.put(BUCKET, f"{number}".ljust(900, "x"), b"")
    oss.fail("ListObjectsV2", fault=Fault("bandwidth", bytes_per_second=5_000), times=None)

    client = a_client(oss, stall_timeout=0.2, read_timeout=30, retry=once())
    error = failure(ConnectionFailed, lambda: list(client.list_objects(BUCKET)))

    assert "stalled" in str(error)


XML_CALLS: dict[str, Callable[[OssClient], object]] = {
    "InitiateMultipartUpload": lambda client: client.initiate(TARGET),
    "ListParts": lambda client: client.list_parts(TARGET, "ID"),
    "CompleteMultipartUpload": lambda client: client.complete(TARGET, "ID", []),
    "ListMultipartUploads": lambda client: list(client.list_uploads(BUCKET)),
    "ListObjectsV2": lambda client: list(client.list_objects(BUCKET)),
    "DeleteMultipleObjects": lambda client: client.delete_objects(BUCKET, ["a"]),
    "CopyObject": lambda client: client.copy_object(TARGET, TARGET),
    "UploadPartCopy": lambda client: client.upload_part_copy(TARGET, TARGET, "ID", 1, start=0, stop=1, if_match="E"),
    "GetBucketInfo": lambda client: client.get_bucket_info(BUCKET),
    "ListBuckets": lambda client: client.get_service_info(),
}
NO_ANSWERS = {
    "nothing": b"",
    "a page": b"<html><body>Welcome to the hotel's network</body></html>",
    "broken": b"<ListPartsResult><Part>",
    "an entity bomb": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
    "no text": b"\xff\xfe\x00\x01",
}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize(("operation", "call"), XML_CALLS.items(), ids=XML_CALLS)
def test_a_success_that_is_no_answer_of_oss_is_a_bad_answer(
    operation: str, call: Callable[[OssClient], object], body: bytes
) -> None:
    with Scripted(an_answer(200, body)) as server:
        error = failure(BadAnswer, lambda: call(server.client()))

    assert error.operation == operation
    assert error.retryable


@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetBucketInfo"])
def test_huge_xml_is_refused_without_reading_it_all(oss: LocalOSS, operation: str) -> None:
    oss.fail(operation, fault=Fault("huge-xml"), times=None)

    error = failure(BadAnswer, lambda: XML_CALLS[operation](a_client(oss, retry=once())))

    assert f"longer than {MAX_XML_BYTES} bytes" in str(error)


def test_xml_in_a_namespace_is_understood_and_crcs_may_be_absent() -> None:
    # SeaweedFS answers like this.
    body = b"""<?xml version="1.0"?><ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
    <IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><ETag>"e"</ETag><Size>7</Size></Part>
    </ListPartsResult>"""
    with Scripted(an_answer(200, body)) as server:
        assert server.client().list_parts(TARGET, "ID") == [Receipt(1, "e", 7, None)]


# Each says that more follows, behind where it has just begun.
NO_ADVANCE = {
    "ListParts": "<ListPartsResult>%s<NextPartNumberMarker>0</NextPartNumberMarker></ListPartsResult>",
    "ListObjectsV2": "<ListBucketResult>%s<NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
    "ListMultipartUploads": "<ListMultipartUploadsResult>%s</ListMultipartUploadsResult>",
}


@pytest.mark.parametrize(("operation", "body"), NO_ADVANCE.items(), ids=NO_ADVANCE)
def test_a_listing_that_does_not_advance_ends(operation: str, body: str) -> None:
    with Scripted(an_answer(200, (body % "<IsTruncated>true</IsTruncated>").encode())) as server:
        error = failure(BadAnswer, lambda: XML_CALLS[operation](server.client()))

    assert "does not advance" in str(error)
    assert len(server.heads) <= 2


@pytest.mark.parametrize(
    "content_range", [None, "", "bytes 0-9/100", "bytes 10-18/100", "bytes 11-19/100", "bytes */100", "10-19/100"]
)
def test_a_part_of_another_range_is_never_written(content_range: str | None) -> None:
    headers = {} if content_range is None else {"Content-Range": content_range}
    sink = Collected()
    with Scripted(an_answer(206, b"x" * 10, **headers)) as server:
        error = failure(BadAnswer, lambda: server.client().get_object(TARGET, sink, start=10, stop=20))

    assert "asked for bytes 10-19" in str(error)
    assert sink.opened == 0


@pytest.mark.parametrize("size", [0, 5, 9, 11, 15])
def test_a_part_of_another_size_than_asked_for_is_an_error(size: int) -> None:
    headers = {"Content-Range": "bytes 10-19/100", "ETag": '"E"'}
    with Scripted(an_answer(206, b"x" * size, **headers)) as server:
        client = server.client(attempts=2)
        error = failure(RequestError, lambda: client.get_object(TARGET, Collected(), start=10, stop=20))

    assert error.retryable == (size < 10)
    assert len(server.heads) == (2 if size < 10 else 1)


def test_an_upload_without_an_etag_is_a_bad_answer() -> None:
    with Scripted(an_answer(200, ETag="")) as server:
        error = failure(BadAnswer, lambda: server.client().upload_part(TARGET, "ID", 1, Bytes(DATA)))

    assert "UploadPart oss://bucket/key part 1: the response has no ETag" in str(error)


def test_a_head_without_a_length_is_a_bad_answer() -> None:
    with Scripted(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") as server:
        error = failure(BadAnswer, lambda: server.client().head_object(TARGET))

    assert "no Content-Length" in str(error)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1", b"220 smtp.example.com ESMTP\r\n", b"HTTP/1.1 abc OK\r\n\r\n"])
def test_what_is_no_http_is_a_failed_connection(answer: bytes) -> None:
    with Scripted(answer) as server:
        failure(ConnectionFailed, lambda: server.client().head_object(TARGET))


def test_a_server_that_tells_no_crc_is_believed_and_ours_is_kept(oss: LocalOSS, client: OssClient) -> None:
    oss.fail("*", fault=Fault("no-crc"), times=None)
    upload_id = client.initiate(TARGET)

    assert client.put_object(ObjectRef(BUCKET, "other"), Bytes(DATA)).crc64 is None
    assert client.upload_part(TARGET, upload_id, 1, Bytes(DATA)).crc64 == crc64(DATA)
    assert client.list_parts(TARGET, upload_id)[0].crc64 is None


def test_a_body_that_is_not_to_be_verified_is_not(oss: LocalOSS) -> None:
    oss.fail("PutObject", fault=Fault("wrong-crc"))

    a_client(oss, retry=once()).put_object(TARGET, Bytes(DATA, verified=False))

    assert oss.object(BUCKET, "key") == DATA


def test_a_damaged_upload_is_told_with_both_crcs(oss: LocalOSS) -> None:
    oss.fail("PutObject", fault=Fault("wrong-crc"), times=None)

    error = failure(IntegrityError, lambda: a_client(oss, retry=once()).put_object(TARGET, Bytes(DATA)))

    assert f"OSS stored bytes with the CRC-64 {crc64(DATA) ^ 1}, but {crc64(DATA)} was sent" in str(error)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return a_certificate(tmp_path / "server.pem", address="127.0.0.1")


HEAD_OK = {"Content-Length": "7"}


def test_an_unknown_authority_is_refused_at_once_with_the_next_step(
    certificate: Path, no_environment: pytest.MonkeyPatch
) -> None:
    with Scripted(certificate=certificate) as server:
        error = failure(ConnectionFailed, lambda: server.client(attempts=8).head_object(TARGET))

    assert not error.retryable
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert "set the connection's CA bundle" in str(error)
    assert (server.connections, server.heads) == (1, [])


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(
    certificate: Path, no_environment: pytest.MonkeyPatch
) -> None:
    with Scripted(an_answer(200, **HEAD_OK), certificate=certificate) as server:
        assert server.client(verify_tls=str(certificate)).head_object(TARGET).size == 7
        no_environment.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert server.client().head_object(TARGET).size == 7


def test_a_ca_bundle_is_read_once_for_all_connections(certificate: Path, no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(an_answer(200, **HEAD_OK), certificate=certificate) as server:
        client = server.client(verify_tls=str(certificate))
        assert client.head_object(TARGET).size == 7
        certificate.unlink()
        assert client.head_object(TARGET).size == 7

    assert server.connections == 2


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, no_environment: pytest.MonkeyPatch) -> None:
    certificate = a_certificate(tmp_path / "other.pem", address="127.0.0.2")
    with Scripted(certificate=certificate) as server:
        error = failure(
            ConnectionFailed, lambda: server.client(attempts=8, verify_tls=str(certificate)).head_object(TARGET)
        )

    assert not error.retryable
    assert "127.0.0.1" in str(error)
    assert server.connections == 1


@pytest.mark.filterwarnings("error:Unverified HTTPS request")
def test_an_admin_may_switch_the_check_off_which_is_said_once(
    certificate: Path, no_environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    no_environment.setenv("REQUESTS_CA_BUNDLE", "/of/no/use")
    with Scripted(an_answer(200, **HEAD_OK), certificate=certificate) as server, caplog.at_level("WARNING"):
        url, client = server.url, server.client(verify_tls=False)
        for _ in range(2):
            assert client.with_headers({}).head_object(TARGET).size == 7

    assert [each.getMessage() for each in caplog.records] == [
        f"verify_tls is off: anyone on the network path to {url} can read and change the data"
    ]


def test_a_ca_bundle_that_is_not_there_is_named_by_an_error_of_ours(tmp_path: Path) -> None:
    def use() -> None:
        a_scripted_client("https://127.0.0.1:1", verify_tls=str(tmp_path / "no-ca.pem")).head_object(TARGET)

    error = failure(OSSResumeError, use)

    assert "no-ca.pem" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_proxy_sees_nothing_of_https_and_changes_nothing_about_the_check(
    certificate: Path, no_environment: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    with Scripted(an_answer(200, **HEAD_OK), certificate=certificate) as server, Tunnel() as proxy:
        told = f"http://somebody:proxy-password@127.0.0.1:{proxy.port}"
        place = server.url.removeprefix("https://")
        verify_tls: bool | str = str(certificate) if is_trusted else True
        client = server.client(attempts=8, proxies={"https": told}, verify_tls=verify_tls)
        if is_trusted:
            assert client.head_object(TARGET).size == 7
        else:
            error = failure(ConnectionFailed, lambda: client.head_object(TARGET))
            assert "CERTIFICATE_VERIFY_FAILED" in str(error)
            assert "proxy-password" not in everything_about(error)

    assert proxy.heads[0].startswith(f"CONNECT {place} HTTP/1.")
    assert requests.auth._basic_auth_str("somebody", "proxy-password") in proxy.heads[0]
    assert len(proxy.heads) == 1
    assert "OSS4-HMAC" not in proxy.heads[0]
    assert [head for head in server.heads if "Proxy-Authorization" in head] == []
    assert len(server.heads) == is_trusted


def test_a_server_that_speaks_no_tls_is_a_failed_connection(no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(an_answer(400)) as server:
        client = a_scripted_client(server.url.replace("http:", "https:"), connect_timeout=0.3)

        assert failure(ConnectionFailed, lambda: client.head_object(TARGET)).retryable


# --- nothing secret is told -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_no_secret_stands_in_any_error_repr_or_log(
    oss: LocalOSS, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    oss.security_token = TOKEN
    oss.put(BUCKET, "key", DATA)
    caplog.set_level(logging.DEBUG)
    client = a_client(oss, signature_version=version)
    faults = [*(fault for _, fault in RETRIED), Fault("status", status=403, code="AccessDenied")]
    things: list[object] = [client, vars(client)["_credentials"]]

    for operation in ("HeadObject", "GetObject", "PutObject", "ListObjectsV2"):
        works(client, operation)
        for fault in faults:
            with oss.failing(operation, fault=fault):
                try:
                    works(client, operation)
                except OSSResumeError as error:
                    things.append(error)
    wrong = a_client(oss, signature_version=version, credentials=StaticCredentials("id", oss.access_key_secret, TOKEN))
    things.append(failure(AccessDenied, lambda: wrong.head_object(TARGET)))
    url = client.presigned_url("GET", TARGET, expires=60)

    texts = [everything_about(thing) for thing in things]
    texts += [f"{record.name} {record.getMessage()} {record.args}" for record in caplog.records]
    assert len(things) > 20
    for secret in (oss.access_key_secret, TOKEN, "Signature=", "Credential=", "Authorization", signature_of(url)):
        assert [text for text in texts if secret in text] == []


def test_an_error_that_travels_to_another_process_says_the_same_and_nothing_more(oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    client = a_client(oss, retry=once(), connect_timeout=1)
    denied = failure(NoSuchKey, lambda: client.head_object(TARGET))
    url = client.presigned_url("GET", TARGET, expires=60)
    oss.stop()
    lost = failure(ConnectionFailed, lambda: client.head_object(TARGET))
    lost.__cause__ = requests.ConnectionError(url)

    for error in (denied, lost, ArgumentError("key", "k", "no")):
        wire = pickle.dumps(error)
        again = pickle.loads(wire)
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
        for secret in (oss.access_key_secret, TOKEN, signature_of(url)):
            assert secret.encode() not in wire


# --- the client itself ------------------------------------------------------------------------------------------------


def test_headers_may_go_with_every_request_and_are_signed(oss: LocalOSS, client: OssClient) -> None:
    oss.put(BUCKET, "key", DATA)

    client.with_headers({"x-oss-request-payer": "requester"}).head_object(TARGET)
    client.head_object(TARGET)

    assert [request.headers.get("x-oss-request-payer") for request in oss.requests] == ["requester", None]


@pytest.mark.parametrize("value", ["a\nb", "a\r\nx-oss-acl: public", "\0", "\x7f", "\t"])
def test_a_header_cannot_smuggle_another_in(oss: LocalOSS, client: OssClient, value: str) -> None:
    with pytest.raises(ArgumentError, match=r"^headers\['x-oss-meta-a'\]=.*cannot contain control characters"):
        client.put_object(TARGET, Bytes(DATA), headers={"x-oss-meta-a": value})

    assert oss.requests == []


@pytest.mark.parametrize("name", ["", "x-oss-meta-ü", "x-oss-meta-a b", "x-oss-meta-a: b", "x-oss-meta-a\r\nb", "a\0"])
def test_a_header_name_that_cannot_be_sent_is_refused_by_name(oss: LocalOSS, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"^headers"):
        a_client(oss).put_object(TARGET, Bytes(DATA), headers={name: "1"})

    assert oss.requests == []


def test_many_threads_may_use_one_client(oss: LocalOSS, client: OssClient) -> None:
    oss.put(BUCKET, "key", DATA)

    def fetch(number: int) -> bytes:
        sink = Collected()
        client.get_object(TARGET, sink, start=number, stop=number + PART)
        return sink.data

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(fetch, range(64))) == [DATA[number : number + PART] for number in range(64)]


def test_a_closed_client_stays_usable(oss: LocalOSS, client: OssClient) -> None:
    oss.put(BUCKET, "key", DATA)
    client.head_object(TARGET)
    client.close()

    assert client.head_object(TARGET).size == len(DATA)


def test_a_server_that_came_back_is_found_again(oss: LocalOSS, client: OssClient) -> None:
    oss.put(BUCKET, "key", DATA)
    client.head_object(TARGET)
    oss.stop()
    oss.start()

    assert client.head_object(TARGET).size == len(DATA)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"signature_version": "v2"}, r"^signature_version='v2': choose v4 or v1"),
        ({"region": None}, r"^region=None: V4 signatures need it, and http://127\.0\.0\.1:\d+ does not contain it"),
        ({"region": ""}, r"^region='': V4 signatures need it"),
    ],
)
def test_a_client_that_cannot_sign_is_never_made(oss: LocalOSS, options: dict[str, Any], error: str) -> None:
    with pytest.raises(ArgumentError, match=error):
        a_client(oss, **options)


def test_v1_needs_no_region(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)

    assert a_client(oss, signature_version="v1", region=None).head_object(TARGET).size == len(DATA)


# --- helpers ----------------------------------------------------------------------------------------------------------


class Bytes:
    """A body of bytes, in pieces."""

    def __init__(self, data: bytes, *, verified: bool = True, piece_size: int = 64 * 1024) -> None:
        self._data = data
        self._verified = verified
        self._piece_size = piece_size
        self.size = len(data)
        self.opened = 0

    def open(self) -> Iterator[bytes]:
        self.opened += 1
        return (self._data[start : start + self._piece_size] for start in range(0, self.size, self._piece_size))

    def content_md5(self) -> str | None:
        return content_md5([self._data]) if self._verified else None

    def crc64(self) -> int | None:
        return crc64(self._data) if self._verified else None


class Collected:
    """A sink that keeps what the last attempt brought."""

    piece_size = 64 * 1024

    def __init__(self) -> None:
        self.data = b""
        self.opened = 0

    def open(self) -> None:
        self.data = b""
        self.opened += 1

    def resume(self) -> None:
        """What is there stays."""

    def write(self, data: memoryview) -> None:
        self.data += data


class Scripted:
    """A server that gives its answers one after the other, the last one again and again; they may come in pieces.

    :ivar heads: the heads of the requests
    :ivar connections: how many were made, those included that ended in the TLS handshake
    """

    def __init__(self, *answers: bytes | Callable[[], Iterable[bytes]], certificate: Path | None = None) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answers = list(answers)
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def client(self, *, attempts: int = 1, **options: Any) -> OssClient:
        retry = RetryPolicy(attempts=attempts, sleep=lambda _: None)
        return a_scripted_client(self.url, **{"retry": retry, **options})

    def header(self, name: str) -> str | None:
        """A header of the last request."""
        found = re.search(rf"(?im)^{re.escape(name)}:[ \t]*(.*?)\r?$", self.heads[-1])
        return found[1] if found else None

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with contextlib.suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection, self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as stream:
            head, _, rest = self._read_until(stream, b"\r\n\r\n")
            self.heads.append(head.decode() + "\r\n")
            left = int(self.header("Content-Length") or 0) - len(rest)
            while left > 0 and (data := stream.recv(65536)):
                left -= len(data)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            for piece in [answer] if isinstance(answer, bytes) else answer():
                stream.sendall(piece)

    def _read_until(self, stream: socket.socket, end: bytes) -> tuple[bytes, bytes, bytes]:
        received = b""
        while end not in received:
            data = stream.recv(65536)
            if not data:
                raise ConnectionError
            received += data
        return received.partition(end)


class Tunnel:
    """A proxy for https: it passes bytes on, and keeps the heads that it could read."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Tunnel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with near, contextlib.suppress(OSError):
                    self._pass_on(near)

    def _pass_on(self, near: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += near.recv(1)
        self.heads.append(head.decode())
        host, port = self.heads[-1].split()[1].split(":")
        with socket.create_connection((host, int(port)), timeout=30) as far:
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while True:
                for ready in select.select([near, far], [], [], 30)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (far if ready is near else near).sendall(data)


def an_answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = {"Content-Length": str(len(body)), "Connection": "close", "ETag": '"E"', **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + body


def a_scripted_client(url: str, **options: Any) -> OssClient:
    """A client for a server that checks no signature."""
    settings: dict[str, Any] = {"region": "cn-hangzhou", "connect_timeout": 5, "read_timeout": 5, "retry": once()}
    credentials = options.pop("credentials", StaticCredentials("id", "secret"))
    return OssClient(parse_endpoint(url), credentials, **{**settings, **options})


def once() -> RetryPolicy:
    return RetryPolicy(attempts=1)


def works(client: OssClient, operation: str) -> bool:
    """Do one of these operations and tell whether it did what it should."""
    if operation == "PutObject":
        return client.put_object(TARGET, Bytes(DATA)).crc64 == crc64(DATA)
    if operation == "GetObject":
        sink = Collected()
        client.get_object(TARGET, sink)
        return sink.data == DATA
    if operation == "ListObjectsV2":
        return [found.key for found in client.list_objects(BUCKET)] == ["key"]
    return client.head_object(TARGET).size == len(DATA)


def failure(kind: type[Any], call: Callable[[], object]) -> Any:
    """The error that a call ends with."""
    with pytest.raises(kind) as raised:
        call()
    return raised.value


def everything_about(thing: object) -> str:
    """All that a log or a console would show of an error and what caused it, or of a value."""
    texts = [str(thing), repr(thing)]
    if isinstance(thing, BaseException):
        texts += [*traceback.format_exception(thing), str(vars(thing))]
        for inner in (thing.__cause__, thing.__context__):
            texts += [everything_about(inner)] if inner else []
    return "\n".join(texts)


def signature_of(url: str) -> str:
    """The signature in a presigned URL."""
    return re.split(r"(?i)signature=", url)[-1].partition("&")[0]


def plainly(method: str, url: str, *, data: bytes | None = None) -> requests.Response:
    """Do what a stranger with a URL does."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, data=data, timeout=30)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@functools.cache
def a_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def a_certificate(path: Path, *, address: str) -> Path:
    """Write a certificate that is its own authority, with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test's own authority")])
    today = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(a_private_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(a_private_key(), hashes.SHA256())
    )
    key = a_private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_buckets_are_listed_by_name(client: OssClient, oss: LocalOSS) -> None:
    oss.create_bucket("another-bucket")

    listed = list(client.list_buckets())

    assert [bucket.name for bucket in listed] == ["another-bucket", BUCKET]
    assert {bucket.region for bucket in listed} == {oss.region}
    assert all(bucket.created for bucket in listed)


def test_a_page_of_a_listing_has_objects_and_prefixes(client: OssClient, oss: LocalOSS) -> None:
    for key in ("a", "d/1", "d/2", "e/1"):
        oss.put(BUCKET, key, b"")

    pages = list(client.list_pages(BUCKET, delimiter="/", page_size=2))

    assert [[listed.key for listed in page.objects] for page in pages] == [["a"], []]
    assert [page.prefixes for page in pages] == [["d/"], ["e/"]]
