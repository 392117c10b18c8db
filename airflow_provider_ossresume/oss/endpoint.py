"""Endpoints of OSS: how they are parsed, how buckets are addressed, and the URL of a request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args
from urllib.parse import quote, urlsplit

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_text, check_unicode
from airflow_provider_ossresume.model.object_names import check_bucket, check_key

Addressing = Literal["auto", "virtual", "path", "cname"]
EndpointKind = Literal["public", "internal", "accelerate", "dual-stack"]

_ENDPOINTS: Mapping[str, str] = {
    "public": "https://oss-{region}.aliyuncs.com",
    "internal": "https://oss-{region}-internal.aliyuncs.com",
    "accelerate": "https://oss-accelerate.aliyuncs.com",
    "dual-stack": "https://{region}.oss.aliyuncs.com",
}

# Alibaba's own hosts, perhaps with a bucket before them (OSS, "Regions and endpoints").
_ALIBABA_HOST = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.)?"
    r"(?P<host>(?:oss-(?P<accelerate>accelerate(?:-overseas)?)"
    r"|oss-(?!accelerate)(?P<region>[a-z0-9-]+?)(?P<internal>-internal)?"
    r"|(?P<dual>(?:af|ap|cn|eu|me|na|rg|sa|us)-[a-z0-9-]+?)(?P<dual_internal>-internal)?\.oss)\.aliyuncs\.com)"
)
_WITHOUT_REGION = re.compile(r"(?P<name>[^.]+)\.oss\.aliyuncs\.com")

# Names without sub-domains: those of one label, as in Docker Compose, and services of Kubernetes.
_WITHOUT_SUBDOMAINS = re.compile(r"[^.]+|.+\.svc(?:\..+)?|.+\.docker\.internal")


@dataclass(frozen=True)
class Endpoint:
    """A scheme, a host with its port, and how a bucket is addressed there.

    virtual host: ``https://bucket.host/key``; path: ``https://host/bucket/key``; cname: the host is the bucket's own.

    :ivar bucket: the bucket in an endpoint such as ``https://BUCKET.oss-cn-hangzhou.aliyuncs.com``
    :ivar set_by: the setting that it comes from, for errors
    :ivar is_guess: the addressing was chosen automatically
    """

    scheme: str
    host: str
    addressing: Literal["virtual", "path", "cname"]
    bucket: str | None = None
    set_by: str = field(default="endpoint", compare=False)
    is_guess: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"

    def describe(self, bucket: str | None) -> str:
        """Return the address that requests for a bucket go to, and the settings that decide it."""
        by_auto = " by auto" if self.is_guess else ""
        return f"asked {self.origin(bucket)}, endpoint set by {self.set_by}, addressing {self.addressing}{by_auto}"

    def advice(self) -> str:
        """Return what to set if the host does not exist."""
        if self.addressing != "virtual" or _own(self):
            return "check endpoint and region"
        name = self.host.partition(":")[0]
        return (
            f"set addressing to cname if {name} is the bucket's own domain, or to path if buckets have no names of "
            "their own there"
        )

    def url(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL, percent-encoded. Do not normalise it: ``a/../b`` and ``a//b`` are valid keys."""
        return self.origin(bucket) + self.path(bucket, key, query)

    def origin(self, bucket: str | None) -> str:
        """Return the URL's scheme, host and port.

        :raises ArgumentError: for a bucket name that OSS does not allow, because it could lead to another host
        """
        if bucket is not None:
            check_bucket(bucket)
        is_in_host = bucket is not None and self.addressing == "virtual"
        return f"{self.scheme}://{bucket}.{self.host}" if is_in_host else str(self)

    def path(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL's path and query.

        :raises ArgumentError: for a bucket or a key that OSS does not allow, and for what a URL cannot contain. A
            request for an object with an empty key would go to its bucket.
        """
        path = f"/{check_bucket(bucket)}/" if bucket is not None and self.addressing == "path" else "/"
        path += "" if key is None else quote_key(check_key(key))
        pairs = "&".join(f"{quote(name, safe='')}={_quoted(name, value)}" for name, value in query.items())
        return f"{path}?{pairs}" if pairs else path


def quote_key(key: str) -> str:
    """Return the key percent-encoded. Slashes are encoded too if a proxy could normalise the path."""
    if key in (".", ".."):
        return key.replace(".", "%2E")
    has_odd_segments = any(segment in ("", ".", "..") for segment in key.split("/"))
    return quote(key, safe="~" if has_odd_segments else "/~")


def _quoted(name: str, value: str) -> str:
    return quote(check_unicode(name.replace("-", "_"), value), safe="")


def endpoint_for(region: str, kind: EndpointKind = "public") -> str:
    """Return the URL of Alibaba Cloud's endpoint for a region.

    :raises ArgumentError: for an unknown kind, or a text that is not a region
    """
    if kind not in _ENDPOINTS:
        raise ArgumentError("endpoint_kind", kind, f"choose one of {', '.join(_ENDPOINTS)}, or give an endpoint")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region):
        raise ArgumentError("region", region, "give a region such as cn-hangzhou, without the prefix oss-")
    return _ENDPOINTS[kind].format(region=region)


@dataclass(frozen=True)
class ParsedHost:
    """The parts of an endpoint's text. A bare host has neither scheme nor port."""

    scheme: str | None
    hostname: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme or 'https'}://{self.host}"

    @property
    def host(self) -> str:
        """The host name, and the port if there is one."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return name if self.port is None else f"{name}:{self.port}"


def parse_host(text: str, *, argument: str = "endpoint") -> ParsedHost:
    """Parse a host such as ``oss-cn-hangzhou.aliyuncs.com`` or ``10.0.0.8:9000``, or a URL with a host only.

    :raises ArgumentError: for anything else; a user name and a password are not shown
    """
    check_text(argument, text)
    text = text.strip()
    if "@" in text:  # wherever the password ends
        raise ArgumentError(argument, "…", "remove the user name and the password; an endpoint has none")
    bare = text.rpartition("://")[2].rstrip("/")
    if ":" in bare and _is_ip(bare):
        raise ArgumentError(argument, text, f"write an IPv6 address in brackets: [{bare}]")
    try:
        parts = urlsplit(text if "://" in text or text.startswith("/") else f"//{text}")
        port = parts.port  # raises if the port is not a number
    except ValueError as error:
        raise ArgumentError(argument, text, f"it is not a URL ({error})") from None
    if port == 0:
        raise ArgumentError(argument, text, "nothing listens on port 0; give a port from 1 to 65535")
    if parts.scheme not in ("http", "https", "") or not parts.hostname or text.startswith("/"):
        raise ArgumentError(argument, text, "begin it with https://, as in https://oss-cn-hangzhou.aliyuncs.com")
    if not text.isprintable() or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", parts.hostname):
        raise ArgumentError(argument, text, "correct the host name; it may contain letters, digits, hyphens and dots")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ArgumentError(argument, text, "remove what follows host and port; name the bucket in its own field")
    hostname = parts.hostname.removesuffix(".")
    if ":" not in hostname and not all(0 < len(label) < 64 for label in hostname.split(".")):
        raise ArgumentError(argument, text, "correct the host name; each part between dots has 1 to 63 characters")
    if (odd := _WITHOUT_REGION.fullmatch(hostname)) and not _ALIBABA_HOST.fullmatch(hostname):
        advice = f"{odd['name']} is not a region; write one, as in https://my-bucket.oss-cn-hangzhou.aliyuncs.com"
        raise ArgumentError(argument, text, advice)
    return ParsedHost(parts.scheme or None, hostname, port)


def parse_endpoint(text: str, *, addressing: Addressing = "auto", set_by: str = "endpoint") -> Endpoint:
    """Parse an endpoint such as ``https://oss-cn-hangzhou.aliyuncs.com``. A bare host uses https.

    ``auto`` chooses path style for hosts without sub-domains (IP addresses, names of one label such as ``localhost``,
    services of Kubernetes), and virtual hosts otherwise. A bucket name before one of Alibaba Cloud's own hosts is
    removed.

    :param set_by: the setting that it comes from, for errors
    :raises ArgumentError: if it is not an endpoint, or its host does not support that addressing
    """
    if addressing not in get_args(Addressing):
        raise ArgumentError("addressing", addressing, f"choose one of {', '.join(get_args(Addressing))}")
    parsed = parse_host(text)
    own = _ALIBABA_HOST.fullmatch(parsed.hostname)
    if addressing == "virtual" and _is_ip(parsed.hostname):
        raise ArgumentError("addressing", addressing, f"the address {parsed.hostname} has no sub-domains; choose path")
    if own and (addressing == "path" or (addressing == "cname" and not own["bucket"])):
        raise ArgumentError("addressing", addressing, f"OSS does not support it at {own['host']}; choose auto")
    if own:
        parsed = replace(parsed, hostname=own["host"])
    style = addressing
    if own or addressing == "auto":
        style = "path" if not own and _has_no_subdomains(parsed.hostname) else "virtual"
    return Endpoint(
        parsed.scheme or "https",
        parsed.host,
        style,  # type: ignore[arg-type]  # no longer "auto"
        bucket=own["bucket"] if own else None,
        set_by=set_by,
        is_guess=addressing == "auto",
    )


def region_of(endpoint: Endpoint) -> str | None:
    """Return the region in one of Alibaba Cloud's own host names; None for other hosts."""
    own = _own(endpoint)
    return own["region"] or own["dual"] if own else None


