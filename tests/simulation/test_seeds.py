"""Five hundred seeds of the simulation; ``make simulate`` runs more."""

from __future__ import annotations

import pytest

from tests.simulation.seeds import simulate

SEEDS, BATCH = 500, 50
FOUND = (704053,)  # seeds that have found a defect; each also has a script in a file named after its subject


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_invariant_is_broken(first: int) -> None:
    failing = [report for seed in range(first, first + BATCH) if (report := simulate(seed)).violation]

    assert not failing, "\n" + "\n\n".join(map(str, failing[:3]))


@pytest.mark.parametrize("seed", FOUND)
def test_a_defect_that_a_seed_has_found_stays_mended(seed: int) -> None:
    report = simulate(seed)

    assert not report.violation, f"\n{report}"


@pytest.mark.parametrize("first", range(0, SEEDS, 4 * BATCH))
def test_the_same_seed_is_the_same_run(first: int) -> None:
    """Compared by the log, which holds each call, fault and moment of virtual time."""
    for seed in range(first, first + 20):
        one, other = simulate(seed), simulate(seed)

        assert one.log == other.log
        assert one.fired == other.fired
