"""Which failures are one file's own, and which are those of the whole set, so that it is of no use to go on."""

from __future__ import annotations

import errno

from airflow_provider_ossresume.errors import (
    AccessDenied,
    CredentialsError,
    NoSuchBucket,
    OSSResumeError,
    ServiceError,
    TransferStopped,
    TrySuperseded,
)

REFUSED_IN_A_ROW = 10  # files that AccessDenied met before one was moved; with so many it is no file's own

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "SecurityTokenExpired", "InvalidSecurityToken", "UserDisable"}
)


def is_set_wide(error: OSSResumeError) -> bool:
    """True when each further file would meet the same: no bucket, no credentials, a full disk, a stop."""
    if isinstance(error, (NoSuchBucket, CredentialsError, TransferStopped, TrySuperseded)):
        return True
    if isinstance(error, ServiceError) and error.code in _CREDENTIALS:
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        cause = cause.__cause__
    return False


class Refusals:
    """Tells when AccessDenied is no file's own: it met the first few files, and none was moved."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._has_passed = False
        self._last: AccessDenied | None = None

    def passed(self) -> None:
        """A file was moved, or proven to be there."""
        self._has_passed = True

    def failed(self, error: OSSResumeError) -> None:
        """A file was not."""
        self._last = error if isinstance(error, AccessDenied) else None
        self._in_a_row = self._in_a_row + 1 if self._last else 0

    def check(self) -> None:
        """:raises AccessDenied: the last one, when it is that of all files"""
        if self._last and not self._has_passed and self._in_a_row >= REFUSED_IN_A_ROW:
            raise self._last


def reason_of(error: OSSResumeError) -> str:
    """Return an error in one word: OSS's code, or the name of the error's class."""
    return (error.code if isinstance(error, ServiceError) else "") or type(error).__name__
