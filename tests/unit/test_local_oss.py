"""The local OSS server keeps OSS's rules: every operation and every error code, over a plain socket."""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
from dataclasses import dataclass
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
        self.now = time.time

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
            connection.request(method, path, body=body, headers={n: v.encode() for n, v in headers.items()})
            answer = connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def signed(
        self, method: str, key: str | None, query: dict[str, str], headers: dict[str, str], *, bucket: str | None
    ) -> tuple[str, dict[str, str]]:
        """Return the request target and the headers with a V4 signature."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now()))
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
        "x-oss-server-side-encryption": "KMS",
        "x-oss-server-side-encryption-key-id": "9468da86-3509-4f8d-a61e-6eab1eac****",
        "x-oss-server-side-data-encryption": "SM4",
    }
    put = client("PUT", "key", headers=given, body=b"bytes")
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


def test_an_object_without_headers_gets_oss_defaults(client: Client) -> None:
    client("PUT", "key", body=b"")
    head = client("HEAD", "key")
    assert head.headers["content-type"] == "application/octet-stream"
    assert head.headers["x-oss-storage-class"] == "Standard"
    assert (head.headers["content-length"], head.headers["x-oss-hash-crc64ecma"]) == ("0", "0")


def test_every_answer_has_the_headers_of_oss(client: Client) -> None:
    for reply in (client("PUT", "key", body=b""), client("GET", "no key"), client("GET", query={"uploads": ""})):
        assert reply.headers["server"] == "AliyunOSS"
        assert len(bytes.fromhex(reply.headers["x-oss-request-id"])) == 12
        assert reply.headers["x-oss-request-id"].isupper() or reply.headers["x-oss-request-id"].isdigit()
        assert reply.headers["date"].endswith("GMT")
        assert reply.headers["x-oss-server-time"].isdigit()


def test_meta_says_size_etag_date_and_crc(client: Client) -> None:
    put = client("PUT", "key", headers={"x-oss-meta-a": "1"}, body=b"bytes")
    meta = client("HEAD", "key", {"objectMeta": ""})
    assert (meta.status, meta.headers["content-length"], meta.headers["etag"]) == (200, "5", put.headers["etag"])
    assert "last-modified" in meta.headers
    assert "x-oss-meta-a" not in meta.headers


def test_tags_are_counted_and_can_be_read(client: Client) -> None:
    client("PUT", "key", headers={"x-oss-tagging": "a=1&b%3Ab=x%20y&c"}, body=b"")

    assert client("HEAD", "key").headers["x-oss-tagging-count"] == "3"
    tagging = client("GET", "key", {"tagging": ""})
    assert tagging.texts("TagSet/Tag/Key") == ["a", "b:b", "c"]
    assert tagging.texts("TagSet/Tag/Value") == ["1", "x y", ""]


def test_an_acl_is_taken_when_the_object_comes_to_be(client: Client) -> None:
    acl = {"x-oss-object-acl": "public-read"}
    client("PUT", "put", headers=acl, body=b"")
    for key, at_initiate, at_complete in (("late", {}, acl), ("early", acl, {})):
        upload_id = client.initiate(key, **at_initiate)
        client.upload_part(upload_id, 1, b"bytes", key)
        client("POST", key, {"uploadId": upload_id}, {"x-oss-complete-all": "yes", **at_complete})

    found = {key: client("GET", key, {"acl": ""}).texts("AccessControlList/Grant") for key in ("put", "late", "early")}

    assert found == {"put": ["public-read"], "late": ["public-read"], "early": ["default"]}
    assert "x-oss-object-acl" not in client("HEAD", "put").headers


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-oss-storage-class", "Cold", "InvalidArgument"),
        ("x-oss-object-acl", "public", "InvalidArgument"),
        ("x-oss-server-side-encryption", "DES", "InvalidEncryptionAlgorithmError"),
        ("x-oss-server-side-data-encryption", "AES256", "InvalidEncryptionAlgorithmError"),
        ("x-oss-tagging", "a=b=c", "InvalidTag"),
        ("x-oss-tagging", "a=1&a=2", "InvalidTag"),
        ("x-oss-tagging", "=1", "InvalidTag"),
        ("x-oss-tagging", "a=%E4%B8%AD", "InvalidTag"),
        ("x-oss-tagging", "&".join(f"{number}=" for number in range(11)), "InvalidTag"),
        ("x-oss-tagging", "a" * 129, "InvalidTag"),
        ("x-oss-tagging", "a=" + "b" * 257, "InvalidTag"),
        ("x-oss-traffic-limit", "819199", "InvalidArgument"),
        ("x-oss-traffic-limit", "838860801", "InvalidArgument"),
        ("x-oss-traffic-limit", "fast", "InvalidArgument"),
    ],
)
def test_an_option_that_oss_has_not_is_refused(client: Client, name: str, value: str, code: str) -> None:
    answer = client("PUT", "key", headers={name: value}, body=b"")

    assert (answer.status, answer.texts("Code")) == (400, [code])
    assert client.oss.objects("bucket") == []


@pytest.mark.parametrize(
    "key", ["a", "a/b", "a b+c&d=e?f#g%41", "中文/文件", "😀", "../../etc/passwd", "a/../b", "a//b", "."]
)
def test_any_key_comes_back(client: Client, key: str) -> None:
    client("PUT", key, body=key.encode())
    assert client("GET", key).body == key.encode()
    assert client.oss.objects("bucket") == [key]
    assert client("DELETE", key).status == 204
    assert client.oss.objects("bucket") == []


def test_a_slash_may_be_written_percent_2f(client: Client) -> None:
    client.oss.put("bucket", "a/b", b"bytes")
    path, headers = client.signed("GET", "a/b", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    connection.request("GET", path.replace("a/b", "a%2Fb"), headers=headers)
    assert connection.getresponse().read() == b"bytes"


def test_the_bucket_may_stand_in_the_host(client: Client) -> None:
    client.oss.put("bucket", "a/b", b"bytes")
    path, headers = client.signed("GET", "a/b", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    connection.request("GET", path.removeprefix("/bucket"), headers={**headers, "Host": "bucket.oss.example.com"})
    assert connection.getresponse().read() == b"bytes"


def test_a_missing_object_is_told_in_the_body_or_in_a_header(client: Client) -> None:
    got, head = client("GET", "key"), client("HEAD", "key")
    assert (got.status, got.code, got.headers["x-oss-ec"]) == (404, "NoSuchKey", "0026-00000001")
    assert got.texts("RequestId") == [got.headers["x-oss-request-id"]]
    assert (head.status, head.body) == (404, b"")
    error = ElementTree.fromstring(base64.b64decode(head.headers["x-oss-err"]))
    assert (error.findtext("Code"), head.headers["x-oss-ec"]) == ("NoSuchKey", "0026-00000001")


def test_deleting_what_is_not_there_succeeds(client: Client) -> None:
    assert client("DELETE", "key").status == 204


def test_overwriting_is_refused_when_forbidden(client: Client) -> None:
    client.oss.put("bucket", "key", b"old")
    forbidden = {"x-oss-forbid-overwrite": "true"}
    upload_id = client.initiate("other")
    part = client.upload_part(upload_id, 1, b"new", key="other")
    client.oss.put("bucket", "other", b"old")
    replies = [
        client("PUT", "key", headers=forbidden, body=b"new"),
        client("PUT", "key", headers={**forbidden, "x-oss-copy-source": "/bucket/key"}),
        client("POST", "key", {"uploads": ""}, forbidden),
        client.complete(upload_id, [(1, part.headers["etag"])], key="other", headers=forbidden),
    ]
    for reply in replies:
        assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (409, "FileAlreadyExists", "0026-00000002")
    assert client.oss.object("bucket", "key") == b"old"
    assert client.oss.object("bucket", "other") == b"old"


def test_put_takes_no_conditions(client: Client) -> None:
    reply = client("PUT", "key", headers={"If-Match": '"x"'}, body=b"")
    assert (reply.status, reply.code) == (400, "NotImplemented")


def test_put_wants_a_length(client: Client) -> None:
    path, headers = client.signed("PUT", "key", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    connection.putrequest("PUT", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 411


def test_a_body_over_5_gb_is_refused_before_it_is_read(client: Client) -> None:
    path, headers = client.signed("PUT", "key", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    connection.putrequest("PUT", path)
    for name, value in {**headers, "Content-Length": str(5 * 1024**3 + 1)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("Connection")) == (400, "close")
    assert b"EntityTooLarge" in reply.read()


@pytest.mark.parametrize("claimed", ["nonsense", content_md5_of(b"other")])
def test_a_wrong_content_md5_is_refused_and_nothing_stored(client: Client, claimed: str) -> None:
    upload_id = client.initiate("part")
    query = {"uploadId": upload_id, "partNumber": "1"}
    for reply in (
        client("PUT", "key", headers={"Content-MD5": claimed}, body=b"bytes"),
        client("PUT", "part", query, {"Content-MD5": claimed}, b"bytes"),
    ):
        assert (reply.status, reply.code) == (400, "InvalidDigest")
    assert client.oss.objects("bucket") == []
    assert client.oss.parts("bucket", "part", upload_id) == {}


def test_a_right_content_md5_is_accepted(client: Client) -> None:
    assert client("PUT", "key", headers={"Content-MD5": content_md5_of(b"bytes")}, body=b"bytes").status == 200


def test_too_much_metadata_is_refused(client: Client) -> None:
    reply = client("PUT", "key", headers={"x-oss-meta-a": "x" * 9000}, body=b"")
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")


@pytest.mark.parametrize("key", ["/a", "\\a", "a\0b", "x" * 1024, "中" * 342])
def test_a_bad_key_is_refused(client: Client, key: str) -> None:
    reply = client("PUT", key, body=b"")
    assert (reply.status, reply.code) == (400, "InvalidObjectName")


def test_a_key_of_1023_bytes_is_good(client: Client) -> None:
    assert client("PUT", "中" * 341, body=b"").status == 200


@pytest.mark.parametrize("bucket", ["ab", "Bucket", "-bucket", "bucket-", "a" * 64, "buc_ket", ".."])
def test_a_bad_bucket_name_is_refused(client: Client, bucket: str) -> None:
    for reply in (client("PUT", "key", body=b"", bucket=bucket), client("PUT", bucket=bucket)):
        assert (reply.status, reply.code) == (400, "InvalidBucketName")


def test_a_missing_bucket_is_told(client: Client) -> None:
    for reply in (
        client("PUT", "key", body=b"", bucket="missing"),
        client("GET", "key", bucket="missing"),
        client("GET", bucket="missing"),
        client("POST", "key", {"uploads": ""}, bucket="missing"),
        client("GET", query={"bucketInfo": ""}, bucket="missing"),
    ):
        assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_response_headers_can_be_overridden(client: Client) -> None:
    client.oss.put("bucket", "key", b"bytes", content_type="text/plain")
    reply = client("GET", "key", {"response-content-type": "image/png", "response-expires": "never"})
    assert (reply.headers["content-type"], reply.headers["expires"]) == ("image/png", "never")
    assert client("GET", "key", {"response-expires": "a\r\nb: c"}).code == "InvalidArgument"


def test_only_the_null_version_exists(client: Client) -> None:
    client.oss.put("bucket", "key", b"bytes")
    assert client("GET", "key", {"versionId": "null"}).status == 200
    reply = client("GET", "key", {"versionId": "CAEQ"})
    assert (reply.status, reply.code) == (404, "NoSuchVersion")


@pytest.mark.parametrize(
    ("wanted", "plain", "standard"),
    [
        ("bytes=0-499", (206, 0, 500), (206, 0, 500)),
        ("bytes=0-999", (206, 0, 1000), (206, 0, 1000)),
        ("bytes=999-999", (206, 999, 1000), (206, 999, 1000)),
        ("bytes=500-", (206, 500, 1000), (206, 500, 1000)),
        ("bytes=-100", (206, 900, 1000), (206, 900, 1000)),
        ("bytes=500-2000", (200, 0, 1000), (206, 500, 1000)),
        ("bytes=-2000", (200, 0, 1000), (206, 0, 1000)),
        ("bytes=1000-2000", (200, 0, 1000), (416, 0, 0)),
        ("bytes=1000-", (200, 0, 1000), (416, 0, 0)),
        ("bytes=-0", (200, 0, 1000), (416, 0, 0)),
        ("bytes=0-1,5-6", (206, 0, 2), (416, 0, 0)),
        (f"bytes={'9' * 5000}-", (200, 0, 1000), (200, 0, 1000)),
        ("bytes=٣-٤", (200, 0, 1000), (200, 0, 1000)),
        ("bytes=9-3", (200, 0, 1000), (200, 0, 1000)),
        ("bytes=-", (200, 0, 1000), (200, 0, 1000)),
        ("lines=1-2", (200, 0, 1000), (200, 0, 1000)),
    ],
)
def test_ranges(client: Client, wanted: str, plain: tuple[int, int, int], standard: tuple[int, int, int]) -> None:
    data = bytes(number % 251 for number in range(1000))
    client.oss.put("bucket", "key", data)
    for headers, (status, start, stop) in (({}, plain), ({"x-oss-range-behavior": "standard"}, standard)):
        reply = client("GET", "key", headers={**headers, "Range": wanted})
        assert reply.status == status
        if status == 416:
            assert (reply.code, reply.texts("ActualObjectSize")) == ("InvalidRange", ["1000"])
        else:
            assert reply.body == data[start:stop]
            assert reply.headers["x-oss-hash-crc64ecma"] == str(crc64(data)), "the CRC-64 is always the whole object's"
        assert (
            reply.headers.get("content-range")
            == {
                200: None,
                206: f"bytes {start}-{stop - 1}/1000",
                416: "bytes */1000",
            }[status]
        )


def test_an_empty_object_has_no_range(client: Client) -> None:
    client.oss.put("bucket", "key", b"")
    standard = {"Range": "bytes=0-", "x-oss-range-behavior": "standard"}
    assert client("GET", "key", headers={"Range": "bytes=0-"}).status == 200
    assert client("GET", "key", headers=standard).status == 416


LONG_AGO, SOME_DAY = "Wed, 01 Jan 2020 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
ETAG = md5_of(b"bytes")
CONDITIONS = [
    ("If-Match", f'"{ETAG}"', 200),
    ("If-Match", ETAG, 200),
    ("If-Match", f'"other", "{ETAG}"', 200),
    ("If-Match", "*", 200),
    ("If-Match", '"other"', 412),
    ("If-Match", f'W/"{ETAG}"', 412),
    ("If-None-Match", f'W/"{ETAG}"', 304),
    ("If-None-Match", '"other"', 200),
    ("If-None-Match", f'"{ETAG}"', 304),
    ("If-None-Match", ETAG, 304),
    ("If-Modified-Since", LONG_AGO, 200),
    ("If-Modified-Since", SOME_DAY, 304),
    ("If-Modified-Since", "nonsense", 200),
    ("If-Unmodified-Since", SOME_DAY, 200),
    ("If-Unmodified-Since", LONG_AGO, 412),
]


@pytest.mark.parametrize(("name", "value", "status"), CONDITIONS)
def test_conditions(client: Client, name: str, value: str, status: int) -> None:
    client.oss.put("bucket", "key", b"bytes")
    assert client("HEAD", "key", headers={name: value}).status == status
    reply = client("GET", "key", headers={name: value})
    assert reply.status == status
    if status == 412:
        assert (reply.code, reply.headers["x-oss-ec"]) == ("PreconditionFailed", "0017-00001001")
    if status == 304:
        assert (reply.body, reply.headers["etag"]) == (b"", f'"{ETAG}"')


@pytest.mark.parametrize(("name", "value", "status"), CONDITIONS)
def test_conditions_on_the_source_of_a_copy(client: Client, name: str, value: str, status: int) -> None:
    client.oss.put("bucket", "key", b"bytes")
    upload_id = client.initiate("part")
    headers = {"x-oss-copy-source": "/bucket/key", f"x-oss-copy-source-{name.lower()}": value}
    assert client("PUT", "copy", headers=headers).status == status
    assert client("PUT", "part", {"uploadId": upload_id, "partNumber": "1"}, headers).status == status


def test_a_copy_keeps_the_metadata_or_replaces_it(client: Client) -> None:
    client.oss.put("bucket", "a b/中", b"bytes", x_oss_meta_a="1", x_oss_tagging="t=1", content_type="text/plain")
    source = {"x-oss-copy-source": f"/bucket/{quote('a b/中')}"}
    reply = client("PUT", "copy", headers=source)
    assert (reply.status, reply.texts("ETag")) == (200, [f'"{ETAG}"'])
    copy = client("GET", "copy")
    assert (copy.body, copy.headers["content-type"], copy.headers["x-oss-meta-a"]) == (b"bytes", "text/plain", "1")
    assert copy.headers["x-oss-hash-crc64ecma"] == str(crc64(b"bytes"))

    client("PUT", "copy", headers={**source, "x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"})
    copy = client("HEAD", "copy")
    assert ("x-oss-meta-a" in copy.headers, copy.headers["x-oss-meta-b"]) == (False, "2")
    assert copy.headers["x-oss-tagging-count"] == "1"

    client("PUT", "copy", headers={**source, "x-oss-tagging-directive": "Replace", "x-oss-tagging": "a=1&b=2"})
    assert client("HEAD", "copy").headers["x-oss-tagging-count"] == "2"


def test_bad_copies_are_refused(client: Client) -> None:
    client.oss.put("bucket", "key", b"bytes")
    for headers, code in (
        ({"x-oss-copy-source": "/bucket/missing"}, "NoSuchKey"),
        ({"x-oss-copy-source": "/missing/key"}, "NoSuchBucket"),
        ({"x-oss-copy-source": "nonsense"}, "InvalidArgument"),
        ({"x-oss-copy-source": "/bucket/key?versionId=x"}, "NoSuchVersion"),
        ({"x-oss-copy-source": "/bucket/key", "x-oss-metadata-directive": "NONE"}, "InvalidArgument"),
    ):
        assert client("PUT", "copy", headers=headers).code == code
    assert client.oss.objects("bucket") == ["key"]


def test_an_appendable_object_grows(client: Client) -> None:
    first = client("POST", "key", {"append": "", "position": "0"}, {"x-oss-meta-a": "1"}, b"one")
    second = client("POST", "key", {"append": "", "position": "3"}, body=b"two")
    assert (first.headers["x-oss-next-append-position"], second.headers["x-oss-next-append-position"]) == ("3", "6")
    assert second.headers["x-oss-hash-crc64ecma"] == str(crc64(b"onetwo"))
    assert first.headers["etag"] != second.headers["etag"]
    got = client("GET", "key")
    assert (got.body, got.headers["x-oss-object-type"], got.headers["x-oss-meta-a"]) == (b"onetwo", "Appendable", "1")

    late = client("POST", "key", {"append": "", "position": "3"}, body=b"two")
    assert (late.status, late.code, late.headers["x-oss-next-append-position"]) == (
        409,
        "PositionNotEqualToLength",
        "6",
    )
    assert client("POST", "key", {"append": "", "position": "x"}, body=b"two").code == "InvalidArgument"
    client.oss.put("bucket", "normal", b"bytes")
    normal = client("POST", "normal", {"append": "", "position": "5"}, body=b"two")
    assert (normal.status, normal.code) == (409, "ObjectNotAppendable")


def delete_xml(keys: list[str], *, quiet: bool = False) -> bytes:
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{objects}</Delete>".encode()


def test_several_objects_are_deleted_at_once(client: Client) -> None:
    for key in ("a b", "c", "d"):
        client.oss.put("bucket", key, b"")
    body = delete_xml(["a b", "missing"])
    headers = {"Content-MD5": content_md5_of(body)}
    reply = client("POST", query={"delete": "", "encoding-type": "url"}, headers=headers, body=body)
    assert (reply.status, reply.texts("Deleted/Key"), reply.texts("EncodingType")) == (
        200,
        ["a%20b", "missing"],
        ["url"],
    )
    body = delete_xml(["c"], quiet=True)
    quiet = client("POST", query={"delete": ""}, headers={"Content-MD5": content_md5_of(body)}, body=body)
    assert (quiet.status, quiet.body) == (200, b"")
    assert client.oss.objects("bucket") == ["d"]


def test_deleting_several_objects_wants_good_xml_and_its_md5(client: Client) -> None:
    good = delete_xml(["key"])
    for body, claimed, code in (
        (good, None, "InvalidArgument"),
        (good, content_md5_of(b""), "InvalidDigest"),
        (b"<Delete>", content_md5_of(b"<Delete>"), "MalformedXML"),
        (b"<Other/>", content_md5_of(b"<Other/>"), "MalformedXML"),
        (b"<!DOCTYPE a><Delete/>", content_md5_of(b"<!DOCTYPE a><Delete/>"), "MalformedXML"),
        (delete_xml([]), content_md5_of(delete_xml([])), "MalformedXML"),
        (delete_xml(["a"] * 1001), content_md5_of(delete_xml(["a"] * 1001)), "MalformedXML"),
    ):
        reply = client("POST", query={"delete": ""}, headers={"Content-MD5": claimed} if claimed else {}, body=body)
        assert (reply.status, reply.code) == (400, code)


# --- uploads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", ["nonsense", content_md5_of(b"other")])
def test_a_list_of_parts_is_checked_against_its_md5(client: Client, claimed: str) -> None:
    upload_id = client.initiate()
    etag = client.upload_part(upload_id, 1, b"bytes").headers["etag"]
    body = complete_xml([(1, etag)])

    def complete(md5: str) -> Reply:
        return client("POST", "key", query={"uploadId": upload_id}, headers={"Content-MD5": md5}, body=body)

    refused = complete(claimed)
    assert (refused.status, refused.code) == (400, "InvalidDigest")
    assert not client.oss.objects("bucket")
    assert complete(content_md5_of(body)).status == 200


def test_parts_become_an_object(client: Client) -> None:
    client.oss.put("bucket", "key", b"old")
    upload_id = client.initiate(Content_Type="text/plain", x_oss_meta_a="1")
    data = [bytes([number]) * MIN_PART for number in (1, 2)] + [b"end"]
    etags = [client.upload_part(upload_id, number, part).headers["etag"] for number, part in enumerate(data, 1)]
    assert etags == [f'"{md5_of(part)}"' for part in data]
    assert client.oss.parts("bucket", "key", upload_id) == dict(enumerate(data, 1))
    assert client.oss.object("bucket", "key") == b"old", "an upload leaves the object alone until it is complete"

    reply = client.complete(upload_id, list(enumerate(etags, 1)))

    whole = b"".join(data)
    expected = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in data)).hexdigest().upper()
    assert (reply.status, reply.texts("ETag"), reply.texts("Key")) == (200, [f'"{expected}-3"'], ["key"])
    assert reply.headers["x-oss-hash-crc64ecma"] == str(crc64(whole))
    got = client("GET", "key")
    assert (got.body, got.headers["x-oss-object-type"], got.headers["etag"]) == (whole, "Multipart", f'"{expected}-3"')
    assert (got.headers["content-type"], got.headers["x-oss-meta-a"]) == ("text/plain", "1")
    assert client.oss.uploads("bucket") == []
    for again in (client.complete(upload_id, list(enumerate(etags, 1))), client("GET", "key", {"uploadId": upload_id})):
        assert (again.status, again.code, again.headers["x-oss-ec"]) == (404, "NoSuchUpload", "0042-00000002")


def test_a_part_sent_again_replaces_the_first(client: Client) -> None:
    upload_id = client.initiate()
    client.upload_part(upload_id, 7, b"first")
    etag = client.upload_part(upload_id, 7, b"second").headers["etag"]
    assert client.complete(upload_id, [(7, etag)]).status == 200
    assert client.oss.object("bucket", "key") == b"second"


def test_complete_chooses_among_the_parts(client: Client) -> None:
    upload_id = client.initiate()
    etags = {
        number: client.upload_part(upload_id, number, bytes([number]) * MIN_PART).headers["etag"] for number in (3, 9)
    }
    assert client.complete(upload_id, [(9, etags[9])]).status == 200
    assert client.oss.object("bucket", "key") == b"\t" * MIN_PART


def test_complete_all_takes_every_part_in_order(client: Client) -> None:
    upload_id = client.initiate()
    client.upload_part(upload_id, 2, b"end")
    client.upload_part(upload_id, 1, b"x" * MIN_PART)
    everything = {"x-oss-complete-all": "yes"}
    with_list = client("POST", "key", {"uploadId": upload_id}, everything, complete_xml([(1, "x")]))
    assert (with_list.status, with_list.code) == (400, "InvalidArgument")
    assert client("POST", "key", {"uploadId": upload_id}, everything).status == 200
    assert client.oss.object("bucket", "key") == b"x" * MIN_PART + b"end"


def test_bad_completes_are_refused_and_leave_the_upload(client: Client) -> None:
    upload_id = client.initiate()
    small, large, end = (
        client.upload_part(upload_id, number, data).headers["etag"]
        for number, data in ((1, b"small"), (2, b"x" * MIN_PART), (3, b"end"))
    )
    for parts, code in (
        ([(2, large), (4, end)], "InvalidPart"),
        ([(2, large), (int("9" * 4000), end)], "InvalidPart"),
        ([(2, large), (3, large)], "InvalidPart"),
        ([(3, end), (2, large)], "InvalidPartOrder"),
        ([(2, large), (2, large)], "InvalidPartOrder"),
        ([(1, small), (2, large)], "EntityTooSmall"),
        ([], "MalformedXML"),
    ):
        reply = client.complete(upload_id, parts)
        assert (reply.status, reply.code) == (400, code)
    assert client("POST", "key", {"uploadId": upload_id}, body=b"no xml").code == "MalformedXML"
    assert client.complete(upload_id, [(2, large.strip('"').lower()), (3, end)]).status == 200


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "٣", "9" * 30, "1" * 5000, "0" * 10 + "1" + "9" * 9])
def test_a_part_number_is_1_to_10000(client: Client, number: str) -> None:
    reply = client("PUT", "key", {"uploadId": client.initiate(), "partNumber": number}, body=b"")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_an_upload_belongs_to_its_key(client: Client) -> None:
    upload_id = client.initiate("key")
    reply = client.upload_part(upload_id, 1, b"bytes", key="other")
    assert (reply.status, reply.code) == (404, "NoSuchUpload")


def test_half_a_part_request_stores_no_object(client: Client) -> None:
    assert client("PUT", "key", {"partNumber": "1"}, body=b"").code == "InvalidArgument"
    assert client("PUT", "key", {"uploadId": client.initiate()}, body=b"").code == "InvalidArgument"
    assert client.oss.objects("bucket") == []


def test_an_aborted_upload_is_gone_with_its_parts(client: Client, local_oss: LocalOSS) -> None:
    upload_id = client.initiate()
    client.upload_part(upload_id, 1, b"bytes")
    assert client("DELETE", "key", {"uploadId": upload_id}).status == 204
    again = client("DELETE", "key", {"uploadId": upload_id})
    assert (again.status, again.code) == (404, "NoSuchUpload")
    assert local_oss.uploads("bucket") == []


def test_parts_are_listed_in_pages(client: Client) -> None:
    upload_id = client.initiate("a b")
    for number in (5, 1, 3):
        client.upload_part(upload_id, number, bytes([number]) * number, key="a b")
    query = {"uploadId": upload_id, "max-parts": "2", "encoding-type": "url"}
    page = client("GET", "a b", query)
    assert page.texts("Part/PartNumber") == ["1", "3"]
    assert page.texts("Part/Size") == ["1", "3"]
    assert page.texts("Part/ETag") == [f'"{md5_of(bytes([number]) * number)}"' for number in (1, 3)]
    assert page.texts("Part/HashCrc64ecma") == [str(crc64(bytes([number]) * number)) for number in (1, 3)]
    assert page.texts("IsTruncated") + page.texts("NextPartNumberMarker") + page.texts("Key") == ["true", "3", "a%20b"]
    rest = client("GET", "a b", {**query, "part-number-marker": "3"})
    assert (rest.texts("Part/PartNumber"), rest.texts("IsTruncated")) == (["5"], ["false"])
    for bad in ({"max-parts": "0"}, {"max-parts": "1001"}, {"part-number-marker": "x"}, {"encoding-type": "gzip"}):
        assert client("GET", "a b", {**query, **bad}).code == "InvalidArgument"


def test_a_part_is_copied_from_an_object(client: Client) -> None:
    data = bytes(range(256)) * 800
    client.oss.put("bucket", "source", data)
    upload_id = client.initiate()
    etags = []
    for number, wanted in ((1, f"bytes=0-{MIN_PART - 1}"), (2, f"bytes={MIN_PART}-{len(data) - 1}")):
        headers = {"x-oss-copy-source": "/bucket/source", "x-oss-copy-source-range": wanted}
        reply = client("PUT", "key", {"uploadId": upload_id, "partNumber": str(number)}, headers)
        etags.append((number, reply.texts("ETag")[0]))
    assert client.complete(upload_id, etags).headers["x-oss-hash-crc64ecma"] == str(crc64(data))
    assert client.oss.object("bucket", "key") == data
    upload_id = client.initiate()
    whole = client("PUT", "key", {"uploadId": upload_id, "partNumber": "1"}, {"x-oss-copy-source": "/bucket/source"})
    assert whole.texts("ETag") == [f'"{md5_of(data)}"']


def test_bad_part_copies_are_refused(client: Client) -> None:
    client.oss.put("bucket", "source", b"bytes")
    client("POST", "appended", {"append": "", "position": "0"}, body=b"bytes")
    query = {"uploadId": client.initiate(), "partNumber": "1"}
    for headers, code in (
        ({"x-oss-copy-source": "/bucket/source", "x-oss-copy-source-range": "bytes=5-9"}, "InvalidRange"),
        ({"x-oss-copy-source": "/bucket/appended"}, "OperationNotSupported"),
        ({"x-oss-copy-source": "/bucket/missing"}, "NoSuchKey"),
    ):
        assert client("PUT", "key", query, headers).code == code


# --- buckets ----------------------------------------------------------------------------------------------------------

KEYS = ["a", "a b", "dir/1", "dir/2", "dir/sub/3", "z"]


@pytest.fixture
def listing(client: Client) -> Client:
    for key in KEYS:
        client.oss.put("bucket", key, b"bytes")
    return client


def test_objects_are_listed(listing: Client) -> None:
    reply = listing("GET", query={"list-type": "2"})
    assert (reply.texts("Contents/Key"), reply.texts("KeyCount"), reply.texts("IsTruncated")) == (
        KEYS,
        ["6"],
        ["false"],
    )
    assert set(reply.texts("Contents/Size")) == {"5"}
    assert set(reply.texts("Contents/ETag")) == {f'"{ETAG}"'}
    assert set(reply.texts("Contents/Type")) == {"Normal"}
    assert reply.texts("Contents/Owner/ID") == []
    assert len(listing("GET", query={"list-type": "2", "fetch-owner": "true"}).texts("Contents/Owner/ID")) == 6
    assert listing("GET").texts("Contents/Key") == KEYS


def test_objects_are_listed_by_prefix_and_delimiter(listing: Client) -> None:
    for version in ({"list-type": "2"}, {}):
        reply = listing("GET", query={**version, "delimiter": "/"})
        assert (reply.texts("Contents/Key"), reply.texts("CommonPrefixes/Prefix")) == (["a", "a b", "z"], ["dir/"])
        reply = listing("GET", query={**version, "delimiter": "/", "prefix": "dir/"})
        assert reply.texts("Contents/Key") == ["dir/1", "dir/2"]
        assert reply.texts("CommonPrefixes/Prefix") == ["dir/sub/"]
    assert listing("GET", query={"list-type": "2", "start-after": "dir/2"}).texts("Contents/Key") == KEYS[4:]
    assert listing("GET", query={"list-type": "2", "encoding-type": "url", "prefix": "a b"}).texts("Contents/Key") == [
        "a%20b"
    ]


@pytest.mark.parametrize("limit", [1, 2, 4, 6])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_add_up(listing: Client, limit: int, delimiter: str) -> None:
    expected = ["a", "a b", "dir/", "z"] if delimiter else KEYS
    for version, sends, gets in (
        ({"list-type": "2"}, "continuation-token", "NextContinuationToken"),
        ({}, "marker", "NextMarker"),
    ):
        found: list[str] = []
        query = {**version, "max-keys": str(limit), "delimiter": delimiter}
        while True:
            page = listing("GET", query=query)
            found += sorted(page.texts("Contents/Key") + page.texts("CommonPrefixes/Prefix"))
            assert len(page.texts("Contents/Key") + page.texts("CommonPrefixes/Prefix")) <= limit
            if page.texts("IsTruncated") == ["false"]:
                break
            query[sends] = page.texts(gets)[0]
        assert found == expected


@pytest.mark.parametrize(
    "query", [{"max-keys": "0"}, {"max-keys": "1001"}, {"encoding-type": "x"}, {"continuation-token": "*"}]
)
def test_bad_listings_are_refused(client: Client, query: dict[str, str]) -> None:
    reply = client("GET", query={"list-type": "2", **query})
    assert (reply.status, reply.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_uploads_are_listed_in_pages(client: Client, limit: int) -> None:
    begun = sorted((key, client.initiate(key)) for key in ("a b", "b", "b", "dir/c", "dir/d"))
    found: list[tuple[str, str]] = []
    query = {"uploads": "", "max-uploads": str(limit)}
    while True:
        page = client("GET", query=query)
        found += zip(page.texts("Upload/Key"), page.texts("Upload/UploadId"), strict=True)
        if page.texts("IsTruncated") == ["false"]:
            break
        query |= {"key-marker": page.texts("NextKeyMarker")[0], "upload-id-marker": page.texts("NextUploadIdMarker")[0]}
    assert found == begun == client.oss.uploads("bucket")


def test_uploads_are_listed_by_prefix_and_delimiter(client: Client) -> None:
    for key in ("a b", "b", "dir/c", "dir/d"):
        client.initiate(key)
    reply = client("GET", query={"uploads": "", "delimiter": "/", "encoding-type": "url"})
    assert (reply.texts("Upload/Key"), reply.texts("CommonPrefixes/Prefix")) == (["a%20b", "b"], ["dir%2F"])
    assert client("GET", query={"uploads": "", "prefix": "dir/"}).texts("Upload/Key") == ["dir/c", "dir/d"]
    assert client("GET", query={"uploads": "", "key-marker": "b"}).texts("Upload/Key") == ["dir/c", "dir/d"]
    page = client("GET", query={"uploads": "", "delimiter": "/", "max-uploads": "3"})
    assert page.texts("IsTruncated") == ["false"]


def test_a_bucket_says_where_it_is(client: Client) -> None:
    info = client("GET", query={"bucketInfo": ""})
    assert info.texts("Bucket/Name") + info.texts("Bucket/Location") == ["bucket", "oss-cn-hangzhou"]
    location = client("GET", query={"location": ""})
    assert (location.xml.tag, location.xml.text) == ("LocationConstraint", "oss-cn-hangzhou")


def test_buckets_come_and_go(client: Client) -> None:
    assert client("PUT", bucket="another").status == 200
    assert client("PUT", bucket="another").status == 200, "one's own bucket may be made again"
    assert client("GET", bucket=None).texts("Buckets/Bucket/Name") == ["another", "bucket"]
    client.oss.put("another", "key", b"")
    full = client("DELETE", bucket="another")
    assert (full.status, full.code) == (409, "BucketNotEmpty")
    client.oss.delete("another", "key")
    assert client("DELETE", bucket="another").status == 204
    assert client("DELETE", bucket="another").code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("method", "key", "query", "status", "code"),
    [
        ("PATCH", "key", {}, 405, "MethodNotAllowed"),
        ("POST", "key", {}, 405, "MethodNotAllowed"),
        ("PUT", "key", {"acl": ""}, 501, "NotImplemented"),
        ("GET", "key", {"restore": ""}, 501, "NotImplemented"),
        ("GET", None, {"acl": ""}, 501, "NotImplemented"),
        ("GET", None, {"lifecycle": ""}, 501, "NotImplemented"),
    ],
)
def test_what_is_not_served_is_said(
    client: Client, method: str, key: str | None, query: dict[str, str], status: int, code: str
) -> None:
    reply = client(method, key, query)
    assert (reply.status, reply.code) == (status, code)
    assert client.oss.requests[-1].operation == "Unknown"
