"""Five hundred seeds of the simulation; ``make simulate`` runs more."""

from __future__ import annotations

import pytest

from tests.simulation.seeds import simulate

SEEDS, BATCH = 500, 50


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_invariant_is_broken(first: int) -> None:
    failing = [report for seed in range(first, first + BATCH) if (report := simulate(seed)).violation]

    assert not failing, "\n" + "\n\n".join(map(str, failing[:3]))


@pytest.mark.parametrize("first", range(0, SEEDS, 4 * BATCH))
def test_the_same_seed_is_the_same_run(first: int) -> None:
    """Compared by the log, which holds each call, fault and moment of virtual time."""
    for seed in range(first, first + 20):
        one, other = simulate(seed), simulate(seed)

        assert one.log == other.log
        assert one.fired == other.fired
