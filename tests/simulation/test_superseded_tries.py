"""A try that is over harms none that came after it, wherever it was frozen; none takes a dead one for a newer one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import TrySuperseded
from tests.simulation.mutants import RestartsUnseen
from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import Engine, Profile, Try, World, a_world


def test_a_superseded_try_does_not_save_its_first_checkpoint_over_its_successors() -> None:
    """It looks before each later save, not before the first: frozen in between, it overwrites what it does not know."""
    with a_world(UPLOAD) as world:
        older = world.begin(("initiate", "after", 1, "freeze"))
        world.begin(("part", "after", 3, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 3


def test_a_superseded_try_does_not_delete_its_successors_checkpoint() -> None:
    """It looks before it completes, and then deletes whatever checkpoint is there: here the one of a newer upload."""
    with a_world(UPLOAD) as world:
        older = world.begin(("complete", "after", 1, "freeze"))
        world.rivals.do("source grown")
        world.begin(("part", "after", 3, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 3
        assert not world.oss.open_uploads()


def test_a_superseded_try_that_skips_does_not_delete_its_successors_checkpoint() -> None:
    """A try that has no checkpoint of its own never looks at all."""
    with a_world(replace(DOWNLOAD, options={"if_exists": "skip"})) as world:
        older = world.begin(("get", "after", 1, "freeze"))
        newer = world.begin(("get", "after", 4, "freeze"))
        world.rivals.do("file replaced")

        world.go_on(older)
        world.go_on(newer)

        assert is_sound(world)


@pytest.mark.parametrize("profile", [UPLOAD, DOWNLOAD])
@pytest.mark.parametrize("fault", [("save", "before", 1, "down"), ("load", "before", 1, "down for long")])
def test_outside_airflow_a_store_that_fails_once_does_not_make_the_dead_predecessor_a_newer_try(
    profile: Profile, fault: tuple[str, str, int, str]
) -> None:
    """All tries have number 0 there: while ours is not saved, the look finds the checkpoint that we went on from."""
    with a_world(replace(profile, in_airflow=False)) as world:
        world.begin(("get" if profile is DOWNLOAD else "part", "after", 3, "crash"))

        assert succeeded(world, world.begin(fault))


def test_a_superseded_try_does_not_empty_its_successors_part_file() -> None:
    """It decides by what it loaded long ago that there is nothing to resume, and empties the file before it looks."""
    with a_world(DOWNLOAD) as world:
        older = world.begin(("get", "after", 1, "freeze"))
        world.begin(("get", "before", 5, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept >= 2


def test_a_superseded_try_that_waited_for_a_part_file_does_not_empty_the_one_that_took_its_place() -> None:
    """The part file that it waits for is removed, and its successor begins another at the same path.

    Only one seed in some five thousand comes here, so no mutant stands for it.
    """
    with a_world(DOWNLOAD) as world:
        first = world.begin(("get", "before", 4, "freeze"))
        second = world.begin(("save", "after", 1, "freeze"))  # which tells the first one to let go
        world.rivals.do("part file removed")
        world.go_on(first)
        world.begin(("get", "before", 5, "crash"))

        world.go_on(second)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept >= 2


def test_outside_airflow_a_try_whose_first_looks_failed_knows_the_one_that_took_over() -> None:
    """What the first look finds was there before, but not when our own checkpoint had been there meanwhile."""
    looks_fail = [("load", "before", nth, "down") for nth in range(1, 6)]
    with a_world(replace(UPLOAD, in_airflow=False)) as world:
        older = world.begin(*looks_fail, ("save", "after", 1, "freeze"))
        newer = world.begin(("part", "before", 3, "freeze"))

        world.go_on(older)
        world.go_on(newer)

        assert isinstance(older.error, TrySuperseded)
        assert succeeded(world, newer)


def test_a_try_that_restarts_does_not_abort_the_upload_with_which_its_successor_goes_on() -> None:
    """It checks for a newer try when the source has changed. Before it aborts, it asks for source and target again."""
    world, older, newer = restarted_and_overtaken(Engine())

    assert isinstance(older.error, TrySuperseded)
    assert succeeded(world, newer)
    assert newer.result is not None
    assert newer.result.parts_kept == 3


def test_the_simulation_notices_one_that_restarts_without_a_look() -> None:
    world, _, _ = restarted_and_overtaken(Engine(copier=RestartsUnseen))

    assert "would abort" in (world.ledger.violation or "")


def restarted_and_overtaken(engine: Engine) -> tuple[World, Try, Try]:
    """Let a copy restart for a changed source, and be frozen until another try has resumed its upload."""
    copy = Profile("copy", size=UPLOAD.size, options={"if_exists": "skip", "mode": "stream"})
    with a_world(copy, engine=engine) as world:
        content = world.ledger.truth
        assert content is not None
        older = world.begin(("get", "before", 8, "object edited"), ("tagging", "after", 2, "freeze"))
        world.rivals.put_object(content)
        newer = world.begin(("get", "before", 1, "freeze"))
        world.go_on(older)
        world.go_on(newer)
        return world, older, newer