def kind_of(endpoint: Endpoint) -> EndpointKind | None:
    """Return which of a region's endpoints this is; None for a host that is not Alibaba Cloud's."""
    own = _own(endpoint)
    if own is None:
        return None
    if own["accelerate"]:
        return "accelerate"
    if own["internal"] or own["dual_internal"]:
        return "internal"
    return "dual-stack" if own["dual"] else "public"


def check_region(region: str | None, endpoint: Endpoint) -> str | None:
    """Return the region to sign for: the given one, else the endpoint's.

    :raises ArgumentError: if the two differ
    """
    told = region_of(endpoint)
    if region:
        check_text("region", region)
        region = check_region_name(region.strip().removeprefix("oss-"))
    if region and told and region != told:
        raise ArgumentError(
            "region", region, f"the endpoint {endpoint} is in {told}; correct the region or the endpoint"
        )
    return region or told


def check_region_name(region: str) -> str:
    """Return a region's name after checking that a signature can contain it.

    :raises ArgumentError: if it cannot, for example because of a line break
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]*", region):
        raise ArgumentError("region", region, "give a region such as cn-hangzhou; it has letters, digits and hyphens")
    return region


def _own(endpoint: Endpoint) -> re.Match[str] | None:
    return _ALIBABA_HOST.fullmatch(endpoint.host.partition(":")[0])


def _has_no_subdomains(hostname: str) -> bool:
    return _is_ip(hostname) or _WITHOUT_SUBDOMAINS.fullmatch(hostname) is not None


def _is_ip(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True
