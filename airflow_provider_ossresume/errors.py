"""Every exception of the package, one tree, at most three deep::

    OSSResumeError
    ├── ArgumentError (also a ValueError)  an argument cannot be used; raised before any byte moves
    ├── CredentialsError                   no usable credentials
    │   └── CredentialsUnavailable         who issues them did not answer, or not now
    ├── RequestError                       OSS, or the way to it, did not do what was asked
    │   ├── ConnectionFailed               no answer, or half of one
    │   ├── BadAnswer                      an answer that is not OSS's protocol
    │   └── ServiceError                   OSS answered with an error
    │       └── AccessDenied, NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed,
    │           AlreadyExists, InvalidPart, InvalidRange, CallbackFailed, ObjectArchived,
    │           ObjectImmutable, ObjectTooLarge
    ├── TransferError                      the bytes could not be moved or proven
    │   ├── IntegrityError                 a CRC-64 or a size differs
    │   ├── SourceChanged                  the local file changed while it was read
    │   ├── ObjectChanged                  the object changed while it was read
    │   ├── SourceUnreadable               the object that a copy streams cannot be read
    │   ├── NotCopyable                    OSS cannot make this copy by itself
    │   ├── LocalFileError                 the local disk refused
    │   ├── TransferStopped                somebody asked for the stop (on_kill, a progress callback)
    │   └── TrySuperseded                  a newer try has taken over
    │       └── SupervisorGone             Airflow's process for this try is gone, so a newer try may come
    ├── FileSystemError (also an OSError)  a call of the oss:// filesystem failed; its cause says why
    │   ├── FileMissing (also a FileNotFoundError)
    │   ├── FileForbidden (also a PermissionError)
    │   ├── FileIsThere (also a FileExistsError)
    │   └── FileIsDirectory (also an IsADirectoryError)
    ├── SetError                           a transfer of many files cannot be planned, or is not proven
    │   ├── PlanRefused                    the plan would do what nobody has allowed, or leave files out
    │   ├── NotProven                      not every file of the plan is where it belongs
    │   └── ManifestUnreadable             what lies in the work folder is no plan, batch or ledger of ours
    ├── PartlyFailed                       some of many like calls failed; the others are done
    └── CheckpointError
        ├── CheckpointUnreadable           what is stored is no checkpoint of ours
        ├── StoreUnavailable               the checkpoint store did not answer
        └── NoXComHolder                   no task instance can hold the checkpoint's XCom

``retryable`` answers whether a later try of the same call can succeed without anybody changing anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class OSSResumeError(Exception):
    """The root: catch this to catch everything that the package raises on purpose."""

    retryable: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # As it is, without calling __init__, and without what caused it: that may hold a signed URL.
        return _as_it_was, (type(self), self.args, vars(self))


def _as_it_was(kind: type[OSSResumeError], args: tuple[Any, ...], facts: dict[str, Any]) -> OSSResumeError:
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class ArgumentError(OSSResumeError, ValueError):
    """An argument cannot be used. Names the argument, its value and the next step."""

    argument: str = ""
    value: object = None
    reason: str = ""

    def __init__(self, argument: str, value: object, reason: str) -> None:
        super().__init__(f"{argument}={value!r}: {reason}")
        self.argument = argument
        self.value = value
        self.reason = reason


class CredentialsError(OSSResumeError):
    """There are no credentials, or their source refused to issue any; waiting mends neither."""


class CredentialsUnavailable(CredentialsError):
    """The service that issues the credentials did not answer, was overloaded, or answered what it never should."""

    retryable = True


class RequestError(OSSResumeError):
    """A request to OSS failed.

    :param operation: the OSS operation, such as ``UploadPart``
    :param target: what it was about, such as ``oss://bucket/key``
    """

    operation: str = ""
    target: str = ""

    def __init__(self, message: str, *, operation: str, target: str) -> None:
        super().__init__(message)
        self.operation = operation
        self.target = target


class ConnectionFailed(RequestError):
    """No answer came, or only a part of one: refused, reset, timed out, stalled, cut short."""

    retryable = True


class BadAnswer(RequestError):
    """The answer is not what the OSS protocol promises; often a proxy or a wrong endpoint answered."""

    retryable = True


class ServiceError(RequestError):
    """OSS answered with an error.

    :ivar status: the HTTP status
    :ivar code: OSS's error code, such as ``NoSuchKey``; empty when the answer carried none
    :ivar ec: OSS's finer error code, such as ``0026-00000001``
    :ivar request_id: what Alibaba's support asks for
    :ivar host_id: the host that answered
    :ivar server_time: the answer's Date as seconds since 1970, or None
    :ivar retry_after: seconds that OSS asks to wait before the next attempt, or None
    :ivar qos_delay: seconds by which OSS says that it throttles (``x-oss-qos-delay-time``), or None
    """

    # What an error has that another version has told without some of its facts.
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
        # What OSS's SDKs retry too: 408, 429, 5xx, and a body that arrived damaged.
        self.retryable = status in (408, 429) or status >= 500 or code in RETRYABLE_CODES


# OSS, "Error handling" of the SDKs: the bytes were damaged on the way, or the frontend asks to come again.
RETRYABLE_CODES = frozenset(
    {"BadRequest", "InvalidDigest", "BadDigest", "MalformedXML", "RequestTimeout", "IncompleteBody"}
)


class AccessDenied(ServiceError):
    """403: a permission is missing, the key or token is wrong or expired, or the clock is off; the hint says which."""


class NoSuchBucket(ServiceError):
    """404: the bucket does not exist, or not at this endpoint."""


class NoSuchKey(ServiceError):
    """404: the object does not exist."""


class NoSuchUpload(ServiceError):
    """404: the upload ID does not exist any more: completed, aborted, or removed by a lifecycle rule."""


class PreconditionFailed(ServiceError):
    """412: If-Match or another condition does not hold."""


class AlreadyExists(ServiceError):
    """409 FileAlreadyExists: the object exists and ``x-oss-forbid-overwrite`` was asked for."""


class InvalidPart(ServiceError):
    """400 on CompleteMultipartUpload: a part is not there, or not with that ETag."""


class InvalidRange(ServiceError):
    """416: the object is shorter than what was asked for."""


class CallbackFailed(ServiceError):
    """203: the object is stored, but the callback that the upload asked for failed. OSS does not call again."""


class ObjectArchived(ServiceError):
    """403 InvalidObjectState: the object is in an archive class and not restored, so nobody can read its bytes."""


class ObjectImmutable(ServiceError):
    """409 FileImmutable: a retention policy (WORM) protects the object that would be overwritten or deleted."""


class ObjectTooLarge(ServiceError):
    """400 EntityTooLarge: more bytes than OSS takes, or copies, in one request."""


class TransferError(OSSResumeError):
    """The bytes could not be moved, or not be proven equal."""


class IntegrityError(TransferError):
    """A CRC-64 or a size differs from the other side's. Nothing was published; the next try sends it again."""

    retryable = True


