"""Errors of transfers and of their checkpoints."""

from __future__ import annotations

from airflow_provider_ossresume.errors._base import OSSResumeError


class TransferError(OSSResumeError):
    """The bytes could not be moved, or could not be verified."""


class IntegrityError(TransferError):
    """The CRC-64 or the size differs between source and target. The next try moves the bytes again."""

    retryable = True


class SourceChanged(TransferError):
    """The local file changed while it was uploaded."""

    retryable = True


class ObjectChanged(TransferError):
    """The object changed while it was downloaded or copied."""

    retryable = True


class SourceUnreadable(TransferError):
    """The source of a copy through the worker cannot be read. The message says why."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class NotCopyable(TransferError):
    """OSS cannot make this copy by itself, or nothing would change. No byte was copied. The message says what to do.

    :ivar reason: ``link``, ``appendable``, ``restoring``, ``region``, ``account``,
        ``itself`` or ``retained``
    """

    reason: str = ""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = reason == "restoring"


class LocalFileError(TransferError):
    """The local file system failed: no space, no permission, or an I/O error. A later try may succeed."""

    retryable = True


class TransferStopped(TransferError):
    """The transfer was asked to stop. Its checkpoint and its finished parts are kept."""

    retryable = True


class TrySuperseded(TransferError):
    """A newer try has taken over this transfer. This try stopped, and left checkpoint and parts to it."""


class SupervisorGone(TrySuperseded):
    """Airflow's supervisor process of this try is gone. A newer try may start at any time, so this one stopped."""

    retryable = True

    def __init__(self, what: str = "") -> None:
        text = "Airflow's supervisor of this try is gone; the try stops, because a newer one may already be running"
        super().__init__(f"{what}: {text}" if what else text)


class CheckpointError(OSSResumeError):
    """A checkpoint could not be read, saved or placed."""


class CheckpointUnreadable(CheckpointError):
    """The stored text is not a checkpoint that this version can read. The transfer restarts."""


class StoreUnavailable(CheckpointError):
    """The checkpoint store did not respond. The transfer continues without it and logs a warning."""

    retryable = True


class NoXComHolder(CheckpointError):
    """No other task of the run can hold the checkpoint, so ``checkpoint='xcom'`` cannot survive a retry."""
