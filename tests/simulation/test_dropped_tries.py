"""A try that is to drop what is done drops all of its own and of those before it, and nothing of a newer one."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import ClaimsUnseen
from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import Engine, Profile, a_world


@pytest.mark.parametrize("profile", [UPLOAD, DOWNLOAD])
def test_it_drops_what_earlier_tries_have_done_too(profile: Profile) -> None:
    part = "part" if profile is UPLOAD else "get"
    with a_world(profile) as world:
        world.begin((part, "after", 3, "crash"))
        dropping = world.start_try()
        dropping.drops = True
        world.chaos.arm(dropping, (part, "before"), 1, "denied")
        world.run(dropping)

        assert is_sound(world)
        assert world.shelf.text is None
        assert not world.oss.open_uploads()
        assert not world.part_files()
        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 0


def test_a_superseded_try_that_is_stopped_drops_nothing() -> None:
    assert overtaken_and_stopped(Engine()) is None


def test_the_simulation_notices_one_that_drops_without_a_look() -> None:
    assert "would abort" in (overtaken_and_stopped(Engine(checkpointer=ClaimsUnseen)) or "")


def overtaken_and_stopped(engine: Engine) -> str | None:
    """Let a try be stopped that a newer one has overtaken; return the invariant that breaks."""
    with a_world(UPLOAD, engine=engine) as world:
        older = world.begin(("part", "after", 2, "freeze"))
        newer = world.begin(("part", "after", 2, "freeze"))
        older.drops = True
        older.told = "stop"
        world.go_on(older)
        world.go_on(newer)
        return world.ledger.violation
