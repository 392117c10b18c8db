"""Access Keys and their providers.

A provider has ``get()``, which is called for each request, because a long transfer outlives a token. So ``get()`` must
be fast. If OSS says that the credentials have expired, ``renew()`` is called once for new ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_ossresume.errors import CredentialsError


@dataclass(frozen=True)
class Credentials:
    """An Access Key, with a security token if it came from STS. Secret and token are never shown.

    White space around them is removed: pasted keys and mounted secrets often have a line break at the end.

    :raises CredentialsError: if ID or secret is missing, or a value cannot be sent in a header
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, label in (
            ("access_key_id", "Access Key ID"),
            ("access_key_secret", "Access Key Secret"),
            ("security_token", "STS token"),
        ):
            value = (getattr(self, name) or "").strip()
            if not value and name != "security_token":
                raise CredentialsError(f"the {label} is missing; enter it in the connection, or set auth_type")
            if not value.isascii() or not value.isprintable():
                raise CredentialsError(f"the {label} contains a character that is not allowed; copy it again")
            object.__setattr__(self, name, value or None)


class CredentialsProvider(Protocol):
    """Returns the credentials to sign with.

    A provider that may have to wait also has ``with_stop(stop)``. It returns a provider whose waits end when the stop
    is set.
    """

    def get(self) -> Credentials | None:
        """Return the credentials to sign with now; None for anonymous requests.

        :raises CredentialsError: if there are none
        """

    def renew(self, expired: Credentials) -> Credentials | None:
        """Return new credentials, or the expired ones if there are no others. Many threads may call this at once."""


class StaticCredentials:
    """One Access Key, with or without an STS token, that never changes."""

    def __init__(self, access_key_id: str, access_key_secret: str, security_token: str | None = None) -> None:
        self._credentials = Credentials(access_key_id, access_key_secret, security_token)

    def get(self) -> Credentials:
        return self._credentials

    def renew(self, expired: Credentials) -> Credentials:
        return self._credentials


class AnonymousCredentials:
    """No credentials: requests are not signed. Public buckets allow that."""

    def get(self) -> None:
        return None

    def renew(self, expired: Credentials) -> None:
        return None


class EnvironmentCredentials:
    """Access Keys from the environment. Read for each request, so that a changed variable takes effect at once.

    The names are those of OSS's SDKs (``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET``, ``OSS_SESSION_TOKEN``) and,
    if those are absent, those of Alibaba Cloud's credentials library (``ALIBABA_CLOUD_ACCESS_KEY_ID``, ``…_SECRET``,
    ``ALIBABA_CLOUD_SECURITY_TOKEN``). Half a key is an error: the other names may belong to another
    account.
    """

    _NAMES = (
        ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    )

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def is_set(self) -> bool:
        """Return whether the environment has an Access Key, or a part of one."""
        return any(self._value(name) for names in self._NAMES for name in names[:2])

    def get(self) -> Credentials:
        for key_id, secret, token in self._NAMES:
            missing = [name for name in (key_id, secret) if not self._value(name)]
            if len(missing) == 1:
                raise CredentialsError(
                    f"the environment of this worker has an incomplete Access Key: {missing[0]} is missing; set "
                    f"{key_id} and {secret}, or neither"
                )
            if not missing:
                return Credentials(self._value(key_id), self._value(secret), self._value(token) or None)
        raise CredentialsError(
            "the environment of this worker has no credentials; set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"
        )

    def _value(self, name: str) -> str:
        return self._environment.get(name, "").strip()

    def renew(self, expired: Credentials) -> Credentials:
        return self.get()
