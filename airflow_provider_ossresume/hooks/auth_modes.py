"""Where a connection's Access Key comes from: one function for each auth mode."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.connection import ConnectionSettings
    from airflow_provider_ossresume.oss.credentials import CredentialsProvider
    from airflow_provider_ossresume.oss.issuers import Issuer
    from airflow_provider_ossresume.oss.sts import Role
    from airflow_provider_ossresume.oss.temporary import CredentialsSource

MAX_POLICY = 2_048  # characters; STS, AssumeRole: Policy

# Of the worker's environment, behind ALIBABA_CLOUD_: as alibabacloud-credentials reads them, and RRSA sets them.
_VARIABLES = ("ROLE_ARN", "ROLE_SESSION_NAME", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE", "CREDENTIALS_URI")

# Regions of OSS whose names are not those of STS, such as cn-hzfinance, are left to sts.aliyuncs.com.
_STS_REGION = re.compile(r"(?!.*(?:finance|jbp|gov))[a-z]{2}-[a-z]+(?:-[0-9])?")


@dataclass(frozen=True)
class AuthFields:
    """What a connection says for the auth modes with temporary credentials; an empty field is None."""

    role_arn: str | None = None
    role_session_name: str | None = None
    role_session_duration: str | None = None
    role_policy: str | None = None
    external_id: str | None = field(default=None, repr=False)
    role_name: str | None = None
    oidc_provider_arn: str | None = None
    oidc_token_file: str | None = None
    credentials_uri: str | None = field(default=None, repr=False)
    sts_endpoint: str | None = None
    metadata_endpoint: str | None = None

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> AuthFields:
        """Return the fields of a connection's extra."""
        return cls(**{name: text_of(extra.get(name)) for name in cls.__dataclass_fields__})


def credentials_of(settings: ConnectionSettings) -> CredentialsProvider:
    """Return where the connection's Access Key comes from. Nothing is asked for yet.

    Who asks for the same gets the same, within one process: a triggerer has thousands of sensors, and STS answers an
    account so many times a minute.

    :raises ArgumentError: for an unknown ``auth_type``, or a field that cannot be used
    :raises CredentialsError: when what the mode needs is missing
    """
    return _shared(settings, tuple(_variable(name) for name in _VARIABLES))


@lru_cache(maxsize=64)
def _shared(settings: ConnectionSettings, _: tuple[str | None, ...]) -> CredentialsProvider:
    said = (settings.auth_type or "access_key").lower()
    mode = _MODES.get(_ALIASES.get(said, said))
    if mode is None:
        raise ArgumentError("auth_type", settings.auth_type, f"choose one of {', '.join(AUTH_TYPES)}")
    return mode(settings)


# A thread that asks for credentials just then would hold its lock in the child for ever.
os.register_at_fork(after_in_child=_shared.cache_clear)


# --- an Access Key ----------------------------------------------------------------------------------------------------


