"""Installs what lies in dist with each Airflow and asks it; prints a table, and exits 1 unless all of it is well.

A preview of an Airflow may fail: that is shown, and changes no exit status.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.matrix.cells import AIRFLOWS, PYTHONS, Cell, Outcome, plan, table
from tests.matrix.environments import ROOT, Environment, StepFailed, find_pythons

PATTERNS = {"wheel": "*.whl", "sdist": "*.tar.gz"}


def main() -> int:
    options = parse()
    pythons = find_pythons(options.python)
    airflows = [airflow.only_on(options.python) for airflow in AIRFLOWS if airflow.minor in options.airflow]
    chosen = plan(airflows, pythons, every_pair=options.all)
    for reason in chosen.left_out:
        print(f"Not tried: {reason}", flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="ossresume-matrix-") as folder:
        for cell in chosen.cells:
            outcomes.append(outcome := try_out(cell, pythons[cell.python], Path(folder), suites=options.suites))
            print(f"{cell}: {outcome.failure or 'ok'} in {outcome.seconds:.0f} s", flush=True)
    print(f"\n{table(outcomes, chosen.left_out)}")
    return int(not outcomes or any(outcome.is_bad for outcome in outcomes))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every pair that there can be, not only enough of them")
    minors = [airflow.minor for airflow in AIRFLOWS]
    parser.add_argument("--airflow", nargs="+", choices=minors, default=minors, help="only these")
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=PYTHONS, help="only these")
    parser.add_argument("--suites", action="store_true", help="run tests/unit and tests/airflow in each as well")
    return parser.parse_args()


def try_out(cell: Cell, base_python: str, folder: Path, *, suites: bool) -> Outcome:
    [package] = (ROOT / "dist").glob(PATTERNS[cell.artefact])
    began = time.monotonic()
    log = folder / f"{cell.airflow.minor}-{cell.python}.log"
    tests: list[str] = []
    failure = ""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        environment = Environment(Path(home), log)
        try:
            environment.make(base_python, cell, package)
            tests.append(environment.ask())
            tests.append(environment.run_examples(cell))
            tests.append(environment.run_triggerer(cell))
            if suites:
                tests.append(environment.run_suites())
        except StepFailed as error:
            failure = str(error)
            print(f"--- the end of the log of {cell} ---\n{log.read_text()[-8000:]}", flush=True)
    return Outcome(cell, "; ".join(tests), time.monotonic() - began, failure)


if __name__ == "__main__":
    sys.exit(main())
