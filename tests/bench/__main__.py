"""Runs the benchmark, or a part of it. Results are kept in a file, so that parts add up.

python -m tests.bench                                    everything: 30 to 60 minutes
python -m tests.bench --quick                            the main bars with 256 MiB: two minutes
python -m tests.bench --case upload-1g --rounds 5 --only ours,oss2-tuned,raw
python -m tests.bench --case upload-1g --only ours --profile --rounds 1
python -m tests.bench --report --publish                 write the documentation's figures anew
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import figures, report
from tests.bench.cases import CASES, Case, named
from tests.bench.imports import ROOT, measure_imports
from tests.bench.measure import Plan, available_memory, measure
from tests.bench.server import Programs, Unavailable, build

QUICK = ("*-256m", "*-5m")
QUICK_CONTESTANTS = "ours,oss2-tuned,oss-v2-tuned,awscrt,raw"
AIRFLOWS = {"3.3": ".venv", "2.11": ".venv-af2"}


def main() -> None:
    asked = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the files in memory are removed then, too
    if asked.list:
        for case in CASES:
            print(f"{case.name:<26} {case.title}; {', '.join(one.name for one in case.contestants)}")
        return
    results = Results(asked.results)
    if not asked.report:
        run(asked, results)
    show(results, is_quick=asked.quick)
    if asked.publish:
        publish(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the cases and who takes part")
    parser.add_argument("--case", help="names or patterns of cases, with commas between (default: all but *-256m)")
    parser.add_argument("--only", help="names of contestants, with commas between")
    parser.add_argument("--rounds", type=int, help="runs of each contestant (default 5)")
    parser.add_argument("--patience", type=float, default=60, help="seconds after which a slow one is not run again")
    parser.add_argument("--quick", action="store_true", help="two minutes: the main bars, with 256 MiB")
    parser.add_argument("--profile", action="store_true", help="show where our threads are, by sampling")
    parser.add_argument("--folder", type=Path, help="where the files are (default: /dev/shm where there is one)")
    parser.add_argument("--results", type=Path, help="kept there (default: build/bench/results.json or quick.json)")
    parser.add_argument("--report", action="store_true", help="measure nothing, show the results")
    parser.add_argument("--publish", action="store_true", help="write the results into docs/")
    asked = parser.parse_args()
    if asked.quick:
        asked.case, asked.only = asked.case or ",".join(QUICK), asked.only or QUICK_CONTESTANTS
    asked.rounds = asked.rounds or (3 if asked.quick else 5)
    asked.results = asked.results or ROOT / "build" / "bench" / ("quick.json" if asked.quick else "results.json")
    return asked


class Results:
    """What was measured, in a file; a contestant that is measured again in a case replaces its former runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = {"machine": {}, "imports": {}, "runs": []}
        if path.exists():
            self.content = json.loads(path.read_text())

    def about(self, machine: dict[str, Any]) -> None:
        """Keep former runs only if they were made on such a machine with such libraries."""
        if self.content["machine"] not in ({}, machine):
            print(f"{self.path} is of another machine or other versions; beginning anew", file=sys.stderr)
            self.content = {"machine": machine, "imports": {}, "runs": []}
        self.content["machine"] = machine

    def replace(self, case: str, runs: list[dict[str, Any]]) -> None:
        measured = {run["contestant"] for run in runs}
        former = [run for run in self.content["runs"] if run["case"] != case or run["contestant"] not in measured]
        self.content["runs"] = former + runs
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.content, indent=1))


def run(asked: argparse.Namespace, results: Results) -> None:
    try:
        programs = build(ROOT / "build" / "bench")
    except Unavailable as error:
        raise SystemExit(f"The benchmark needs a C compiler for its server: {error}. Install gcc.") from error
    only = asked.only.split(",") if asked.only else None
    where = asked.folder or (Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    with tempfile.TemporaryDirectory(dir=where, prefix="bench-") as name:
        folder = Path(name)
        results.about(report.machine(folder))
        plan = Plan(asked.rounds, folder, asked.patience, asked.profile)
        for case in (
            named(asked.case.split(",")) if asked.case else [case for case in CASES if "-256m" not in case.name]
        ):
            run_case(case, only, programs, plan, results)
        if not asked.case or asked.quick:
            for version, environment in AIRFLOWS.items():
                run_imports(version, ROOT / environment / "bin" / "python", folder, asked.rounds, results)


def run_case(case: Case, only: list[str] | None, programs: Programs, plan: Plan, results: Results) -> None:
    contestants = [one for one in case.contestants if not only or one.name in only]
    if case.direction == "download" and case.bytes > available_memory() * 0.4:
        plan.log(f"{case.name} left out: {case.bytes / 2**30:.0f} GiB do not fit into this machine's memory")
    elif contestants:
        try:
            results.replace(case.name, list(measure(case, contestants, programs, plan)))
        except Unavailable as error:
            plan.log(f"{case.name} left out: {error}")


def run_imports(version: str, python: Path, folder: Path, runs: int, results: Results) -> None:
    if not python.exists():
        print(f"imports on Airflow {version} left out: there is no {python}", file=sys.stderr)
        return
    home = folder / f"airflow-{version}"
    home.mkdir()
    results.content["imports"][version] = measure_imports(python, runs=runs, home=home)
    results.save()


def show(results: Results, *, is_quick: bool) -> None:
    found = figures.Figures(results.content["runs"])
    print(report.described(results.content["machine"]))
    print()
    print(report.tables(found))
    print()
    print(judged(results, is_quick=is_quick))
    for name, why in found.left_out.items():
        print(f"{name} was left out: {why}")


def judged(results: Results, *, is_quick: bool = False) -> str:
    found = figures.Figures(results.content["runs"])
    bars = figures.transfer_bars("256m") if is_quick else figures.all_bars()
    return "\n".join(filter(None, (report.bars(bars, found), report.import_bars(results.content["imports"]))))


def publish(results: Results) -> None:
    found = figures.Figures(results.content["runs"])
    docs = ROOT / "docs"
    for name, picture in report.pictures(found).items():
        (docs / "_static" / name).write_text(picture)
    (docs / "_static" / "bench-results.json").write_text(json.dumps(results.content, separators=(",", ":")) + "\n")
    (docs / "performance-figures.md").write_text(report.page(results.content["machine"], found, judged(results)))


if __name__ == "__main__":
    main()
