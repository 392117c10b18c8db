"""Workers' clocks differ; nobody is taken for an older try for that, nor for a newer one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import TrySuperseded
from airflow_provider_ossresume.transfer.lease import CLOCK_SKEW
from tests.simulation.scripts import UPLOAD, succeeded
from tests.simulation.world import Try, World, a_world

MOST = CLOCK_SKEW / 2 - 5  # of two workers, one ahead and one behind, and a few seconds that pass between the two


def begun(world: World, *faults: tuple[str, str, int, str], skew: float) -> Try:
    """Run a try on a worker whose clock is wrong by so many seconds."""
    process = world.start_try()
    process.skew = skew
    for operation, phase, nth, action in faults:
        world.chaos.arm(process, (operation, phase), nth, action)
    world.run(process)
    return process


@pytest.mark.parametrize("in_airflow", [True, False])
def test_a_newer_try_whose_clock_is_behind_is_a_newer_try(in_airflow: bool) -> None:
    with a_world(replace(UPLOAD, in_airflow=in_airflow)) as world:
        older = begun(world, ("part", "after", 2, "freeze"), skew=MOST)
        newer = begun(world, ("part", "after", 3, "freeze"), skew=-MOST)

        world.go_on(older)
        world.go_on(newer)

        assert isinstance(older.error, TrySuperseded)
        assert succeeded(world, newer)


def test_outside_airflow_a_try_whose_first_looks_failed_knows_that_one_too() -> None:
    """What it finds was saved before it began, as the clocks have it; but its own checkpoint had been there."""
    looks_fail = [("load", "before", nth, "down") for nth in range(1, 6)]
    with a_world(replace(UPLOAD, in_airflow=False)) as world:
        older = begun(world, *looks_fail, ("save", "after", 1, "freeze"), skew=MOST)
        newer = begun(world, ("part", "before", 3, "freeze"), skew=-MOST)

        world.go_on(older)
        world.go_on(newer)

        assert isinstance(older.error, TrySuperseded)
        assert succeeded(world, newer)
