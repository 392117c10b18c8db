"""The checkpointer: a store that is down never hurts a transfer, and a try that is over never hurts its successor."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import StoreUnavailable, TransferStopped, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, UploadCheckpoint, decode, encode
from airflow_provider_ossresume.transfer.checkpointing import (
    LOAD_ATTEMPTS,
    OWNER_CHECK_INTERVAL,
    SHARE_OF_TIME,
    Checkpointer,
)
from airflow_provider_ossresume.transfer.lease import this_process

KEY = "0123456789" * 4
INTERVAL = 5.0
OURS, NEWER, OLDER = Owner(2, "try-2"), Owner(3, "try-3"), Owner(1, "try-1")
STATE = UploadCheckpoint("bucket", "key", "ID", 25, 10, "", OURS)
LATER = replace(STATE, upload_id="ID2")


class Store(MemoryCheckpointStore):
    """Answers, is slow or is down, as it is told, and counts what it is asked."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.is_down = False
        self.failures = 0  # of the next calls, that many find it down
        self.seconds = 0.0
        self.asked: list[str] = []
        self._clock = clock

    def load(self, key: str) -> str | None:
        self._asked("load")
        return super().load(key)

    def save(self, key: str, text: str) -> None:
        self._asked("save")
        super().save(key, text)

    def delete(self, key: str) -> None:
        self._asked("delete")
        super().delete(key)

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        self._clock.now += self.seconds
        if self.is_down or self.failures > 0:
            self.failures -= 1
            raise StoreUnavailable("no answer from the store")

    def count(self, what: str) -> int:
        return self.asked.count(what)


