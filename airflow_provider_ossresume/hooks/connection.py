"""Reads an Airflow connection of our type (``oss_resume``) or of the official Alibaba provider's (``oss``)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.auth_modes import (
    AuthFields,
    AuthSettings,
    credentials_provider,
    proxies_for,
    unused_fields,
)
from airflow_provider_ossresume.hooks.connection_extra import ConnectionExtra
from airflow_provider_ossresume.model.arguments import check_text, parse_whole_number, refuse_empty
from airflow_provider_ossresume.model.object_names import check_bucket
from airflow_provider_ossresume.transfer.config import TIMEOUTS, TransferConfig

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient
    from airflow_provider_ossresume.oss.credentials import CredentialsProvider
    from airflow_provider_ossresume.oss.endpoint import Endpoint

log = logging.getLogger(__name__)

REGION_VARIABLES = ("OSS_REGION", "ALIBABA_CLOUD_REGION_ID")  # of ossutil, and of Alibaba Cloud CLI
ENDPOINT_VARIABLE = "OSS_ENDPOINT"  # of ossutil
CONN_TYPES = ("oss_resume", "oss")
PLACEHOLDER_PORT = 443  # without a host it is ignored: the Test button of some Airflow versions needs a port

# Some regions, such as cn-hzfinance, have another name in STS. For those, sts.aliyuncs.com is used.
_STS_REGION = re.compile(r"(?!.*(?:finance|jbp|gov))[a-z]{2}-[a-z]+(?:-[0-9])?")


@dataclass(frozen=True)
class ConnectionSettings:
    """The fields of a connection. An empty field is None. Secrets are not in the repr.

    :ivar conn_id: None without a connection, when the worker's environment is used
    :ivar endpoint_set_by: the field that the endpoint comes from, for errors
    """

    conn_id: str | None
    conn_type: str = "oss_resume"
    access_key_id: str | None = None
    access_key_secret: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    auth_type: str | None = None
    auth: AuthFields = field(default_factory=AuthFields)
    region: str | None = None
    bucket: str | None = None
    endpoint: str | None = None
    endpoint_set_by: str = "endpoint"
    endpoint_kind: str | None = None
    addressing: str | None = None
    signature_version: str | None = None
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    ca_bundle: str | None = None
    verify_tls: bool = True
    connect_timeout: str | None = None
    read_timeout: str | None = None
    stall_timeout: str | None = None

    @classmethod
    def from_connection(cls, connection: Any) -> ConnectionSettings:
        """Return the settings of an Airflow ``Connection``.

        The endpoint is in host and port, or in the extra ``endpoint``. The bucket is in the schema, in the extra
        ``bucket`` or in the endpoint. The Access Key is in login and password, or in the extras ``access_key_id`` and
        ``access_key_secret``, as in the official provider. Unknown names in the extra are logged once.

        :raises ArgumentError: for an invalid field, or for two fields that differ
        """
        conn_id = connection.conn_id or ""
        conn_type = _conn_type(connection)
        extra = ConnectionExtra(connection)
        endpoint, set_by = _endpoint_from(_text(connection, "host"), _text(connection, "port"), extra.text("endpoint"))
        settings = cls(
            conn_id=conn_id,
            conn_type=conn_type,
            access_key_id=_single_value(
                "login", {"login": _text(connection, "login"), "extra access_key_id": extra.text("access_key_id")}
            ),
            access_key_secret=_single_value(
                "password",
                {"password": _text(connection, "password"), "extra access_key_secret": extra.text("access_key_secret")},
            ),
            security_token=extra.text("security_token"),
            auth_type=extra.choice("auth_type"),
            auth=AuthFields(**{name: extra.text(name) for name in AuthFields.__dataclass_fields__}),
            region=extra.text("region"),
            bucket=_single_value(
                "bucket",
                {
                    "extra bucket": _bucket("bucket", extra.text("bucket")),
                    "schema": _schema(connection),
                    set_by: _bucket_in(endpoint),
                },
            ),
            endpoint=endpoint,
            endpoint_set_by=set_by,
            endpoint_kind=extra.choice("endpoint_kind"),
            addressing=extra.choice("addressing"),
            signature_version=extra.choice("signature_version"),
            proxy=extra.text("proxy"),
            ca_bundle=extra.text("ca_bundle"),
            verify_tls=extra.flag("verify_tls", default=True),
            **{name: extra.text(name) for name in TIMEOUTS},
        )
        if unknown := extra.unknown():
            _warn_of_unknown(conn_id, unknown)
        if unused := unused_fields(settings._auth_settings("")):
            _warn_of_unused(conn_id, settings.auth_type or "access_key", ", ".join(unused))
        return settings

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ConnectionSettings:
        """Return the settings to use without a connection: the worker's own credentials, region and endpoint."""
        from airflow_provider_ossresume.oss.endpoint import parse_host

        regions = [environment.get(name, "").strip() for name in REGION_VARIABLES]
        endpoint = environment.get(ENDPOINT_VARIABLE, "").strip() or None
        if endpoint:
            parse_host(endpoint, argument=ENDPOINT_VARIABLE)
        return cls(
            conn_id=None,
            auth_type="default",
            region=next(filter(None, regions), None),
            endpoint=endpoint,
            endpoint_set_by=f"{ENDPOINT_VARIABLE} in the environment",
            bucket=_bucket_in(endpoint),
        )

    @property
    def verify(self) -> bool | str:
        """The ``verify`` argument of requests."""
        return self.ca_bundle or True if self.verify_tls else False

    def credentials(self) -> CredentialsProvider:
        """Return the credentials provider. It requests no credentials yet.

        :raises ArgumentError: for an unknown ``auth_type``, or an invalid field of its mode
        :raises CredentialsError: if a field that the mode needs is missing
        """
        return credentials_provider(self._auth_settings(self._sts_endpoint()))

    def client(self, config: TransferConfig, *, region: str | None = None) -> OssClient:
        """Return a client for the connection.

        :param config: its timeouts override the connection's
        :param region: overrides the connection's region, unless it is None
        :raises ArgumentError: for an invalid endpoint, region, addressing, proxy or timeout
        """
        from airflow_provider_ossresume.oss.client import OssClient
        from airflow_provider_ossresume.oss.endpoint import check_region
        from airflow_provider_ossresume.oss.retry import RetryPolicy

        if region is not None:
            check_text("region", region)
            refuse_empty("region", region, instead="correct it, or pass None for the connection's region")
        settings = replace(self, region=region if region is not None else self.region)
        endpoint = settings._endpoint()
        return OssClient(
            endpoint,
            settings.credentials(),
            region=check_region(settings.region, endpoint),
            signature_version=(self.signature_version or "v4").lower(),  # type: ignore[arg-type]  # checked there
            retry=RetryPolicy(attempts=config.part_retries + 1, total=config.retry_max_time),
            **self._timeouts(config),
            max_connections=config.max_workers,
            proxies=proxies_for(self.proxy),
            verify_tls=self.verify,
        )

    def _timeouts(self, config: TransferConfig) -> dict[str, Any]:
        from_fields = TransferConfig.of({name: getattr(self, name) for name in TIMEOUTS})
        return {**from_fields.timeouts, **config.timeouts}

    def _auth_settings(self, sts_endpoint: str) -> AuthSettings:
        return AuthSettings(
            conn_id=self.conn_id,
            auth_type=self.auth_type or "access_key",
            access_key_id=self.access_key_id,
            access_key_secret=self.access_key_secret,
            security_token=self.security_token,
            fields=self.auth,
            sts_endpoint=self.auth.sts_endpoint or sts_endpoint,
            proxy=self.proxy,
            verify=self.verify,
        )

    # --- endpoints of OSS and STS ------------------------------------------------------------------------------------

    def _endpoint(self) -> Endpoint:
        from airflow_provider_ossresume.oss.endpoint import endpoint_for, kind_of, parse_endpoint

        kind = (self.endpoint_kind or "public").lower()
        addressing: Any = (self.addressing or "auto").lower()  # checked there
        if self.endpoint:
            endpoint = parse_endpoint(self.endpoint, addressing=addressing, set_by=self.endpoint_set_by)
            if kind not in ("public", "custom", kind_of(endpoint)):
                raise ArgumentError(
                    "endpoint_kind", self.endpoint_kind, f"the endpoint {endpoint}, set by {endpoint.set_by}, is "
                    "of another kind; remove one of the two"
                )  # fmt: skip
            return endpoint
        if kind == "custom":
            raise ArgumentError(
                "endpoint", self.endpoint, "endpoint_kind 'custom' needs an endpoint; fill in Host or Endpoint"
            )
        if not self.region:
            raise ArgumentError("region", self.region, self._region_advice)
        url = endpoint_for(self.region.strip().removeprefix("oss-"), kind)  # type: ignore[arg-type]  # checked there
        return parse_endpoint(url, addressing=addressing, set_by=f"region {self.region!r} and endpoint_kind {kind!r}")

    @property
    def _region_advice(self) -> str:
        if self.conn_id is None:
            return f"without a connection pass region=, or set {REGION_VARIABLES[0]} in the worker's environment"
        return f"fill in Region or Endpoint in the connection {self.conn_id!r}, or pass region="

    def _sts_endpoint(self) -> str:
        """Return the region's STS endpoint; with an internal OSS endpoint, the one that needs no internet."""
        from airflow_provider_ossresume.oss.endpoint import kind_of, parse_endpoint, region_of

        endpoint = parse_endpoint(self.endpoint) if self.endpoint else None
        region = (self.region or "").strip().removeprefix("oss-") or (endpoint and region_of(endpoint)) or ""
        if not _STS_REGION.fullmatch(region):
            return "sts.aliyuncs.com"
        kind = kind_of(endpoint) if endpoint else self.endpoint_kind
        return f"{'sts-vpc' if kind == 'internal' else 'sts'}.{region}.aliyuncs.com"


