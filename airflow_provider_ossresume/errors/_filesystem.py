"""Errors of the ``oss://`` filesystem."""

from __future__ import annotations

from airflow_provider_ossresume.errors._base import OSSResumeError


class FileSystemError(OSSResumeError, OSError):
    """A call of the ``oss://`` filesystem failed. It is an OSError too, as callers of a filesystem expect.

    :ivar errno: such as ``EIO``, or ``ESTALE`` when the object changed while it was read
    """


class FileMissing(FileSystemError, FileNotFoundError):
    """There is no such object, directory or bucket."""


class FileForbidden(FileSystemError, PermissionError):
    """OSS does not allow it, or the object cannot be read in its present state. The cause names what is missing."""


class FileExists(FileSystemError, FileExistsError):
    """The object exists, and the call must not overwrite it."""


class FileIsDirectory(FileSystemError, IsADirectoryError):
    """The path names a directory, and the call needs an object."""
