"""A call as it is meant, and what its answer says: values, or an error of ours with the next step in it."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import unquote

from urllib3.exceptions import ConnectTimeoutError, ProxyError

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    BadAnswer,
    CallbackFailed,
    ConnectionFailed,
    IntegrityError,
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
from airflow_provider_ossresume.model.etags import read_etag, same_etag
from airflow_provider_ossresume.model.objects import CopiedObject, ObjectMeta, ObjectRef
from airflow_provider_ossresume.oss import messages
from airflow_provider_ossresume.oss.answer import Answer
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed
from airflow_provider_ossresume.oss.endpoint import Endpoint
from airflow_provider_ossresume.oss.messages import MalformedXML

T = TypeVar("T")

MAX_ERROR_BYTES = 64 * 1024  # OSS's errors have about 500 bytes
MAX_XML_BYTES = 8 * 2**20  # a page of 1,000 keys of 1,023 bytes, percent-encoded, has under 5 MiB
MAX_SKIPPED = 16 * 2**20  # bytes read in vain of an object that came whole; what comes by one request by default
MAX_SHOWN = 1_000  # characters of one text of an answer that an error shows


class Body(Protocol):
    """What is sent: opened anew at each attempt, so that a retry sends it from its start."""

    @property
    def size(self) -> int: ...

    def open(self) -> Iterable[bytes | memoryview]: ...

    def content_md5(self) -> str | None:
        """The header Content-MD5 of what will be sent; None when nothing is to be verified, or cannot."""

    def crc64(self) -> int | None:
        """The CRC-64 of what the last attempt sent; None when nothing is to be verified."""


@dataclass(frozen=True)
class Call:
    """One request as it is meant, before it is signed."""

    operation: str
    method: str
    bucket: str | None = None
    key: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None
    success: Sequence[int] = (200,)

    @property
    def target(self) -> str:
        if self.bucket is None:
            return "OSS"
        if self.key is None:
            return f"oss://{self.bucket}"
        part = self.query.get("partNumber")
        return ObjectRef(self.bucket, self.key).uri + (f" part {part}" if part else "")

    @property
    def copy_source(self) -> str:
        """What a copy is made of; empty for anything else."""
        path = self._header("x-oss-copy-source")
        return f"oss:/{unquote(path.partition('?')[0])}" if path else ""

    @property
    def has_callback(self) -> bool:
        """True when OSS is to call an application's server, whose answer then takes the place of OSS's body."""
        return self._header("x-oss-callback") is not None

    @property
    def takes_long(self) -> bool:
        """True when OSS may begin its answer before its work is done, and sends blanks until then."""
        return self.operation in ("CompleteMultipartUpload", "CopyObject", "UploadPartCopy")

    def _header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers.items() if name.lower() == wanted), None)

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"

    def bad_answer(self, what: str) -> BadAnswer:
        return BadAnswer(f"{self}: {what}", operation=self.operation, target=self.target)

    def failed(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self}: {what}", operation=self.operation, target=self.target)


# --- values -----------------------------------------------------------------------------------------------------------


def read_xml(call: Call, answer: Answer, pieces: Iterable[bytes], parse: Callable[[bytes], T]) -> T:
    """Return what ``parse`` reads in the body, which comes in pieces."""
    body = joined(pieces, at_least=MAX_XML_BYTES + 1)
    said, problem = messages.ErrorAnswer(), f"the answer is over {MAX_XML_BYTES} bytes long"
    if len(body) <= MAX_XML_BYTES:
        try:
            return parse(body)
        except MalformedXML as error:
            # Copies and Complete may take long: OSS then sends 200 first and an error in the body.
            said, problem = messages.read_error(body), str(error)
    del body  # an error may live for long, and so does what stands in its frames
    if said.code:
        raise _service_error(call, answer, said, status=_STATUSES.get(said.code, 500))
    raise call.bad_answer(problem)


def joined(pieces: Iterable[bytes], *, at_least: int) -> bytes:
    """Return the pieces as one, up to the one with which they have that many bytes."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= at_least:
            break
    return bytes(body)