class Clock:
    """Stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(clock)


def a_checkpointer(store: Store, clock: Clock, *, owner: Owner = OURS, interval: float = INTERVAL) -> Checkpointer:
    return Checkpointer(store, KEY, owner=owner, interval=interval, clock=clock, sleep=clock.sleep)


@pytest.fixture
def checkpointer(store: Store, clock: Clock) -> Checkpointer:
    return a_checkpointer(store, clock)


def stored(store: Store) -> Checkpoint | None:
    text = store.texts.get(KEY)
    return decode(text) if text is not None else None


def put(store: Store, checkpoint: Checkpoint) -> None:
    store.texts[KEY] = encode(checkpoint)


# --- loading ----------------------------------------------------------------------------------------------------------


def test_what_an_earlier_try_left_is_loaded(store: Store, checkpointer: Checkpointer) -> None:
    put(store, replace(STATE, owner=OLDER))

    assert checkpointer.load() == replace(STATE, owner=OLDER)


def test_nothing_is_nothing(checkpointer: Checkpointer) -> None:
    assert checkpointer.load() is None


def test_a_transfer_that_restarts_gets_its_own_state_even_when_it_was_never_saved(
    store: Store, checkpointer: Checkpointer
) -> None:
    checkpointer.load()
    store.is_down = True
    checkpointer.save(STATE)

    assert checkpointer.load() == STATE


def test_a_store_that_is_down_for_a_moment_is_asked_again_with_growing_waits(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    put(store, STATE)
    store.failures = LOAD_ATTEMPTS - 1

    assert checkpointer.load() == STATE
    assert sum(clock.naps) == 2 + 4 + 8
    assert max(clock.naps) <= 0.25  # so that a stop is noticed in between


def test_a_stop_is_noticed_while_a_store_that_is_down_is_waited_for(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    store.is_down = True

    def watch() -> None:
        if clock.now >= 1003:  # in the second wait
            raise TransferStopped("on_kill")

    with pytest.raises(TransferStopped, match="on_kill"):
        checkpointer.load(watch=watch)

    assert clock.now == 1003
    assert store.count("load") == 2


def test_a_first_try_begins_without_a_store_that_stays_down(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_down = True

    with caplog.at_level(logging.WARNING):
        assert a_checkpointer(store, clock, owner=OLDER).load() is None

    assert store.count("load") == LOAD_ATTEMPTS
    assert "starts without a checkpoint: no answer from the store" in caplog.messages[-1]


def test_a_later_try_waits_for_its_checkpoint_instead_of_losing_its_parts(
    store: Store, checkpointer: Checkpointer
) -> None:
    store.is_down = True

    with pytest.raises(StoreUnavailable, match="no answer") as raised:
        checkpointer.load()

    assert raised.value.retryable


@pytest.mark.parametrize("text", ["", "nul", "{}", '{"ossresume": 99}', encode(STATE)[:-9]])
def test_a_checkpoint_that_cannot_be_read_is_logged_and_left(
    store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    store.texts[KEY] = text

    with caplog.at_level(logging.WARNING):
        assert checkpointer.load() is None

    assert "cannot be used" in caplog.text
    assert store.texts == {KEY: text}


def test_a_try_that_is_older_than_the_checkpoint_stops(store: Store, checkpointer: Checkpointer) -> None:
    put(store, replace(STATE, owner=NEWER))

    with pytest.raises(TrySuperseded, match=r"try 3 \(try-3\) has taken over"):
        checkpointer.load()

    assert stored(store) == replace(STATE, owner=NEWER)


def test_the_same_try_elsewhere_is_taken_over_not_feared(store: Store, checkpointer: Checkpointer) -> None:
    # Cleared tasks count their tries on, but a worker that died may leave a checkpoint with this very number.
    put(store, replace(STATE, owner=Owner(2, "another worker")))

    assert checkpointer.load() == replace(STATE, owner=Owner(2, "another worker"))


def test_a_checkpoint_of_another_transfer_is_logged_and_left(
    store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, STATE)
    checkpointer.lease.is_ours = lambda checkpoint: checkpoint.key == "mine"

    with caplog.at_level(logging.WARNING):
        assert checkpointer.load() is None

    assert "cannot be used: it is of another transfer" in caplog.text
    assert stored(store) == STATE


def test_the_checkpoint_of_an_overtaken_try_that_saved_late_is_not_deleted(
    store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture
) -> None:
    checkpointer.load()
    checkpointer.save(STATE)
    late = replace(STATE, owner=OLDER, upload_id="of another upload")
    put(store, late)

    with caplog.at_level(logging.WARNING):
        checkpointer.delete()

    assert stored(store) == late
    assert f"is not deleted: try {OLDER.try_number} ({OLDER.identity}) has saved it" in caplog.text


@pytest.mark.parametrize(("age", "is_over"), [(0.0, False), (30.0, False), (90.0, True)])
def test_a_higher_number_that_was_there_before_this_try_began_is_that_of_a_run_that_was_deleted(
    store: Store, clock: Clock, age: float, is_over: bool
) -> None:
    """A Variable outlives its run; made again under its name, the run counts its tries from 1."""
    store.texts[KEY] = encode(replace(STATE, owner=NEWER), saved_at=1_000_000 - age)
    checkpointer = Checkpointer(store, KEY, owner=OLDER, interval=INTERVAL, began=1_000_000, clock=clock)

    if is_over:
        assert checkpointer.load() == replace(STATE, owner=NEWER)
        checkpointer.save(LATER)
        assert stored(store) == replace(LATER, owner=OLDER)
    else:
        with pytest.raises(TrySuperseded):
            checkpointer.load()


# --- saving -----------------------------------------------------------------------------------------------------------


def test_what_is_saved_bears_this_trys_name(store: Store, checkpointer: Checkpointer) -> None:
    checkpointer.save(replace(STATE, owner=OLDER))

    assert stored(store) == STATE
    assert checkpointer.saves == 1


def test_a_store_that_is_down_does_not_hurt_and_is_tried_again_when_the_next_save_is_due(
    store: Store, clock: Clock, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_down = True
    with caplog.at_level(logging.WARNING):
        checkpointer.save(STATE)
        checkpointer.tick()
    assert "could not be saved" in caplog.text
    assert "the transfer continues: no answer from the store" in caplog.text
    assert (store.count("save"), checkpointer.saves) == (1, 0)

    store.is_down = False
    clock.now += INTERVAL
    checkpointer.tick()

    assert stored(store) == STATE
    assert checkpointer.saves == 1


def test_updates_are_saved_by_ticks_at_most_once_an_interval(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    seen = []
    for second in range(1, 21):
        clock.now += 1
        checkpointer.update(replace(STATE, upload_id=f"after {second} s"))
        checkpointer.tick()
        if store.count("save") - 1 > len(seen):
            seen.append(second)

    assert seen == [5, 10, 15, 20]
    assert stored(store) == replace(STATE, upload_id="after 20 s")


def test_ticks_save_nothing_twice(store: Store, clock: Clock, checkpointer: Checkpointer) -> None:
    checkpointer.save(STATE)
    for _ in range(10):
        clock.now += 100
        checkpointer.tick()

    assert store.count("save") == 1


def test_a_tick_before_the_first_state_asks_nothing(store: Store, checkpointer: Checkpointer) -> None:
    checkpointer.tick()
    checkpointer.save_on_failure()

    assert store.asked == []


def test_a_slow_store_is_asked_to_save_only_a_twentieth_of_the_time(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    store.seconds = 3.0
    checkpointer.save(STATE)
    checkpointer.update(LATER)
    store.seconds = 0.0
    clock.now += SHARE_OF_TIME * 3.0 - 1
    checkpointer.tick()
    assert store.count("save") == 1

    clock.now += 1
    checkpointer.tick()

    assert store.count("save") == 2
    assert stored(store) == LATER


def test_an_interval_of_zero_saves_at_every_tick_that_has_something_new(store: Store, clock: Clock) -> None:
    checkpointer = a_checkpointer(store, clock, interval=0)
    for number in range(3):
        checkpointer.update(replace(STATE, upload_id=f"ID{number}"))
        checkpointer.tick()
        checkpointer.tick()

    assert store.count("save") == 3


def test_at_the_end_of_a_try_what_is_not_saved_is_saved_at_once(store: Store, checkpointer: Checkpointer) -> None:
    checkpointer.save(STATE)
    checkpointer.update(LATER)

    checkpointer.save_on_failure()
    checkpointer.save_on_failure()

    assert stored(store) == LATER
    assert store.count("save") == 2


def test_at_the_end_a_store_that_is_down_does_not_hide_what_ended_the_try(
    store: Store, checkpointer: Checkpointer
) -> None:
    checkpointer.update(STATE)
    store.is_down = True

    checkpointer.save_on_failure()

    assert store.texts == {}


def test_a_signal_that_strikes_while_the_last_state_is_saved_does_not_cost_it(clock: Clock) -> None:
    class Struck(Store):
        def save(self, key: str, text: str) -> None:
            if not self.count("save"):
                self.asked.append("save")
                raise TransferStopped("SIGTERM")
            super().save(key, text)

    store = Struck(clock)
    checkpointer = a_checkpointer(store, clock)
    checkpointer.update(STATE)

    with pytest.raises(TransferStopped):
        checkpointer.save_on_failure()

    assert stored(store) == STATE


# --- whose transfer it is ---------------------------------------------------------------------------------------------


def test_a_try_notices_within_ten_seconds_that_a_newer_one_has_taken_over(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    put(store, replace(LATER, owner=NEWER))
    clock.now += OWNER_CHECK_INTERVAL - 1
    checkpointer.tick()

    clock.now += 1
    with pytest.raises(TrySuperseded, match="try 3"):
        checkpointer.tick()


def test_a_try_that_is_over_never_writes_over_its_successors_checkpoint(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    put(store, replace(LATER, owner=NEWER))
    checkpointer.update(replace(STATE, upload_id="more of ours"))
    clock.now += INTERVAL

    with pytest.raises(TrySuperseded):
        checkpointer.tick()

    assert stored(store) == replace(LATER, owner=NEWER)


def test_a_try_that_fails_after_it_was_superseded_leaves_its_successors_checkpoint_alone(
    store: Store, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    put(store, replace(LATER, owner=NEWER))
    checkpointer.update(replace(STATE, upload_id="more of ours"))

    assert not checkpointer.save_on_failure()

    assert stored(store) == replace(LATER, owner=NEWER)


def test_a_first_look_after_ones_own_save_finds_a_newer_try(store: Store, clock: Clock) -> None:
    first, second = (a_checkpointer(store, clock, owner=Owner(0, name)) for name in ("first", "second"))
    store.failures = 1
    first.save(STATE)
    second.save(STATE)

    with pytest.raises(TrySuperseded, match=r"try 0 \(second\)"):
        first.check_owner()


def test_of_two_tries_with_one_number_the_one_that_wrote_last_goes_on(store: Store, clock: Clock) -> None:
    first, second = (a_checkpointer(store, clock, owner=Owner(0, name)) for name in ("first", "second"))
    first.save(STATE)
    second.save(STATE)

    second.check_owner()
    with pytest.raises(TrySuperseded, match=r"try 0 \(second\)"):
        first.check_owner()


def test_of_two_runs_without_numbers_the_earlier_ones_checkpoint_is_no_successors(store: Store, clock: Clock) -> None:
    put(store, replace(STATE, owner=Owner(0, "yesterday")))
    today = a_checkpointer(store, clock, owner=Owner(0, "today"))
    store.failures = LOAD_ATTEMPTS
    assert today.load() is None

    today.save(STATE)

    assert stored(store) == replace(STATE, owner=Owner(0, "today"))


def test_a_checkpoint_that_somebody_deleted_is_put_back(store: Store, clock: Clock, checkpointer: Checkpointer) -> None:
    checkpointer.save(STATE)
    store.texts.clear()
    clock.now += OWNER_CHECK_INTERVAL

    checkpointer.tick()

    assert stored(store) == STATE


def test_a_checkpoint_that_a_try_that_is_over_wrote_is_replaced(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    put(store, replace(LATER, owner=OLDER))
    clock.now += OWNER_CHECK_INTERVAL

    checkpointer.tick()

    assert stored(store) == STATE


@pytest.mark.parametrize(("trouble", "says"), [("down", "Cannot check in"), ("unreadable", "cannot be used")])
def test_a_try_that_cannot_tell_who_owns_the_transfer_goes_on(
    store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture, trouble: str, says: str
) -> None:
    checkpointer.save(STATE)
    if trouble == "down":
        store.is_down = True
    else:
        store.texts[KEY] = "scribbled over"

    with caplog.at_level(logging.WARNING):
        checkpointer.check_owner()

    assert says in caplog.text


def test_who_owns_it_is_asked_only_now_and_then(store: Store, clock: Clock, checkpointer: Checkpointer) -> None:
    checkpointer.save(STATE)
    before = store.count("load")
    for _ in range(100):
        clock.now += 0.25
        checkpointer.tick()

    assert store.count("load") - before == 2  # in 25 seconds


def test_a_store_that_knows_that_this_try_is_over_ends_it(clock: Clock) -> None:
    class Knowing(Store):
        def save(self, key: str, text: str) -> None:
            raise TrySuperseded("the supervisor is gone")

    checkpointer = a_checkpointer(Knowing(clock), clock)

    with pytest.raises(TrySuperseded, match="supervisor"):
        checkpointer.save(STATE)


@pytest.mark.parametrize("state", [STATE, LATER], ids=["saved", "changed since its save"])
def test_a_store_that_shows_a_try_that_is_over_nothing_tells_it_so_before_it_publishes(
    clock: Clock, state: Checkpoint
) -> None:
    """Airflow's task state store: to a try that is over its checkpoint looks deleted, and only a write is refused."""

    class Fencing(Store):
        is_over = False

        def load(self, key: str) -> str | None:
            return None if self.is_over else super().load(key)

        def save(self, key: str, text: str) -> None:
            if self.is_over:
                raise TrySuperseded("this try is over")
            super().save(key, text)

    fencing = Fencing(clock)
    checkpointer = a_checkpointer(fencing, clock)
    checkpointer.save(STATE)
    checkpointer.update(state)
    fencing.is_over = True

    with pytest.raises(TrySuperseded, match="this try is over"):
        checkpointer.check_owner()