def _text(connection: Any, name: str) -> str | None:
    """Return a standard field; None when it is absent or empty."""
    value = getattr(connection, name, None)
    return str(value).strip() or None if value is not None else None


def _schema(connection: Any) -> str | None:
    schema = _text(connection, "schema")
    if schema and "//" in schema:  # this is how Airflow parses oss_resume://id:secret@host/bucket
        raise ArgumentError("schema", "…", "this is a URL; write a connection's URI with a hyphen: oss-resume://…")
    return _bucket("schema", schema)


def _bucket(argument: str, name: str | None) -> str | None:
    if name and "@" in name:  # this is how Airflow parses oss-resume://id:sec/ret@host
        advice = "a bucket name cannot contain @; in a connection's URI, write a / in the secret as %2F"
        raise ArgumentError(argument, "…", advice)
    return check_bucket(name, argument=argument) if name else None


def _conn_type(connection: Any) -> str:
    """Return the connection's type. Default: ours.

    :raises ArgumentError: for the type of another service: its host must not receive OSS credentials and data
    """
    text = _text(connection, "conn_type") or "oss_resume"
    kind = text.lower().replace("-", "_")
    if kind not in CONN_TYPES:
        raise ArgumentError("conn_type", text, "this is the type of another service; choose oss_resume or oss")
    return kind


