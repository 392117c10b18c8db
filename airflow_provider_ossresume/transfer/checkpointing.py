"""Keeps one transfer's checkpoint in its store, without ever letting the store hurt the transfer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_ossresume.errors import StoreUnavailable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, encode
from airflow_provider_ossresume.transfer.lease import CheckpointStore, Lease, name_of

log = logging.getLogger(__name__)

OWNER_CHECK_INTERVAL = 10.0  # seconds until a superseded try notices
LOAD_ATTEMPTS = 4
RETRY_INTERVAL = 5.0  # seconds until a store that could not save is asked again; each time is a warning in the log
SHARE_OF_TIME = 20  # a slow store is asked to save at most 1/20 of the time


class Checkpointer:
    """The checkpoint of one transfer, held by one try.

    :param interval: least seconds between two saves that :meth:`tick` makes
    :param began: when the try began, in seconds since 1970; now by default
    :ivar lease: who owns the transfer
    """

    def __init__(
        self,
        store: CheckpointStore,
        key: str,
        *,
        owner: Owner,
        interval: float,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.lease = Lease(store, key, owner=owner, began=wall_clock() if began is None else began)
        self.saves = 0
        self._store = store
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._current: Checkpoint | None = None
        self._is_saved = True
        self._is_stored = False  # something lies in the store, as far as this try knows
        self._next_save = self._next_owner_check = 0.0

    def __str__(self) -> str:
        return str(self.lease)

    @property
    def key(self) -> str:
        """The checkpoint's name in its store."""
        return self.lease.key

    @property
    def owner(self) -> Owner:
        """This try."""
        return self.lease.owner

    @property
    def current(self) -> Checkpoint | None:
        """This try's checkpoint, saved or not."""
        return self._current

    @property
    def is_saved(self) -> bool:
        """True when the store has said that it keeps this try's checkpoint, or there is none."""
        return self._is_saved or self._current is None

    @property
    def outlook(self) -> str:
        """A sentence for the log: if the next try can resume with the checkpoint. Empty if there is none."""
        if self._current is None:
            return ""
        if not self._is_saved:
            return "The checkpoint may not be saved, so the next try may start from the beginning."
        if getattr(self._store, "ends_with_process", False):
            return "The next try resumes from here, but only in the same process: the checkpoint is in memory."
        return "The next try resumes from here."

    def load(self, *, watch: Callable[[], None] = lambda: None) -> Checkpoint | None:
        """Return the checkpoint that an earlier try left, or None; one that cannot be used is logged and left.

        A transfer that restarts gets its own, saved or not.

        :param watch: called at least four times a second while a store that is down is waited for
        :raises StoreUnavailable: on a second or later try, as beginning again would lose its finished parts
        :raises TrySuperseded: when it belongs to a newer try
        """
        if self._current is not None:
            return self._current
        try:
            text = self._load_patiently(watch)
        except StoreUnavailable as error:
            if self.owner.try_number > 1:
                raise
            log.warning("The checkpoint store cannot be read, beginning without a checkpoint: %s", error)
            return None
        self._is_stored = text is not None
        return self.lease.take_over(text)

    def save(self, checkpoint: Checkpoint) -> None:
        """Save now, as this try's; a store that is down is warned about, and tried again at later ticks.

        :raises TrySuperseded: when a newer try has taken over meanwhile
        """
        self.update(checkpoint)
        self.look()
        if not self._is_saved:
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
        """Called before anything that cannot be undone; a try that has and had no checkpoint has nothing to look for.

        :raises TrySuperseded: when a newer try has taken over
        """
        if self._current is not None or self.lease.predecessor is not None:
            self.look()

    def look(self) -> None:
        """Look into the store who owns the transfer; one that does not answer is warned about.

        :raises TrySuperseded: when a newer try does
        """
        if self._is_lost():
            # Put back at once: Airflow's task state store shows nothing to a try that is over, and says so only when
            # it writes. Then look again, as a newer try may have come in between.
            self._is_saved = False
            self._save()
            self._is_lost()

    def _is_lost(self) -> bool:
        """True when this try's checkpoint was deleted by hand, or overwritten by a try that is over."""
        self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        stored = self._look_up_or(self._current)
        return self._current is not None and self._is_stored and (stored is None or stored.owner != self.owner)

    def _look_up_or(self, otherwise: Checkpoint | None) -> Checkpoint | None:
        try:
            return self.lease.look_up()
        except StoreUnavailable as error:
            log.warning("Cannot tell from %s whether this try still owns the transfer, going on: %s", self, error)
            return otherwise

    def save_at_end(self) -> bool:
        """Save what is not saved yet, on the way out of a try that failed; a successor's checkpoint is left alone.

        Returns False when this try is superseded.
        """
        try:
            return self._save_if_ours()
        except BaseException:  # SIGTERM or a timeout strikes in its middle: once more, or what is finished is lost
            self._save_if_ours()
            raise

    def _save_if_ours(self) -> bool:
        if self._current is None or self._is_saved:
            return True
        try:
            self.check_owner()
            self._save()
        except TrySuperseded as error:
            log.warning("%s", error)
            return False
        return True

    def claim(self) -> Checkpoint | None:
        """Return the checkpoint that is this try's to drop: its own, else the one that an earlier try left.

        :raises StoreUnavailable: when nobody can tell whose it is
        :raises TrySuperseded: when it is a newer try's
        """
        stored = self.lease.look_up()
        checkpoint = self._current or stored
        if checkpoint is None:
            return None
        self._current, self._is_stored = replace(checkpoint, owner=self.owner), True
        # Airflow's task state store tells a try that is over so only when it writes; then a newer one may have written.
        self._store.save(self.key, encode(self._current, saved_at=self._wall_clock()))
        self._is_saved = True
        self.saves += 1
        self.lease.look_up()
        return self._current

    def delete(self) -> None:
        """Forget the checkpoint, but nothing that this try has not written, or read as its own.

        A store that is down is warned about, which harms nothing, as the next try validates what it finds.
        """
        self._current = None
        if not self._is_stored and self.lease.has_looked:
            return
        try:
            known = (self.owner, self.lease.predecessor)  # not one that this very look finds: its upload may be open
            stored = self.lease.look_up()
            if stored is None:  # nothing lies there, or nothing of this transfer: the log says so
                return
            if stored.owner not in known:
                # What it leads to is not done with.
                log.warning("The checkpoint in %s is not deleted: %s has written it", self, name_of(stored.owner))
                return
            self._store.delete(self.key)
        except TrySuperseded as error:
            log.info("The checkpoint in %s is not deleted: %s", self, error)
        except StoreUnavailable as error:
            log.warning("The checkpoint in %s could not be deleted, which does no harm: %s", self, error)

    def _save(self) -> None:
        if self._current is None:
            return
        began = self._clock()
        least = self._interval
        self._is_stored = self.lease.has_offered = True  # even if it fails: only the answer may be lost
        try:
            self._store.save(self.key, encode(self._current, saved_at=self._wall_clock()))
            self._is_saved = self.lease.has_kept = True
            self.saves += 1
            self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        except StoreUnavailable as error:
            log.warning("The checkpoint could not be saved in %s, the transfer goes on: %s", self, error)
            least = max(least, RETRY_INTERVAL)
        now = self._clock()
        self._next_save = now + max(least, SHARE_OF_TIME * (now - began))

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