def nothing(answer: Answer) -> None:
    """That it is a success is all that such an answer says."""


def object_meta(call: Call, answer: Answer, *, size: int, etag: str = "") -> ObjectMeta:
    """Return what the headers say of an object.

    :param etag: where the answer's body tells it
    :raises BadAnswer: when there is none: such an answer is not OSS's, or half of one
    """
    headers = {name: _decoded(value) for name, value in answer.fields.items()}
    etag = etag or read_etag(headers.get("etag"))
    if not etag and not call.has_callback:  # which would be made once more
        raise call.bad_answer("the answer has no ETag")
    meta = ObjectMeta(
        size=size,
        etag=etag,
        crc64=_number(headers.get("x-oss-hash-crc64ecma")),
        last_modified=messages.read_http_date(headers.get("last-modified")),
        content_type=headers.get("content-type"),
        version_id=headers.get("x-oss-version-id"),
        metadata={
            name.removeprefix("x-oss-meta-"): value for name, value in headers.items() if name.startswith("x-oss-meta-")
        },
        headers=headers,
        answered_at=messages.read_http_date(headers.get("date")),
    )
    # OSS, HeadObject: of a link all but size, ETag, MD5 and storage class may be its own, not its target's.
    return replace(meta, crc64=None) if meta.is_link else meta


def _decoded(value: str) -> str:
    """OSS sends UTF-8 in headers; they are read as Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def stored_object(call: Call, answer: Answer, body: Body) -> ObjectMeta:
    stored = object_meta(call, answer, size=body.size)
    sent = body.crc64()
    if sent is not None and stored.crc64 is not None and sent != stored.crc64:
        raise IntegrityError(f"{call}: OSS stored bytes with CRC-64 {stored.crc64}, sent were {sent}")
    return stored


def completed_object(call: Call, answer: Answer, pieces: Iterable[bytes], *, size: int) -> ObjectMeta:
    """Return the object that a Complete has made."""
    try:
        etag = read_xml(call, answer, pieces, partial(messages.read_etag, root="CompleteMultipartUploadResult"))
    except BadAnswer:
        if not call.has_callback:
            raise
        etag = ""  # these are the callback server's words; the ETag is in the headers
    return object_meta(call, answer, size=size, etag=etag)


def copied_object(
    call: Call, answer: Answer, pieces: Iterable[bytes], *, root: str = "CopyObjectResult"
) -> CopiedObject:
    """Return the object, or the part, that OSS has copied."""
    return CopiedObject(
        etag=read_xml(call, answer, pieces, partial(messages.read_etag, root=root)),
        crc64=_number(answer.fields.get("x-oss-hash-crc64ecma")),
        version_id=answer.fields.get("x-oss-version-id"),
        source_version_id=answer.fields.get("x-oss-copy-source-version-id"),
    )


@dataclass(frozen=True)
class Delivery:
    """What the answer to a GET brings: of its body, the bytes ``[start, stop)`` are those that were asked for.

    :ivar meta: of the whole object
    """

    meta: ObjectMeta
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def wanted(self, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield of the body's pieces what was asked for; the rest behind it is not read."""
        at = 0
        for piece in pieces:
            if data := piece[max(0, self.start - at) : max(0, self.stop - at)]:
                yield data
            at += len(piece)
            if at >= self.stop:
                break


