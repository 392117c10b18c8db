"""Turns errors of OSS into the OSErrors that callers of a filesystem expect."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ArgumentError,
    CredentialsError,
    CredentialsUnavailable,
    FileExists,
    FileForbidden,
    FileMissing,
    FileSystemError,
    NoSuchBucket,
    NoSuchKey,
    ObjectArchived,
    ObjectChanged,
    ObjectImmutable,
    OSSResumeError,
    PreconditionFailed,
)

_KINDS: tuple[tuple[type[OSSResumeError] | tuple[type[OSSResumeError], ...], type[FileSystemError], int], ...] = (
    ((NoSuchKey, NoSuchBucket), FileMissing, errno.ENOENT),
    (AlreadyExists, FileExists, errno.EEXIST),
    (CredentialsUnavailable, FileSystemError, errno.EIO),
    ((AccessDenied, ObjectArchived, ObjectImmutable, CredentialsError), FileForbidden, errno.EACCES),
    ((PreconditionFailed, ObjectChanged), FileSystemError, errno.ESTALE),
)


def as_os_error(error: OSSResumeError) -> OSSResumeError:
    """Return the OSError for an error. An ArgumentError is returned unchanged."""
    if isinstance(error, (FileSystemError, ArgumentError)):
        return error
    kind, number = next(
        ((kind, number) for kinds, kind, number in _KINDS if isinstance(error, kinds)), (FileSystemError, errno.EIO)
    )
    found = kind(number, str(error))
    found.retryable = error.retryable
    return found


@contextmanager
def os_errors() -> Iterator[None]:
    """Raise errors of OSS as OSErrors, with the original error as the cause.

    :raises FileSystemError: in place of the original error
    """
    try:
        yield
    except OSSResumeError as error:
        found = as_os_error(error)
        if found is error:
            raise
        raise found from error


def missing(path: str) -> FileMissing:
    """Return the error for a path that does not exist."""
    return FileMissing(errno.ENOENT, f"oss://{path} does not exist")
