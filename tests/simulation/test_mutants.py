"""The simulation notices planted defects; an engine that it cannot tell from a defective one is not proven by it."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutant, first_catch
from tests.simulation.seeds import simulate

SEEDS = 3000  # most of them are noticed by one of the first hundred


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_planted_defect_is_noticed(mutant: Mutant) -> None:
    report = first_catch(mutant, dict.fromkeys((mutant.seed, *range(SEEDS))))

    assert report is not None, f"a hole in the simulation: no seed below {SEEDS} breaks invariant {mutant.breaks}"
    assert simulate(report.seed, directions=mutant.directions).violation is None  # it is the defect that was noticed