def delivery(
    call: Call,
    answer: Answer,
    start: int,
    stop: int | None,
    *,
    may_end_before: bool = False,
    etag: str | None = None,
    total: int | None = None,
) -> Delivery:
    """Return what an answer to a GET brings of the bytes ``[start, stop)``, or of the whole object without a stop.

    A peer that ignores ranges sends the object whole. That is taken where it costs little: few bytes stand before
    those that are wanted, and what follows them is not read.

    :param etag: the one that the object must still have; who answers may have dropped If-Match
    :param total: the same, of its size
    :raises PreconditionFailed: when it has others, so that bytes of two objects never get mixed
    :raises BadAnswer: when it is about other bytes
    """
    if stop is None:
        found = Delivery(object_meta(call, answer, size=content_length(call, answer)), start, 0)
        found = replace(found, stop=found.meta.size)
    elif answer.status == 200:
        size = content_length(call, answer)
        end = min(stop, size) if may_end_before else stop
        if start > MAX_SKIPPED or not start < end <= size:
            raise _ignores_ranges(call, size)
        found = Delivery(object_meta(call, answer, size=size), start, end)
    else:
        first, end, size = _content_range(call, answer, start, stop, may_end_before=may_end_before)
        found = Delivery(object_meta(call, answer, size=size), 0, end - first)
    if etag is not None and not same_etag(found.meta.etag, etag):
        raise _changed(call, answer, f"its ETag was {etag}, is {found.meta.etag}")
    if total is not None and found.meta.size != total:
        raise _changed(call, answer, f"it had {total} bytes, has {found.meta.size}")
    return found


def _content_range(call: Call, answer: Answer, start: int, stop: int, *, may_end_before: bool) -> tuple[int, int, int]:
    said = answer.fields.get("content-range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20})", said.strip())
    first, last, size = map(int, match.groups()) if match else (0, 0, 0)
    end = min(stop, size) if may_end_before else stop
    if not match or (first, last) != (start, end - 1) or last >= size:
        raise call.bad_answer(f"asked for bytes {start}-{stop - 1}, was answered Content-Range {shown(said)!r}")
    return first, end, size


def _changed(call: Call, answer: Answer, what: str) -> PreconditionFailed:
    return PreconditionFailed(
        operation=call.operation,
        target=call.target,
        status=412,
        code="PreconditionFailed",
        detail=shown(f"the object changed: {what}"),
        request_id=shown(answer.fields.get("x-oss-request-id", "")),
    )


def _ignores_ranges(call: Call, size: int) -> BadAnswer:
    error = call.bad_answer(
        f"asked for {call.headers['Range']}, was answered 200 with the whole object of {size} bytes: who answered "
        "ignores Range, as some CDNs and proxies do; set OSS's own endpoint, switch ranges on there, or raise "
        "multipart_threshold above the object's size, so that it comes by one request"
    )
    error.retryable = False  # who does not know ranges does not know them the next time
    return error


def content_length(call: Call, answer: Answer) -> int:
    length = _number(answer.fields.get("content-length"))
    if length is None:
        raise call.bad_answer("the answer has no Content-Length")
    return length


