"""Errors of requests: no credentials, no response, or an error that OSS responded with."""

from __future__ import annotations

from airflow_provider_ossresume.errors._base import OSSResumeError


class CredentialsError(OSSResumeError):
    """There are no credentials, or the service that issues them refused. Waiting does not help."""


class CredentialsUnavailable(CredentialsError):
    """The service that issues the credentials did not respond, is overloaded, or responded with something else."""

    retryable = True


class RequestError(OSSResumeError):
    """A request to OSS failed.

    :param operation: the OSS operation, such as ``UploadPart``
    :param target: the object or bucket, such as ``oss://bucket/key``
    """

    operation: str = ""
    target: str = ""

    def __init__(self, message: str, *, operation: str, target: str) -> None:
        super().__init__(message)
        self.operation = operation
        self.target = target


class ConnectionFailed(RequestError):
    """No response came, or only a part of one: refused, reset, timed out, stalled or cut short."""

    retryable = True


class BadAnswer(RequestError):
    """The response is not what the OSS protocol promises. Often it came from a proxy or a wrong endpoint."""

    retryable = True


class ServiceError(RequestError):
    """OSS responded with an error.

    :ivar status: the HTTP status
    :ivar code: OSS's error code, such as ``NoSuchKey``; empty if the response has none
    :ivar ec: OSS's more specific error code, such as ``0026-00000001``
    :ivar request_id: OSS's ID of the request; Alibaba Cloud's support asks for it
    :ivar host_id: the host that responded
    :ivar server_time: the response's Date in seconds since 1970, or None
    :ivar retry_after: seconds that OSS asks to wait before the next attempt, or None
    :ivar qos_delay: seconds by which OSS says that it throttles (``x-oss-qos-delay-time``), or None
    """

    # Defaults for an error from another version that lacks some of these: see error_from_data.
    status: int = 0
    code: str = ""
    detail: str = ""
    ec: str = ""
    request_id: str = ""
    host_id: str = ""
    hint: str = ""
    server_time: float | None = None
    retry_after: float | None = None
    qos_delay: float | None = None

    def __init__(
        self,
        *,
        operation: str,
        target: str,
        status: int,
        code: str = "",
        detail: str = "",
        ec: str = "",
        request_id: str = "",
        host_id: str = "",
        hint: str = "",
        server_time: float | None = None,
        retry_after: float | None = None,
        qos_delay: float | None = None,
    ) -> None:
        said = " ".join(part for part in (str(status), code) if part)
        text = f"{operation} {target} answered {said}"
        if detail:
            text += f": {detail.rstrip('.')}"
        if hint:
            text += f"; {hint}"
        facts = ", ".join(
            f"{name} {value}" for name, value in (("request id", request_id), ("EC", ec), ("host", host_id)) if value
        )
        super().__init__(f"{text} [{facts}]" if facts else text, operation=operation, target=target)
        self.status = status
        self.code = code
        self.detail = detail
        self.ec = ec
        self.request_id = request_id
        self.host_id = host_id
        self.hint = hint
        self.server_time = server_time
        self.retry_after = retry_after
        self.qos_delay = qos_delay
        # The same as OSS's SDKs: 408, 429, 5xx, and a body that arrived damaged.
        self.retryable = status in (408, 429) or status >= 500 or code in RETRYABLE_CODES


# OSS, "Error handling" of the SDKs: the bytes were damaged in transit, or the front end asks for a retry.
RETRYABLE_CODES = frozenset(
    {"BadRequest", "InvalidDigest", "BadDigest", "MalformedXML", "RequestTimeout", "IncompleteBody"}
)


class AccessDenied(ServiceError):
    """403: no permission, the key or token is wrong or expired, or the clock is wrong; the hint says which."""


class NoSuchBucket(ServiceError):
    """404: the bucket does not exist, or is at another endpoint."""


class NoSuchKey(ServiceError):
    """404: the object does not exist."""


class NoSuchUpload(ServiceError):
    """404: the upload ID no longer exists. The upload was completed, aborted, or removed by a lifecycle rule."""


class PreconditionFailed(ServiceError):
    """412: If-Match or another condition is not met."""


class AlreadyExists(ServiceError):
    """409 FileAlreadyExists: the object exists, and the request had ``x-oss-forbid-overwrite``."""


class InvalidPart(ServiceError):
    """400 on CompleteMultipartUpload: a part is missing, or has another ETag."""


class InvalidRange(ServiceError):
    """416: the object is too short for the requested range."""


class CallbackFailed(ServiceError):
    """203: the object is stored, but the callback of the upload failed. OSS does not repeat it."""


class ObjectArchived(ServiceError):
    """403 InvalidObjectState: the object is archived and not restored, so its bytes cannot be read."""


class ObjectImmutable(ServiceError):
    """409 FileImmutable: a retention policy (WORM) protects the object from being overwritten or deleted."""


class ObjectTooLarge(ServiceError):
    """400 EntityTooLarge: more bytes than OSS accepts, or copies, in one request."""
