"""What a transfer tells of itself: bytes, parts, rates, retries."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_ossresume.transfer.progress import Progress
from tests.world import PART

KIB = 1024


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A progress with a clock of its own, and what it called back."""

    def __init__(self, *, interval: float = 10.0) -> None:
        self.clock = Clock()
        self.seen: list[tuple[int, int]] = []
        self.progress = Progress(
            "Upload to oss://b/k",
            interval=interval,
            callback=lambda done, total: self.seen.append((done, total)),
            clock=self.clock,
        )

    def move(self, *sizes: int, attempts: int = 1) -> None:
        """Move one part in pieces, perhaps again and again, and finish it."""
        meter = self.progress.meter()
        for _ in range(attempts):
            meter.begin()
            for size in sizes:
                meter.add(size)
        self.progress.finish_part()


@pytest.fixture
def world() -> World:
    return World()


# --- the callback -----------------------------------------------------------------------------------------------------


def test_the_callback_hears_of_every_change_and_of_nothing_else(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    world.progress.tick()
    world.progress.tick()
    world.move(60, 40)
    world.progress.tick()
    world.progress.tick()
    world.move(100)
    world.move(100)
    world.progress.tick()

    assert world.seen == [(0, 300), (100, 300), (300, 300)]


def test_nothing_is_told_before_there_is_something_to_do(world: World) -> None:
    world.progress.tick()

    assert world.seen == []


def test_parts_that_are_kept_count_as_done(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    world.progress.keep(100)
    world.progress.keep(100)
    world.progress.tick()

    assert world.seen == [(200, 300)]
    assert (world.progress.parts_kept, world.progress.parts_sent, world.progress.bytes_moved) == (2, 0, 0)


def test_an_attempt_that_is_made_again_takes_back_what_it_counted(world: World) -> None:
    world.progress.begin(total=100, parts=1)
    meter = world.progress.meter()
    meter.begin()
    meter.add(70)
    world.progress.tick()
    meter.begin()
    world.progress.tick()
    meter.add(100)
    world.progress.tick()

    assert world.seen == [(70, 100), (0, 100), (100, 100)]
    assert (world.progress.bytes_moved, world.progress.retries) == (170, 1)


def test_an_attempt_that_moved_nothing_is_a_retry_all_the_same(world: World) -> None:
    world.progress.begin(total=100, parts=1)
    meter = world.progress.meter()
    for _ in range(4):
        meter.begin()
    world.progress.tick()

    assert world.progress.retries == 3
    assert world.progress.bytes_moved == 0


def test_each_part_has_a_meter_of_its_own(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    for _ in range(3):
        world.move(100)
    world.progress.tick()

    assert (world.progress.retries, world.progress.parts_sent, world.progress.bytes_moved) == (0, 3, 300)


def test_what_the_callback_raises_comes_out_of_the_tick() -> None:
    def refuse(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    progress = Progress("x", interval=0, callback=refuse)
    progress.begin(total=5, parts=1)

    with pytest.raises(RuntimeError, match="0 of 5"):
        progress.tick()


def test_a_restart_begins_to_count_again_but_forgets_no_work(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    world.progress.keep(100)
    world.move(100)
    world.progress.tick()
    world.progress.begin(total=200, parts=2)
    world.progress.tick()
    world.move(100)
    world.move(100)
    world.progress.tick()

    assert world.seen == [(200, 300), (0, 200), (200, 200)]
    assert (world.progress.parts, world.progress.parts_kept, world.progress.parts_sent) == (2, 0, 3)
    assert world.progress.bytes_moved == 300


def test_what_nobody_took_in_before_a_restart_does_not_count_as_done_after_it(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    world.move(100)
    world.progress.begin(total=200, parts=2)
    world.progress.tick()

    assert world.seen == [(0, 200)]


# --- the log ----------------------------------------------------------------------------------------------------------


def test_a_line_tells_parts_bytes_rate_and_time_left(world: World) -> None:
    world.progress.begin(total=10 * PART, parts=10)
    world.progress.keep(PART)
    world.progress.keep(PART)
    world.move(PART, attempts=2)
    world.clock.now += 2
    world.progress.tick()

    assert str(world.progress) == (
        "Upload to oss://b/k 30% (3/10 parts, 300.0 KiB of 1.0 MiB, 100.0 KiB/s, 7 s left, 2 parts kept, 1 retries)"
    )


def test_a_transfer_that_does_not_move_is_called_stalled(world: World) -> None:
    world.progress.begin(total=KIB, parts=1)
    world.clock.now += 5

    assert "0% (0/1 parts, 0 B of 1.0 KiB, 0 B/s, stalled," in str(world.progress)


def test_the_rate_after_a_restart_is_no_greater_than_any_that_was(world: World) -> None:
    world.progress.begin(total=2 * PART, parts=2)
    world.move(100 * PART)
    world.clock.now += 100
    world.progress.tick()
    world.progress.begin(total=2 * PART, parts=2)
    world.clock.now += 1
    world.progress.tick()

    assert "0 B/s, stalled" in str(world.progress) or "99.0 KiB/s" in str(world.progress)  # of this pass, or of all


@pytest.mark.parametrize(("done", "share"), [(0, 0), (1, 0), (2, 1), (199, 99), (200, 100)])
def test_the_share_is_never_rounded_up_to_done(world: World, done: int, share: int) -> None:
    world.progress.begin(total=200, parts=1)
    world.move(done)
    world.progress.tick()

    assert f" {share}% (1/1 parts" in str(world.progress)


def test_an_empty_object_is_done_at_once(world: World) -> None:
    world.progress.begin(total=0, parts=0)

    assert " 100% (0/0 parts, 0 B of 0 B" in str(world.progress)


def test_a_line_is_logged_once_per_interval(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        world.progress.begin(total=KIB, parts=1)
        for step in (9.75, 0.25, 9.75, 0.5, 10.0, 0.0, 30.0):
            world.clock.now += step
            world.progress.tick()

    assert len(caplog.messages) == 4
    assert all(message.startswith("Upload to oss://b/k 0%") for message in caplog.messages)


def test_an_interval_of_zero_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World(interval=0)
    with caplog.at_level(logging.INFO):
        world.progress.begin(total=KIB, parts=1)
        world.clock.now += 1e6
        world.progress.tick()

    assert caplog.messages == []
    assert world.seen == [(0, KIB)]


def test_nothing_is_logged_before_there_is_something_to_do(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        world.clock.now += 1e6
        world.progress.tick()

    assert caplog.messages == []
