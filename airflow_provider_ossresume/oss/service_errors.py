"""Turns an error response into an exception that names the next step."""

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
from airflow_provider_ossresume.oss import xml_responses
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.header_values import join_until, one_line, read_http_date, read_number
from airflow_provider_ossresume.oss.response import Response

MAX_ERROR_BYTES = 64 * 1024  # OSS's errors have about 500 bytes


def read_error(call: Call, response: Response, pieces: Iterable[bytes]) -> ServiceError:
    """Return the exception for an error response."""
    return _service_error(
        call, response, xml_responses.read_error(_error_body(response, pieces)), status=response.status
    )


def error_in_body(call: Call, response: Response, said: xml_responses.ErrorDetails) -> ServiceError:
    """Return the exception for an error in the body of a response whose status is a success."""
    return _service_error(call, response, said, status=_STATUSES.get(said.code, 500))


def unexpected_success(call: Call, response: Response, pieces: Iterable[bytes]) -> RequestError:
    """Return the exception for a status that is a success, but not one that the call expects."""
    if response.status == 203 and call.has_callback:
        return read_error(call, response, pieces)
    return call.bad_answer(f"got the unexpected status {response.status}")


def _service_error(call: Call, response: Response, said: xml_responses.ErrorDetails, *, status: int) -> ServiceError:
    headers = response.fields
    is_of_oss = bool(said.code) or any(name.startswith("x-oss-") for name in headers)
    code = said.code or ("NoSuchKey" if status == 404 and call.method == "HEAD" and is_of_oss else "")
    date = read_http_date(headers.get("date"))
    kind = _error_class(status, code)
    return kind(
        operation=call.operation,
        target=_blamed(call, said, code),
        status=status,
        code=one_line(code),
        detail=one_line(said.message),
        ec=one_line(said.ec or headers.get("x-oss-ec", "")),
        request_id=one_line(said.request_id or headers.get("x-oss-request-id", "")),
        host_id=one_line(said.host_id),
        hint=_hint(call, response, said, code) if is_of_oss else _hint_of_other(response),
        server_time=date.timestamp() if date else None,
        retry_after=_retry_after(headers),
        qos_delay=qos_delay(headers),
    )


def _blamed(call: Call, said: xml_responses.ErrorDetails, code: str) -> str:
    """Return which object an error is about: the target, or the source of a copy."""
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
    return join_until(pieces, at_least=MAX_ERROR_BYTES)[:MAX_ERROR_BYTES]


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
# Errors in the body of a 200 that another attempt cannot fix, with the status that they have elsewhere.
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
# Codes that are about a copy's source.
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
_ACCOUNT = "the account that owns the bucket is suspended, usually for an unpaid bill; pay it, or ask the owner"
_HINTS_BY_CODE: Mapping[str, str] = {
    "SignatureDoesNotMatch": "check the Access Key Secret and the region",
    "InvalidAccessKeyId": "check the Access Key ID: it is unknown to OSS or disabled, or its STS token has expired",
    "SecurityTokenExpired": "the STS token has expired; get a new one",
    "InvalidSecurityToken": "the STS token does not belong to the Access Key ID",
    "AccessKeyIdAndSecurityTokenNotMatch": "the STS token does not belong to the Access Key ID",
    "RequestTimeTooSkewed": "set this worker's clock; it differs from OSS's by more than 15 minutes",
    "NoSuchBucket": "check the bucket's name, and that the endpoint is in its region",
    "CallbackFailed": "the object is stored, and OSS does not repeat the callback: notify your server yourself, and "
    "find out why it did not respond with 200 and JSON within 5 seconds",
    "SymlinkTargetNotExist": "the object is a symbolic link to an object that does not exist; correct the link",
    "InvalidTargetType": "the object is a symbolic link to another link; name the object itself",
    "FileAlreadyExists": "the object exists and must not be overwritten",
    "FileImmutable": "the bucket's retention policy (WORM) protects the object; choose another key",
    "InvalidObjectState": "the object is archived: restore it first (RestoreObject, in the console or with ossutil), "
    "and run the task again when that is done",
    "UserDisable": _ACCOUNT,
    "InDebt": _ACCOUNT,
    "InDebtOverdue": _ACCOUNT,
    "AbnormalBucketOwnerStatus": _ACCOUNT,
    "BucketDisable": "OSS has disabled the bucket for security reasons; ask Alibaba Cloud's support",
    "UbsmsInvalidBid": "the account has no Key Management Service; activate it, or choose another encryption",
    "SecondLevelDomainForbidden": "set addressing to virtual in the connection; OSS requires the bucket in the host",
    "NonStandardHostForbidden": "OSS does not know this host; bind the domain to the bucket and set addressing to "
    "cname, or set OSS's own endpoint",
    "BucketNotEmpty": "the bucket has objects, old versions, delete markers or unfinished uploads; remove them first",
    "BucketAlreadyExists": "the name is taken by another account, or in another region; choose another name",
    "TooManyBuckets": "the account has reached its limit of buckets in this region; delete one, or ask for more",
    "PositionNotEqualToLength": "the position is not the object's present size; get that with head_object",
    "ObjectNotAppendable": "the object was not created by an append, so OSS cannot append to it; choose another key",
    "EntityTooLarge": "OSS accepts up to 5 GiB in one request; lower multipart_threshold and part_size",
}
# Words in OSS's message if AccessDenied has another reason than a missing permission (OSS, "HTTP 403 errors").
_HINTS_BY_WORDS: Mapping[str, str] = {
    "kms": "grant kms:GenerateDataKey and kms:Decrypt on the KMS key that encrypts the object",
    "same data center": "source and target are in different regions, and OSS copies within a region only: set "
    "copy_mode='stream' to copy through the worker",
    "referer": "the bucket's hotlink protection refuses requests without Referer; allow an empty Referer",
    "vpc": "a policy of the VPC or of its endpoint forbids it; allow the bucket in that policy",
    "public object acl": "the bucket blocks public access; leave acl out or set it to private",
}


