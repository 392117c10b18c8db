"""Checks signatures as OSS does: V4 and V1, in headers and in URLs."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from airflow_provider_ossresume.local_oss.answers import Refusal, invalid_argument, xml_date
from airflow_provider_ossresume.local_oss.conditions import parse_http_date
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.oss.signing import (
    V4_ALGORITHM,
    V4_REQUEST,
    V4_UNSIGNED_PAYLOAD,
    Signable,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_signature,
    v4_string_to_sign,
)

MAX_SKEW = 15 * 60  # seconds; OSS, "RequestTimeTooSkewed"
MAX_V4_EXPIRY = 7 * 24 * 3600  # seconds; OSS, "V4 signature in a URL"


@dataclass(frozen=True)
class Account:
    """The only key pair that the server accepts, with its STS token if it has one."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None = None
    token_expired: bool = False

    def __repr__(self) -> str:
        return f"Account(access_key_id={self.access_key_id!r})"


def verify(request: IncomingRequest, account: Account, *, region: str, now: float) -> None:
    """Refuse a request that is not signed by the account, or whose signature has expired."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(V4_ALGORITHM):
        _verify_v4_header(request, authorization, account, region=region, now=now)
    elif authorization.startswith("OSS "):
        _verify_v1_header(request, authorization, account, now=now)
    elif authorization:
        raise invalid_argument("Authorization", "", message="The Authorization header is of an unknown kind.")
    elif "x-oss-signature" in request.query:
        _verify_v4_url(request, account, region=region, now=now)
    elif "Signature" in request.query:
        _verify_v1_url(request, account, now=now)
    else:
        raise Refusal(403, "AccessDenied", "You have no right to access this object because of bucket acl.")


# --- V4 ---------------------------------------------------------------------------------------------------------------


def _verify_v4_header(
    request: IncomingRequest, authorization: str, account: Account, *, region: str, now: float
) -> None:
    fields = _v4_fields(authorization.removeprefix(V4_ALGORITHM))
    access_key_id, scope = _credential(fields["Credential"], region=region)
    _check_account(account, access_key_id, request.headers.get("x-oss-security-token"))
    payload = request.headers.get("x-oss-content-sha256", V4_UNSIGNED_PAYLOAD)
    if payload != V4_UNSIGNED_PAYLOAD:
        raise invalid_argument(
            "x-oss-content-sha256", payload, message="x-oss-content-sha256 must be UNSIGNED-PAYLOAD."
        )
    timestamp = request.headers.get("x-oss-date") or request.headers.get("date", "")
    _check_skew(timestamp, now)
    _check_v4(request, account, fields, timestamp=timestamp, scope=scope)


def _verify_v4_url(request: IncomingRequest, account: Account, *, region: str, now: float) -> None:
    query = request.query
    if query.get("x-oss-signature-version") != V4_ALGORITHM:
        raise invalid_argument("x-oss-signature-version", query.get("x-oss-signature-version", ""))
    access_key_id, scope = _credential(query.get("x-oss-credential", ""), region=region)
    _check_account(account, access_key_id, query.get("x-oss-security-token"))
    timestamp, expires = query.get("x-oss-date", ""), query.get("x-oss-expires", "")
    signed_at = _moment(timestamp)
    if not re.fullmatch(r"[0-9]{1,6}", expires) or not 1 <= int(expires) <= MAX_V4_EXPIRY:
        raise invalid_argument("x-oss-expires", expires)
    if signed_at is None or signed_at > now + MAX_SKEW:
        raise _skewed(timestamp, now)
    _check_expiry(signed_at + int(expires), now)
    fields = {"Signature": query["x-oss-signature"], "AdditionalHeaders": query.get("x-oss-additional-headers", "")}
    unsigned = {name: value for name, value in query.items() if name != "x-oss-signature"}
    _check_v4(replace(request, query=unsigned), account, fields, timestamp=timestamp, scope=scope)


def _v4_fields(text: str) -> dict[str, str]:
    """Return the fields of an Authorization header, in any order, with or without spaces after commas."""
    fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if not {"Credential", "Signature"} <= fields.keys():
        raise invalid_argument("Authorization", "", message="The Authorization header is malformed.")
    if fields.get("AdditionalHeaders") == "":
        message = "The AdditionalHeaders of the Authorization header are empty."
        raise invalid_argument("AdditionalHeaders", "", message=message, ec="0002-00000209")
    return fields


def _credential(text: str, *, region: str) -> tuple[str, str]:
    """Return the access key ID and the scope of ``ID/date/region/oss/aliyun_v4_request``."""
    access_key_id, _, scope = text.partition("/")
    words = scope.split("/")
    if len(words) != 4 or not re.fullmatch(r"[0-9]{8}", words[0]) or words[3] != V4_REQUEST:
        raise invalid_argument("Credential", text, message="Invalid credential in Authorization header.")
    if words[1] != region:
        raise invalid_argument("Credential", text, message="Invalid signing region in Authorization header.")
    if words[2] != "oss":
        raise invalid_argument("Credential", text, message="Invalid signing product in Authorization header.")
    return access_key_id, scope


def _check_v4(
    request: IncomingRequest, account: Account, fields: Mapping[str, str], *, timestamp: str, scope: str
) -> None:
    additional = [name for name in fields.get("AdditionalHeaders", "").split(";") if name]
    canonical = v4_canonical_request(_signable(request), additional_headers=additional)
    text = v4_string_to_sign(canonical, timestamp=timestamp, scope=scope)
    expected = v4_signature(text, secret=account.access_key_secret, scope=scope)
    day = datetime.fromtimestamp(_moment(timestamp) or 0, tz=timezone.utc).strftime("%Y%m%d")
    if not scope.startswith(f"{day}/"):
        raise invalid_argument("Credential", scope, message="Invalid signing date in Authorization header.")
    if not _equal(expected, fields["Signature"]):
        raise _mismatch(account, fields["Signature"], text, canonical)


# --- V1 ---------------------------------------------------------------------------------------------------------------


def _verify_v1_header(request: IncomingRequest, authorization: str, account: Account, *, now: float) -> None:
    access_key_id, colon, signature = authorization.removeprefix("OSS ").strip().partition(":")
    if not colon:
        raise invalid_argument("Authorization", "", message="The Authorization header is malformed.")
    _check_account(account, access_key_id, request.headers.get("x-oss-security-token"))
    date = request.headers.get("date", "")
    _check_skew(request.headers.get("x-oss-date") or date, now)
    _check_v1(request, account, signature, date=date)


def _verify_v1_url(request: IncomingRequest, account: Account, *, now: float) -> None:
    query = request.query
    _check_account(account, query.get("OSSAccessKeyId", ""), query.get("security-token"))
    expires = query.get("Expires", "")
    if not re.fullmatch(r"[0-9]{1,12}", expires):
        raise invalid_argument("Expires", expires)
    _check_expiry(int(expires), now)
    _check_v1(request, account, query["Signature"], date=expires)


def _check_v1(request: IncomingRequest, account: Account, signature: str, *, date: str) -> None:
    text = v1_string_to_sign(_signable(request), date=date)
    if not _equal(v1_signature(text, secret=account.access_key_secret), signature):
        raise _mismatch(account, signature, text)


# --- both -------------------------------------------------------------------------------------------------------------


def _signable(request: IncomingRequest) -> Signable:
    return Signable(request.method, request.bucket, request.key, request.query, request.headers)


def _check_account(account: Account, access_key_id: str, token: str | None) -> None:
    if access_key_id != account.access_key_id or (account.security_token and not token):
        raise Refusal(
            403,
            "InvalidAccessKeyId",
            "The OSS Access Key Id you provided does not exist in our records.",
            details={"OSSAccessKeyId": access_key_id},
        )
    if token != account.security_token and (token or account.security_token):
        raise Refusal(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    if account.token_expired:
        raise Refusal(403, "SecurityTokenExpired", "The security token you provided has expired.")


def _check_skew(timestamp: str, now: float) -> None:
    moment = _moment(timestamp)
    if moment is None:
        raise Refusal(403, "AccessDenied", "OSS authentication requires a valid Date.")
    if abs(moment - now) > MAX_SKEW:
        raise _skewed(timestamp, now)


def _check_expiry(expires: float, now: float) -> None:
    if now > expires:
        details = {"Expires": xml_date(expires), "ServerTime": xml_date(now)}
        raise Refusal(403, "AccessDenied", "Request has expired.", ec="0002-00000069", details=details)


def _skewed(timestamp: str, now: float) -> Refusal:
    return Refusal(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        details={
            "MaxAllowedSkewMilliseconds": MAX_SKEW * 1000,
            "RequestTime": timestamp,
            "ServerTime": xml_date(now),
        },
    )


def _moment(timestamp: str) -> float | None:
    """Return the seconds since 1970 of ``YYYYMMDDTHHMMSSZ`` or of an RFC 1123 date."""
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return parse_http_date(timestamp)


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _mismatch(account: Account, signature: str, text: str, canonical: str = "") -> Refusal:
    details = {
        "OSSAccessKeyId": account.access_key_id,
        "SignatureProvided": signature,
        "StringToSign": text,
        "StringToSignBytes": text.encode().hex(" ").upper(),
    }
    if canonical:
        details["CanonicalRequest"] = canonical
    return Refusal(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method.",
        details=details,
    )
