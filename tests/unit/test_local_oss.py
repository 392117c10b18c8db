"""The local OSS server keeps OSS's rules: every operation and every error code, over a plain socket."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.oss.signing import (
    Signable,
    v4_canonical_request,
    v4_scope,
    v4_signature,
    v4_string_to_sign,
)

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]

MIN_PART = 100 * 1024


@dataclass(frozen=True)
class Reply:
    """What came back. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)

    @property
    def code(self) -> str:
        return self.xml.findtext("Code", "")

    def texts(self, path: str) -> list[str]:
        return [element.text or "" for element in self.xml.findall(path)]


class Client:
    """Sends signed requests, each over a connection of its own."""

    def __init__(self, oss: LocalOSS) -> None:
        self.oss = oss

    def __call__(
        self,
        method: str,
        key: str | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: object = None,
        *,
        bucket: str | None = "bucket",
    ) -> Reply:
        path, headers = self.signed(method, key, query or {}, headers or {}, bucket=bucket)
        connection = http.client.HTTPConnection("127.0.0.1", self.oss.port)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def signed(
        self, method: str, key: str | None, query: dict[str, str], headers: dict[str, str], *, bucket: str | None
    ) -> tuple[str, dict[str, str]]:
        """Return the request target and the headers with a V4 signature."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.oss.clock()))
        headers = {"x-oss-date": moment, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"} | headers
        if self.oss.security_token:
            headers.setdefault("x-oss-security-token", self.oss.security_token)
        scope = v4_scope(moment[:8], region=self.oss.region)
        canonical = v4_canonical_request(Signable(method, bucket, key, query, headers))
        text = v4_string_to_sign(canonical, timestamp=moment, scope=scope)
        signature = v4_signature(text, secret=self.oss.access_key_secret, scope=scope)
        credential = f"{self.oss.access_key_id}/{scope}"
        headers["Authorization"] = f"OSS4-HMAC-SHA256 Credential={credential},Signature={signature}"
        return target_of(bucket, key, query), headers

    def initiate(self, key: str = "key", **headers: str) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self("POST", key, {"uploads": ""}, given).xml.findtext("UploadId", "")

    def upload_part(self, upload_id: str, number: int, data: bytes, key: str = "key") -> Reply:
        return self("PUT", key, {"uploadId": upload_id, "partNumber": str(number)}, body=data)

    def complete(
        self, upload_id: str, parts: list[tuple[int, str]], key: str = "key", headers: dict[str, str] | None = None
    ) -> Reply:
        return self("POST", key, {"uploadId": upload_id}, headers, body=complete_xml(parts))


def target_of(bucket: str | None, key: str | None, query: dict[str, str]) -> str:
    path = "/" if bucket is None else f"/{bucket}/{quote(key or '', safe='~/')}"
    text = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" if v else n for n, v in query.items())
    return f"{path}?{text}" if text else path


def complete_xml(parts: list[tuple[int, str]]) -> bytes:
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest().upper()


def content_md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@pytest.fixture
def client(local_oss: LocalOSS) -> Client:
    return Client(local_oss)


# --- objects ----------------------------------------------------------------------------------------------------------


def test_an_object_comes_back_with_its_headers_and_its_proof(client: Client) -> None:
    given = {
        "Content-Type": "text/plain",
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="a"',
        "Content-Encoding": "gzip",
        "Expires": "Thu, 01 Dec 2044 16:00:00 GMT",
        "x-oss-meta-owner": "中文",
        "x-oss-storage-class": "IA",
        "x-oss-object-acl": "private",
        "x-oss-server-side-encryption": "AES256",
    }
    put = client("PUT", "key", headers={n: v.encode() for n, v in given.items()} and given_as_sent(given), body=b"bytes")
    assert (put.status, put.headers["etag"]) == (200, f'"{md5_of(b"bytes")}"')
    assert put.headers["x-oss-hash-crc64ecma"] == str(crc64(b"bytes"))
    assert put.headers["content-md5"] == content_md5_of(b"bytes")

    got = client("GET", "key")
    head = client("HEAD", "key")
    assert (got.status, got.body, head.status, head.body) == (200, b"bytes", 200, b"")
    for reply in (got, head):
        for name, value in given.items():
            assert reply.headers[name.lower()].encode("latin-1").decode() == value
        assert reply.headers["x-oss-object-type"] == "Normal"
        assert reply.headers["content-length"] == "5"
        assert reply.headers["etag"] == put.headers["etag"]
        assert reply.headers["x-oss-hash-crc64ecma"] == put.headers["x-oss-hash-crc64ecma"]
        assert reply.headers["accept-ranges"] == "bytes"


def given_as_sent(headers: dict[str, str]) -> dict[str, str]:
    """http.client sends latin-1, and what it sends is the UTF-8 that the SDKs send."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}
