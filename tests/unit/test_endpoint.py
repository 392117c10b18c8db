"""Endpoints: how they are written, what they tell, and the URLs of requests."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import AnonymousCredentials
from airflow_provider_ossresume.oss.endpoint import (
    Endpoint,
    check_region,
    endpoint_for,
    kind_of,
    parse_endpoint,
    quote_key,
    region_of,
)

# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://oss-cn-hangzhou.aliyuncs.com", Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", "virtual")),
        ("https://oss-cn-hangzhou.aliyuncs.com/", Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", "virtual")),
        ("  HTTPS://OSS-cn-hangzhou.AliyunCS.com \n", Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", "virtual")),
        ("http://oss.example.com:8080", Endpoint("http", "oss.example.com:8080", "virtual")),
        ("http://127.0.0.1:4000", Endpoint("http", "127.0.0.1:4000", "path")),
        ("http://localhost:4000", Endpoint("http", "localhost:4000", "path")),
        ("http://LOCALHOST", Endpoint("http", "localhost", "path")),
        ("http://[::1]:4000", Endpoint("http", "[::1]:4000", "path")),
        ("http://10.0.0.8", Endpoint("http", "10.0.0.8", "path")),
        # Names that have no names below them: of Docker Compose, of Kubernetes.
        ("http://local-oss:9000", Endpoint("http", "local-oss:9000", "path")),
        ("http://oss.storage.svc", Endpoint("http", "oss.storage.svc", "path")),
        ("http://oss.storage.svc.cluster.local:80", Endpoint("http", "oss.storage.svc.cluster.local:80", "path")),
        ("http://host.docker.internal:9000", Endpoint("http", "host.docker.internal:9000", "path")),
        # A bare host is asked by https.
        ("oss-cn-hangzhou.aliyuncs.com", Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", "virtual")),
        ("oss.example.com:8443", Endpoint("https", "oss.example.com:8443", "virtual")),
        ("[::1]:4000", Endpoint("https", "[::1]:4000", "path")),
        ("https://oss.example.com.:8443", Endpoint("https", "oss.example.com:8443", "virtual")),
        ("oss-cn-hangzhou.aliyuncs.com.", Endpoint("https", "oss-cn-hangzhou.aliyuncs.com", "virtual")),
    ],
)
def test_an_endpoint_is_read_with_the_addressing_that_its_host_allows(url: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(url) == endpoint


@pytest.mark.parametrize("addressing", ["virtual", "path", "cname"])
@pytest.mark.parametrize("host", ["localhost:80", "oss.example.com"])
def test_an_addressing_that_was_chosen_stands(host: str, addressing: str) -> None:
    assert parse_endpoint(f"http://{host}", addressing=addressing).addressing == addressing  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begin it with https://"),
        ("//oss-cn-hangzhou.aliyuncs.com", "begin it with https://"),
        ("ftp://oss-cn-hangzhou.aliyuncs.com", "begin it with https://"),
        ("https://", "begin it with https://"),
        ("https:///bucket", "begin it with https://"),
        ("https://:443", "begin it with https://"),
        ("https://host/bucket", "remove what follows host and port"),
        ("https://host/?x=1", "remove what follows host and port"),
        ("https://host#x", "remove what follows host and port"),
        ("https://host:port", "it is not a URL"),
        ("https://host:99999", "it is not a URL"),
        ("https://[::1", "it is not a URL"),
        ("http://a b", "correct the host name"),
        ("http://a\nb", "correct the host name"),
        ("http://<host>", "correct the host name"),
        ("https://oss-{region}.aliyuncs.com", "correct the host name"),
        ("http://ü", "correct the host name"),
        ("::1", "write an IPv6 address in brackets: [::1]"),
        ("https://2001:db8::1/", "write an IPv6 address in brackets: [2001:db8::1]"),
        ("mybucket.oss.aliyuncs.com", "mybucket is not a region; write one, as in https://my-bucket.oss-cn-"),
        ("https://my-bucket.oss.aliyuncs.com", "my-bucket is not a region"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_the_next_step(url: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=r"^endpoint=") as refused:
        parse_endpoint(url)

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:topsecret@host",
        "https://user:topsecret@host:port",
        "user:topsecret@host",
        "https://u:topsecret@[::1",
        "https://u:top/secret@host",
        "https://u:topsecret/@host/p@th",
        "u:top?secret@host#topsecret",
    ],
)
def test_a_password_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(
        ArgumentError, match=r"^endpoint='…': remove the user name and the password; an endpoint has none"
    ) as refused:
        parse_endpoint(url)

    assert "top" not in f"{refused.value} {refused.value!r} {vars(refused.value)}"


@pytest.mark.parametrize("addressing", ["auto", "virtual", "cname"])
@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "my-bucket"),
        ("oss-cn-hangzhou-internal.aliyuncs.com", "my-bucket"),
        ("cn-hangzhou.oss.aliyuncs.com", "my-bucket"),
        ("oss-accelerate.aliyuncs.com", "oss-bucket"),
        ("oss-accelerate-overseas.aliyuncs.com:443", "123"),
    ],
)
def test_a_bucket_before_one_of_alibabas_hosts_is_taken_off(host: str, bucket: str, addressing: str) -> None:
    endpoint = parse_endpoint(f"https://{bucket}.{host}", addressing=addressing)  # type: ignore[arg-type]

    assert endpoint == Endpoint("https", host, "virtual", bucket=bucket)
    assert endpoint.url("another", "k", {}) == f"https://another.{host}/k"


@pytest.mark.parametrize(
    ("url", "addressing", "says"),
    [
        ("http://10.0.0.8:9000", "virtual", r"^addressing='virtual': the address 10\.0\.0\.8 has no sub-domains"),
        ("http://[::1]", "virtual", r"^addressing='virtual': the address ::1 has no sub-domains; choose path"),
        (
            "https://oss-cn-hangzhou.aliyuncs.com",
            "path",
            r"^addressing='path': OSS does not support it at oss-cn-h",
        ),
        ("https://b-1.oss-cn-hangzhou.aliyuncs.com", "path", r"^addressing='path': .* choose auto$"),
        ("https://oss-cn-hangzhou.aliyuncs.com", "cname", r"^addressing='cname': OSS does not support it"),
    ],
)
def test_an_addressing_that_a_host_cannot_have_is_refused(url: str, addressing: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        parse_endpoint(url, addressing=addressing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "public"),
        ("b-1.oss-cn-hangzhou-internal.aliyuncs.com", "internal"),
        ("cn-hangzhou.oss.aliyuncs.com", "dual-stack"),
        ("oss-accelerate-overseas.aliyuncs.com", "accelerate"),
        ("oss.example.com", None),
    ],
)
def test_alibabas_host_names_tell_which_endpoint_it_is(url: str, kind: str | None) -> None:
    assert kind_of(parse_endpoint(url)) == kind


def test_an_unknown_addressing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="addressing='subdomain': choose one of auto, virtual, path, cname"):
        parse_endpoint("https://host", addressing="subdomain")  # type: ignore[arg-type]


# --- Alibaba's own ----------------------------------------------------------------------------------------------------

OWN = [
    ("public", "cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
    ("internal", "cn-hangzhou", "https://oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou"),
    ("dual-stack", "cn-hangzhou", "https://cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou"),
    ("accelerate", "cn-hangzhou", "https://oss-accelerate.aliyuncs.com", None),
    ("public", "us-west-1", "https://oss-us-west-1.aliyuncs.com", "us-west-1"),
    ("internal", "cn-hzjbp-b", "https://oss-cn-hzjbp-b-internal.aliyuncs.com", "cn-hzjbp-b"),
]


@pytest.mark.parametrize(("kind", "region", "url", "told"), OWN)
def test_alibabas_endpoints_are_made_from_the_region_and_mostly_tell_it(
    kind: str, region: str, url: str, told: str | None
) -> None:
    assert endpoint_for(region, kind) == url  # type: ignore[arg-type]
    assert region_of(parse_endpoint(url)) == told


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://oss-cn-hangzhou.aliyuncs.com:443", "cn-hangzhou"),
        ("https://oss-accelerate-overseas.aliyuncs.com", None),
        ("https://cn-hangzhou-internal.oss.aliyuncs.com", "cn-hangzhou"),
        ("https://static.example.com", None),
        ("http://127.0.0.1:4000", None),
        ("http://[::1]:4000", None),
        ("https://oss-cn-hangzhou.aliyuncs.com.evil.example", None),
        ("https://xoss-cn-hangzhou.aliyuncs.com", None),
        ("https://oss-x.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),  # a bucket's own host
    ],
)
def test_only_alibabas_own_host_names_tell_a_region(url: str, region: str | None) -> None:
    assert region_of(parse_endpoint(url)) == region


@pytest.mark.parametrize(
    "region", ["", " ", "cn_hangzhou", "CN-Hangzhou", "cn-", "-cn", "a.b", "cn/x", "cn hangzhou", "ü"]
)
def test_what_is_no_region_makes_no_endpoint(region: str) -> None:
    with pytest.raises(ArgumentError, match=r"^region=.*cn-hangzhou"):
        endpoint_for(region)


def test_an_unknown_kind_of_endpoint_is_refused() -> None:
    with pytest.raises(ArgumentError, match="endpoint_kind='vpc': choose one of public, internal, accelerate, dual-st"):
        endpoint_for("cn-hangzhou", "vpc")  # type: ignore[arg-type]


HANGZHOU = parse_endpoint("https://oss-cn-hangzhou.aliyuncs.com")
CUSTOM = parse_endpoint("https://static.example.com", addressing="cname")


@pytest.mark.parametrize(
    ("region", "endpoint", "signed_for"),
    [
        (None, HANGZHOU, "cn-hangzhou"),
        ("", HANGZHOU, "cn-hangzhou"),
        ("cn-hangzhou", HANGZHOU, "cn-hangzhou"),
        ("oss-cn-hangzhou", HANGZHOU, "cn-hangzhou"),
        (" cn-hangzhou\n", HANGZHOU, "cn-hangzhou"),
        ("cn-beijing", CUSTOM, "cn-beijing"),
        (None, CUSTOM, None),
    ],
)
def test_the_region_is_the_given_one_or_the_endpoints(
    region: str | None, endpoint: Endpoint, signed_for: str | None
) -> None:
    assert check_region(region, endpoint) == signed_for


def test_a_region_that_contradicts_the_endpoint_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"region='cn-beijing': the endpoint .* is in cn-hangzhou"):
        check_region("cn-beijing", HANGZHOU)


# --- the URLs of requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addressing", "bucket", "key", "url"),
    [
        ("virtual", "bkt", "k", "https://bkt.host:1/k"),
        ("virtual", "bkt", None, "https://bkt.host:1/"),
        ("virtual", None, None, "https://host:1/"),
        ("path", "bkt", "k", "https://host:1/bkt/k"),
        ("path", "bkt", None, "https://host:1/bkt/"),
        ("path", None, None, "https://host:1/"),
        ("cname", "bkt", "k", "https://host:1/k"),
        ("cname", "bkt", None, "https://host:1/"),
    ],
)
def test_a_url_names_bucket_and_key_as_the_addressing_wants(
    addressing: str, bucket: str | None, key: str | None, url: str
) -> None:
    endpoint = parse_endpoint("https://host:1", addressing=addressing)  # type: ignore[arg-type]

    assert endpoint.url(bucket, key, {}) == url


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert parse_endpoint("http://[::1]:4000").url("bkt", "k", {}) == "http://[::1]:4000/bkt/k"


def test_a_query_is_quoted_and_keeps_its_order() -> None:
    url = HANGZHOU.url("bkt", "k", {"uploads": "", "prefix": "a/b c+d&e=ü", "x~y": "~"})

    assert url == "https://bkt.oss-cn-hangzhou.aliyuncs.com/k?uploads=&prefix=a%2Fb%20c%2Bd%26e%3D%C3%BC&x~y=~"


@pytest.mark.parametrize(
    ("key", "quoted"),
    [
        ("a/b-c_d.e~f", "a/b-c_d.e~f"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a?b#c", "a%3Fb%23c"),
        ("键", "%E9%94%AE"),
        ("😀", "%F0%9F%98%80"),
        ("a/../b", "a%2F..%2Fb"),
        ("a//b", "a%2F%2Fb"),
        ("./a", ".%2Fa"),
        ("a/.", "a%2F."),
        ("a/", "a%2F"),
        ("a/..b/...", "a/..b/..."),
        (".", "%2E"),
        ("..", "%2E%2E"),
    ],
)
def test_a_key_is_quoted_so_that_nobody_finds_a_dot_segment_in_it(key: str, quoted: str) -> None:
    assert quote_key(key) == quoted


def test_an_endpoint_reads_like_its_url() -> None:
    assert str(parse_endpoint("http://LOCALHOST:4000/")) == "http://localhost:4000"


@pytest.mark.parametrize("addressing", ["virtual", "path", "cname"])
@pytest.mark.parametrize("bucket", ["", "b", "evil.example/", "a.b", "A-bucket", "my-bucket\r\nHost: x", "\udc80b"])
def test_a_bucket_that_oss_does_not_allow_makes_no_url(addressing: str, bucket: str) -> None:
    endpoint = parse_endpoint("https://host.example", addressing=addressing)  # type: ignore[arg-type]

    with pytest.raises(ArgumentError, match="bucket"):
        endpoint.url(bucket, "key", {})


@pytest.mark.parametrize("key", ["", "/a", "a\0b", "\udc80", "x" * 1024])
def test_a_key_that_oss_does_not_allow_makes_no_url(key: str) -> None:
    # An empty one would turn the deletion of an object into that of its bucket.
    with pytest.raises(ArgumentError, match="key"):
        HANGZHOU.url("bucket", key, {})


def test_what_no_url_can_hold_is_refused_by_its_name() -> None:
    with pytest.raises(ArgumentError, match="start_after="):
        HANGZHOU.url("bucket", None, {"start-after": "\udc80"})


@pytest.mark.parametrize(
    "text",
    ["https://host:0", "https://" + "a" * 64 + ".example", "https://a..example", "https://.example", "https://h:99999"],
)
def test_a_host_or_a_port_that_cannot_be_is_no_endpoint(text: str) -> None:
    with pytest.raises(ArgumentError, match="endpoint="):
        parse_endpoint(text)


@pytest.mark.parametrize("region", ["cn-x\r\nX-A: b", "cn x", "cn/x", "\udc80", "地区"])
def test_a_region_that_no_signature_can_name_is_refused(region: str) -> None:
    endpoint = parse_endpoint("https://oss.example.com")

    with pytest.raises(ArgumentError, match="region="):
        check_region(region, endpoint)
    with pytest.raises(ArgumentError, match="region="):
        OssClient(endpoint, AnonymousCredentials(), region=region)
