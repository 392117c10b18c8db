"""The auth modes of a connection: one function for each of them returns its credentials provider."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError
from airflow_provider_ossresume.model.arguments import parse_duration

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.credentials import CredentialsProvider
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService
    from airflow_provider_ossresume.oss.sts import Role
    from airflow_provider_ossresume.oss.temporary_credentials import CredentialsSource
    from airflow_provider_ossresume.oss.worker_credentials import CredentialsUri, EcsRamRole

MAX_POLICY = 2_048  # characters; STS, AssumeRole: Policy
MAX_CACHED = 10_000  # providers; a triggerer may need thousands, and each that is dropped costs a request to STS

# Environment variables of the worker: alibabacloud-credentials reads the same ones, and RRSA sets them.
_ENVIRONMENT = (
    "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_ROLE_SESSION_NAME", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_CREDENTIALS_URI", "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
)  # fmt: skip


@dataclass(frozen=True)
class AuthFields:
    """The connection's fields for temporary credentials. An empty field is None."""

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


@dataclass(frozen=True)
class AuthSettings:
    """Everything that decides which credentials are used. Equal settings share one credentials provider.

    :ivar conn_id: the connection, for errors; None without a connection
    :ivar sts_endpoint: the endpoint in use, from the connection or from the region
    """

    conn_id: str | None = field(compare=False)
    auth_type: str
    access_key_id: str | None
    access_key_secret: str | None = field(repr=False)
    security_token: str | None = field(repr=False)
    fields: AuthFields
    sts_endpoint: str
    proxy: str | None = field(repr=False)
    verify: bool | str

    @property
    def origin(self) -> str:
        return "this worker's environment" if self.conn_id is None else f"connection {self.conn_id!r}"


def proxies_for(proxy: str | None) -> dict[str, str] | None:
    """Return the ``proxies`` argument of requests; None uses the environment's proxies."""
    return {"http": proxy, "https": proxy} if proxy else None


def credentials_provider(settings: AuthSettings) -> CredentialsProvider:
    """Return the credentials provider. It requests no credentials yet.

    Within a process, equal settings get the same provider: a triggerer may have thousands of sensors, and STS limits
    the requests of an account per minute.

    :raises ArgumentError: for an unknown ``auth_type``, or an invalid field
    :raises CredentialsError: if a field that the mode needs is missing
    """
    with _cache_lock:  # otherwise two threads could each create a provider
        return _cached_provider(settings, tuple(os.environ.get(name) for name in _ENVIRONMENT))


@lru_cache(maxsize=MAX_CACHED)
def _cached_provider(settings: AuthSettings, _: tuple[str | None, ...]) -> CredentialsProvider:
    mode = _MODES.get(settings.auth_type.lower())
    if mode is None:
        raise ArgumentError("auth_type", settings.auth_type, f"choose one of {', '.join(AUTH_TYPES)}")
    return mode(settings)


_cache_lock = threading.Lock()


def _clear_after_fork() -> None:
    """Drop the providers and the lock of the parent: another thread may have held their locks during the fork."""
    global _cache_lock
    _cache_lock = threading.Lock()
    _cached_provider.cache_clear()


os.register_at_fork(after_in_child=_clear_after_fork)


def unused_fields(settings: AuthSettings) -> list[str]:
    """Return the names of the fields that are filled in but not used by the auth mode."""
    key = {"access_key_id": settings.access_key_id, "security_token": settings.security_token}
    used = _FIELDS_USED.get(settings.auth_type.lower(), ())
    return [name for name, value in {**key, **vars(settings.fields)}.items() if value and name not in used]


# --- an Access Key --------------------------------------------------------------------------------------------------


