"""Keeps one transfer's checkpoint in its store, without ever letting the store hurt the transfer."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from airflow_provider_ossresume.errors import CheckpointUnreadable, StoreUnavailable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, decode, encode

log = logging.getLogger(__name__)

OWNER_CHECK_INTERVAL = 10.0  # seconds until a superseded try notices
LOAD_ATTEMPTS = 4
SHARE_OF_TIME = 20  # a slow store is asked to save at most 1/20 of the time


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


def this_process(try_number: int = 0) -> Owner:
    """Return this process as an owner; outside Airflow its try number is 0."""
    return Owner(try_number, f"{socket.gethostname()} pid {os.getpid()} {uuid.uuid4().hex[:8]}")


class Checkpointer:
    """The checkpoint of one transfer, held by one try.

    :param interval: least seconds between two saves that :meth:`tick` makes
    """

    def __init__(
        self,
        store: CheckpointStore,
        key: str,
        *,
        owner: Owner,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.owner = owner
        self.saves = 0
        self.successor: Checkpoint | None = None  # the checkpoint that has taken the place of this try's
        self._store = store
        self.key = key
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._current: Checkpoint | None = None
        self._is_saved = True
        self._next_save = self._next_owner_check = 0.0

    def __str__(self) -> str:
        return f"{self._store} {self.key}"

    @property
    def current(self) -> Checkpoint | None:
        """This try's checkpoint, saved or not."""
        return self._current

    def load(self, *, watch: Callable[[], None] = lambda: None) -> Checkpoint | None:
        """Return the checkpoint that an earlier try left, or None; one that cannot be read is logged and left.

        A transfer that restarts gets its own, saved or not.

        :param watch: called at least four times a second while a store that is down is waited for

        :raises StoreUnavailable: on a second or later try, as beginning again would lose its finished parts
        :raises TrySuperseded: when it belongs to a newer try
        """
        if self._current is not None:
            return self._current
        try:
            text = self._load_patiently(watch)
            checkpoint = decode(text) if text is not None else None
        except StoreUnavailable as error:
            if self.owner.try_number > 1:
                raise
            log.warning("The checkpoint store cannot be read, beginning without a checkpoint: %s", error)
            return None
        except CheckpointUnreadable as error:
            log.warning("The checkpoint in %s cannot be used, beginning again: %s", self, error)
            return None
        if checkpoint and checkpoint.owner.try_number > self.owner.try_number:
            raise _superseded(checkpoint.owner)
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Save now, as this try's; a store that is down is warned about, and tried again at later ticks."""
        self.update(checkpoint)
        self._save()

    def update(self, checkpoint: Checkpoint) -> None:
        """Take a new state, to be saved when it is due."""
        self._current = replace(checkpoint, owner=self.owner)
        self._is_saved = False

    def tick(self) -> None:
        """Save what is due, and look now and then whether this try still owns the transfer.

        :raises TrySuperseded: when it does not
        """
        if self._current is None:
            return
        now = self._clock()
        save_is_due = not self._is_saved and now >= self._next_save
        if save_is_due or now >= self._next_owner_check:
            self.check_owner()  # before each save too: a superseded try must not overwrite its successor's checkpoint
        if not self._is_saved and now >= self._next_save:
            self._save()

    def check_owner(self) -> None:
        """:raises TrySuperseded: when a newer try has taken over; called before anything that cannot be undone"""
        if self._current is None:
            return
        self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        try:
            text = self._store.load(self.key)
            stored = decode(text) if text is not None else None
        except (StoreUnavailable, CheckpointUnreadable) as error:
            log.warning("Cannot tell from %s whether this try still owns the transfer, going on: %s", self, error)
            return
        if stored and self.owner.is_superseded_by(stored.owner):
            self.successor = stored
            raise _superseded(stored.owner)
        if stored is None or stored.owner != self.owner:
            self._is_saved = False  # deleted by hand, or overwritten by a try that is over: put ours back

    def save_at_end(self) -> None:
        """Save what is not saved yet, on the way out of a try that failed; a successor's checkpoint is left alone."""
        if self._current is None or self._is_saved:
            return
        try:
            self.check_owner()
        except TrySuperseded as error:
            log.warning("%s", error)
        else:
            self._save()

    def delete(self) -> None:
        """Forget the checkpoint; a store that is down is warned about, and the next try validates what it finds."""
        self._current = None
        try:
            self._store.delete(self.key)
        except StoreUnavailable as error:
            log.warning("The checkpoint in %s could not be deleted, which harms nothing: %s", self, error)

    def _save(self) -> None:
        if self._current is None:
            return
        began = self._clock()
        try:
            self._store.save(self.key, encode(self._current))
            self._is_saved = True
            self.saves += 1
            self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        except StoreUnavailable as error:
            log.warning("The checkpoint could not be saved in %s, the transfer goes on: %s", self, error)
        now = self._clock()
        self._next_save = now + max(self._interval, SHARE_OF_TIME * (now - began))

    def _load_patiently(self, watch: Callable[[], None]) -> str | None:
        for attempt in range(1, LOAD_ATTEMPTS):
            try:
                return self._store.load(self.key)
            except StoreUnavailable as error:
                log.warning("The checkpoint store did not answer (%s of %s): %s", attempt, LOAD_ATTEMPTS, error)
                for _ in range(4 * 2**attempt):
                    watch()
                    self._sleep(0.25)
        return self._store.load(self.key)


def _superseded(owner: Owner) -> TrySuperseded:
    return TrySuperseded(
        f"try {owner.try_number} ({owner.identity}) has taken over this transfer; this try stops and leaves it alone"
    )
