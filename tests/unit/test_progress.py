"""What a transfer tells of itself: bytes, parts, rates, retries."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.progress import Progress, Snapshot
from tests.world import PART

KIB = 1024
TARGET = ObjectRef("b", "k")


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
        self.snapshots: list[Snapshot] = []
        self.saves = 0
        self.progress = Progress(
            "upload",
            TARGET,
            interval=interval,
            callback=lambda done, total: self.seen.append((done, total)),
            observer=self.snapshots.append,
            saves=lambda: self.saves,
            clock=self.clock,
        )

    def move(self, *sizes: int, attempts: int = 1) -> None:
        """Move one part in pieces, perhaps again and again, and finish it."""
        meter = self.progress.meter()
        for _ in range(attempts):
            meter.begin()
            for size in sizes:
                meter.add(size)
        self.progress.finish_part(sum(sizes))


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
    world.progress.begin(total=300, parts=3, kept=[100, 100])
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


def test_an_empty_piece_is_no_retry(world: World) -> None:
    world.progress.begin(total=100, parts=1)
    world.move(0, 100, 0)
    world.progress.tick()

    assert (world.progress.retries, world.progress.bytes_moved) == (0, 100)


def test_each_part_has_a_meter_of_its_own(world: World) -> None:
    world.progress.begin(total=300, parts=3)
    for _ in range(3):
        world.move(100)
    world.progress.tick()

    assert (world.progress.retries, world.progress.parts_sent, world.progress.bytes_moved) == (0, 3, 300)


def test_what_the_callback_raises_comes_out_of_the_tick() -> None:
    def refuse(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    progress = Progress("upload", TARGET, interval=0, callback=refuse)
    progress.begin(total=5, parts=1)

    with pytest.raises(RuntimeError, match="0 of 5"):
        progress.tick()


def test_a_restart_begins_to_count_again_but_forgets_no_work(world: World) -> None:
    world.progress.begin(total=300, parts=3, kept=[100])
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
    world.progress.begin(total=10 * PART, parts=10, kept=[PART, PART])
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


def test_the_rate_is_the_one_of_the_last_half_minute(world: World) -> None:
    world.progress.begin(total=1000 * PART, parts=1000)
    for _ in range(60):
        world.clock.now += 1
        world.move(10 * PART)
        world.progress.tick()
    for _ in range(30):
        world.clock.now += 1
        world.move(PART)
        world.progress.tick()

    assert "100.0 KiB/s, 370 s left" in str(world.progress)


def test_a_transfer_that_stopped_to_move_is_called_stalled_after_half_a_minute(world: World) -> None:
    world.progress.begin(total=10 * PART, parts=10)
    world.move(PART)
    world.progress.tick()
    said = []
    for _ in range(32):
        world.clock.now += 1
        world.progress.tick()
        said.append("stalled" in str(world.progress))

    assert said == [False] * said.index(True) + [True] * (32 - said.index(True))
    assert 29 <= said.index(True) + 1 <= 31


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


def test_a_try_that_fails_says_how_far_it_came(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        world.progress.begin(total=10 * PART, parts=10, kept=[PART])
        world.move(PART)
        meter = world.progress.meter()
        meter.begin()
        meter.add(PART // 2)  # of a part that is not finished, and will be sent again
        world.clock.now += 2
        world.progress.fail(outlook="The next try resumes from here.")

    assert caplog.messages == [
        "Upload to oss://b/k stopped at 20% (2 of 10 parts, 200.0 KiB of 1.0 MiB, 75.0 KiB/s, after 2.0 s, "
        "1 parts kept, 0 retries). The next try resumes from here."
    ]


def test_a_try_that_fails_before_there_was_something_to_do_leaves_that_to_the_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.progress.fail()

    assert caplog.messages == []


# --- the observer -----------------------------------------------------------------------------------------------------


def test_the_observer_sees_the_whole_course_of_a_transfer(world: World) -> None:
    world.progress.tick()
    world.progress.started_as = "resumed"
    world.progress.begin(total=4 * PART, parts=4, kept=[PART])
    world.progress.tick()
    world.clock.now += 1
    world.move(PART, attempts=2)
    world.saves = 1
    world.progress.tick()
    world.clock.now += 1
    world.move(PART)
    world.move(PART)
    world.progress.finish(4 * PART)

    states = [(each.state, each.percent, each.parts_done, each.retries) for each in world.snapshots]
    assert states == [("running", 25, 1, 0), ("running", 50, 2, 1), ("finished", 100, 4, 1)]
    assert [each.checkpoint_saves for each in world.snapshots] == [0, 1, 1]
    assert {each.started_as for each in world.snapshots} == {"resumed"}
    last = world.snapshots[-1]
    assert (last.bytes_moved, last.seconds, last.rate) == (4 * PART, 2, 2 * PART)


def test_a_report_is_small_json_for_people(world: World) -> None:
    world.progress.begin(total=10 * PART, parts=10, kept=[PART])
    world.move(PART)
    world.clock.now += 4
    world.progress.tick()
    [running] = world.snapshots

    assert json.loads(json.dumps(running.report())) == {
        "state": "running",
        "direction": "upload",
        "uri": "oss://b/k",
        "percent": 20,
        "bytes_done": 2 * PART,
        "bytes_total": 10 * PART,
        "parts_done": 2,
        "parts_kept": 1,
        "parts_total": 10,
        "retries": 0,
        "bytes_per_second": PART // 4,
        "seconds_left": 32,
    }


@pytest.mark.parametrize("is_begun", [True, False])
def test_a_try_that_fails_has_no_time_left(world: World, is_begun: bool) -> None:
    if is_begun:
        world.progress.begin(total=2 * PART, parts=2)
        world.move(PART)
    world.clock.now += 1
    world.progress.fail()
    report = world.snapshots[-1].report()

    assert (report["state"], report["seconds_left"]) == ("failed", None)
    assert (report["percent"], report["bytes_total"]) == ((50, 2 * PART) if is_begun else (None, None))


def test_what_had_nothing_to_move_is_finished_all_the_same(world: World) -> None:
    world.progress.finish(PART)

    report = world.snapshots[-1].report()
    assert (report["state"], report["percent"], report["bytes_done"]) == ("finished", 100, PART)
