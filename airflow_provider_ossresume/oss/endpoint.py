"""Where OSS is reached: endpoints, addressing and the URL of a request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, urlsplit

from urllib3.util import Url, parse_url

from airflow_provider_ossresume.errors import ArgumentError

Addressing = Literal["auto", "virtual", "path", "cname"]
EndpointKind = Literal["public", "internal", "accelerate", "dual-stack"]

PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")

_ENDPOINTS: Mapping[str, str] = {
    "public": "https://oss-{region}.aliyuncs.com",
    "internal": "https://oss-{region}-internal.aliyuncs.com",
    "accelerate": "https://oss-accelerate.aliyuncs.com",
    "dual-stack": "https://{region}.oss.aliyuncs.com",
}


@dataclass(frozen=True)
class Endpoint:
    """A scheme, a host with its port, and how a bucket is addressed there.

    virtual host: ``https://bucket.host/key``; path: ``https://host/bucket/key``; cname: the host is the bucket's own.
    """

    scheme: str
    host: str
    addressing: Literal["virtual", "path", "cname"]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"

    def url(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL, ready-quoted: nobody may normalise it, as ``a/../b`` and ``a//b`` are proper keys."""
        return self.origin(bucket) + self.path(bucket, key, query)

    def origin(self, bucket: str | None) -> str:
        """Return the URL's scheme, host and port."""
        is_in_host = bucket is not None and self.addressing == "virtual"
        return f"{self.scheme}://{bucket}.{self.host}" if is_in_host else str(self)

    def path(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL's path and query."""
        path = f"/{bucket}/" if bucket is not None and self.addressing == "path" else "/"
        path += quote_key(key or "")
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
        return f"{path}?{pairs}" if pairs else path


def quote_key(key: str) -> str:
    """Return the key percent-encoded; slashes too where a proxy might take parts of the key for dot segments."""
    if key in (".", ".."):
        return key.replace(".", "%2E")
    has_odd_segments = any(segment in ("", ".", "..") for segment in key.split("/"))
    return quote(key, safe="~" if has_odd_segments else "/~")


def endpoint_for(region: str, kind: EndpointKind = "public") -> str:
    """Return the URL of Alibaba's own endpoint for a region."""
    if kind not in _ENDPOINTS:
        raise ArgumentError("endpoint_kind", kind, f"choose one of {', '.join(_ENDPOINTS)}, or give an endpoint")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region):
        raise ArgumentError("region", region, "an OSS region reads like cn-hangzhou, without the oss- before it")
    return _ENDPOINTS[kind].format(region=region)


def parse_endpoint(url: str, *, addressing: Addressing = "auto") -> Endpoint:
    """Read an endpoint such as ``https://oss-cn-hangzhou.aliyuncs.com``.

    ``auto`` takes the path style for IP addresses and localhost, which have no sub-domains, else the virtual host.

    :raises ArgumentError: without http(s)://, with a path or a query, or for an unknown addressing
    """
    if addressing not in get_args(Addressing):
        raise ArgumentError("addressing", addressing, f"choose one of {', '.join(get_args(Addressing))}")
    url = url.strip()
    if "@" in url:
        raise ArgumentError("endpoint", re.sub(r"[^/]*@", "…@", url), "an endpoint holds no user name or password")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        raise ArgumentError("endpoint", url, f"it is no URL ({error})") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArgumentError("endpoint", url, "begin it with https://, as in https://oss-cn-hangzhou.aliyuncs.com")
    if not url.isprintable() or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", parts.hostname):
        raise ArgumentError("endpoint", url, "a host name has letters, digits, hyphens and dots")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ArgumentError("endpoint", url, "an endpoint ends after its host and port; the bucket is named apart")
    if addressing == "auto":
        addressing = "path" if _has_no_subdomains(parts.hostname) else "virtual"
    return Endpoint(parts.scheme, parts.netloc.lower(), addressing)


def check_proxy(url: str) -> None:
    """:raises ArgumentError: for a proxy that requests cannot use; none of it is shown, it may be the password"""
    # Read as requests reads it: a "/" or "#" in a password ends the host, and the password would stand in its errors.
    try:
        parts = parse_url(url if "://" in url else f"http://{url}")
    except ValueError:
        parts = Url()
    if not parts.host or parts.scheme not in PROXY_SCHEMES or parts.path not in (None, "", "/") or parts.query:
        raise ArgumentError(
            "proxy", "…", "write it as http://host:3128 or http://user:password@host:3128, other signs as in %2F"
        )


def region_of(endpoint: Endpoint) -> str | None:
    """Return the region that one of Alibaba's own host names tells, or None."""
    host = endpoint.host.partition(":")[0]
    for pattern in (
        r"oss-(?!accelerate)([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com",
        r"([a-z0-9-]+?)(?:-internal)?\.oss\.aliyuncs\.com",
    ):
        if match := re.fullmatch(pattern, host):
            return match[1]
    return None


def check_region(region: str | None, endpoint: Endpoint) -> str | None:
    """Return the region to sign for: the given one, else the endpoint's.

    :raises ArgumentError: when the two contradict each other
    """
    told = region_of(endpoint)
    if region:
        region = region.strip().removeprefix("oss-")
    if region and told and region != told:
        raise ArgumentError("region", region, f"the endpoint {endpoint} is in {told}; correct one of the two")
    return region or told


def _has_no_subdomains(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return hostname == "localhost"
    return True
