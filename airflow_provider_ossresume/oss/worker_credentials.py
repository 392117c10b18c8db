"""Credentials that a worker has without an Access Key: from ECS's metadata service, or from a credentials URI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, CredentialsUnavailable
from airflow_provider_ossresume.oss.credentials_service import CredentialsService, split_url
from airflow_provider_ossresume.oss.temporary_credentials import TemporaryCredentials

METADATA_ENDPOINT = "http://100.100.100.200"  # ECS, "Instance metadata": the same on every instance
_ROLES = "/latest/meta-data/ram/security-credentials/"
_ROLE_NAME = re.compile(r"[A-Za-z0-9.@_-]{1,64}")
_TOKEN_SECONDS = 300  # ECS: 1 to 21,600; three requests take less than a minute


class EcsRamRole:
    """Credentials of the RAM role of the ECS instance that this worker runs on, from the metadata service.

    A token is requested first and sent with each request ("security hardening mode", IMDSv2). So this works on
    instances that allow nothing else. There is no fallback to requests without a token.

    :param role_name: None uses the role that is attached to the instance
    :param issuer: the metadata service
    """

    def __init__(self, issuer: CredentialsService, *, role_name: str | None = None) -> None:
        if role_name is not None and not _ROLE_NAME.fullmatch(role_name):
            raise ArgumentError("role_name", role_name, "give the role's name as in the RAM console, not its ARN")
        self._issuer = issuer
        self._role_name = role_name
        self.is_there = issuer.is_there

    def __str__(self) -> str:
        return f"the ECS instance's RAM role{f' {self._role_name}' if self._role_name else ''}"

    def fetch(self) -> TemporaryCredentials:
        token = self._token()
        role = self._role_name or self._attached_role(token)
        what = f"the credentials of the ECS instance's RAM role {role}"
        response = self._issuer.ask(what, "GET", _ROLES + quote(role, safe=""), headers=_token_header(token))
        if response.status == 404:
            hint = "attach that role to the instance, or correct role_name"
            raise self._issuer.refused(what, response, hint=hint)
        fields = response.fields()
        if response.status != 200 or fields.get("Code", "Success") != "Success":
            # The service cannot assume the role: its trust policy does not name ecs.aliyuncs.com, or it was deleted.
            hint = "check that the role exists and trusts ecs.aliyuncs.com"
            raise self._issuer.refused(what, response, hint=hint, secrets=(token,), retryable=response.status == 200)
        return self._issuer.issued(what, response, fields)

    def _token(self) -> str:
        what = "a token of the ECS metadata service"
        headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
        response = self._issuer.ask(what, "PUT", "/latest/api/token", headers=headers)
        token = response.text
        if response.status != 200 or not token or not token.isascii() or not token.isprintable():
            hint = "check that this worker runs on an ECS instance, and that access to its metadata is enabled"
            raise self._issuer.refused(what, response, hint=hint)
        return token

    def _attached_role(self, token: str) -> str:
        what = "the name of the ECS instance's RAM role"
        response = self._issuer.ask(what, "GET", _ROLES, headers=_token_header(token))
        lines = response.text.split()
        if response.status == 404 or (response.status == 200 and not lines):
            raise self._issuer.refused(what, response, hint="attach a RAM role to the instance")
        if response.status != 200 or not _ROLE_NAME.fullmatch(lines[0]):
            raise self._issuer.refused(what, response, secrets=(token,))
        return lines[0]


class CredentialsUri:
    """Credentials that a GET of a URI returns as JSON: AccessKeyId, AccessKeySecret, SecurityToken and Expiration.

    :param path: the URI's path and query; they may contain a secret, and are never shown
    """

    def __init__(self, issuer: CredentialsService, path: str) -> None:
        self._issuer = issuer
        self._path = path
        self.is_there = issuer.is_there

    def __str__(self) -> str:
        return f"the credentials URI at {self._issuer.origin}"

    def fetch(self) -> TemporaryCredentials:
        what = "the credentials URI"
        response = self._issuer.ask(what, "GET", self._path or "/", headers={"Accept": "application/json"})
        fields = response.fields()
        if response.status != 200 or fields.get("Code", "Success") != "Success":
            is_ours = response.status == 200  # the right service, which has no credentials at the moment
            hint = "check the log of the service behind it" if is_ours else "check credentials_uri"
            raise self._issuer.refused(what, response, hint=hint, secrets=(self._path,), retryable=is_ours)
        return self._issuer.issued(what, response, fields)


class WorkerCredentials:
    """Credentials that the worker has without an Access Key: of its ECS instance's role, else of a credentials URI.

    The first source that issues credentials is used from then on, and no other, so that a transfer keeps its identity.

    :param ecs: None if the environment disables it
    :param uri: None if the environment does not set one
    """

    def __init__(self, ecs: EcsRamRole | None, uri: CredentialsUri | None) -> None:
        self._sources = [source for source in (ecs, uri) if source is not None]
        self._chosen: EcsRamRole | CredentialsUri | None = None

    def __str__(self) -> str:
        return str(self._chosen or "this worker's own credentials")

    def fetch(self) -> TemporaryCredentials:
        """Request new credentials.

        :raises CredentialsUnavailable: if a source exists but cannot respond now; another source would be another
            identity
        :raises CredentialsError: if the worker has no credentials
        """
        if self._chosen is not None:
            return self._chosen.fetch()
        reasons: list[str] = []
        for source in self._sources:
            if not source.is_there():
                reasons.append(f"{source}: no response")
                continue
            try:
                issued = source.fetch()
            except CredentialsUnavailable:
                raise
            except CredentialsError as error:
                reasons.append(str(error))
            else:
                self._chosen = source
                return issued
        raise CredentialsError(
            "this worker has no credentials of its own: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET in its "
            "environment, give its pod an OIDC token (RRSA) or its ECS instance a RAM role, or use a connection "
            f"[{'; '.join(reasons) or 'ALIBABA_CLOUD_ECS_METADATA_DISABLED is true'}]"
        )


def split_credentials_uri(uri: str) -> tuple[str, str]:
    """Return the origin of a credentials URI, and its path and query.

    :raises ArgumentError: if it is not a URL; it is not shown
    """
    parts = split_url(uri.strip())
    if parts is None:
        raise ArgumentError("credentials_uri", "…", "give a complete http:// or https:// URL without a user name")
    return parts


def _token_header(token: str) -> Mapping[str, str]:
    return {"X-aliyun-ecs-metadata-token": token}
