"""The lease: which try owns a transfer. The checkpoint in the store names the owner; a newer try takes it over."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from airflow_provider_ossresume.errors import CheckpointUnreadable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, decode, saved_at

log = logging.getLogger(__name__)

CLOCK_SKEW = 60.0  # seconds by which the clocks of two workers may differ


class CheckpointStore(Protocol):
    """Keeps checkpoints by key. A key has 40 hex digits. Only one thread calls the methods."""

    def load(self, key: str) -> str | None:
        """Return the text, or None if there is none.

        :raises StoreUnavailable: if the store does not answer now
        :raises TrySuperseded: if the store knows that a newer try has started
        """

    def save(self, key: str, text: str) -> None:
        """Save the text and replace an existing one; errors as in :meth:`load`."""

    def delete(self, key: str) -> None:
        """Delete the text. It is not an error if there is none. Errors as in :meth:`load`."""


@runtime_checkable
class LoadsManyKeys(Protocol):
    """A store that can look for several keys in one call."""

    def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of the keys that exists, with its text; errors as in ``load``."""


@runtime_checkable
class HasPlaces(Protocol):
    """A store that can name a checkpoint's place for the log. For other stores the log shows the store and the key."""

    def place(self, key: str) -> str: ...


def this_process(try_number: int = 0, *, task: str = "") -> Owner:
    """Return this process as an owner. Outside Airflow the try number is 0 and there is no task."""
    return Owner(try_number, f"{task and f'{task} on '}{socket.gethostname()} pid {os.getpid()} {os.urandom(4).hex()}")


class Lease:
    """The right of one try to publish, abort and delete. It ends when a newer try saves its checkpoint.

    :param began: start of the try, in seconds since 1970. A checkpoint that was saved earlier is not a newer try's,
        whatever its try number: the numbers start again if a run is deleted and created again with the same name
    :ivar is_ours: returns True for a checkpoint of this transfer; the transfer sets it before anything else
    :ivar predecessor: the owner of the checkpoint from which this try resumes
    :ivar successor: the checkpoint of the newer try that has taken over
    :ivar has_read: this try knows which checkpoint was in the store before its own
    :ivar may_have_saved: this try has tried to save its checkpoint; perhaps only the answer was lost
    :ivar has_saved: the store has confirmed a save of this try
    """

    def __init__(self, store: CheckpointStore, key: str, *, owner: Owner, began: float) -> None:
        self.owner = owner
        self.key = key
        self.is_ours: Callable[[Checkpoint], bool] = lambda checkpoint: True
        self.predecessor: Owner | None = None
        self.successor: Checkpoint | None = None
        self.has_read = self.may_have_saved = self.has_saved = False
        self._store = store
        self._began = began

    def __str__(self) -> str:
        return self._store.place(self.key) if isinstance(self._store, HasPlaces) else f"{self._store} {self.key}"

    def take_over(self, text: str | None) -> Checkpoint | None:
        """Return the checkpoint in this text, which an earlier try left; None if it cannot be used.

        :raises TrySuperseded: if it belongs to a newer try
        """
        self.has_read = True
        checkpoint = self._read(text)
        if checkpoint and checkpoint.owner.try_number > self.owner.try_number and not self._is_older(text):
            raise _superseded(checkpoint.owner)
        self.predecessor = checkpoint.owner if checkpoint else None
        return checkpoint

    def look_up(self) -> Checkpoint | None:
        """Return the checkpoint in the store; None if there is none of this transfer.

        :raises StoreUnavailable: if the store does not answer now
        :raises TrySuperseded: if it belongs to a newer try
        """
        text = self._store.load(self.key)
        stored = self._read(text)
        is_first_look, self.has_read = not self.has_read, True
        is_unclear = is_first_look and (self.has_saved or (self.may_have_saved and not self._is_older(text, by=0.0)))
        if stored and is_first_look and stored.owner.try_number == 0 and not is_unclear:
            # Outside Airflow tries have no numbers. The checkpoint that the first read finds was there before this try,
            # unless it may have replaced ours.
            self.predecessor = stored.owner
        if stored and self._is_successor(stored.owner) and not self._is_older(text):
            self.successor = stored
            error = _superseded(stored.owner)
            error.retryable = is_unclear  # this try cannot tell who is newer; a later try can
            raise error
        return stored

    def _is_successor(self, owner: Owner) -> bool:
        return owner != self.predecessor and self.owner.is_superseded_by(owner)

    def _is_older(self, text: str | None, *, by: float = CLOCK_SKEW) -> bool:
        """True if a checkpoint was saved at least ``by`` seconds before this try began."""
        saved = saved_at(text) if text else None
        return saved is not None and saved.timestamp() <= self._began - by

    def _read(self, text: str | None) -> Checkpoint | None:
        """Return the checkpoint in a text, or None if it cannot be read or is of another transfer."""
        try:
            checkpoint = decode(text) if text is not None else None
        except CheckpointUnreadable as error:
            log.warning("The checkpoint in %s cannot be used: %s", self, error)
            return None
        if checkpoint and not self.is_ours(checkpoint):
            log.warning("The checkpoint in %s cannot be used: it is of another transfer (%s)", self, checkpoint.key)
            return None
        return checkpoint


def _superseded(owner: Owner) -> TrySuperseded:
    return TrySuperseded(f"{describe_owner(owner)} has taken over this transfer; this try stops and leaves it alone")


def describe_owner(owner: Owner) -> str:
    """Return the owner as text for the log."""
    return f"try {owner.try_number} ({owner.identity})"