# --- the end ----------------------------------------------------------------------------------------------------------


def test_after_a_success_nothing_is_left_and_nothing_comes_back(
    store: Store, clock: Clock, checkpointer: Checkpointer
) -> None:
    checkpointer.save(STATE)
    checkpointer.update(LATER)
    checkpointer.delete()
    clock.now += 100
    checkpointer.tick()
    checkpointer.save_on_failure()

    assert store.texts == {}


def test_after_a_success_a_successors_checkpoint_stays(store: Store, checkpointer: Checkpointer) -> None:
    checkpointer.save(STATE)
    put(store, replace(LATER, owner=NEWER))

    checkpointer.delete()

    assert stored(store) == replace(LATER, owner=NEWER)


def test_a_success_that_never_needed_a_checkpoint_deletes_none(store: Store, checkpointer: Checkpointer) -> None:
    checkpointer.load()
    checkpointer.delete()

    assert store.asked == ["load"]


@pytest.mark.parametrize(
    "text", ["garbage", encode(replace(STATE, key="another"))], ids=["garbage", "another object's"]
)
def test_what_was_not_read_as_ones_own_is_not_deleted(store: Store, checkpointer: Checkpointer, text: str) -> None:
    checkpointer.lease.is_ours = lambda checkpoint: checkpoint.key == STATE.key
    store.texts[KEY] = text
    checkpointer.load()

    checkpointer.delete()

    assert store.texts == {KEY: text}


