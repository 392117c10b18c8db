"""Where OSS is reached: endpoints, addressing and the URL of a request."""

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
_OWN = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.)?"
    r"(?P<host>(?:oss-(?P<accelerate>accelerate(?:-overseas)?)"
    r"|oss-(?!accelerate)(?P<region>[a-z0-9-]+?)(?P<internal>-internal)?"
    r"|(?P<dual>(?:af|ap|cn|eu|me|na|rg|sa|us)-[a-z0-9-]+?)(?P<dual_internal>-internal)?\.oss)\.aliyuncs\.com)"
)
_WITHOUT_REGION = re.compile(r"(?P<name>[^.]+)\.oss\.aliyuncs\.com")

# Names that have no names below them: of one label, as Docker Compose gives, and services of Kubernetes.
_WITHOUT_SUBDOMAINS = re.compile(r"[^.]+|.+\.svc(?:\..+)?|.+\.docker\.internal")


@dataclass(frozen=True)
class Endpoint:
    """A scheme, a host with its port, and how a bucket is addressed there.

    virtual host: ``https://bucket.host/key``; path: ``https://host/bucket/key``; cname: the host is the bucket's own.

    :ivar bucket: the bucket that the endpoint was written with: ``https://BUCKET.oss-cn-hangzhou.aliyuncs.com``
    :ivar set_by: the setting that it comes from, for errors
    :ivar is_guess: nobody chose the addressing
    """

    scheme: str
    host: str
    addressing: Literal["virtual", "path", "cname"]
    bucket: str | None = None
    set_by: str = field(default="endpoint", compare=False)
    is_guess: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"

    def described(self, bucket: str | None) -> str:
        """Return which place is asked for a bucket, and the settings that decide it."""
        by_auto = " by auto" if self.is_guess else ""
        return f"asked {self.origin(bucket)}, endpoint set by {self.set_by}, addressing {self.addressing}{by_auto}"

    def advice(self) -> str:
        """Return what to set when the host that is asked does not exist."""
        if self.addressing != "virtual" or _own(self):
            return "check endpoint and region"
        name = self.host.partition(":")[0]
        return (
            f"set addressing to cname if {name} is the bucket's own domain, or to path if buckets have no names of "
            "their own there"
        )

    def url(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL, ready-quoted: nobody may normalise it, as ``a/../b`` and ``a//b`` are proper keys."""
        return self.origin(bucket) + self.path(bucket, key, query)

    def origin(self, bucket: str | None) -> str:
        """Return the URL's scheme, host and port.

        :raises ArgumentError: for a bucket that OSS does not allow, which would lead to another host
        """
        if bucket is not None:
            check_bucket(bucket)
        is_in_host = bucket is not None and self.addressing == "virtual"
        return f"{self.scheme}://{bucket}.{self.host}" if is_in_host else str(self)

    def path(self, bucket: str | None, key: str | None, query: Mapping[str, str]) -> str:
        """Return the URL's path and query.

        :raises ArgumentError: for a bucket or a key that OSS does not allow: without its key, a request to an object
            would be one to its bucket; and for what no URL can hold
        """
        path = f"/{check_bucket(bucket)}/" if bucket is not None and self.addressing == "path" else "/"
        path += "" if key is None else quote_key(check_key(key))
        pairs = "&".join(f"{quote(name, safe='')}={_quoted(name, value)}" for name, value in query.items())
        return f"{path}?{pairs}" if pairs else path


def quote_key(key: str) -> str:
    """Return the key percent-encoded; slashes too where a proxy might take parts of the key for dot segments."""
    if key in (".", ".."):
        return key.replace(".", "%2E")
    has_odd_segments = any(segment in ("", ".", "..") for segment in key.split("/"))
    return quote(key, safe="~" if has_odd_segments else "/~")


def _quoted(name: str, value: str) -> str:
    return quote(check_unicode(name.replace("-", "_"), value), safe="")


def endpoint_for(region: str, kind: EndpointKind = "public") -> str:
    """Return the URL of Alibaba's own endpoint for a region."""
    if kind not in _ENDPOINTS:
        raise ArgumentError("endpoint_kind", kind, f"choose one of {', '.join(_ENDPOINTS)}, or give an endpoint")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region):
        raise ArgumentError("region", region, "an OSS region reads like cn-hangzhou, without the oss- before it")
    return _ENDPOINTS[kind].format(region=region)