class SourceChanged(TransferError):
    """The local file changed while it was uploaded."""

    retryable = True


class ObjectChanged(TransferError):
    """The object changed while it was downloaded or copied."""

    retryable = True


class SourceUnreadable(TransferError):
    """The object that a copy streams through the worker cannot be read; the message says why."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class NotCopyable(TransferError):
    """OSS cannot make this copy by itself, or nothing is to change. No byte was copied; the message says the way out.

    :ivar reason: ``link``, ``appendable``, ``restoring``, ``region``, ``account``,
        ``itself`` or ``retained``
    """

    reason: str = ""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = reason == "restoring"


class LocalFileError(TransferError):
    """The local file system refused: no space, no permission, an I/O error. A later try may find it mended."""

    retryable = True


class TransferStopped(TransferError):
    """The transfer was asked to stop. Checkpoint and finished parts are kept."""

    retryable = True


class TrySuperseded(TransferError):
    """A newer try works on this transfer, so this one stopped and left everything to it."""


class SupervisorGone(TrySuperseded):
    """The process with which Airflow supervised this try is gone. A newer try may begin, so this one stopped."""

    retryable = True

    def __init__(self, what: str = "") -> None:
        text = "Airflow's supervisor of this try is gone; this try stops, as a newer one may be running already"
        super().__init__(f"{what}: {text}" if what else text)


class FileSystemError(OSSResumeError, OSError):
    """A call of the ``oss://`` filesystem failed. It is an OSError too, as those who call a filesystem expect.

    :ivar errno: such as ``EIO``, or ``ESTALE`` when the object changed while it was read
    """


class FileMissing(FileSystemError, FileNotFoundError):
    """There is no such object, directory or bucket."""


class FileForbidden(FileSystemError, PermissionError):
    """OSS does not allow it, or the object cannot be read as it is; the cause names what is missing."""


class FileIsThere(FileSystemError, FileExistsError):
    """The object exists, and was not to be overwritten."""


class FileIsDirectory(FileSystemError, IsADirectoryError):
    """The path names a directory, and an object was meant."""


class SetError(OSSResumeError):
    """A transfer of many files went wrong as a whole."""


class PlanRefused(SetError):
    """The plan would delete more than is allowed, or leave out what was asked for. No byte has moved.

    :ivar found: names and reasons, the first hundred
    """

    found: Mapping[str, str] = MappingProxyType({})

    def __init__(self, what: str, found: Mapping[str, str] | None = None, *, most: int = 10) -> None:
        found = dict(list((found or {}).items())[:100])
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(found.items())[:most])
        super().__init__(f"{what}: {shown}" if shown else what)
        self.found = found


class NotProven(SetError):
    """Not every file of the plan is where it belongs. What is there is kept; a later try moves only the rest.

    :ivar failures: names and reasons, the first hundred
    :ivar report: what the verdict, or the report of the batch, has counted
    """

    failures: Mapping[str, str] = MappingProxyType({})
    report: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        what: str,
        failures: Mapping[str, str] | None = None,
        *,
        report: Mapping[str, Any],
        retryable: bool = False,
        most: int = 10,
    ) -> None:
        failures = dict(list((failures or {}).items())[:100])
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:most])
        super().__init__(f"{what}: {shown}" if shown else what)
        self.failures = failures
        self.report = dict(report)
        self.retryable = retryable


class ManifestUnreadable(SetError):
    """What lies in the work folder is no plan, batch or ledger that this version can read."""


class PartlyFailed(OSSResumeError):
    """Some of many like calls failed, such as aborts; the others are done. Names the first of them and why.

    :ivar failures: what failed, and with what
    """

    failures: Mapping[str, OSSResumeError] = MappingProxyType({})

    def __init__(self, what: str, failures: Mapping[str, OSSResumeError], *, most: int = 10) -> None:
        shown = "; ".join(f"{name}: {error}" for name, error in list(failures.items())[:most])
        more = f"; and {len(failures) - most} more" if len(failures) > most else ""
        super().__init__(f"{what}: {shown}{more}")
        self.failures = dict(failures)
        self.retryable = any(error.retryable for error in failures.values())


class CheckpointError(OSSResumeError):
    """A checkpoint could not be read, kept or placed."""


class CheckpointUnreadable(CheckpointError):
    """The stored text is no checkpoint that this version can read; the transfer starts again."""


class StoreUnavailable(CheckpointError):
    """The checkpoint store did not answer. A transfer goes on without it and says so."""

    retryable = True


class NoXComHolder(CheckpointError):
    """No other task of the run can hold the checkpoint, so ``checkpoint='xcom'`` cannot survive a retry."""


# --- errors as data ---------------------------------------------------------------------------------------------------

_KINDS = {
    kind.__name__: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, OSSResumeError)
}


def error_to_data(error: OSSResumeError) -> dict[str, Any]:
    """Return an error as values that JSON holds: the names of its class and of those above it, its message, its facts.

    What caused it is left out, and each fact that is neither text, number nor truth value. So is an infinite number:
    some databases refuse it in JSON.
    """
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, OSSResumeError)],
        "message": str(error),
        "facts": {
            "retryable": error.retryable,
            **{name: fact for name, fact in vars(error).items() if _is_plain(fact)},
        },
    }


def _is_plain(fact: object) -> bool:
    return fact is None or isinstance(fact, (str, int)) or (isinstance(fact, float) and math.isfinite(fact))


def error_from_data(data: object) -> OSSResumeError:
    """Return the error that :func:`error_to_data` wrote, perhaps in another version of this package.

    It is of the nearest class that this version knows. No class is looked for anywhere but in this module. A fact that
    is missing or of another type is what its class has. Data that cannot be read is an error that a retry may mend.
    """
    match data:
        case {"kinds": [*names], "message": str(message), "facts": {**facts}}:
            kind = next((_KINDS[name] for name in names if isinstance(name, str) and name in _KINDS), OSSResumeError)
            told = {name: fact for name, fact in facts.items() if isinstance(name, str) and _fits(kind, name, fact)}
            return _as_it_was(kind, (message,), told)
        case {"message": str(message)}:
            return _passing(message)
    return _passing("the error that the triggerer told cannot be read; run the same version there as in the workers")


def _fits(kind: type[OSSResumeError], name: str, fact: object) -> bool:
    default = getattr(kind, name, None)
    return default is None or isinstance(fact, type(default))


def _passing(message: str) -> OSSResumeError:
    error = OSSResumeError(message)
    error.retryable = True
    return error
