"""Who owns a transfer: a lease that a newer try takes over, and that the checkpoint in the store tells."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from airflow_provider_ossresume.errors import CheckpointUnreadable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, decode, saved_at

log = logging.getLogger(__name__)

CLOCK_SKEW = 60.0  # seconds that workers' clocks may differ


class CheckpointStore(Protocol):
    """A home for checkpoints, by key; the keys are 40 hex digits. Called from one thread only."""

    def load(self, key: str) -> str | None:
        """Return the text, or None when there is none.

        :raises StoreUnavailable: when that cannot be told now
        :raises TrySuperseded: when the store knows that this try is over
        """

    def save(self, key: str, text: str) -> None:
        """Keep the text in place of a former one; errors as in :meth:`load`."""

    def delete(self, key: str) -> None:
        """Forget the text; one that does not exist is no error. Errors as in :meth:`load`."""


@runtime_checkable
class LoadsFirst(Protocol):
    """A store for which to look under several keys is one call."""

    def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of the keys under which a text lies, with the text; errors as in ``load``."""


@runtime_checkable
class NamesPlaces(Protocol):
    """A store that can say where a person finds a checkpoint; with others the log shows the store and the key."""

    def place(self, key: str) -> str: ...


def this_process(try_number: int = 0, *, task: str = "") -> Owner:
    """Return this process as an owner; outside Airflow its try number is 0, and it runs no task."""
    return Owner(try_number, f"{task and f'{task} on '}{socket.gethostname()} pid {os.getpid()} {os.urandom(4).hex()}")


class Lease:
    """The right of one try to publish, abort and delete; a newer try's checkpoint ends it.

    :param began: when the try began, in seconds since 1970. A checkpoint that was saved before is no newer try's,
        whatever its number: they begin anew where a run is deleted and made again under its name
    :ivar is_ours: tells the checkpoints of this transfer from those of others; who transfers sets it before all else
    :ivar predecessor: whose checkpoint this try goes on from
    :ivar successor: the checkpoint that has taken the place of this try's
    :ivar has_looked: this try knows what lay in the store before it
    :ivar has_offered: this try may have put its own checkpoint there
    :ivar has_kept: it has
    """

    def __init__(self, store: CheckpointStore, key: str, *, owner: Owner, began: float) -> None:
        self.owner = owner
        self.key = key
        self.is_ours: Callable[[Checkpoint], bool] = lambda checkpoint: True
        self.predecessor: Owner | None = None
        self.successor: Checkpoint | None = None
        self.has_looked = self.has_offered = self.has_kept = False
        self._store = store
        self._began = began

    def __str__(self) -> str:
        return self._store.place(self.key) if isinstance(self._store, NamesPlaces) else f"{self._store} {self.key}"

    def take_over(self, text: str | None) -> Checkpoint | None:
        """Return the checkpoint that an earlier try has left as this text; None for one that cannot be used.

        :raises TrySuperseded: when it belongs to a newer try
        """
        self.has_looked = True
        checkpoint = self._read(text)
        if checkpoint and checkpoint.owner.try_number > self.owner.try_number and not self._is_older(text):
            raise _superseded(checkpoint.owner)
        self.predecessor = checkpoint.owner if checkpoint else None
        return checkpoint

    def look_up(self) -> Checkpoint | None:
        """Return the checkpoint that lies in the store.

        :raises StoreUnavailable: when that cannot be told now
        :raises TrySuperseded: when it is a newer try's
        """
        text = self._store.load(self.key)
        stored = self._read(text)
        is_first_look, self.has_looked = not self.has_looked, True
        is_unclear = is_first_look and (self.has_kept or (self.has_offered and not self._is_older(text, by=0.0)))
        if stored and is_first_look and stored.owner.try_number == 0 and not is_unclear:
            # Outside Airflow tries have no numbers: what the first look finds was there before us, unless it may have
            # taken the place of ours.
            self.predecessor = stored.owner
        if stored and self._is_successor(stored.owner) and not self._is_older(text):
            self.successor = stored
            error = _superseded(stored.owner)
            error.retryable = is_unclear  # nobody can tell; a later try can
            raise error
        return stored

    def _is_successor(self, owner: Owner) -> bool:
        return owner != self.predecessor and self.owner.is_superseded_by(owner)

    def _is_older(self, text: str | None, *, by: float = CLOCK_SKEW) -> bool:
        """True when a checkpoint was saved so many seconds before this try began."""
        saved = saved_at(text) if text else None
        return saved is not None and saved.timestamp() <= self._began - by

    def _read(self, text: str | None) -> Checkpoint | None:
        """Return the checkpoint that a text is, or None for one that is none of this transfer's."""
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
    return TrySuperseded(f"{name_of(owner)} has taken over this transfer; this try stops and leaves it alone")


def name_of(owner: Owner) -> str:
    """Return the owner for the log."""
    return f"try {owner.try_number} ({owner.identity})"