@dataclass(frozen=True)
class Place:
    """What a text says of a place; a bare host says neither scheme nor port."""

    scheme: str | None
    hostname: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme or 'https'}://{self.host}"

    @property
    def host(self) -> str:
        """The host name and, where it is told, the port."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return name if self.port is None else f"{name}:{self.port}"


def parse_place(text: str, *, argument: str = "endpoint") -> Place:
    """Read a host such as ``oss-cn-hangzhou.aliyuncs.com`` or ``10.0.0.8:9000``, or a URL of nothing but such a host.

    :raises ArgumentError: for anything else; a user name and a password are not shown
    """
    check_text(argument, text)
    text = text.strip()
    if "@" in text:  # wherever the password ends
        raise ArgumentError(argument, "…", "an endpoint holds no user name or password")
    bare = text.rpartition("://")[2].rstrip("/")
    if ":" in bare and _is_ip(bare):
        raise ArgumentError(argument, text, f"write an IPv6 address in brackets: [{bare}]")
    try:
        parts = urlsplit(text if "://" in text or text.startswith("/") else f"//{text}")
        port = parts.port  # raises for a port that is no number
    except ValueError as error:
        raise ArgumentError(argument, text, f"it is no URL ({error})") from None
    if port == 0:
        raise ArgumentError(argument, text, "nothing listens on port 0; give a port from 1 to 65535")
    if parts.scheme not in ("http", "https", "") or not parts.hostname or text.startswith("/"):
        raise ArgumentError(argument, text, "begin it with https://, as in https://oss-cn-hangzhou.aliyuncs.com")
    if not text.isprintable() or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", parts.hostname):
        raise ArgumentError(argument, text, "a host name has letters, digits, hyphens and dots")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ArgumentError(argument, text, "write nothing after host and port; name the bucket in its own field")
    hostname = parts.hostname.removesuffix(".")
    if ":" not in hostname and not all(0 < len(label) < 64 for label in hostname.split(".")):
        raise ArgumentError(argument, text, "between its dots a host name has 1 to 63 characters")
    if (odd := _WITHOUT_REGION.fullmatch(hostname)) and not _OWN.fullmatch(hostname):
        advice = f"{odd['name']} is no region; write one, as in https://my-bucket.oss-cn-hangzhou.aliyuncs.com"
        raise ArgumentError(argument, text, advice)
    return Place(parts.scheme or None, hostname, port)


def parse_endpoint(text: str, *, addressing: Addressing = "auto", set_by: str = "endpoint") -> Endpoint:
    """Read an endpoint such as ``https://oss-cn-hangzhou.aliyuncs.com``; a bare host is asked by https.

    ``auto`` takes the path style for hosts that have no sub-domains (IP addresses, names of one label such as
    ``localhost``, services of Kubernetes), else the virtual host. A bucket before one of Alibaba's own hosts is taken
    off it.

    :param set_by: the setting that it comes from, for errors
    :raises ArgumentError: when it is no endpoint, or its host cannot have that addressing
    """
    if addressing not in get_args(Addressing):
        raise ArgumentError("addressing", addressing, f"choose one of {', '.join(get_args(Addressing))}")
    place = parse_place(text)
    own = _OWN.fullmatch(place.hostname)
    if addressing == "virtual" and _is_ip(place.hostname):
        raise ArgumentError("addressing", addressing, f"the address {place.hostname} has no sub-domains; choose path")
    if own and (addressing == "path" or (addressing == "cname" and not own["bucket"])):
        raise ArgumentError("addressing", addressing, f"OSS accepts no such request at {own['host']}; choose auto")
    if own:
        place = replace(place, hostname=own["host"])
    style = addressing
    if own or addressing == "auto":
        style = "path" if not own and _has_no_subdomains(place.hostname) else "virtual"
    return Endpoint(
        place.scheme or "https",
        place.host,
        style,  # type: ignore[arg-type]  # no longer "auto"
        bucket=own["bucket"] if own else None,
        set_by=set_by,
        is_guess=addressing == "auto",
    )


def region_of(endpoint: Endpoint) -> str | None:
    """Return the region that one of Alibaba's own host names tells, or None."""
    own = _own(endpoint)
    return own["region"] or own["dual"] if own else None


def kind_of(endpoint: Endpoint) -> EndpointKind | None:
    """Return which of a region's endpoints it is; None for a host that is not Alibaba's."""
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

    :raises ArgumentError: when the two contradict each other
    """
    told = region_of(endpoint)
    if region:
        check_text("region", region)
        region = check_region_name(region.strip().removeprefix("oss-"))
    if region and told and region != told:
        raise ArgumentError("region", region, f"the endpoint {endpoint} is in {told}; correct one of the two")
    return region or told


def check_region_name(region: str) -> str:
    """Return a region that a signature can name.

    :raises ArgumentError: for any other, such as one with a line end
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]*", region):
        raise ArgumentError("region", region, "a region has letters, digits and hyphens, as cn-hangzhou has")
    return region


def _own(endpoint: Endpoint) -> re.Match[str] | None:
    return _OWN.fullmatch(endpoint.host.partition(":")[0])


def _has_no_subdomains(hostname: str) -> bool:
    return _is_ip(hostname) or _WITHOUT_SUBDOMAINS.fullmatch(hostname) is not None


def _is_ip(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True