def _single_value(argument: str, fields: Mapping[str, str | None]) -> str | None:
    """Return the value of the fields that are filled in.

    :raises ArgumentError: if their values differ
    """
    values = {where: value for where, value in fields.items() if value}
    if len(set(values.values())) > 1:
        shown = values if argument == "bucket" else {}
        each = " and ".join(f"{where} {value!r}" for where, value in shown.items()) or " and ".join(values)
        raise ArgumentError(
            argument, next(iter(shown.values()), "…"), f"{each} are both filled in and differ; remove one of them"
        )  # fmt: skip
    return next(iter(values.values()), None)


def _endpoint_from(host: str | None, port: str | None, endpoint: str | None) -> tuple[str | None, str]:
    """Return the endpoint, and the field that it comes from.

    :raises ArgumentError: if the fields differ
    """
    from airflow_provider_ossresume.oss.endpoint import parse_host

    number = parse_whole_number("port", port, most=65_535) if port is not None else None
    set_by, text = ("endpoint", endpoint) if host is None else ("host", host)
    if host is None and number == PLACEHOLDER_PORT:
        number = None
    if text is None:
        if number is not None:
            advice = "fill in Host or Endpoint too, or remove the port: a region's endpoint has its default port only"
            raise ArgumentError("port", number, advice)
        return None, set_by
    place = parse_host(text, argument=set_by)
    if number is not None:
        if place.port not in (None, number):
            raise ArgumentError("port", number, f"the {set_by} {text!r} has another port; remove one of the two")
        place = replace(place, port=number)
    if host is not None and endpoint is not None:
        other = parse_host(endpoint)
        pairs = ((place.scheme, other.scheme), (place.hostname, other.hostname), (place.port, other.port))
        if any(one is not None and another is not None and one != another for one, another in pairs):
            both = f"host is {place.host!r}" if place.scheme is None else f"host is {place!s}"
            raise ArgumentError("endpoint", endpoint, f"the {both}; remove one of the two")
        place = replace(place, scheme=place.scheme or other.scheme, port=place.port or other.port)
    return str(place), set_by


def _bucket_in(endpoint: str | None) -> str | None:
    from airflow_provider_ossresume.oss.endpoint import parse_endpoint

    return parse_endpoint(endpoint).bucket if endpoint else None


# Once per process, because a triggerer reads the connection for each of its sensors.


@lru_cache(maxsize=10_000)
def _warn_of_unknown(conn_id: str, names: str) -> None:
    log.warning("Connection %r: the extra has unknown names: %s; correct or remove them", conn_id, names)


@lru_cache(maxsize=10_000)
def _warn_of_unused(conn_id: str, auth_type: str, names: str) -> None:
    log.warning(
        "Connection %r: auth_type %r does not use %s; clear these fields, or choose another auth_type",
        conn_id,
        auth_type,
        names,
    )
