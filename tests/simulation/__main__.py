"""Run many seeds, one, or planted defects: ``python -m tests.simulation`` and ``--seeds 10000``, ``--seed 42`` or
``--mutants``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.mutants import MUTANTS, first_catch
from tests.simulation.seeds import simulate

MOST_FAILURES = 10  # that are told in full


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="this one alone, with its log")
    parser.add_argument("--stats", action="store_true", help="tell which faults fired where, and what was counted")
    parser.add_argument("--mutants", action="store_true", help="tell which seed is the first to notice each mutant")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        report = simulate(arguments.seed)
        print(report)
        return int(report.violation is not None)
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    return run_mutants(seeds) if arguments.mutants else run_many(seeds, stats=arguments.stats)


def run_mutants(seeds: range) -> int:
    missed = 0
    for mutant in MUTANTS:
        report = first_catch(mutant, seeds)
        missed += report is None
        told = f"seed {report.seed:>5} {report.violation}" if report else "is noticed by none of them"
        print(f"{mutant.name:60} {told[:110]}", flush=True)
    return int(missed > 0)


def run_many(seeds: range, *, stats: bool) -> int:
    began = told = time.monotonic()
    failing: list[int] = []
    fired: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    tries = 0
    for done, seed in enumerate(seeds, start=1):
        report = simulate(seed)
        fired += report.fired
        counts += report.counts
        tries += report.tries
        if report.violation is not None:
            failing.append(seed)
            if len(failing) <= MOST_FAILURES:
                print(f"{report}\n", flush=True)
        if (now := time.monotonic()) - told >= 10 or done == len(seeds):
            told = now
            print(
                f"{done} of {len(seeds)} seeds, {tries} tries, {sum(fired.values())} faults, {len(failing)} failing, "
                f"{done / (now - began):.0f} seeds a second",
                flush=True,
            )
    if stats:
        tell("Faults that fired:", fired)
    tell("Counted:", counts)
    if failing:
        print(f"Failing seeds: {' '.join(map(str, failing[:100]))}\nOne alone: make simulate SEED={failing[0]}")
    return int(bool(failing))


def tell(title: str, counter: Counter[str]) -> None:
    print(title)
    for name, count in sorted(counter.items()):
        print(f"  {count:8} {name}")


if __name__ == "__main__":
    sys.exit(main())
