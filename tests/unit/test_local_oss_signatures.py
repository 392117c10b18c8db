"""The local OSS server lets in what the official SDKs sign, and nothing else."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.authentication import Account, verify
from airflow_provider_ossresume.local_oss.incoming import Body, IncomingRequest, parse_head
from airflow_provider_ossresume.oss.signing import (
    Signable,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_scope,
    v4_signature,
    v4_string_to_sign,
)
from tests.unit.test_local_oss import Client, Reply, target_of

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sign_vectors.json").read_text())["vectors"]
UNSIGNED_TOKEN = "v2-v1-sts-put"  # a defect of the SDK, see its note
SERVED = [v for v in VECTORS if v["input"]["product"] in (None, "oss") and v["id"] != UNSIGNED_TOKEN]


def received(vector: dict[str, Any]) -> IncomingRequest:
    """Return the request as the server reads it off the wire."""
    given, expected = vector["input"], vector["expected"]
    url = urlsplit(expected["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    headers = {"Host": url.netloc, **given["headers"], **expected["signed_request_headers"]}
    if expected["authorization"]:
        headers["Authorization"] = expected["authorization"]
    lines = [f"{given['method']} {target or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = parse_head("\r\n".join(lines).encode(), body_of=no_body)
    if given["addressing"] not in ("virtual", "path"):  # the server knows no domains of its users'
        return replace(request, bucket=given["bucket"], key=given["key"])
    return request


def no_body(headers: object) -> Body:
    return Body(None, {}, before_first=lambda: None)  # type: ignore[arg-type]


def account_of(vector: dict[str, Any]) -> Account:
    given = vector["input"]
    return Account(given["access_key_id"], given["access_key_secret"], given["security_token"])


@pytest.mark.parametrize("vector", SERVED, ids=lambda vector: vector["id"])
def test_what_an_sdk_signed_is_let_in(vector: dict[str, Any]) -> None:
    given, request = vector["input"], received(vector)
    assert (request.bucket, request.key) == (given["bucket"], given["key"])
    verify(request, account_of(vector), region=given["region"] or "cn-hangzhou", now=given["epoch"])


def test_a_token_in_a_header_that_is_not_signed_is_not_read() -> None:
    (vector,) = (vector for vector in VECTORS if vector["id"] == UNSIGNED_TOKEN)
    with pytest.raises(Refusal, match="InvalidAccessKeyId"):
        verify(received(vector), account_of(vector), region="cn-hangzhou", now=vector["input"]["epoch"])


@pytest.mark.parametrize("vector", SERVED, ids=lambda vector: vector["id"])
def test_a_changed_request_is_not(vector: dict[str, Any]) -> None:
    given, request = vector["input"], received(vector)
    changed = replace(request, bucket=request.bucket or "bucket", key=f"{request.key or ''}x")
    with pytest.raises(Refusal) as refused:
        verify(changed, account_of(vector), region=given["region"] or "cn-hangzhou", now=given["epoch"])
    assert refused.value.status == 403


# --- over the wire ----------------------------------------------------------------------------------------------------


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[LocalOSS]:
    with LocalOSS(tmp_path, security_token="token") as oss:
        oss.put("bucket", "key", b"bytes")
        yield oss


def send(oss: LocalOSS, target: str, headers: dict[str, str], method: str = "GET") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", oss.port)
    connection.request(method, target, headers=headers)
    answer = connection.getresponse()
    return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())


def v4_header(oss: LocalOSS, headers: dict[str, str], *, timestamp: str, scope: str = "", additional: str = "") -> str:
    scope = scope or v4_scope(time.strftime("%Y%m%d", time.gmtime()), region=oss.region)
    request = Signable("GET", "bucket", "key", {}, headers)
    canonical = v4_canonical_request(request, additional_headers=additional.split(";"))
    text = v4_string_to_sign(canonical, timestamp=timestamp, scope=scope)
    signature = v4_signature(text, secret=oss.access_key_secret, scope=scope)
    fields = [f"Credential={oss.access_key_id}/{scope}", f"Signature={signature}"]
    if additional:
        fields.append(f"AdditionalHeaders={additional}")
    return f"OSS4-HMAC-SHA256 {', '.join(fields)}"


def iso(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def test_v4_takes_additional_headers_in_any_place(oss: LocalOSS) -> None:
    timestamp = iso(time.time())
    headers = {"x-oss-date": timestamp, "x-oss-security-token": "token", "Range": "bytes=0-1", "X-A": "1"}
    headers["Authorization"] = v4_header(oss, headers, timestamp=timestamp, additional="range;x-a")
    assert send(oss, "/bucket/key", headers).body == b"by"
    assert send(oss, "/bucket/key", {**headers, "Range": "bytes=0-3"}).code == "SignatureDoesNotMatch"
    words = headers["Authorization"].removeprefix("OSS4-HMAC-SHA256 ").split(", ")
    headers["Authorization"] = f"OSS4-HMAC-SHA256 {','.join(reversed(words))}"
    assert send(oss, "/bucket/key", headers).body == b"by"


def test_v4_takes_a_date_header_alone(oss: LocalOSS) -> None:
    date = formatdate(usegmt=True)
    headers = {"Date": date, "x-oss-security-token": "token"}
    headers["Authorization"] = v4_header(oss, headers, timestamp=date)
    assert send(oss, "/bucket/key", headers).body == b"bytes"


def test_v1_takes_x_oss_date(oss: LocalOSS) -> None:
    headers = {"x-oss-date": formatdate(usegmt=True), "x-oss-security-token": "token"}
    text = v1_string_to_sign(Signable("GET", "bucket", "key", {}, headers), date="")
    headers["Authorization"] = f"OSS {oss.access_key_id}:{v1_signature(text, secret=oss.access_key_secret)}"
    assert send(oss, "/bucket/key", headers).body == b"bytes"


def v1_url(oss: LocalOSS, *, expires: int, method: str = "GET", headers: dict[str, str] | None = None) -> str:
    query = {"security-token": "token"}
    text = v1_string_to_sign(Signable(method, "bucket", "key", query, headers or {}), date=str(expires))
    signature = v1_signature(text, secret=oss.access_key_secret)
    sent = query | {"OSSAccessKeyId": oss.access_key_id, "Expires": str(expires), "Signature": signature}
    return target_of("bucket", "key", sent)


def v4_url(oss: LocalOSS, *, signed_at: float, expires: str = "60") -> str:
    scope = v4_scope(iso(signed_at)[:8], region=oss.region)
    query = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-date": iso(signed_at),
        "x-oss-expires": expires,
        "x-oss-credential": f"{oss.access_key_id}/{scope}",
        "x-oss-security-token": "token",
    }
    canonical = v4_canonical_request(Signable("GET", "bucket", "key", query, {}))
    text = v4_string_to_sign(canonical, timestamp=iso(signed_at), scope=scope)
    query["x-oss-signature"] = v4_signature(text, secret=oss.access_key_secret, scope=scope)
    return target_of("bucket", "key", query)


def test_a_presigned_url_works_until_it_expires(oss: LocalOSS) -> None:
    now = time.time()
    assert send(oss, v1_url(oss, expires=int(now) + 60), {}).body == b"bytes"
    assert send(oss, v4_url(oss, signed_at=now), {}).body == b"bytes"
    for url in (v1_url(oss, expires=int(now) - 1), v4_url(oss, signed_at=now - 61)):
        reply = send(oss, url, {})
        assert (reply.status, reply.code, reply.texts("Message")) == (403, "AccessDenied", ["Request has expired."])
    assert send(oss, v4_url(oss, signed_at=now + 1000), {}).code == "RequestTimeTooSkewed"
    for url in (
        v4_url(oss, signed_at=now, expires="0"),
        v4_url(oss, signed_at=now, expires="604801"),
        v1_url(oss, expires=int(now) + 60).replace("Expires=", "Expires=x"),
        v4_url(oss, signed_at=now).replace("OSS4-HMAC-SHA256", "OSS5"),
    ):
        assert (send(oss, url, {}).status, send(oss, url, {}).code) == (400, "InvalidArgument")
    assert send(oss, v1_url(oss, expires=int(now) + 60).replace("/key?", "/kez?"), {}).code == "SignatureDoesNotMatch"


def test_an_unsigned_request_is_denied(oss: LocalOSS) -> None:
    reply = send(oss, "/bucket/key", {})
    assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (403, "AccessDenied", "0003-00000001")


def test_a_wrong_secret_is_told_what_should_have_been_signed(oss: LocalOSS) -> None:
    timestamp = iso(time.time())
    headers = {"x-oss-date": timestamp, "x-oss-security-token": "token"}
    authorization = v4_header(oss, headers, timestamp=timestamp)
    wrong = authorization[:-1] + ("0" if authorization[-1] != "0" else "1")
    reply = send(oss, "/bucket/key", {**headers, "Authorization": wrong})
    assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (403, "SignatureDoesNotMatch", "0002-00000040")
    assert reply.texts("StringToSign")[0].startswith(f"OSS4-HMAC-SHA256\n{timestamp}\n")
    assert reply.texts("CanonicalRequest")[0].startswith("GET\n/bucket/key\n")
    assert oss.access_key_secret.encode() not in reply.body


@pytest.mark.parametrize("shift", [-16 * 60, 16 * 60])
@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_clock_that_is_off_is_told(oss: LocalOSS, shift: int, version: str) -> None:
    moment = time.time() + shift
    headers = {"x-oss-security-token": "token"}
    if version == "v4":
        headers["x-oss-date"] = iso(moment)
        headers["Authorization"] = v4_header(oss, headers, timestamp=iso(moment))
    else:
        headers["Date"] = formatdate(moment, usegmt=True)
        headers["Authorization"] = f"OSS {oss.access_key_id}:x"
    reply = send(oss, "/bucket/key", headers)
    assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (403, "RequestTimeTooSkewed", "0002-00000504")
    assert reply.texts("MaxAllowedSkewMilliseconds") == ["900000"]


def test_the_clock_of_the_server_is_what_counts(tmp_path: Path) -> None:
    with LocalOSS(tmp_path, clock=lambda: 1_000_000_000.0) as oss:
        client = Client(oss)
        assert client("GET", "key").code == "RequestTimeTooSkewed"
        client.now = lambda: 1_000_000_000.0 - 14 * 60
        assert client("GET", "key").code == "NoSuchKey"
        assert client("GET", "key").headers["date"] == "Sun, 09 Sep 2001 01:46:40 GMT"


def test_malformed_authorizations_are_refused(oss: LocalOSS) -> None:
    now = time.time()
    day = iso(now)[:8]
    base = {"x-oss-date": iso(now), "x-oss-security-token": "token"}
    scope = v4_scope(day, region=oss.region)
    good = v4_header(oss, base, timestamp=iso(now))
    for authorization in (
        "Basic xyz",
        "OSS no-colon",
        "OSS4-HMAC-SHA256 nonsense",
        f"OSS4-HMAC-SHA256 Credential={oss.access_key_id}/{scope}",
        f"{good},AdditionalHeaders=",
        v4_header(oss, base, timestamp=iso(now), scope=v4_scope(day, region="cn-beijing")),
        v4_header(oss, base, timestamp=iso(now), scope=v4_scope(day, region=oss.region, product="ecs")),
        v4_header(oss, base, timestamp=iso(now), scope=v4_scope("20200101", region=oss.region)),
        v4_header(oss, base, timestamp=iso(now), scope="x/y"),
    ):
        reply = send(oss, "/bucket/key", {**base, "Authorization": authorization})
        assert (reply.status, reply.code) == (400, "InvalidArgument"), authorization
    empty = send(oss, "/bucket/key", {**base, "Authorization": f"{good},AdditionalHeaders="})
    assert empty.headers["x-oss-ec"] == "0002-00000209"
    payload = send(oss, "/bucket/key", {**base, "Authorization": good, "x-oss-content-sha256": "0" * 64})
    assert payload.code == "InvalidArgument"
    undated = send(oss, "/bucket/key", {"x-oss-security-token": "token", "Authorization": good})
    assert (undated.status, undated.code) == (403, "AccessDenied")


def test_unknown_keys_and_tokens_are_refused(oss: LocalOSS) -> None:
    client = Client(oss)
    oss.set_credentials(access_key_id="another", access_key_secret=oss.access_key_secret, security_token="token")
    assert client("GET", "key").status == 200

    now = time.time()
    headers = {"x-oss-date": iso(now), "x-oss-security-token": "token"}
    authorization = v4_header(oss, headers, timestamp=iso(now))
    reply = send(oss, "/bucket/key", {**headers, "Authorization": authorization.replace("another", "stranger")})
    assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (403, "InvalidAccessKeyId", "0002-00000902")

    reply = client("GET", "key", headers={"x-oss-security-token": "wrong"})
    assert (reply.status, reply.code) == (403, "InvalidSecurityToken")

    oss.security_token = None
    reply = client("GET", "key", headers={"x-oss-security-token": "token"})
    assert (reply.status, reply.code) == (403, "InvalidSecurityToken")
    assert client("GET", "key").status == 200

    oss.security_token = "token"
    del headers["x-oss-security-token"]
    reply = send(oss, "/bucket/key", {**headers, "Authorization": v4_header(oss, headers, timestamp=iso(now))})
    assert (reply.status, reply.code) == (403, "InvalidAccessKeyId")


def test_an_expired_token_is_told_until_it_is_replaced(oss: LocalOSS) -> None:
    client = Client(oss)
    assert client("GET", "key").status == 200
    oss.expire_token()
    reply = client("GET", "key")
    assert (reply.status, reply.code, reply.headers["x-oss-ec"]) == (403, "SecurityTokenExpired", "0002-00000007")
    oss.security_token = "new"
    assert client("GET", "key").status == 200
    assert client("GET", "key", headers={"x-oss-security-token": "token"}).code == "InvalidSecurityToken"


def test_no_secret_is_kept_or_shown(oss: LocalOSS, tmp_path: Path) -> None:
    client = Client(oss)
    client("GET", "key")
    send(oss, v1_url(oss, expires=int(time.time()) + 60), {})
    send(oss, v4_url(oss, signed_at=time.time()), {})
    kept = repr(oss.requests) + repr(Account("id", "secret", "token"))
    for secret in ("'token'", "Signature'", "x-oss-signature'", "authorization", oss.access_key_secret, "'secret'"):
        assert secret not in kept
    assert len(oss.requests) == 3
    assert quote("x-oss-credential") in kept
