"""Where a connection's Access Key comes from: one function for each auth mode."""

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
MOST_SHARED = 10_000  # connections; a triggerer may have thousands, and each that is forgotten costs a request to STS

# Of the worker's environment, as alibabacloud-credentials reads them, and RRSA sets them.
_VARIABLES = (
    "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_ROLE_SESSION_NAME", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_CREDENTIALS_URI", "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
)  # fmt: skip


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


@dataclass(frozen=True)
class AuthSettings:
    """All that tells where an Access Key comes from. Two that are equal share their credentials.

    :ivar conn_id: whose settings these are, for errors; None without a connection
    :ivar sts_endpoint: the one to ask, whoever named it
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
    def whose(self) -> str:
        return "this worker's environment" if self.conn_id is None else f"connection {self.conn_id!r}"


def proxies_of(proxy: str | None) -> dict[str, str] | None:
    """Return a proxy as requests takes it; None leaves it to the environment."""
    return {"http": proxy, "https": proxy} if proxy else None


def credentials_of(settings: AuthSettings) -> CredentialsProvider:
    """Return where the Access Key comes from. Nothing is asked for yet.

    Who asks for the same gets the same, within one process: a triggerer has thousands of sensors, and STS answers an
    account so many times a minute.

    :raises ArgumentError: for an unknown ``auth_type``, or a field that cannot be used
    :raises CredentialsError: when what the mode needs is missing
    """
    with _making:  # or two threads that ask at once would each get one of their own
        return _shared(settings, tuple(os.environ.get(name) for name in _VARIABLES))


@lru_cache(maxsize=MOST_SHARED)
def _shared(settings: AuthSettings, _: tuple[str | None, ...]) -> CredentialsProvider:
    mode = _MODES.get(settings.auth_type.lower())
    if mode is None:
        raise ArgumentError("auth_type", settings.auth_type, f"choose one of {', '.join(AUTH_TYPES)}")
    return mode(settings)


_making = threading.Lock()


def _forget() -> None:
    """Forget what the parent process made: a thread that asks just then would hold its lock in the child for ever."""
    global _making
    _making = threading.Lock()
    _shared.cache_clear()


os.register_at_fork(after_in_child=_forget)


def unused_fields(settings: AuthSettings) -> list[str]:
    """Return the names of what is filled in and not used by the auth mode."""
    key = {"access_key_id": settings.access_key_id, "security_token": settings.security_token}
    used = _USED.get(settings.auth_type.lower(), ())
    return [name for name, value in {**key, **vars(settings.fields)}.items() if value and name not in used]


# --- an Access Key ----------------------------------------------------------------------------------------------------


def _access_key(settings: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import StaticCredentials

    try:
        return StaticCredentials(
            settings.access_key_id or "", settings.access_key_secret or "", settings.security_token
        )
    except CredentialsError as error:
        raise CredentialsError(f"{settings.whose}: {error}") from None


def _sts(settings: AuthSettings) -> CredentialsProvider:
    _needed(settings, "security_token", settings.security_token)
    return _access_key(settings)


def _environment(_: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import EnvironmentCredentials

    return EnvironmentCredentials()


def _anonymous(_: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.credentials import AnonymousCredentials

    return AnonymousCredentials()


# --- temporary credentials --------------------------------------------------------------------------------------------


def _ram_role_arn(settings: AuthSettings) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.sts import AssumedRole

    has_key = settings.access_key_id or settings.access_key_secret
    provider = _access_key(settings) if has_key else _environment(settings)
    role = _role(settings, arn=settings.fields.role_arn, session_name=settings.fields.role_session_name)
    return _refreshed(AssumedRole(role, provider, _sts_service(settings), external_id=settings.fields.external_id))


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
    return _refreshed(
        RoleWithOidc(
            role,
            _sts_service(settings),
            provider_arn=_needed(settings, "oidc_provider_arn", provider_arn),
            token_file=_needed(settings, "oidc_token_file", token_file),
        )
    )


def _ecs_ram_role(settings: AuthSettings) -> CredentialsProvider:
    return _refreshed(_ecs(settings, settings.fields.role_name))


def _ecs(settings: AuthSettings, role_name: str | None) -> EcsRamRole:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService, check_origin
    from airflow_provider_ossresume.oss.worker_credentials import METADATA_ENDPOINT, EcsRamRole

    endpoint = settings.fields.metadata_endpoint or METADATA_ENDPOINT
    issuer = CredentialsService(check_origin("metadata_endpoint", endpoint, example=METADATA_ENDPOINT), direct=True)
    return EcsRamRole(issuer, role_name=role_name)


def _credentials_uri(settings: AuthSettings) -> CredentialsProvider:
    uri = settings.fields.credentials_uri or _variable("CREDENTIALS_URI")
    return _refreshed(_uri(settings, _needed(settings, "credentials_uri", uri)))


def _uri(settings: AuthSettings, uri: str) -> CredentialsUri:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService
    from airflow_provider_ossresume.oss.worker_credentials import CredentialsUri, split_credentials_uri

    origin, path = split_credentials_uri(uri)
    return CredentialsUri(CredentialsService(origin, direct=True, verify_tls=settings.verify), path)


def _default(settings: AuthSettings) -> CredentialsProvider:
    """The worker's own, in the order of Alibaba's default chain, without its files in the home folder.

    What the environment names counts, and where it fails nothing else is tried: that would be another caller.

    :raises CredentialsError: when the environment names a part of an Access Key or of an OIDC role
    """
    from airflow_provider_ossresume.oss.credentials import EnvironmentCredentials
    from airflow_provider_ossresume.oss.worker_credentials import WorkerCredentials

    fields = settings.fields
    if EnvironmentCredentials().is_set():
        return _environment(settings)
    of_oidc = {"ROLE_ARN": fields.role_arn, "OIDC_PROVIDER_ARN": fields.oidc_provider_arn}
    of_oidc["OIDC_TOKEN_FILE"] = fields.oidc_token_file
    missing = [f"ALIBABA_CLOUD_{name}" for name, said in of_oidc.items() if not (said or _variable(name))]
    if not missing:
        return _oidc(settings)
    # Others than OIDC read the variable ROLE_ARN too.
    if fields.role_arn or not {f"ALIBABA_CLOUD_{name}" for name in list(of_oidc)[1:]} <= set(missing):
        raise CredentialsError(
            f"{settings.whose} names a part of an OIDC role, and not {' and '.join(missing)}; set all of "
            f"{', '.join(f'ALIBABA_CLOUD_{name}' for name in of_oidc)}, or none"
        )
    uri = fields.credentials_uri or _variable("CREDENTIALS_URI")
    has_ecs = (_variable("ECS_METADATA_DISABLED") or "").lower() != "true"
    ecs = _ecs(settings, fields.role_name or _variable("ECS_METADATA")) if has_ecs else None
    return _refreshed(WorkerCredentials(ecs, _uri(settings, uri) if uri else None))


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
_USED: Mapping[str, tuple[str, ...]] = {
    "access_key": _KEY,
    "sts": _KEY,
    "ram_role_arn": (*_KEY, *_ROLE, "external_id"),
    "ecs_ram_role": _ECS,
    "oidc": _OIDC,
    "credentials_uri": ("credentials_uri",),
    "default": (*_OIDC, *_ECS, "credentials_uri"),
}


# --- what they share --------------------------------------------------------------------------------------------------


def _needed(settings: AuthSettings, name: str, value: str | None) -> str:
    if not value:
        said = f"auth_type {settings.auth_type!r} needs the field {name}"
        raise CredentialsError(f"{settings.whose}: {said}")
    return value


def _variable(name: str) -> str | None:
    return os.environ.get(f"ALIBABA_CLOUD_{name}", "").strip() or None


def _refreshed(source: CredentialsSource) -> CredentialsProvider:
    from airflow_provider_ossresume.oss.temporary_credentials import RefreshingCredentials

    return RefreshingCredentials(source)


def _role(settings: AuthSettings, *, arn: str | None, session_name: str | None) -> Role:
    from airflow_provider_ossresume.oss.sts import DEFAULT_DURATION, DEFAULT_SESSION_NAME, Role

    said = settings.fields.role_session_duration or DEFAULT_DURATION
    seconds = parse_duration("role_session_duration", said).total_seconds()
    if seconds != int(seconds):
        raise ArgumentError("role_session_duration", said, "give whole seconds, as in 3600")
    return Role(
        _needed(settings, "role_arn", arn),
        session_name=session_name or DEFAULT_SESSION_NAME,
        duration=int(seconds),
        policy=_policy(settings.fields.role_policy),
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


def _sts_service(settings: AuthSettings) -> CredentialsService:
    from airflow_provider_ossresume.oss.credentials_service import CredentialsService, check_origin

    endpoint = settings.sts_endpoint
    origin = check_origin(
        "sts_endpoint",
        endpoint if "://" in endpoint else f"https://{endpoint}",
        example="https://sts.cn-hangzhou.aliyuncs.com",
    )
    return CredentialsService(origin, proxies=proxies_of(settings.proxy), verify_tls=settings.verify)