def test_nothing_is_deleted_unseen(store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture) -> None:
    checkpointer.save(STATE)
    put(store, replace(STATE, owner=NEWER))
    store.failures = 1  # so that nobody can tell whose it is

    checkpointer.delete()

    assert stored(store) == replace(STATE, owner=NEWER)
    assert "could not be deleted, which does no harm" in caplog.text


def test_a_checkpoint_that_cannot_be_deleted_is_warned_about(
    store: Store, checkpointer: Checkpointer, caplog: pytest.LogCaptureFixture
) -> None:
    checkpointer.save(STATE)
    store.is_down = True

    with caplog.at_level(logging.WARNING):
        checkpointer.delete()

    assert "could not be deleted, which does no harm" in caplog.text


def test_a_log_line_names_store_and_key(checkpointer: Checkpointer) -> None:
    assert str(checkpointer) == f"memory {KEY}"


def test_a_log_line_names_the_place_where_the_store_knows_it(tmp_path: Path) -> None:
    checkpointer = Checkpointer(FileCheckpointStore(tmp_path), KEY, owner=OURS, interval=0)
    checkpointer.save(STATE)

    named = Path(str(checkpointer).removeprefix("file "))

    assert decode(named.read_text()) == STATE


def test_every_process_and_every_call_is_an_owner_of_its_own() -> None:
    first, second = this_process(3), this_process(3)

    assert first.try_number == second.try_number == 3
    assert first.is_superseded_by(second)
    assert second.is_superseded_by(first)
    assert this_process().try_number == 0
