"""Signs a request, in its headers or in its URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import format_datetime
from functools import lru_cache
from typing import Literal

from airflow_provider_ossresume.model.arguments import Duration, parse_duration
from airflow_provider_ossresume.oss import signing
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.signing import Signable

SignatureVersion = Literal["v4", "v1"]

MAX_V4_EXPIRY = 7 * 24 * 3600  # seconds; OSS: a V4 URL is valid for at most seven days
MAX_V1_EXPIRY = 10 * 365 * 24 * 3600  # seconds; OSS has no limit, and a longer time is probably a mistake


@dataclass(frozen=True)
class Signer:
    """Signs with one set of credentials, at one time.

    :ivar now: seconds since 1970 by OSS's clock
    """

    credentials: Credentials
    version: SignatureVersion
    region: str
    now: float

    def headers(self, request: Signable) -> dict[str, str]:
        """Return the headers to add, in lower case: date, token and authorization."""
        added = {"date": _moment(int(self.now))[0]}
        if self.credentials.security_token:
            added["x-oss-security-token"] = self.credentials.security_token
        if self.version == "v4":
            added["x-oss-date"] = self._timestamp
            added["x-oss-content-sha256"] = signing.V4_UNSIGNED_PAYLOAD
        signed = replace(request, headers={**request.headers, **added})
        key_id = self.credentials.access_key_id
        if self.version == "v4":
            fields = f"Credential={key_id}/{self._scope},Signature={self._v4_signature(signed)}"
            added["authorization"] = f"{signing.V4_ALGORITHM} {fields}"
        else:
            added["authorization"] = f"OSS {key_id}:{self._v1_signature(signed, date=added['date'])}"
        return added

    def query(self, request: Signable, *, expires: int) -> dict[str, str]:
        """Return the complete query of a URL that is valid for ``expires`` seconds."""
        if self.version == "v4":
            return self._v4_query(request, expires)
        until = str(int(self.now) + expires)
        query = dict(request.query)
        if self.credentials.security_token:
            query["security-token"] = self.credentials.security_token
        signature = self._v1_signature(replace(request, query=query), date=until)
        return {**query, "OSSAccessKeyId": self.credentials.access_key_id, "Expires": until, "Signature": signature}

    def _v4_query(self, request: Signable, expires: int) -> dict[str, str]:
        query = {
            **request.query,
            "x-oss-signature-version": signing.V4_ALGORITHM,
            "x-oss-date": self._timestamp,
            "x-oss-expires": str(expires),
            "x-oss-credential": f"{self.credentials.access_key_id}/{self._scope}",
        }
        if self.credentials.security_token:
            query["x-oss-security-token"] = self.credentials.security_token
        return {**query, "x-oss-signature": self._v4_signature(replace(request, query=query))}

    def _v4_signature(self, request: Signable) -> str:
        text = signing.v4_string_to_sign(
            signing.v4_canonical_request(request), timestamp=self._timestamp, scope=self._scope
        )
        return signing.v4_signature(text, secret=self.credentials.access_key_secret, scope=self._scope)

    def _v1_signature(self, request: Signable, *, date: str) -> str:
        text = signing.v1_string_to_sign(request, date=date)
        return signing.v1_signature(text, secret=self.credentials.access_key_secret)

    @property
    def _timestamp(self) -> str:
        return _moment(int(self.now))[1]

    @property
    def _scope(self) -> str:
        return signing.v4_scope(self._timestamp[:8], region=self.region)


@lru_cache(maxsize=8)  # many requests are signed within one second
def _moment(now: int) -> tuple[str, str]:
    """Return a time in the formats of Date and of x-oss-date."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    return format_datetime(moment, usegmt=True), f"{moment:%Y%m%dT%H%M%SZ}"


def check_expiry(expires: Duration, version: SignatureVersion) -> int:
    """Return for how many seconds a URL is to be valid.

    :raises ArgumentError: if OSS would refuse such a URL
    """
    most = MAX_V4_EXPIRY if version == "v4" else MAX_V1_EXPIRY
    return int(parse_duration("expires", expires, least=1, most=most).total_seconds())
