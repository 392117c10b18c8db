"""Assumes RAM roles at STS, Alibaba Cloud's Security Token Service: with an Access Key, or with an OIDC token.

Requests are signed by Alibaba Cloud's "Signature V3" (ACS3-HMAC-SHA256), as in the official SDK for STS. An OIDC token
goes into the body, where proxies and logs of URLs do not show it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlencode

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, CredentialsUnavailable
from airflow_provider_ossresume.oss.credentials import Credentials, CredentialsProvider
from airflow_provider_ossresume.oss.credentials_service import CredentialsService, ServiceResponse
from airflow_provider_ossresume.oss.temporary_credentials import TemporaryCredentials

VERSION = "2015-04-01"  # of the API
ALGORITHM = "ACS3-HMAC-SHA256"
MIN_DURATION, MAX_DURATION = 900, 43_200  # seconds; STS, AssumeRole: DurationSeconds
DEFAULT_DURATION = 3_600  # seconds; STS's default, and the default maximum of a role
DEFAULT_SESSION_NAME = "airflow-ossresume"
MAX_TOKEN_FILE = 20_000  # bytes; STS, AssumeRoleWithOIDC: OIDCToken has 4 to 20,000 characters

_ROLE_ARN = re.compile(r"acs:ram::[0-9]+:role/[^\s/]+")
_PROVIDER_ARN = re.compile(r"acs:ram::[0-9]+:oidc-provider/[^\s/]+")
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")  # STS, AssumeRole: RoleSessionName
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")  # STS, AssumeRole: ExternalId


@dataclass(frozen=True)
class Role:
    """The role to assume, and how.

    :ivar duration: seconds for which each set of credentials is valid, 900 to 43,200 and at most the role's own maximum
    :ivar policy: a RAM policy as JSON that reduces the permissions of this session
    :raises ArgumentError: for a value that STS would refuse
    """

    arn: str
    session_name: str = DEFAULT_SESSION_NAME
    duration: int = DEFAULT_DURATION
    policy: str | None = None

    def __post_init__(self) -> None:
        if not _ROLE_ARN.fullmatch(self.arn):
            raise ArgumentError(
                "role_arn", self.arn, "give the role's ARN, such as acs:ram::1234567890123456:role/its-name"
            )
        if not _SESSION_NAME.fullmatch(self.session_name):
            raise ArgumentError(
                "role_session_name", self.session_name, "use 2 to 64 letters, digits and characters of .@-_"
            )
        if not MIN_DURATION <= self.duration <= MAX_DURATION:
            raise ArgumentError(
                "role_session_duration", self.duration,
                f"give {MIN_DURATION} to {MAX_DURATION} seconds, and no more than the role's maximum session duration",
            )  # fmt: skip

    def parameters(self) -> dict[str, str]:
        said = {
            "DurationSeconds": str(self.duration),
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name,
            "Policy": self.policy,
        }
        return {name: value for name, value in said.items() if value}


class AssumedRole:
    """Credentials of a role, assumed with the Access Key of a RAM user or of another role.

    :param provider: the Access Key that signs; asked each time
    :param external_id: the secret that the role's trust policy may require (sts:ExternalId)
    :param clock: returns seconds since 1970
    """

    def __init__(
        self,
        role: Role,
        provider: CredentialsProvider,
        issuer: CredentialsService,
        *,
        external_id: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
            raise ArgumentError("external_id", "…", "use 2 to 1,224 letters, digits and characters of +=,.@:/-_")
        self._role = role
        self._provider = provider
        self._issuer = issuer
        self._external_id = external_id
        self._clock = clock

    def __str__(self) -> str:
        return f"AssumeRole {self._role.arn}"

    def fetch(self) -> TemporaryCredentials:
        key = self._provider.get()
        if key is None:
            raise CredentialsError("an anonymous caller cannot assume a role; set an Access Key")
        response = _with_right_time(lambda now: self._ask(key, now), self._clock)
        secrets = (key.access_key_secret, key.security_token, self._external_id)
        return _issued(self._issuer, str(self), response, hints=self.hints(), secrets=secrets)

    def _ask(self, key: Credentials, now: float) -> ServiceResponse:
        parameters = self._role.parameters()
        if self._external_id:
            parameters["ExternalId"] = self._external_id
        query = urlencode(sorted(parameters.items()), quote_via=quote, safe="~")
        headers = signed_headers(
            "POST", self._issuer.host, query, action="AssumeRole", key=key, now=now, nonce=uuid.uuid4().hex
        )  # fmt: skip
        return self._issuer.ask(str(self), "POST", f"/?{query}", headers=headers)

    def hints(self) -> Mapping[str, str]:
        """Return the next step for each of STS's codes that has one."""
        return {
            "NoPermission": (
                f"allow the RAM user whose key it is the action sts:AssumeRole on {self._role.arn}, and name that user "
                "in the role's trust policy (an account's own key cannot assume a role)"
            ),
            "MissingSecurityToken": "the Access Key is temporary; enter its STS token too",
            "SignatureDoesNotMatch": "check the Access Key Secret",
            "InvalidAccessKeyId": "check the Access Key ID; it is unknown or disabled",
            "InvalidSecurityToken": "the STS token has expired, or does not belong to this Access Key",
            **_ROLE_HINTS,
        }


