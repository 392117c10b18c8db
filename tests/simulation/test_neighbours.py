"""Two runs that move to the same object or file at once: each publishes whole, and leaves alone what is the other's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import OSSResumeError
from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import Profile, World, a_world, part_file_of

BOTH = pytest.mark.parametrize(("profile", "part"), [(UPLOAD, "part"), (DOWNLOAD, "get")], ids=["upload", "download"])


def product(world: World) -> bytes | None:
    if world.profile.direction == "download":
        return world.target.read_bytes()
    return world.oss.object.content if world.oss.object else None


@BOTH
def test_each_publishes_its_own_bytes_and_the_last_one_stays(profile: Profile, part: str) -> None:
    with a_world(profile) as world:
        neighbour = world.with_neighbour(profile, groups=frozenset())
        held_up = world.begin((part, "after", 3, "freeze"))

        assert succeeded(neighbour, neighbour.begin())
        assert product(neighbour) == neighbour.ledger.truth
        assert world.shelf.text is not None

        world.go_on(held_up)
        assert succeeded(world, held_up)
        assert product(world) == world.ledger.truth


@BOTH
def test_one_that_drops_what_it_has_done_leaves_what_the_other_has_done(profile: Profile, part: str) -> None:
    with a_world(profile) as world:
        neighbour = world.with_neighbour(profile, groups=frozenset())
        world.begin((part, "after", 5, "crash"))
        dropping = neighbour.start_try()
        dropping.drops = True
        neighbour.chaos.arm(dropping, (part, "before"), 3, "denied")
        neighbour.run(dropping)

        assert is_sound(neighbour)
        assert neighbour.shelf.text is None
        assert not part_file_of(neighbour).exists()
        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept >= 2


@BOTH
def test_under_fail_the_later_one_replaces_nothing(profile: Profile, part: str) -> None:
    refusing = replace(profile, options={"if_exists": "fail"})
    with a_world(refusing) as world:
        neighbour = world.with_neighbour(refusing, groups=frozenset())
        held_up = world.begin((part, "after", 3, "freeze"))
        assert succeeded(neighbour, neighbour.begin())

        world.go_on(held_up)

        if profile is UPLOAD:
            assert isinstance(held_up.error, OSSResumeError)
        assert is_sound(world)
        assert product(world) == neighbour.ledger.truth