def _access_key(settings: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import StaticCredentials

    try:
        return StaticCredentials(
            settings.access_key_id or "", settings.access_key_secret or "", settings.security_token
        )
    except CredentialsError as error:
        raise CredentialsError(f"connection {settings.conn_id!r}: {error}") from None


def _sts(settings: ConnectionSettings) -> CredentialsProvider:
    _needed(settings, "security_token", settings.security_token)
    return _access_key(settings)


def _environment(_: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import EnvironmentCredentials

    return EnvironmentCredentials()


def _anonymous(_: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import AnonymousCredentials

    return AnonymousCredentials()


# --- temporary credentials --------------------------------------------------------------------------------------------


def _ram_role_arn(settings: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.sts import AssumedRole

    has_key = settings.access_key_id or settings.access_key_secret
    provider = _access_key(settings) if has_key else _environment(settings)
    role = _role(settings, arn=settings.auth.role_arn, session_name=settings.auth.role_session_name)
    return _refreshed(AssumedRole(role, provider, _sts_service(settings), external_id=settings.auth.external_id))


def _oidc(settings: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.sts import RoleWithOidc

    auth = settings.auth
    role = _role(
        settings,
        arn=auth.role_arn or _variable("ROLE_ARN"),
        session_name=auth.role_session_name or _variable("ROLE_SESSION_NAME"),
    )
    provider_arn = auth.oidc_provider_arn or _variable("OIDC_PROVIDER_ARN")
    token_file = auth.oidc_token_file or _variable("OIDC_TOKEN_FILE")
    return _refreshed(
        RoleWithOidc(
            role,
            _sts_service(settings),
            provider_arn=_needed(settings, "oidc_provider_arn", provider_arn),
            token_file=_needed(settings, "oidc_token_file", token_file),
        )
    )


def _ecs_ram_role(settings: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.issuers import Issuer, check_origin
    from airflow_provider_ossresume.oss.sources import METADATA_ENDPOINT, EcsRamRole

    endpoint = settings.auth.metadata_endpoint or METADATA_ENDPOINT
    issuer = Issuer(check_origin("metadata_endpoint", endpoint, example=METADATA_ENDPOINT), direct=True)
    return _refreshed(EcsRamRole(issuer, role_name=settings.auth.role_name))


def _credentials_uri(settings: ConnectionSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.issuers import Issuer
    from airflow_provider_ossresume.oss.sources import CredentialsUri, split_credentials_uri

    uri = settings.auth.credentials_uri or _variable("CREDENTIALS_URI")
    origin, path = split_credentials_uri(_needed(settings, "credentials_uri", uri))
    return _refreshed(CredentialsUri(Issuer(origin, direct=True, verify_tls=settings.verify), path))


_MODES: Mapping[str, Callable[[ConnectionSettings], CredentialsProvider]] = {
    "access_key": _access_key,
    "sts": _sts,
    "ram_role_arn": _ram_role_arn,
    "ecs_ram_role": _ecs_ram_role,
    "oidc": _oidc,
    "credentials_uri": _credentials_uri,
    "environment": _environment,
    "anonymous": _anonymous,
}
AUTH_TYPES = tuple(_MODES)
_ALIASES = {"ak": "access_key"}  # as the official Alibaba provider calls it


# --- what they share --------------------------------------------------------------------------------------------------


def text_of(value: object) -> str | None:
    """Return a field as text: JSON may hold a number, or an object, where a text is meant."""
    if isinstance(value, Mapping):
        return json.dumps(value)
    return str(value).strip() or None if value is not None else None


def _needed(settings: ConnectionSettings, name: str, value: str | None) -> str:
    if not value:
        said = f"auth_type {settings.auth_type!r} needs the field {name}"
        raise CredentialsError(f"connection {settings.conn_id!r}: {said}")
    return value


def _variable(name: str) -> str | None:
    return os.environ.get(f"ALIBABA_CLOUD_{name}", "").strip() or None


def _refreshed(source: CredentialsSource) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.temporary import RefreshedCredentials

    return RefreshedCredentials(source)


def _role(settings: ConnectionSettings, *, arn: str | None, session_name: str | None) -> Role:
    from airflow_provider_ossresume.oss.sts import DEFAULT_DURATION, DEFAULT_SESSION_NAME, Role

    duration = settings.auth.role_session_duration or str(DEFAULT_DURATION)
    if not re.fullmatch(r"[0-9]{1,9}", duration):
        raise ArgumentError("role_session_duration", duration, "give whole seconds, as in 3600")
    return Role(
        _needed(settings, "role_arn", arn),
        session_name=session_name or DEFAULT_SESSION_NAME,
        duration=int(duration),
        policy=_policy(settings.auth.role_policy),
    )


def _policy(text: str | None) -> str | None:
    """Return a RAM policy without the white space between its words, as STS counts it."""
    if text is None:
        return None
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise ArgumentError("role_policy", text, 'give a JSON object: {"Version": "1", "Statement": […]}')
    short = json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    if len(short) > MAX_POLICY:
        raise ArgumentError(
            "role_policy", f"{short[:40]}…", f"STS takes {MAX_POLICY} characters, these are {len(short)}"
        )
    return short


def _sts_service(settings: ConnectionSettings) -> Issuer:
    from airflow_provider_ossresume.oss.issuers import Issuer, check_origin

    endpoint = settings.auth.sts_endpoint or _sts_endpoint(settings)
    origin = check_origin(
        "sts_endpoint",
        endpoint if "://" in endpoint else f"https://{endpoint}",
        example="https://sts.cn-hangzhou.aliyuncs.com",
    )
    return Issuer(origin, proxies=settings.proxies, verify_tls=settings.verify)


def _sts_endpoint(settings: ConnectionSettings) -> str:
    """Return the STS of the connection's region; inside Alibaba Cloud the one that a VPC reaches without internet."""
    from airflow_provider_ossresume.oss.endpoint import parse_endpoint, region_of

    host = settings.endpoint or ""
    region = (settings.region or "").removeprefix("oss-")
    if host and not region:
        region = region_of(parse_endpoint(host if "://" in host else f"https://{host}")) or ""
    if not _STS_REGION.fullmatch(region):
        return "sts.aliyuncs.com"
    is_inside = settings.endpoint_kind == "internal" if not host else "-internal.aliyuncs.com" in host
    return f"{'sts-vpc' if is_inside else 'sts'}.{region}.aliyuncs.com"
