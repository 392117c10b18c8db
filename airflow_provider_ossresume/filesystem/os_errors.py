"""Errors of OSS as a filesystem raises them: each is an OSError of the kind that callers look for."""

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
    FileForbidden,
    FileIsThere,
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
    (AlreadyExists, FileIsThere, errno.EEXIST),
    (CredentialsUnavailable, FileSystemError, errno.EIO),
    ((AccessDenied, ObjectArchived, ObjectImmutable, CredentialsError), FileForbidden, errno.EACCES),
    ((PreconditionFailed, ObjectChanged), FileSystemError, errno.ESTALE),
)


def as_os_error(error: OSSResumeError) -> OSSResumeError:
    """Return the OSError that stands for an error; one of a wrong argument stays as it is."""
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
    """Raise errors of OSS as OSErrors, with the error itself as their cause.

    :raises FileSystemError: in place of it
    """
    try:
        yield
    except OSSResumeError as error:
        found = as_os_error(error)
        if found is error:
            raise
        raise found from error


def missing(path: str) -> FileMissing:
    """Return the error that there is nothing at a path."""
    return FileMissing(errno.ENOENT, f"oss://{path} does not exist")