def _hint(call: Call, response: Response, said: xml_responses.ErrorDetails, code: str) -> str:
    if said.endpoint:
        return f"the bucket is at {one_line(said.endpoint)}: set its region, or that as the endpoint"
    if "signing region" in said.message:  # the code is InvalidArgument, which may mean anything
        return "check the region; it differs from the endpoint's"
    if code == "EntityTooLarge" and call.copy_source:
        return "OSS does not copy so many bytes in one request; copy the object in parts"
    if code in _HINTS_BY_CODE:
        return _HINTS_BY_CODE[code]
    if "kms" in code.lower() or code == "AccessDenied":
        for words, hint in _HINTS_BY_WORDS.items():
            if re.search(rf"\b{words}\b", f"{code} {said.message}", re.IGNORECASE):
                return hint
    if code == "AccessDenied" and call.operation in _PERMISSIONS:
        return f"grant {_PERMISSIONS[call.operation]}"
    if response.status == 403 and not code:  # some of OSS's servers respond like this to HEAD
        return "OSS did not say why; ask its support with the request ID"
    return _hint_of_redirect(response)


def _hint_of_other(response: Response) -> str:
    """Return the next step for an error that did not come from OSS: it has neither a code nor a header of OSS."""
    if redirect := _hint_of_redirect(response):
        return redirect
    if response.status == 413:
        return (
            "a proxy responded, not OSS, and it does not accept a request of this size: raise its limit "
            "(client_max_body_size of nginx), or lower part_size and multipart_threshold"
        )
    return (
        "this response did not come from OSS, because it has no code and no request ID: a proxy, a CDN or another "
        "server answered; check the connection's endpoint and proxy"
    )


def _hint_of_redirect(response: Response) -> str:
    if not (location := response.fields.get("location")):
        return ""
    target = one_line(_without_user(location))
    return f"the redirect to {target} was not followed; if it is correct, set it as the endpoint"


def _without_user(location: str) -> str:
    """Return a URL without query, user name and password."""
    scheme, separator, rest = location.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that OSS asks to wait: the maximum of Retry-After and of its own throttling header."""
    asked = [seconds for seconds in (qos_delay(headers), _asked_to_wait(headers)) if seconds is not None]
    return max(asked, default=None)


def _asked_to_wait(headers: Mapping[str, str]) -> float | None:
    said = headers.get("retry-after", "")
    if (seconds := read_number(said)) is not None:
        return float(seconds)
    if (when := read_http_date(said)) is None:
        return None
    now = read_http_date(headers.get("date"))  # both by the server's clock
    return max(0.0, when.timestamp() - (now.timestamp() if now else time.time()))


def qos_delay(headers: Mapping[str, str]) -> float | None:
    """Return by how many seconds OSS throttles, from a header in milliseconds; None if it does not."""
    delay = read_number(headers.get("x-oss-qos-delay-time"))
    return None if delay is None else delay / 1000
