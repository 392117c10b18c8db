"""The checkpoint store of a run: one text, and the faults of the way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import StoreUnavailable, TrySuperseded

if TYPE_CHECKING:
    from tests.simulation.world import Try, World


class Shelf:
    """Where the text of one checkpoint key lies, and who put it there."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.writer: Try | None = None  # None: nobody, or other hands than a try's
        self.written_at = 0  # the ledger's count of moments

    def put(self, text: str | None, writer: Try | None, moment: int) -> None:
        self.text, self.writer, self.written_at = text, writer, moment


class Store:
    """What one try has of the store: a CheckpointStore."""

    def __init__(self, world: World, process: Try) -> None:
        self._world = world
        self._try = process
        self._shelf = world.shelf

    def load(self, key: str) -> str | None:
        ledger = self._world.ledger
        ledger.check_key(self._try, key)
        text, moment = self._call("load", lambda: (self._shelf.text, ledger.moment))
        ledger.loaded(self._try, text, moment)
        return text

    def save(self, key: str, text: str) -> None:
        self._world.ledger.check_key(self._try, key)
        self._call("save", lambda: self._save(text))

    def delete(self, key: str) -> None:
        self._world.ledger.check_key(self._try, key)
        self._call("delete", self._delete)

    def __str__(self) -> str:
        return "simulated store"

    def _save(self, text: str) -> None:
        self._fence()
        self._world.ledger.saved(self._try, text)
        self._shelf.put(text, self._try, self._world.ledger.moment)

    def _delete(self) -> None:
        self._world.ledger.deleted(self._try)
        self._shelf.put(None, None, self._world.ledger.moment)

    def _fence(self) -> None:
        """Airflow's task state store knows each try, and refuses to write for one that is over."""
        if self._world.profile.is_fenced and self._world.newest.number > self._try.number:
            self._try.is_turned_away = True
            raise TrySuperseded("the store says that this try is over")

    def _call(self, operation: str, effect):  # type: ignore[no-untyped-def]
        world = self._world
        world.ledger.call_begins(self._try, operation)
        world.ledger.count_store_call(self._try)
        failed = True
        try:
            world.scheduler.pause()
            action = world.point(operation, "before")
            if action == "slow":
                world.scheduler.sleep(4.0)
            if action == "down":
                raise StoreUnavailable("no answer")
            if action == "down for long":
                self._try.store_outage = 6
            if self._try.store_outage > 0:
                self._try.store_outage -= 1
                raise StoreUnavailable("still no answer")
            result = effect()
            world.note(f"{operation} ok")
            if world.point(operation, "after") == "lost":
                raise StoreUnavailable("answer lost")
            failed = False
            return result
        except StoreUnavailable as error:
            world.note(f"{operation} -> {error}")
            world.ledger.store_failed(self._try)
            if operation == "save":
                world.ledger.save_failed(self._try)
            raise
        finally:
            world.ledger.call_ends(self._try, operation, failed=failed)
            if failed and operation == "delete":
                self._try.delete_failed = True
            if operation == "load":
                self._try.last_look_failed = failed
