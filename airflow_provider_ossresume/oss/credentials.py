"""Where Access Keys come from.

A provider is anything with ``get()``; it is asked for each request, as a long transfer outlives a token, so it answers
fast. When OSS says that the credentials have expired, ``renew()`` is asked once for others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_ossresume.errors import CredentialsError


@dataclass(frozen=True)
class Credentials:
    """An Access Key, with a security token when it came from STS. Secret and token are never shown.

    White space around them is dropped: pasted keys and mounted secrets often bring a line end along.

    :raises CredentialsError: when one is missing or cannot be sent in a header
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
                raise CredentialsError(f"the {label} is missing; fill it in in the connection, or set auth_type")
            if not value.isascii() or not value.isprintable():
                raise CredentialsError(f"the {label} has a character that no key has; copy it again")
            object.__setattr__(self, name, value or None)


class CredentialsProvider(Protocol):
    """Gives the credentials to sign with.

    One that may have to wait has a method ``with_stop(stop)`` too: it returns the provider for a user who waits no
    longer than until the stop is given.
    """

    def get(self) -> Credentials | None:
        """Return the credentials to sign with now; None for anonymous requests.

        :raises CredentialsError: when there are none
        """

    def renew(self, expired: Credentials) -> Credentials | None:
        """Return others than the expired ones, or the same when there are none. Many threads may ask at once."""


class StaticCredentials:
    """One Access Key, or one STS token, for good."""

    def __init__(self, access_key_id: str, access_key_secret: str, security_token: str | None = None) -> None:
        self._credentials = Credentials(access_key_id, access_key_secret, security_token)

    def get(self) -> Credentials:
        return self._credentials

    def renew(self, expired: Credentials) -> Credentials:
        return self._credentials


class AnonymousCredentials:
    """No credentials: requests go out unsigned, which public buckets allow."""

    def get(self) -> None:
        return None

    def renew(self, expired: Credentials) -> None:
        return None


class EnvironmentCredentials:
    """Access Keys from the environment, read at each request, so a refreshed variable counts at once.

    The names are those of OSS's SDKs (``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET``, ``OSS_SESSION_TOKEN``) and,
    where those are absent, those of Alibaba's credentials library (``ALIBABA_CLOUD_ACCESS_KEY_ID``, ``…_SECRET``,
    ``ALIBABA_CLOUD_SECURITY_TOKEN``). Half a key is an error, as the other family's is another caller's.
    """

    _NAMES = (
        ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    )

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def is_set(self) -> bool:
        """Return whether there is an Access Key, or a part of one."""
        return any(self._value(name) for names in self._NAMES for name in names[:2])

    def get(self) -> Credentials:
        for key_id, secret, token in self._NAMES:
            missing = [name for name in (key_id, secret) if not self._value(name)]
            if len(missing) == 1:
                raise CredentialsError(
                    f"an incomplete Access Key in the environment of this worker: {missing[0]} is missing; set "
                    f"{key_id} and {secret}, or none of them"
                )
            if not missing:
                return Credentials(self._value(key_id), self._value(secret), self._value(token) or None)
        raise CredentialsError(
            "no credentials in the environment of this worker: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"
        )

    def _value(self, name: str) -> str:
        return self._environment.get(name, "").strip()

    def renew(self, expired: Credentials) -> Credentials:
        return self.get()
