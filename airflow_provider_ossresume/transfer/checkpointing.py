"""Keeps the checkpoint of one transfer in its store. A store that fails never fails the transfer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_ossresume.errors import StoreUnavailable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, encode
from airflow_provider_ossresume.transfer.lease import CheckpointStore, Lease, describe_owner

log = logging.getLogger(__name__)

OWNER_CHECK_INTERVAL = 10.0  # seconds; a superseded try may take this long to notice
LOAD_ATTEMPTS = 4
RETRY_INTERVAL = 5.0  # seconds before a failed save is repeated; each failure is a warning in the log
SHARE_OF_TIME = 20  # saves to a slow store take at most 1/20 of the time


class Checkpointer:
    """The checkpoint of one transfer, for one try.

    :param interval: minimum seconds between two saves by :meth:`tick`
    :param began: start of the try, in seconds since 1970; by default now
    :ivar lease: tells which try owns the transfer
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
        self._is_stored = False  # as far as this try knows, the store has a checkpoint
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
        """The checkpoint of this try, saved or not."""
        return self._current

    @property
    def is_saved(self) -> bool:
        """True if the store has confirmed the last save, or there is nothing to save."""
        return self._is_saved or self._current is None

    def outlook(self, *, is_retried: bool) -> str:
        """Return a sentence for the log: whether the next try can resume. Empty if there is no checkpoint.

        :param is_retried: True if a retry may succeed; False if the cause of the error must be removed first
        """
        if self._current is None:
            return ""
        if not self._is_saved:
            return "The checkpoint may not be saved, so the next try may start from the beginning."
        resumes = f"{'The next' if is_retried else 'When the cause is removed, a new'} try resumes from here"
        if getattr(self._store, "ends_with_process", False):
            return f"{resumes}, but only in the same process: the checkpoint is in memory."
        return f"{resumes}."

    def load(self, *, watch: Callable[[], None] = lambda: None) -> Checkpoint | None:
        """Return the checkpoint that an earlier try left, or None. One that cannot be used is logged and left alone.

        A transfer that restarts within the try gets its own checkpoint, saved or not.

        :param watch: called at least four times a second while this waits for a store that is down
        :raises StoreUnavailable: on a second or later try, because a new start would lose the finished parts
        :raises TrySuperseded: if it belongs to a newer try
        """
        if self._current is not None:
            return self._current
        try:
            text = self._load_with_retries(watch)
        except StoreUnavailable as error:
            if self.owner.try_number > 1:
                raise
            log.warning("The checkpoint store cannot be read, so this first try starts without a checkpoint: %s", error)
            return None
        self._is_stored = text is not None
        return self.lease.take_over(text)

    def save(self, checkpoint: Checkpoint) -> None:
        """Save now, with this try as the owner. If the store is down, log a warning and save again at a later tick.

        :raises TrySuperseded: if a newer try has taken over
        """
        self.update(checkpoint)
        self.look()
        if not self._is_saved:
            self._save()

    def update(self, checkpoint: Checkpoint) -> None:
        """Set a new checkpoint, which is saved when the next save is due."""
        self._current = replace(checkpoint, owner=self.owner)
        self._is_saved = False

    def tick(self) -> None:
        """Save if a save is due, and check every ``OWNER_CHECK_INTERVAL`` seconds that this try owns the transfer.

        :raises TrySuperseded: if a newer try has taken over
        """
        if self._current is None:
            return
        now = self._clock()
        save_is_due = not self._is_saved and now >= self._next_save
        if save_is_due or now >= self._next_owner_check:
            self.check_owner()  # also before each save: a superseded try must not overwrite the newer checkpoint
        if not self._is_saved and now >= self._next_save:
            self._save()

    def check_owner(self) -> None:
        """Check the owner right before a step that cannot be undone. A try without any checkpoint need not check.

        :raises TrySuperseded: if a newer try has taken over
        """
        if self._current is not None or self.lease.predecessor is not None:
            self.look()

    def look(self) -> None:
        """Check in the store which try owns the transfer. If the store does not answer, log a warning and continue.

        :raises TrySuperseded: if a newer try owns it
        """
        if self._is_missing():
            # Save it again at once: Airflow's task state store shows nothing to a try that is over, and refuses only
            # its writes. Then read again, because a newer try may have started in between.
            self._is_saved = False
            self._save()
            self._is_missing()

    def _is_missing(self) -> bool:
        """True if this try's checkpoint was deleted by a person, or overwritten by an older try."""
        self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        stored = self._look_up_or(self._current)
        return self._current is not None and self._is_stored and (stored is None or stored.owner != self.owner)

    def _look_up_or(self, otherwise: Checkpoint | None) -> Checkpoint | None:
        try:
            return self.lease.look_up()
        except StoreUnavailable as error:
            log.warning("Cannot check in %s if this try still owns the transfer; continuing: %s", self, error)
            return otherwise

    def save_on_failure(self) -> bool:
        """Save what is not saved yet, at the end of a failed try. A newer try's checkpoint is left alone.

        Return False if a newer try has taken over.
        """
        try:
            return self._save_if_ours()
        except BaseException:  # interrupted by SIGTERM or a timeout: save again, or the finished parts are lost
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
        """Return the checkpoint that this try may discard: its own, or else the one that an earlier try left.

        :raises StoreUnavailable: if the store does not answer, so that its owner is unknown
        :raises TrySuperseded: if it belongs to a newer try
        """
        stored = self.lease.look_up()
        checkpoint = self._current or stored
        if checkpoint is None:
            return None
        self._current, self._is_stored = replace(checkpoint, owner=self.owner), True
        # Airflow's task state store refuses only writes of a try that is over. Then read what a newer try has saved.
        self._store.save(self.key, encode(self._current, saved_at=self._wall_clock()))
        self._is_saved = True
        self.saves += 1
        self.lease.look_up()
        return self._current

    def delete(self) -> None:
        """Delete the checkpoint, if this try wrote it or resumed from it.

        If the store is down, log a warning. A checkpoint that remains is harmless: the next try checks what it finds.
        """
        self._current = None
        if not self._is_stored and self.lease.has_read:
            return
        try:
            known = (self.owner, self.lease.predecessor)  # before the next line, which may find another predecessor
            stored = self.lease.look_up()
            if stored is None:  # there is none, or it is another transfer's, which is in the log
                return
            if stored.owner not in known:
                # Its upload or part file may still be in use.
                log.warning("The checkpoint in %s is not deleted: %s has saved it", self, describe_owner(stored.owner))
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
        self._is_stored = self.lease.may_have_saved = True  # also if it fails, because perhaps only the answer is lost
        try:
            self._store.save(self.key, encode(self._current, saved_at=self._wall_clock()))
            self._is_saved = self.lease.has_saved = True
            self.saves += 1
            self._next_owner_check = self._clock() + OWNER_CHECK_INTERVAL
        except StoreUnavailable as error:
            log.warning("The checkpoint could not be saved in %s; the transfer continues: %s", self, error)
            least = max(least, RETRY_INTERVAL)
        now = self._clock()
        self._next_save = now + max(least, SHARE_OF_TIME * (now - began))

    def _load_with_retries(self, watch: Callable[[], None]) -> str | None:
        for attempt in range(1, LOAD_ATTEMPTS):
            try:
                return self._store.load(self.key)
            except StoreUnavailable as error:
                log.warning("The checkpoint store did not answer (%s of %s): %s", attempt, LOAD_ATTEMPTS, error)
                for _ in range(4 * 2**attempt):
                    watch()
                    self._sleep(0.25)
        return self._store.load(self.key)
