"""A try that is ended while it begins an upload leaves none that nobody knows."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.transfer.crew import GRACE
from tests.simulation.scripts import UPLOAD, is_sound, succeeded
from tests.simulation.world import a_world

ANSWERED_LATE = ("initiate", "after", 1, "slow")  # after the first look at the watch, and within the grace


@pytest.mark.parametrize("end", ["stop", "timeout"])
def test_an_upload_that_is_answered_in_the_grace_is_the_next_trys(end: str) -> None:
    with a_world(UPLOAD) as world:
        stopped = world.begin(ANSWERED_LATE, ("watch", "before", 1, end))
        assert stopped.error is not None
        [upload] = world.oss.open_uploads()

        last = world.begin()

        assert succeeded(world, last)
        assert upload.state == "completed"
        assert not world.oss.open_uploads()


def test_an_upload_of_a_try_whose_supervisor_is_gone_is_aborted() -> None:
    """Its successor may be under way already, with an upload of its own; and the store is closed to it."""
    with a_world(UPLOAD) as world:
        world.begin(ANSWERED_LATE, ("watch", "before", 1, "orphan"))

        assert is_sound(world)
        assert world.shelf.text is None
        assert [upload.state for upload in world.oss.uploads.values()] == ["aborted"]


def test_an_upload_of_a_stopped_try_is_aborted_when_its_successor_has_begun_another() -> None:
    with a_world(UPLOAD) as world:
        older = world.begin(("initiate", "after", 1, "freeze"))
        world.begin(("part", "after", 3, "crash"))
        world.chaos.arm(older, ("watch", "before"), 1, "stop")

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 3
        assert not world.oss.open_uploads()


def test_an_answer_that_does_not_come_within_the_grace_is_not_waited_for() -> None:
    with a_world(UPLOAD) as world:
        process = world.begin(("initiate", "before", 1, "stall"), ("watch", "before", 1, "stop"))

        assert is_sound(world)
        assert process.error is not None
        assert world.scheduler.now - process.began_at < 3 * GRACE
