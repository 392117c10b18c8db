"""Which proxy leads to which host, and what is no proxy."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.oss.connections import environment_settings
from airflow_provider_ossresume.oss.proxies import NO_PROXY, Proxies, parse_proxy
from tests.unit.test_client import no_environment

__all__ = ["no_environment"]  # a fixture

ENDPOINT = "https://oss-cn-hangzhou.aliyuncs.com"
BUCKET = "https://my-bucket.oss-cn-hangzhou.aliyuncs.com"


def leads_by(url: str, **given: str) -> str:
    return str(Proxies(given).to(url))


# --- of the environment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HTTPS_PROXY": "http://proxy:3128"}, "proxy http://proxy:3128 set by HTTPS_PROXY in the environment"),
        ({"https_proxy": "http://proxy:3128"}, "proxy http://proxy:3128 set by https_proxy in the environment"),
        ({"ALL_PROXY": "http://proxy:3128"}, "proxy http://proxy:3128 set by ALL_PROXY in the environment"),
        (
            {"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://https:2"},
            "proxy http://https:2 set by HTTPS_PROXY in the environment",
        ),
        (
            {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"},
            "proxy http://lower:2 set by https_proxy in the environment",
        ),
        (
            {"HTTP_PROXY": "http://same:1", "ALL_PROXY": "http://same:1", "HTTPS_PROXY": "http://same:1"},
            "proxy http://same:1 set by HTTPS_PROXY in the environment",
        ),
        ({"HTTPS_PROXY": "localhost:3128"}, "proxy http://localhost:3128 set by HTTPS_PROXY in the environment"),
        ({"HTTPS_PROXY": "http://me:pass-word@proxy:1"}, "proxy http://proxy:1 set by HTTPS_PROXY in the environment"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "None"),
        ({}, "None"),
    ],
)
def test_the_environments_proxy_is_told_with_its_variable(
    no_environment: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        no_environment.setenv(name, value)

    assert leads_by(ENDPOINT) == said
    assert leads_by("https://sts.cn-hangzhou.aliyuncs.com") == said


@pytest.mark.parametrize(
    ("no_proxy", "past_it"),
    [
        ("my-bucket.oss-cn-hangzhou.aliyuncs.com", {BUCKET}),
        ("oss-cn-hangzhou.aliyuncs.com", {BUCKET, ENDPOINT}),
        (".aliyuncs.com", {BUCKET, ENDPOINT}),
        ("*", {BUCKET, ENDPOINT}),
        ("other.example.com", set()),
    ],
)
def test_no_proxy_is_judged_for_each_host(no_environment: pytest.MonkeyPatch, no_proxy: str, past_it: set[str]) -> None:
    no_environment.setenv("HTTPS_PROXY", "http://proxy:3128")
    no_environment.setenv("NO_PROXY", no_proxy)
    proxies = Proxies(None)

    assert {url for url in (BUCKET, ENDPOINT) if proxies.to(url) is None} == past_it


def test_a_proxy_that_is_given_goes_before_the_environment_and_its_no_proxy(
    no_environment: pytest.MonkeyPatch,
) -> None:
    no_environment.setenv("HTTPS_PROXY", "http://proxy:3128")
    no_environment.setenv("NO_PROXY", "*")

    assert leads_by(ENDPOINT, https="given:1") == "proxy http://given:1 set by proxy"
    assert Proxies(NO_PROXY).to(ENDPOINT) is None


# --- what is no proxy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:3128", "http://localhost:3128"),
        ("//localhost:3128", "http://localhost:3128"),
        (" proxy:3128\n", "http://proxy:3128"),
        ("me:pass@127.0.0.1:3128", "http://me:pass@127.0.0.1:3128"),
        ("socks-gw.example:1080", "http://socks-gw.example:1080"),
        ("https://proxy:443/", "https://proxy:443/"),
    ],
)
def test_a_proxy_without_a_scheme_is_asked_by_http(text: str, url: str) -> None:
    assert parse_proxy("proxy", text) == url


@pytest.mark.parametrize(
    "text",
    [
        "ftp://proxy:21",
        "http://",
        "http://proxy:port",
        "http://me:a/b@proxy:1",
        "http://me:a#b@proxy:1",
        "http://:3128",
        "none",
        " Direct ",
    ],
)
def test_what_is_no_proxy_is_refused_at_once_with_who_holds_it_and_nothing_of_it(
    no_environment: pytest.MonkeyPatch, text: str
) -> None:
    with pytest.raises(ArgumentError, match=r"^proxy='…': write it as http://host:3128") as refused:
        environment_settings(ENDPOINT, proxies={"https": text}, verify_tls=True)
    assert not any(part in str(refused.value) for part in ("ftp", "a/b", "a#b", "me:"))

    no_environment.setenv("ALL_PROXY", text)
    with pytest.raises(
        ArgumentError, match=r"^ALL_PROXY='…': it is set in the environment of this worker; write it as"
    ):
        environment_settings(ENDPOINT, proxies=None, verify_tls=True)


def test_a_wrong_proxy_harms_nobody_who_goes_past_it(no_environment: pytest.MonkeyPatch) -> None:
    no_environment.setenv("HTTPS_PROXY", "ftp://proxy")

    environment_settings(ENDPOINT, proxies=NO_PROXY, verify_tls=True)
    environment_settings("http://10.0.0.8", proxies=None, verify_tls=True)
    no_environment.setenv("NO_PROXY", "aliyuncs.com")
    environment_settings(ENDPOINT, proxies=None, verify_tls=True)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4"])
def test_a_socks_proxy_without_its_package_is_refused_at_once(no_environment: pytest.MonkeyPatch, scheme: str) -> None:
    no_environment.setitem(sys.modules, "socks", None)
    url = f"{scheme}://me:pass-word@proxy:1080"

    with pytest.raises(ArgumentError, match=r"^proxy='socks.*://proxy:1080': a SOCKS proxy needs the package PySocks"):
        environment_settings(ENDPOINT, proxies={"https": url}, verify_tls=True)
    no_environment.setenv("ALL_PROXY", url)
    with pytest.raises(ArgumentError, match=r"^ALL_PROXY='.*': it is set in the environment of this worker; a SOCKS"):
        environment_settings(ENDPOINT, proxies=None, verify_tls=True)


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"), [(None, "there is no such file"), ("no certificate", "no readable certificates")]
)
def test_a_ca_bundle_that_cannot_be_read_is_refused_at_once_with_who_names_it(
    no_environment: pytest.MonkeyPatch, tmp_path: object, content: str | None, says: str
) -> None:
    path = f"{tmp_path}/ca.pem"
    if content is not None:
        with open(path, "w") as file:
            file.write(content)

    with pytest.raises(ArgumentError, match=f"^ca_bundle='{path}': .*{says}.*correct it$"):
        environment_settings(ENDPOINT, proxies=None, verify_tls=path)
    for variable in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        no_environment.setenv(variable, path)
        with pytest.raises(ArgumentError, match=f"^{variable}='{path}': .*{says}.*the environment of this worker"):
            environment_settings(ENDPOINT, proxies=None, verify_tls=True)