def _number(text: str | None) -> int | None:
    """Return a header's number; what has more than the 20 digits of a CRC-64 is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,20}", text.strip()) else None


# --- errors -----------------------------------------------------------------------------------------------------------


def read_error(call: Call, answer: Answer, pieces: Iterable[bytes]) -> ServiceError:
    """Return the error that an answer is."""
    return _service_error(call, answer, messages.read_error(_error_body(answer, pieces)), status=answer.status)


def not_what_was_asked_for(call: Call, answer: Answer, pieces: Iterable[bytes]) -> RequestError:
    """Return the error for an answer that is a success, but not the one that was asked for."""
    if answer.status == 203 and call.has_callback:
        return read_error(call, answer, pieces)
    return call.bad_answer(f"was answered {answer.status}")


def connection_failed(call: Call, error: ExchangeFailed, endpoint: Endpoint) -> ConnectionFailed:
    """Return the error for a failed exchange."""
    failed = call.failed(reason(error, advice=endpoint.advice()))
    failed.retryable = not error.is_lasting
    return failed


def _service_error(call: Call, answer: Answer, said: messages.ErrorAnswer, *, status: int) -> ServiceError:
    headers = answer.fields
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
        hint=_hint(call, answer, said, code) if is_of_oss else _hint_of_other(answer),
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


def _error_body(answer: Answer, pieces: Iterable[bytes]) -> bytes:
    if in_header := answer.fields.get("x-oss-err"):  # an answer to HEAD has no body
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


def _hint(call: Call, answer: Answer, said: messages.ErrorAnswer, code: str) -> str:
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
    if answer.status == 403 and not code:  # as HEAD is answered by some of OSS's servers
        return "OSS did not say why; ask its support with the request ID"
    return _hint_of_redirect(answer)


def _hint_of_other(answer: Answer) -> str:
    """Return the next step for an error that is not OSS's: it has neither a code nor a header of OSS's."""
    if redirect := _hint_of_redirect(answer):
        return redirect
    if answer.status == 413:
        return (
            "a proxy answered, not OSS, and accepts no request of this size: raise its limit, client_max_body_size of "
            "nginx, or lower part_size and multipart_threshold"
        )
    return (
        "this answer is not OSS's, it has no code and no request ID: a proxy, a CDN or another server answered; check "
        "the connection's endpoint and proxy"
    )


def _hint_of_redirect(answer: Answer) -> str:
    if not (location := answer.fields.get("location")):
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
    if (seconds := _number(said)) is not None:
        return float(seconds)
    if (when := messages.read_http_date(said)) is None:
        return None
    now = messages.read_http_date(headers.get("date"))  # by the clock that the other one is of
    return max(0.0, when.timestamp() - (now.timestamp() if now else time.time()))


def qos_delay(headers: Mapping[str, str]) -> float | None:
    """Return the seconds by which OSS throttles, of the milliseconds that it tells; None when it does not."""
    delay = _number(headers.get("x-oss-qos-delay-time"))
    return None if delay is None else delay / 1000


def shown(text: str) -> str:
    """Return what a peer says as one line of bounded length, so that it cannot write lines of its own into a log."""
    line = "".join(character if character.isprintable() else " " for character in text[: MAX_SHOWN + 1]).strip()
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"


# What to do when no answer came, by what stands in the chain of errors; the first one counts.
_NEXT_STEPS: tuple[tuple[type[BaseException], str], ...] = (
    (ProxyError, "check the connection's Proxy, or HTTPS_PROXY and NO_PROXY of this machine"),
    (
        ssl.SSLCertVerificationError,
        "set the connection's CA bundle if your own authority has issued the certificate",
    ),
    (ConnectionRefusedError, "nothing listens there; check host and port of the endpoint"),
    (
        ConnectTimeoutError,
        "check the endpoint and the firewall; an internal endpoint can only be reached from inside Alibaba Cloud",
    ),
)

# What OpenSSL says, by its version, when it is answered without TLS, and Python when it is not answered at all.
_OF_ANOTHER_HOST = ("Hostname mismatch", "IP address mismatch", "doesn't match")
_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure", "no TLS handshake")


def reason(error: BaseException, *, advice: str = "check endpoint and region") -> str:
    """The innermost reason, without the URL, which may hold a signature, and the next step.

    :param advice: the next step when there is no such host
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    # What did not come in time says which of it; else the innermost knows most.
    is_told = isinstance(error, ExchangeFailed) and error.is_timeout
    text = shown(str(error if is_told else chain[-1])) or type(chain[-1]).__name__
    if any(words in text for words in _NO_TLS):
        return f"{text}; the server there does not speak TLS: begin the endpoint with http://, or correct its port"
    is_proxys = any(isinstance(each, ProxyError) for each in chain)
    if not is_proxys and isinstance(chain[-1], socket.gaierror):
        return f"{text}; no name server knows this host; {advice}"
    if not is_proxys and any(words in text for words in _OF_ANOTHER_HOST):
        return f"{text}; the certificate is another host's; {advice}"
    for kind, step in _NEXT_STEPS:
        if any(isinstance(each, kind) for each in chain):
            return f"{text}; {step}"
    return text
