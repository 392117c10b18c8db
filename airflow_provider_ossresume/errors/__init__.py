"""Every exception of the package. The tree is at most three deep::

    OSSResumeError
    ├── ArgumentError (also a ValueError)  an argument cannot be used
    ├── CredentialsError                   there are no usable credentials
    │   └── CredentialsUnavailable         the service that issues them is down or overloaded
    ├── RequestError                       a request to OSS failed
    │   ├── ConnectionFailed               no response, or only a part of one
    │   ├── BadAnswer                      the response is not what the OSS protocol promises
    │   └── ServiceError                   OSS responded with an error
    │       └── AccessDenied, NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed,
    │           AlreadyExists, InvalidPart, InvalidRange, CallbackFailed, ObjectArchived,
    │           ObjectImmutable, ObjectTooLarge
    ├── TransferError                      the bytes could not be moved, or not be verified
    │   ├── IntegrityError                 a CRC-64 or a size differs
    │   ├── SourceChanged                  the local file changed while it was read
    │   ├── ObjectChanged                  the object changed while it was read
    │   ├── SourceUnreadable               the source of a copy through the worker cannot be read
    │   ├── NotCopyable                    OSS cannot make this copy by itself
    │   ├── LocalFileError                 the local file system failed
    │   ├── TransferStopped                the transfer was asked to stop (on_kill, a progress callback)
    │   └── TrySuperseded                  a newer try has taken over
    │       └── SupervisorGone             Airflow's process for this try is gone
    ├── FileSystemError (also an OSError)  a call of the oss:// filesystem failed; its cause says why
    │   ├── FileMissing (also a FileNotFoundError)
    │   ├── FileForbidden (also a PermissionError)
    │   ├── FileExists (also a FileExistsError)
    │   └── FileIsDirectory (also an IsADirectoryError)
    ├── SetError                           a transfer of many files failed as a whole
    │   ├── PlanRefused                    the plan would delete too much, or leave files out
    │   ├── NotProven                      not every file of the plan is proven to be in place
    │   └── ManifestUnreadable             a plan, batch or ledger in the work folder cannot be read
    ├── PartlyFailed                       some of many similar calls failed; the others are done
    └── CheckpointError                    a checkpoint could not be read, saved or placed
        ├── CheckpointUnreadable           the stored text is not a checkpoint of this version
        ├── StoreUnavailable               the checkpoint store did not respond
        └── NoXComHolder                   no task instance can hold the checkpoint's XCom

``retryable`` is True if the same call may succeed later without any change.

Import from here. Where each class is defined:

=================  =====================================================================
``_base``          the root, ArgumentError, PartlyFailed
``_requests``      credentials, requests and responses of OSS
``_transfers``     transfers and checkpoints
``_filesystem``    the ``oss://`` filesystem
``_sets``          many files
``_as_data``       an error as JSON and back, for Airflow's triggerer
=================  =====================================================================
"""

from __future__ import annotations

from airflow_provider_ossresume.errors._as_data import error_from_data, error_to_data
from airflow_provider_ossresume.errors._base import ArgumentError, OSSResumeError, PartlyFailed
from airflow_provider_ossresume.errors._filesystem import (
    FileExists,
    FileForbidden,
    FileIsDirectory,
    FileMissing,
    FileSystemError,
)
from airflow_provider_ossresume.errors._requests import (
    RETRYABLE_CODES,
    AccessDenied,
    AlreadyExists,
    BadAnswer,
    CallbackFailed,
    ConnectionFailed,
    CredentialsError,
    CredentialsUnavailable,
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
from airflow_provider_ossresume.errors._sets import ManifestUnreadable, NotProven, PlanRefused, SetError
from airflow_provider_ossresume.errors._transfers import (
    CheckpointError,
    CheckpointUnreadable,
    IntegrityError,
    LocalFileError,
    NotCopyable,
    NoXComHolder,
    ObjectChanged,
    SourceChanged,
    SourceUnreadable,
    StoreUnavailable,
    SupervisorGone,
    TransferError,
    TransferStopped,
    TrySuperseded,
)

__all__ = [
    "RETRYABLE_CODES",
    "AccessDenied",
    "AlreadyExists",
    "ArgumentError",
    "BadAnswer",
    "CallbackFailed",
    "CheckpointError",
    "CheckpointUnreadable",
    "ConnectionFailed",
    "CredentialsError",
    "CredentialsUnavailable",
    "FileExists",
    "FileForbidden",
    "FileIsDirectory",
    "FileMissing",
    "FileSystemError",
    "IntegrityError",
    "InvalidPart",
    "InvalidRange",
    "LocalFileError",
    "ManifestUnreadable",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchUpload",
    "NoXComHolder",
    "NotCopyable",
    "NotProven",
    "OSSResumeError",
    "ObjectArchived",
    "ObjectChanged",
    "ObjectImmutable",
    "ObjectTooLarge",
    "PartlyFailed",
    "PlanRefused",
    "PreconditionFailed",
    "RequestError",
    "ServiceError",
    "SetError",
    "SourceChanged",
    "SourceUnreadable",
    "StoreUnavailable",
    "SupervisorGone",
    "TransferError",
    "TransferStopped",
    "TrySuperseded",
    "error_from_data",
    "error_to_data",
]

# Tracebacks, logs and pickles name the path that users import from, wherever a class is defined.
for _name in __all__:
    if isinstance(_error := globals()[_name], type):
        _error.__module__ = __name__
