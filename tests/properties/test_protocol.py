"""XML, headers and signatures, for whatever a server or a DAG author may come up with."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import format_datetime
from functools import partial
from unittest import mock
from urllib.parse import unquote, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.local_oss.authentication import Account, verify
from airflow_provider_ossresume.local_oss.incoming import Body, IncomingRequest, parse_head
from airflow_provider_ossresume.oss import xml_responses
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.endpoint import Addressing, Endpoint, parse_endpoint
from airflow_provider_ossresume.oss.header_values import read_http_date
from airflow_provider_ossresume.oss.signer import SignatureVersion, Signer
from airflow_provider_ossresume.oss.signing import V1_SUBRESOURCES, Signable
from airflow_provider_ossresume.oss.xml_reader import MalformedXML
from tests.unit.test_xml import ANSWERS

steady = settings(derandomize=True, deadline=None, database=None)  # the same examples everywhere and every time

# --- XML --------------------------------------------------------------------------------------------------------------

READERS: list[Callable[[bytes], object]] = [
    xml_responses.read_upload_id,
    partial(xml_responses.read_etag, root="CompleteMultipartUploadResult"),
    xml_responses.read_parts,
    xml_responses.read_uploads,
    xml_responses.read_objects,
    xml_responses.read_deleted,
    xml_responses.read_bucket_info,
    xml_responses.read_error,
]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """An answer of OSS with some of its bytes replaced."""
    body = draw(st.sampled_from([xml for xml, _, _ in ANSWERS.values()])).encode()
    start, stop = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    piece = draw(st.binary(max_size=20) | st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace")))
    return body[:start] + piece + body[stop if draw(st.booleans()) else start :]


@settings(steady, max_examples=400)
@given(body=st.binary(max_size=200) | documents())
@example(b"<ListPartsResult>" + b"<Part>" * 3000)
@example(b'<?xml version="1.0" encoding="no-such-encoding"?><Error/>')
@example(b'<?xml version="1.1"?><Error/>')
def test_any_bytes_are_a_value_or_malformed(body: bytes) -> None:
    """Any bytes as XML give a value or MalformedXML, whichever answer was expected; an error's are always a value."""
    for read in READERS:
        try:
            read(body)
        except MalformedXML:
            assert read is not xml_responses.read_error


@steady
@given(text=st.text(max_size=60) | st.dates().map(lambda date: f"{date:%a, %d %b} {date.year} 12:00:00 GMT"))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """Any text as an HTTP date is one or None; out-of-range numbers stand among the defects found."""
    assert read_http_date(text) is None or isinstance(read_http_date(text), datetime)


# --- signatures -------------------------------------------------------------------------------------------------------

printable = st.characters(codec="utf-8", exclude_categories=("Cc",))
keys = st.text(printable, min_size=1, max_size=40).filter(lambda key: key[0] not in "/\\")
values = st.text(printable, max_size=20).map(str.strip)
header_names = st.from_regex(r"x-oss-(meta-)?[a-z0-9-]{1,12}", fullmatch=True).filter(lambda name: name not in OURS)
queries = st.dictionaries(
    st.sampled_from(
        ["uploads", "uploadId", "partNumber", "prefix", "versionId", "x-oss-process", "list-type", "delete"]
    )
    | st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8).filter(
        lambda name: name not in OURS
    ),
    st.text(printable, max_size=20),
    max_size=5,
)
# Set by the signer, which has the last word.
OURS = {"x-oss-date", "x-oss-content-sha256", "x-oss-security-token", "OSSAccessKeyId", "Expires", "Signature"}
ENDPOINTS: list[tuple[str, Addressing]] = [
    ("http://127.0.0.1:4000", "path"),
    ("https://oss-cn-hangzhou.aliyuncs.com", "virtual"),
]
NOW = 1_795_424_415.0


@settings(steady, max_examples=300)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=st.none() | keys,
    query=queries,
    headers=st.dictionaries(header_names | st.sampled_from(["content-type", "content-md5"]), values, max_size=4),
    token=st.none() | st.from_regex(r"[A-Za-z0-9+/=]{1,20}", fullmatch=True),
    version=st.sampled_from(["v4", "v1"]),
    place=st.sampled_from(ENDPOINTS),
)
@example("GET", "a/../b//c", {"prefix": "a+b c%"}, {"x-oss-meta-a": "杭州"}, None, "v4", ENDPOINTS[0])
@example("GET", None, {"uploads": ""}, {}, "token", "v1", ENDPOINTS[1])
def test_what_is_signed_here_is_let_in_there(
    method: str,
    key: str | None,
    query: dict[str, str],
    headers: dict[str, str],
    token: str | None,
    version: SignatureVersion,
    place: tuple[str, Addressing],
) -> None:
    """Whatever the method, key, query and headers: the request on the wire names the same bucket, key and query, and
    the server finds our signature right, in a header and in a URL.
    """
    endpoint = parse_endpoint(place[0], addressing=place[1])
    signer = Signer(Credentials("key-id", "key-secret", token), version, "cn-hangzhou", NOW)
    account = Account("key-id", "key-secret", token)
    resource = Signable(method, "bucket", key, query, headers)

    in_header = on_the_wire(endpoint, resource, {**headers, **signer.headers(resource)})
    bare = Signable(method, "bucket", key, query)
    in_url = on_the_wire(endpoint, Signable(method, "bucket", key, signer.query(bare, expires=60)), {})

    for request in (in_header, in_url):
        assert (request.bucket, request.key) == ("bucket", key)
        assert query.items() <= request.query.items()
        verify(request, account, region="cn-hangzhou", now=NOW)