class RoleWithOidc:
    """Credentials of a role, assumed with the OIDC token of a pod (RRSA) or of another workload. No Access Key.

    The token is read from its file each time, because Kubernetes replaces it before it expires.
    """

    def __init__(
        self,
        role: Role,
        issuer: CredentialsService,
        *,
        provider_arn: str,
        token_file: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not _PROVIDER_ARN.fullmatch(provider_arn):
            raise ArgumentError(
                "oidc_provider_arn", provider_arn,
                "give the OIDC provider's ARN, such as acs:ram::1234567890123456:oidc-provider/its-name",
            )  # fmt: skip
        self._role = role
        self._issuer = issuer
        self._provider_arn = provider_arn
        self._token_file = token_file
        self._clock = clock

    def __str__(self) -> str:
        return f"AssumeRoleWithOIDC {self._role.arn}"

    def fetch(self) -> TemporaryCredentials:
        token = _read_token(self._token_file)
        response = _with_right_time(lambda now: self._ask(token, now), self._clock)
        return _issued(self._issuer, str(self), response, hints=self.hints(), secrets=(token,))

    def _ask(self, token: str, now: float) -> ServiceResponse:
        query = urlencode(
            {"Action": "AssumeRoleWithOIDC", "Format": "JSON", "Version": VERSION, "Timestamp": _timestamp(now)}
        )
        body = urlencode({**self._role.parameters(), "OIDCProviderArn": self._provider_arn, "OIDCToken": token})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._issuer.ask(str(self), "POST", f"/?{query}", headers=headers, body=body.encode())

    def hints(self) -> Mapping[str, str]:
        """Return the next step for each of STS's codes that has one."""
        return {
            "AuthenticationFail.NoPermission": (
                f"allow sts:AssumeRole for {self._provider_arn} in the role's trust policy, "
                "with conditions on oidc:iss, oidc:aud and oidc:sub that this token meets"
            ),
            "AuthenticationFail.OIDCToken.Expired": f"the token in {self._token_file} expired; check what renews it",
            "AuthenticationFail.OIDCToken.AudienceNotMatch": "set the token's audience to sts.aliyuncs.com",
            "AuthenticationFail.OIDCToken": f"check that {self._provider_arn} issued the token in {self._token_file}",
            **_ROLE_HINTS,
        }


_ROLE_HINTS: Mapping[str, str] = {
    "EntityNotExist.Role": "the role does not exist; check role_arn",
    "InvalidParameter.RoleArn": "check role_arn",
    "InvalidParameter.DurationSeconds": "lower role_session_duration, or raise the role's maximum session duration",
    "InvalidParameter.Policy": "correct role_policy",
}


# Errors that a later request may not have: the OIDC token in the file is renewed from outside.
_TRANSIENT = ("Throttling", "AuthenticationFail.OIDCToken.Expired")


def _issued(
    issuer: CredentialsService,
    what: str,
    response: ServiceResponse,
    *,
    hints: Mapping[str, str],
    secrets: tuple[str | None, ...],
) -> TemporaryCredentials:
    if response.status == 200:
        return issuer.issued(what, response, response.fields().get("Credentials"))
    code = _code(response)
    # Codes have suffixes: InvalidAccessKeyId.NotFound, InvalidParameter.PolicyGrammar.
    hint = next((hint for known, hint in hints.items() if code.startswith(known)), "")
    raise issuer.refused(what, response, hint=hint, secrets=secrets, retryable=code.startswith(_TRANSIENT))


def _with_right_time(ask: Callable[[float], ServiceResponse], clock: Callable[[], float]) -> ServiceResponse:
    """Ask with this worker's time. If STS says that it is wrong, ask once more with STS's time."""
    response = ask(clock())
    if response.date is not None and _code(response).startswith(("InvalidTimeStamp", "IllegalTimestamp")):
        return ask(response.date)
    return response


def _code(response: ServiceResponse) -> str:
    return str(response.fields().get("Code") or "")


def _timestamp(now: float) -> str:
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _read_token(path: str) -> str:
    try:
        with Path(path).open(encoding="ascii") as file:
            token = file.read(MAX_TOKEN_FILE + 1).strip()
    except ValueError:  # not ASCII, or not a path
        token = ""
    except OSError as error:
        # Kubernetes mounts the file before the pod starts, and replaces it at run time.
        raise CredentialsUnavailable(
            f"the OIDC token file {path} cannot be read: {error.strerror}; "
            "in a pod, check that RRSA is enabled for it and for its service account"
        ) from None
    if not token or len(token) > MAX_TOKEN_FILE or not token.isprintable() or " " in token:
        raise CredentialsUnavailable(f"the file {path} does not contain an OIDC token; check what writes it")
    return token


# --- Signature V3 -----------------------------------------------------------------------------------------------------


def signed_headers(
    method: str, host: str, query: str, *, action: str, key: Credentials, now: float, nonce: str
) -> dict[str, str]:
    """Return the headers of a signed request without a body. Host is signed too; the connection sends it.

    :param query: sorted and percent-encoded, as in the URL
    :param now: seconds since 1970
    """
    headers = {
        "accept": "application/json",
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": _timestamp(now),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": VERSION,
    }
    if key.security_token:
        headers |= {"x-acs-accesskey-id": key.access_key_id, "x-acs-security-token": key.security_token}
    return {**headers, "Authorization": authorization(method, query, {"host": host, **headers}, key=key)}


def authorization(method: str, query: str, headers: Mapping[str, str], *, key: Credentials) -> str:
    """Return the header Authorization. All given headers are signed."""
    names = sorted(headers)
    canonical = "\n".join(
        (
            method,
            "/",
            query,
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            ";".join(names),
            headers["x-acs-content-sha256"],
        )
    )
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
