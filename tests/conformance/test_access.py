"""Who may: signatures in headers and in URLs, STS tokens, clocks."""

from __future__ import annotations

from collections.abc import Iterator

import alibabacloud_oss_v2
import oss2
import pytest
import requests
from alibabacloud_oss_v2.transport import RequestsHttpClient

from airflow_provider_ossresume.local_oss import Fault, LocalOSS

from .judge import Access, Judge, Refused
from .seats import BUCKET, judges_that_can

DATA = b"signed, sealed, delivered"
TOKEN = "CAIS/token+with=signs&more"
KEY = "a b+c%2F/文件 🚀.csv"


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    """Plain HTTP, which knows nothing of OSS."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no ~/.netrc
        yield session


def test_a_wrong_secret_is_a_signature_that_does_not_match(judge: Judge) -> None:
    stranger = judge.with_access(access_key_secret="not the secret")

    with pytest.raises(Refused) as refused:
        stranger.put("key", DATA)

    assert (refused.value.status, refused.value.code) == (403, "SignatureDoesNotMatch")
    assert refused.value.ec == "0002-00000040"
    assert len(refused.value.request_id) == 24
    stranger.close()


def test_an_unknown_key_id_is_an_invalid_access_key_id(judge: Judge) -> None:
    stranger = judge.with_access(access_key_id="LTAInobody")

    with pytest.raises(Refused) as refused:
        stranger.get("key")

    assert (refused.value.status, refused.value.code) == (403, "InvalidAccessKeyId")
    stranger.close()


def test_the_region_belongs_to_a_v4_signature(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    elsewhere = judge.with_access(region="cn-nowhere")

    if judge.signature == "v1":
        assert elsewhere.get("key").body == DATA
    else:
        with pytest.raises(Refused) as refused:
            elsewhere.get("key")
        assert refused.value.status in (400, 403)
    elsewhere.close()


@judges_that_can("sign a token")
def test_a_request_with_the_security_token_is_let_in(judge: Judge, oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    assumed = judge.with_access(security_token=TOKEN)

    assumed.put(KEY, DATA)
    upload_id = assumed.initiate("parts")
    assumed.complete("parts", upload_id, [assumed.upload_part("parts", upload_id, 1, DATA)])

    assert assumed.get(KEY).body == assumed.get("parts").body == DATA
    assumed.close()


@judges_that_can("sign a token")
def test_another_security_token_is_refused(judge: Judge, oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    assumed = judge.with_access(security_token="somebody else's")

    with pytest.raises(Refused) as refused:
        assumed.get("key")

    assert (refused.value.status, refused.value.code) == (403, "InvalidSecurityToken")
    assumed.close()


def test_a_missing_security_token_makes_the_key_id_unknown(judge: Judge, oss: LocalOSS) -> None:
    oss.security_token = TOKEN

    with pytest.raises(Refused) as refused:
        judge.get("key")

    assert (refused.value.status, refused.value.code) == (403, "InvalidAccessKeyId")


@judges_that_can("sign a token")
def test_an_expired_security_token_is_refused_as_expired(judge: Judge, oss: LocalOSS) -> None:
    oss.security_token = TOKEN
    oss.expire_token()
    assumed = judge.with_access(security_token=TOKEN)

    with pytest.raises(Refused) as refused:
        assumed.get("key")

    assert (refused.value.status, refused.value.code) == (403, "SecurityTokenExpired")
    assumed.close()


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_clock_an_hour_off_is_too_skewed(judge: Judge, oss: LocalOSS, ahead: int) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault("skewed-clock", seconds=ahead))

    with pytest.raises(Refused) as refused:
        judge.get("key")

    assert (refused.value.status, refused.value.code) == (403, "RequestTimeTooSkewed")
    assert judge.get("key").body == DATA


def test_nobody_is_denied_access(access: Access, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA)
    session = oss2.Session()
    http = RequestsHttpClient()
    first = oss2.Bucket(oss2.AnonymousAuth(), access.endpoint, BUCKET, session=session)
    second = alibabacloud_oss_v2.Client(
        alibabacloud_oss_v2.config.Config(
            endpoint=access.endpoint,
            region=access.region,
            credentials_provider=alibabacloud_oss_v2.credentials.AnonymousCredentialsProvider(),
            http_client=http,
        )
    )

    with pytest.raises(oss2.exceptions.AccessDenied):
        first.get_object("key")
    with pytest.raises(alibabacloud_oss_v2.exceptions.OperationError, match="AccessDenied"):
        second.get_object(alibabacloud_oss_v2.GetObjectRequest(bucket=BUCKET, key="key"))
    session.session.close()
    http.close()


def test_a_signed_url_gets_the_object(judge: Judge, oss: LocalOSS, browser: requests.Session) -> None:
    oss.put(BUCKET, KEY, DATA)
    signed = judge.presign("GET", KEY, seconds=60)

    answer = browser.get(signed.url, headers=signed.headers)

    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_signed_url_puts_the_object_with_the_signed_headers(
    judge: Judge, oss: LocalOSS, browser: requests.Session
) -> None:
    headers = {"Content-Type": "text/csv", "x-oss-meta-owner": "me"}
    signed = judge.presign("PUT", KEY, seconds=60, headers=headers)

    answer = browser.put(signed.url, data=DATA, headers=signed.headers)

    assert answer.status_code == 200, answer.text
    assert oss.object(BUCKET, KEY) == DATA
    assert judge.head(KEY).meta == {"owner": "me"}
    assert judge.head(KEY).headers["content-type"] == "text/csv"


def test_a_signed_url_holds_the_security_token(judge: Judge, oss: LocalOSS, browser: requests.Session) -> None:
    oss.put(BUCKET, KEY, DATA)
    oss.security_token = TOKEN
    assumed = judge.with_access(security_token=TOKEN)
    signed = assumed.presign("GET", KEY, seconds=60)

    answer = browser.get(signed.url, headers=signed.headers)

    assert (answer.status_code, answer.content) == (200, DATA)
    assumed.close()


def test_a_signed_url_that_has_expired_is_denied(judge: Judge, oss: LocalOSS, browser: requests.Session) -> None:
    oss.put(BUCKET, KEY, DATA)
    signed = judge.presign("GET", KEY, seconds=60)
    oss.fail("GetObject", fault=Fault("skewed-clock", seconds=61))

    answer = browser.get(signed.url, headers=signed.headers)

    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code>" in answer.text


@pytest.mark.parametrize("change", ["key", "method", "header", "secret"])
def test_a_signed_url_is_good_for_what_was_signed_only(
    judge: Judge, oss: LocalOSS, browser: requests.Session, change: str
) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.put(BUCKET, "yek", DATA)
    headers = {"x-oss-meta-owner": "me"} if change == "header" else {}
    signer = judge.with_access(access_key_secret="not the secret") if change == "secret" else judge
    signed = signer.presign("PUT" if change in ("method", "header") else "GET", "key", seconds=60, headers=headers)

    answer = browser.request(
        "PUT" if change == "header" else "GET",
        signed.url.replace("/key?", "/yek?") if change == "key" else signed.url,
        headers={"x-oss-meta-owner": "you"} if change == "header" else signed.headers,
    )

    assert answer.status_code == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in answer.text
    assert oss.object(BUCKET, "key") == DATA
    if signer is not judge:
        signer.close()


def test_additional_headers_are_signed_in_a_v4_url(
    bucket: oss2.Bucket, oss: LocalOSS, browser: requests.Session
) -> None:
    oss.put(BUCKET, KEY, DATA)
    sent = {"Range": "bytes=0-5", "Cache-Control": "no-store"}
    url = bucket.sign_url("GET", KEY, 60, headers=sent, slash_safe=True, additional_headers=list(sent))

    assert browser.get(url, headers=sent).content == DATA[:6]
    assert browser.get(url, headers={**sent, "Range": "bytes=0-6"}).status_code == 403
    assert browser.get(url).status_code == 403
