"""Distinguishes errors of one file from errors that would fail every other file too."""

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

DENIED_IN_A_ROW = 10  # files; if the first ten are denied, all others would be too

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "SecurityTokenExpired", "InvalidSecurityToken", "UserDisable"}
)


def is_set_wide(error: OSSResumeError) -> bool:
    """True if every other file would fail the same way: no bucket, no credentials, a full disk, a stop."""
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


class DeniedFiles:
    """Decides whether AccessDenied concerns all files: it does if OSS denied the first ones and none was moved."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._has_passed = False
        self._last: AccessDenied | None = None

    def count_success(self) -> None:
        """Count a file that was moved or found in place."""
        self._has_passed = True

    def count_failure(self, error: OSSResumeError) -> None:
        """Count a file that failed."""
        self._last = error if isinstance(error, AccessDenied) else None
        self._in_a_row = self._in_a_row + 1 if self._last else 0

    def check(self) -> None:
        """:raises AccessDenied: the last one, if it concerns all files"""
        if self._last and not self._has_passed and self._in_a_row >= DENIED_IN_A_ROW:
            raise self._last


def reason_of(error: OSSResumeError) -> str:
    """Return an error as one word: OSS's error code, or the name of the error's class."""
    return (error.code if isinstance(error, ServiceError) else "") or type(error).__name__
