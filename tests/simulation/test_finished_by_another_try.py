"""What another try has finished under this one's eyes is found, kept, and no reason to fail."""

from __future__ import annotations

from dataclasses import replace

from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import a_world

FAIL_IF_EXISTS = {"if_exists": "fail"}


def test_an_upload_that_finds_its_object_made_by_another_try_is_not_left_open() -> None:
    """409 on Complete, and the object holds our bytes: the try returns and forgets that its upload is still open."""
    with a_world(replace(UPLOAD, options=FAIL_IF_EXISTS)) as world:
        older = world.begin(("initiate", "after", 1, "freeze"))
        assert succeeded(world, world.begin())

        world.go_on(older)

        assert succeeded(world, older)
        assert not world.oss.open_uploads()


def test_a_file_that_an_older_try_has_finished_is_not_refused() -> None:
    """The upload compares under if_exists="fail" whatever is stored; the download only without a part file."""
    with a_world(replace(DOWNLOAD, options=FAIL_IF_EXISTS)) as world:
        world.begin(("save", "before", 1, "overlap"))  # goes on while the next one waits for the part file
        world.begin(("get", "before", 3, "denied"))

        assert succeeded(world, world.begin())


def test_an_object_that_an_older_try_finishes_under_our_eyes_is_no_permanent_refusal() -> None:
    """409 on Initiate after a HEAD that found nothing: the next try would find it already there."""
    with a_world(replace(UPLOAD, options=FAIL_IF_EXISTS)) as world:
        oldest = world.begin(("save", "before", 1, "freeze"))
        older = world.begin(("initiate", "before", 1, "freeze"))
        world.go_on(oldest)
        world.go_on(older)

        assert is_sound(world)
        assert succeeded(world, world.begin())