def _access_key(settings: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import StaticCredentials

    try:
        return StaticCredentials(
            settings.access_key_id or "", settings.access_key_secret or "", settings.security_token
        )
    except CredentialsError as error:
        raise CredentialsError(f"{settings.origin}: {error}") from None


def _sts(settings: AuthSettings) -> CredentialsProvider:
    _required(settings, "security_token", settings.security_token)
    return _access_key(settings)


def _environment(_: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import EnvironmentCredentials

    return EnvironmentCredentials()


def _anonymous(_: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import AnonymousCredentials

    return AnonymousCredentials()


# --- temporary credentials ------------------------------------------------------------------------------------------


def _ram_role_arn(settings: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.sts import AssumedRole

    has_key = settings.access_key_id or settings.access_key_secret
    provider = _access_key(settings) if has_key else _environment(settings)
    role = _role(settings, arn=settings.fields.role_arn, session_name=settings.fields.role_session_name)
    return _refreshing(AssumedRole(role, provider, _sts_service(settings), external_id=settings.fields.external_id))


def _oidc(settings: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.sts import RoleWithOidc

    auth = settings.fields
    role = _role(
        settings,
        arn=auth.role_arn or _variable("ROLE_ARN"),
        session_name=auth.role_session_name or _variable("ROLE_SESSION_NAME"),
    )
    provider_arn = auth.oidc_provider_arn or _variable("OIDC_PROVIDER_ARN")
    token_file = auth.oidc_token_file or _variable("OIDC_TOKEN_FILE")
    return _refreshing(
        RoleWithOidc(
            role,
            _sts_service(settings),
            provider_arn=_required(settings, "oidc_provider_arn", provider_arn),
            token_file=_required(settings, "oidc_token_file", token_file),
        )
    )


def _ecs_ram_role(settings: AuthSettings) -> CredentialsProvider:
    return _refreshing(_ecs(settings, settings.fields.role_name))


def _ecs(settings: AuthSettings, role_name: str | None) -> EcsRamRole:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService, check_origin
    from airflow_provider_ossresume.oss.worker_credentials import METADATA_ENDPOINT, EcsRamRole

    endpoint = settings.fields.metadata_endpoint or METADATA_ENDPOINT
    issuer = CredentialsService(check_origin("metadata_endpoint", endpoint, example=METADATA_ENDPOINT), direct=True)
    return EcsRamRole(issuer, role_name=role_name)


def _credentials_uri(settings: AuthSettings) -> CredentialsProvider:
    uri = settings.fields.credentials_uri or _variable("CREDENTIALS_URI")
    return _refreshing(_uri(settings, _required(settings, "credentials_uri", uri)))


def _uri(settings: AuthSettings, uri: str) -> CredentialsUri:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService
    from airflow_provider_ossresume.oss.worker_credentials import CredentialsUri, split_credentials_uri

    origin, path = split_credentials_uri(uri)
    return CredentialsUri(CredentialsService(origin, direct=True, verify_tls=settings.verify), path)


def _default(settings: AuthSettings) -> CredentialsProvider:
    """Return the worker's own credentials, in the order of Alibaba's default chain.

    Unlike that chain, it reads no files in the home folder. The first source that the environment names is used. If it
    fails, no other source is tried, because that could be another identity.

    :raises CredentialsError: if the environment names only a part of an Access Key or of an OIDC role
    """
    from airflow_provider_ossresume.oss.credentials import EnvironmentCredentials
    from airflow_provider_ossresume.oss.worker_credentials import WorkerCredentials

    fields = settings.fields
    if EnvironmentCredentials().is_set():
        return _environment(settings)
    oidc_fields = {"ROLE_ARN": fields.role_arn, "OIDC_PROVIDER_ARN": fields.oidc_provider_arn}
    oidc_fields["OIDC_TOKEN_FILE"] = fields.oidc_token_file
    missing = [
        f"ALIBABA_CLOUD_{name}" for name, field_value in oidc_fields.items() if not (field_value or _variable(name))
    ]
    if not missing:
        return _oidc(settings)
    # Tools without OIDC read the variable ROLE_ARN too, so it does not count alone.
    if fields.role_arn or not {f"ALIBABA_CLOUD_{name}" for name in list(oidc_fields)[1:]} <= set(missing):
        raise CredentialsError(
            f"{settings.origin} names only a part of an OIDC role; {' and '.join(missing)} is missing. Set all of "
            f"{', '.join(f'ALIBABA_CLOUD_{name}' for name in oidc_fields)}, or none of them"
        )
    uri = fields.credentials_uri or _variable("CREDENTIALS_URI")
    has_ecs = (_variable("ECS_METADATA_DISABLED") or "").lower() != "true"
    ecs = _ecs(settings, fields.role_name or _variable("ECS_METADATA")) if has_ecs else None
    return _refreshing(WorkerCredentials(ecs, _uri(settings, uri) if uri else None))


_MODES: Mapping[str, Callable[[AuthSettings], CredentialsProvider]] = {
    "access_key": _access_key,
    "sts": _sts,
    "ram_role_arn": _ram_role_arn,
    "ecs_ram_role": _ecs_ram_role,
    "oidc": _oidc,
    "credentials_uri": _credentials_uri,
    "environment": _environment,
    "default": _default,
    "anonymous": _anonymous,
}
AUTH_TYPES = tuple(_MODES)

_KEY = ("access_key_id", "security_token")
_ROLE = ("role_arn", "role_session_name", "role_session_duration", "role_policy", "sts_endpoint")
_OIDC = (*_ROLE, "oidc_provider_arn", "oidc_token_file")
_ECS = ("role_name", "metadata_endpoint")
_FIELDS_USED: Mapping[str, tuple[str, ...]] = {
    "access_key": _KEY,
    "sts": _KEY,
    "ram_role_arn": (*_KEY, *_ROLE, "external_id"),
    "ecs_ram_role": _ECS,
    "oidc": _OIDC,
    "credentials_uri": ("credentials_uri",),
    "default": (*_OIDC, *_ECS, "credentials_uri"),
}


# --- shared by the modes --------------------------------------------------------------------------------------------


def _required(settings: AuthSettings, name: str, value: str | None) -> str:
    if not value:
        raise CredentialsError(f"{settings.origin}: auth_type {settings.auth_type!r} needs the field {name}")
    return value


def _variable(name: str) -> str | None:
    return os.environ.get(f"ALIBABA_CLOUD_{name}", "").strip() or None


def _refreshing(source: CredentialsSource) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.temporary_credentials import RefreshingCredentials

    return RefreshingCredentials(source)


def _role(settings: AuthSettings, *, arn: str | None, session_name: str | None) -> Role:
    from airflow_provider_ossresume.oss.sts import DEFAULT_DURATION, DEFAULT_SESSION_NAME, Role

    value = settings.fields.role_session_duration or DEFAULT_DURATION
    seconds = parse_duration("role_session_duration", value).total_seconds()
    if seconds != int(seconds):
        raise ArgumentError("role_session_duration", value, "give whole seconds, such as 3600")
    return Role(
        _required(settings, "role_arn", arn),
        session_name=session_name or DEFAULT_SESSION_NAME,
        duration=int(seconds),
        policy=_policy(settings.fields.role_policy),
    )


def _policy(text: str | None) -> str | None:
    """Return a RAM policy in compact JSON. STS counts white space too."""
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
            "role_policy", f"{short[:40]}…", f"it has {len(short)} characters, and STS allows {MAX_POLICY}; shorten it"
        )
    return short


def _sts_service(settings: AuthSettings) -> CredentialsService:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService, check_origin

    endpoint = settings.sts_endpoint
    origin = check_origin(
        "sts_endpoint",
        endpoint if "://" in endpoint else f"https://{endpoint}",
        example="https://sts.cn-hangzhou.aliyuncs.com",
    )
    return CredentialsService(origin, proxies=proxies_for(settings.proxy), verify_tls=settings.verify)