def on_the_wire(endpoint: Endpoint, resource: Signable, headers: dict[str, str]) -> IncomingRequest:
    """The request as a server reads it."""
    url = urlsplit(endpoint.url(resource.bucket, resource.key, resource.query))
    target = url.path + (f"?{url.query}" if url.query else "")
    lines = [f"{resource.method} {target} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return parse_head("\r\n".join(lines).encode(), body_of=lambda _: Body(None, {}, before_first=lambda: None))  # type: ignore[arg-type]


# --- the SDKs' signatures ---------------------------------------------------------------------------------------------

JUDGED_QUERIES = st.dictionaries(
    st.sampled_from(
        ["uploads", "uploadId", "partNumber", "prefix", "versionId", "x-oss-process", "delete", "a", "B-c"]
    ),
    st.text(printable, max_size=20),
    max_size=5,
)


@settings(steady, max_examples=150)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=keys,
    query=JUDGED_QUERIES,
    headers=st.dictionaries(header_names | st.sampled_from(["content-type", "content-md5"]), values, max_size=4),
    token=st.none() | st.from_regex(r"[A-Za-z0-9+/=]{1,20}", fullmatch=True),
    version=st.sampled_from(["v4", "v1"]),
)
@example("GET", "a/../b//c ~*'()", {"prefix": "a+b c%~*'()", "uploads": ""}, {"x-oss-meta-a": "杭州"}, None, "v4")
@example("GET", "键/ü", {"versionId": "a=b&c"}, {"content-type": "text/plain"}, "token", "v1")
def test_the_sdks_sign_as_we_do(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    token: str | None,
    version: SignatureVersion,
) -> None:
    """Whatever the method, key, query and headers: alibabacloud-oss-v2 and oss2 make the signatures that we make, in a
    header and in a URL.
    """
    signer = Signer(Credentials("key-id", "key-secret", token), version, "cn-hangzhou", NOW)
    resource = Signable(method, "bucket", key, query, headers)
    in_header = signer.headers(resource)["authorization"]
    in_url = signer.query(Signable(method, "bucket", key, query), expires=60)[
        "x-oss-signature" if version == "v4" else "Signature"
    ]

    theirs = of_oss_v2(resource, token, version)
    # With V1 it sends the token in a header that OSS does not read, and does not sign it.
    assert theirs[1:] == (in_url,) if token and version == "v1" else theirs == (signature_in(in_header), in_url)
    assert of_oss2(resource, token, version) == (signature_in(in_header), in_url)


def signature_in(authorization: str) -> str:
    return re.split(r"Signature=|:", authorization)[-1]


def of_oss_v2(resource: Signable, token: str | None, version: str) -> tuple[str, str]:
    """What alibabacloud-oss-v2 signs in a header and in a URL."""
    from alibabacloud_oss_v2.credentials import Credentials as TheirCredentials
    from alibabacloud_oss_v2.signer import SignerV1, SignerV4
    from alibabacloud_oss_v2.types import HttpRequest, SigningContext

    signatures = []
    for in_query in (False, True):
        request = HttpRequest(method=resource.method, url=a_url(resource))
        if not in_query:
            request.headers.update(resource.headers)
        context = SigningContext(
            product="oss",
            region="cn-hangzhou",
            bucket=resource.bucket,
            key=resource.key,
            request=request,
            credentials=TheirCredentials("key-id", "key-secret", token),
            signing_time=datetime.fromtimestamp(NOW, timezone.utc),
        )
        context.auth_method_query = in_query
        context.expiration_time = datetime.fromtimestamp(NOW + 60, timezone.utc)
        context.sub_resource = [name for name in resource.query if name in V1_SUBRESOURCES]
        (SignerV4 if version == "v4" else SignerV1)().sign(context)
        theirs = urlsplit(context.request.url).query if in_query else context.request.headers["Authorization"]
        signatures.append(unquote(re.split("(?i)signature=", theirs)[-1]) if in_query else signature_in(theirs))
    return signatures[0], signatures[1]


def of_oss2(resource: Signable, token: str | None, version: str) -> tuple[str, str]:
    """What oss2 signs in a header and in a URL."""
    import oss2

    provider = oss2.credentials.StaticCredentialsProvider("key-id", "key-secret", token)
    auth = (oss2.ProviderAuthV4 if version == "v4" else oss2.ProviderAuth)(provider)
    url = "http://bucket.oss-cn-hangzhou.aliyuncs.com/"
    at = datetime.fromtimestamp(NOW, timezone.utc)
    with (
        mock.patch("oss2.auth.datetime", mock.Mock(utcnow=lambda: at)),
        mock.patch("oss2.auth.time", mock.Mock(time=lambda: NOW)),
        mock.patch("oss2.utils.http_date", return_value=format_datetime(at, usegmt=True)),
    ):
        request = oss2.http.Request(
            resource.method, url, params=dict(resource.query), headers=dict(resource.headers), region="cn-hangzhou"
        )
        request.product = "oss"
        auth._sign_request(request, resource.bucket, resource.key)
        bare = oss2.http.Request(resource.method, url, params=dict(resource.query), region="cn-hangzhou")
        bare.product = "oss"
        signed = auth._sign_url(bare, resource.bucket, resource.key, 60)
    return signature_in(request.headers["authorization"]), unquote(
        re.split("(?i)[&?](?:x-oss-)?signature=", signed)[-1]
    )


def a_url(resource: Signable) -> str:
    return parse_endpoint("https://oss-cn-hangzhou.aliyuncs.com").url(resource.bucket, resource.key, resource.query)
