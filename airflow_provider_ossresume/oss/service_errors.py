"""The error that a response is, with the next step in it."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Mapping

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    CallbackFailed,
    InvalidPart,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    ObjectArchived,
    ObjectImmutable,
    ObjectTooLarge,
    PreconditionFailed,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.oss import messages
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.header_values import joined, read_number, shown
from airflow_provider_ossresume.oss.response import Response

MAX_ERROR_BYTES = 64 * 1024  # OSS's errors have about 500 bytes


def read_error(call: Call, response: Response, pieces: Iterable[bytes]) -> ServiceError:
    """Return the error that a response is."""
    return _service_error(call, response, messages.read_error(_error_body(response, pieces)), status=response.status)


def error_in_body(call: Call, response: Response, said: messages.ErrorAnswer) -> ServiceError:
    """Return the error that stands in the body of a success."""
    return _service_error(call, response, said, status=_STATUSES.get(said.code, 500))


def not_what_was_asked_for(call: Call, response: Response, pieces: Iterable[bytes]) -> RequestError:
    """Return the error for a response that is a success, but not the one that was asked for."""
    if response.status == 203 and call.has_callback:
        return read_error(call, response, pieces)
    return call.bad_answer(f"was answered {response.status}")


def _service_error(call: Call, response: Response, said: messages.ErrorAnswer, *, status: int) -> ServiceError:
    headers = response.fields
    is_of_oss = bool(said.code) or any(name.startswith("x-oss-") for name in headers)
    code = said.code or ("NoSuchKey" if status == 404 and call.method == "HEAD" and is_of_oss else "")
    date = messages.read_http_date(headers.get("date"))
    kind = _error_class(status, code)
    return kind(
        operation=call.operation,
        target=_blamed(call, said, code),
        status=status,
        code=shown(code),
        detail=shown(said.message),
        ec=shown(said.ec or headers.get("x-oss-ec", "")),
        request_id=shown(said.request_id or headers.get("x-oss-request-id", "")),
        host_id=shown(said.host_id),
        hint=_hint(call, response, said, code) if is_of_oss else _hint_of_other(response),
        server_time=date.timestamp() if date else None,
        retry_after=_retry_after(headers),
        qos_delay=qos_delay(headers),
    )


def _blamed(call: Call, said: messages.ErrorAnswer, code: str) -> str:
    """Return which object an error is about: what was asked for, or what was to be copied to there."""
    if not (source := call.copy_source):
        return call.target
    is_sources = code in _OF_SOURCES or (code == "NoSuchBucket" and said.bucket not in ("", call.bucket))
    return source if is_sources else call.target


def _error_body(response: Response, pieces: Iterable[bytes]) -> bytes:
    if in_header := response.fields.get("x-oss-err"):  # a response to HEAD has no body
        try:
            return base64.b64decode(in_header, validate=True)
        except ValueError:
            return b""
    return joined(pieces, at_least=MAX_ERROR_BYTES)[:MAX_ERROR_BYTES]


_ERRORS_BY_CODE: Mapping[str, type[ServiceError]] = {
    "NoSuchBucket": NoSuchBucket,
    "NoSuchKey": NoSuchKey,
    "NoSuchUpload": NoSuchUpload,
    "PreconditionFailed": PreconditionFailed,
    "FileAlreadyExists": AlreadyExists,
    "InvalidPart": InvalidPart,
    "InvalidRange": InvalidRange,
    "CallbackFailed": CallbackFailed,
    "InvalidObjectState": ObjectArchived,
    "FileImmutable": ObjectImmutable,
    "EntityTooLarge": ObjectTooLarge,
}
# Of errors in the body of a 200, those that no further attempt mends, with the status that they have elsewhere.
_STATUSES: Mapping[str, int] = {
    "AccessDenied": 403,
    "EntityTooLarge": 400,
    "FileAlreadyExists": 409,
    "FileImmutable": 409,
    "InvalidObjectState": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "PreconditionFailed": 412,
}
# What a copy may be refused for by its source.
_OF_SOURCES = frozenset({"NoSuchKey", "NoSuchVersion", "PreconditionFailed", "InvalidObjectState"})
_ERRORS_BY_STATUS: Mapping[int, type[ServiceError]] = {
    203: CallbackFailed,
    401: AccessDenied,
    403: AccessDenied,
    412: PreconditionFailed,
    416: InvalidRange,
}


def _error_class(status: int, code: str) -> type[ServiceError]:
    return _ERRORS_BY_CODE.get(code) or _ERRORS_BY_STATUS.get(status) or ServiceError


_TO_COPY = (
    "oss:GetObject on the source, with oss:GetObjectVersion if a version is named, and oss:PutObject on the target"
)
# The RAM permission that each operation needs (OSS, "RAM policies", list of actions).
_PERMISSIONS: Mapping[str, str] = {
    "PutObject": "oss:PutObject",
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "GetObjectAcl": "oss:GetObjectAcl, and oss:GetObjectVersionAcl if a version is named",
    "GetObjectTagging": "oss:GetObjectTagging, and oss:GetObjectVersionTagging if a version is named",
    "GetSymlink": "oss:GetObject",
    "DeleteObject": "oss:DeleteObject",
    "DeleteMultipleObjects": "oss:DeleteObject",
    "CopyObject": f"{_TO_COPY}, and oss:GetObjectTagging and oss:PutObjectTagging if its tags are copied",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "UploadPartCopy": _TO_COPY,
    "ListParts": "oss:ListParts",
    "CompleteMultipartUpload": "oss:PutObject",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
    "ListMultipartUploads": "oss:ListMultipartUploads",
    "ListObjectsV2": "oss:ListObjects",
    "AppendObject": "oss:PutObject",
    "PutObjectTagging": "oss:PutObjectTagging, and oss:PutObjectVersionTagging if a version is named",
    "DeleteObjectTagging": "oss:DeleteObjectTagging, and oss:DeleteObjectVersionTagging if a version is named",
    "PutBucket": "oss:PutBucket",
    "DeleteBucket": "oss:DeleteBucket",
    "GetBucketInfo": "oss:GetBucketInfo",
    "GetBucketWorm": "oss:GetBucketWorm",
    "ListBuckets": "oss:ListBuckets",
}
_ACCOUNT = "the account that owns the bucket is suspended, most often for an unpaid bill; pay it, or ask its owner"
_HINTS_BY_CODE: Mapping[str, str] = {
    "SignatureDoesNotMatch": "check the Access Key Secret and the region",
    "InvalidAccessKeyId": "check the Access Key ID; it is unknown to OSS or disabled, or its STS token has expired",
    "SecurityTokenExpired": "the STS token has expired; get a new one",
    "InvalidSecurityToken": "the STS token does not belong to the Access Key ID",
    "AccessKeyIdAndSecurityTokenNotMatch": "the STS token does not belong to the Access Key ID",
    "RequestTimeTooSkewed": "set this worker's clock; it is over 15 minutes away from OSS's",
    "NoSuchBucket": "check the bucket's name, and that the endpoint is in its region",
    "CallbackFailed": "the object is stored, and OSS does not call again: tell the callback server of it yourself, and "
    "see why it did not answer 200 with JSON within 5 seconds",
    "SymlinkTargetNotExist": "it is a symbolic link to an object that does not exist",
    "InvalidTargetType": "it is a symbolic link to another link; name the object itself",
    "FileAlreadyExists": "the object exists and may not be overwritten",
    "FileImmutable": "the bucket's retention policy (WORM) protects the object; choose another key",
    "InvalidObjectState": "the object is archived: restore it first (RestoreObject, in the console or with ossutil), "
    "and run the task again when that is done",
    "UserDisable": _ACCOUNT,
    "InDebt": _ACCOUNT,
    "InDebtOverdue": _ACCOUNT,
    "AbnormalBucketOwnerStatus": _ACCOUNT,
    "BucketDisable": "OSS has disabled the bucket for security reasons; ask Alibaba's support",
    "UbsmsInvalidBid": "the account has no Key Management Service; activate it, or choose another encryption",
    "SecondLevelDomainForbidden": "set addressing to virtual in the connection; OSS requires the bucket in the host",
    "NonStandardHostForbidden": "OSS does not know this host; bind the domain to the bucket and set addressing to "
    "cname, or set OSS's own endpoint",
    "BucketNotEmpty": "it holds objects, versions of some, delete markers or unfinished uploads; remove them first",
    "BucketAlreadyExists": "the name is taken, by another account or in another region; choose another one",
    "TooManyBuckets": "the account has as many buckets in the region as it may have; delete one, or ask for more",
    "PositionNotEqualToLength": "the position is not the object's present size; ask for that with head_object",
    "ObjectNotAppendable": "the object was not created by an append, so OSS appends nothing to it; choose another key",
    "EntityTooLarge": "OSS accepts up to 5 GiB in one request; lower multipart_threshold and part_size",
}
# What OSS says with AccessDenied when no RAM permission is missing (OSS, "HTTP 403 errors").
_HINTS_BY_WORDS: Mapping[str, str] = {
    "kms": "grant kms:GenerateDataKey and kms:Decrypt on the KMS key that encrypts the object",
    "same data center": "source and target are in different regions, and OSS copies within one only: set "
    "copy_mode='stream' to have the worker read and write it",
    "referer": "the bucket's hotlink protection refuses requests without Referer; allow an empty Referer there",
    "vpc": "the policy of the VPC or of its endpoint forbids it; allow the bucket there",
    "public object acl": "the bucket blocks public access; leave acl out or set it to private",
}


def _hint(call: Call, response: Response, said: messages.ErrorAnswer, code: str) -> str:
    if said.endpoint:
        return f"the bucket is at {shown(said.endpoint)}: set its region, or that as the endpoint"
    if "signing region" in said.message:  # InvalidArgument, which may mean anything
        return "check the region; it is not the endpoint's"
    if code == "EntityTooLarge" and call.copy_source:
        return "OSS does not copy that much in one request; copy it in parts"
    if code in _HINTS_BY_CODE:
        return _HINTS_BY_CODE[code]
    if "kms" in code.lower() or code == "AccessDenied":
        for words, hint in _HINTS_BY_WORDS.items():
            if re.search(rf"\b{words}\b", f"{code} {said.message}", re.IGNORECASE):
                return hint
    if code == "AccessDenied" and call.operation in _PERMISSIONS:
        return f"grant {_PERMISSIONS[call.operation]}"
    if response.status == 403 and not code:  # as HEAD is answered by some of OSS's servers
        return "OSS did not say why; ask its support with the request ID"
    return _hint_of_redirect(response)


def _hint_of_other(response: Response) -> str:
    """Return the next step for an error that is not OSS's: it has neither a code nor a header of OSS's."""
    if redirect := _hint_of_redirect(response):
        return redirect
    if response.status == 413:
        return (
            "a proxy answered, not OSS, and accepts no request of this size: raise its limit, client_max_body_size of "
            "nginx, or lower part_size and multipart_threshold"
        )
    return (
        "this response did not come from OSS, because it has no code and no request ID: a proxy, a CDN or another "
        "server answered; check the connection's endpoint and proxy"
    )


def _hint_of_redirect(response: Response) -> str:
    if not (location := response.fields.get("location")):
        return ""
    return f"a redirect to {shown(_without_user(location))} was not followed; set that as the endpoint if it is right"


def _without_user(location: str) -> str:
    """Return a URL without its query, and without user and password."""
    scheme, separator, rest = location.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from Retry-After and OSS's own throttling header; the longer ones count."""
    asked = [seconds for seconds in (qos_delay(headers), _asked_to_wait(headers)) if seconds is not None]
    return max(asked, default=None)


def _asked_to_wait(headers: Mapping[str, str]) -> float | None:
    said = headers.get("retry-after", "")
    if (seconds := read_number(said)) is not None:
        return float(seconds)
    if (when := messages.read_http_date(said)) is None:
        return None
    now = messages.read_http_date(headers.get("date"))  # by the clock that the other one is of
    return max(0.0, when.timestamp() - (now.timestamp() if now else time.time()))


def qos_delay(headers: Mapping[str, str]) -> float | None:
    """Return the seconds by which OSS throttles, of the milliseconds that it tells; None when it does not."""
    delay = read_number(headers.get("x-oss-qos-delay-time"))
    return None if delay is None else delay / 1000
