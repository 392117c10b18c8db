"""Which pairs of an Airflow and a Python are tried, and what came of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Airflow:
    """A release, and the Pythons of ours that its classifiers name.

    :ivar is_preview: not released yet: what fails with it is shown, and fails nothing
    """

    version: str
    pythons: tuple[str, ...] = PYTHONS
    is_preview: bool = False

    @property
    def minor(self) -> str:
        return self.version.rpartition(".")[0]

    def only_on(self, pythons: Collection[str]) -> Airflow:
        return replace(self, pythons=tuple(python for python in self.pythons if python in pythons))


# The last release of each minor version; what is installed with it stands in .ci/airflow-MINOR.txt.
AIRFLOWS = (
    Airflow("2.11.2", PYTHONS[:3]),
    Airflow("3.0.6", PYTHONS[:3]),
    Airflow("3.1.8"),
    Airflow("3.2.2"),
    Airflow("3.3.2"),
    Airflow("3.4.0b2", PYTHONS[1:], is_preview=True),
)


@dataclass(frozen=True)
class Cell:
    """One environment.

    :ivar artefact: what is installed in it, ``wheel`` or ``sdist``
    """

    airflow: Airflow
    python: str
    artefact: str = "wheel"

    def __str__(self) -> str:
        return f"Airflow {self.airflow.version} on Python {self.python}"


@dataclass(frozen=True)
class Plan:
    """What will be tried, and what will not although it could be, in words."""

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]


def plan(airflows: Sequence[Airflow], present: Collection[str], *, every_pair: bool) -> Plan:
    """Return a cell for each Airflow such that each Python has one too, or the cells of all pairs.

    What cannot be tried, as a Python is not there, is named in the plan. The first cell gets the sdist.
    """
    pairs = [Cell(airflow, python) for airflow in airflows for python in airflow.pythons]
    possible = [cell for cell in pairs if cell.python in present]
    absent = sorted({cell.python for cell in pairs} - set(present), key=PYTHONS.index)
    left_out = [f"Python {python} is not on this machine" for python in absent]
    reached = {cell.airflow for cell in possible}
    left_out += [
        f"Airflow {airflow.version} needs Python {' or '.join(airflow.pythons)}"
        for airflow in airflows
        if airflow.pythons and airflow not in reached
    ]
    chosen = possible if every_pair else _spread(possible)
    return Plan(tuple(_with_sdist(chosen)), tuple(left_out))


def _spread(possible: Sequence[Cell]) -> list[Cell]:
    """Give each Airflow the Python that fewest others have, the newest of several; then cells for Pythons without."""
    chosen: list[Cell] = []
    used: Counter[str] = Counter()
    for airflow in dict.fromkeys(cell.airflow for cell in possible):
        own = [cell for cell in possible if cell.airflow == airflow]
        best = min(reversed(own), key=lambda cell: used[cell.python])
        used[best.python] += 1
        chosen.append(best)
    newest_for = {cell.python: cell for cell in possible if not used[cell.python]}
    return chosen + list(newest_for.values())


def _with_sdist(cells: Iterable[Cell]) -> Iterable[Cell]:
    for number, cell in enumerate(cells):
        yield replace(cell, artefact="sdist" if number == 0 else cell.artefact)


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    :ivar failure: empty when all went well, else the step that failed
    """

    cell: Cell
    tests: str
    seconds: float
    failure: str = ""

    @property
    def is_bad(self) -> bool:
        return bool(self.failure) and not self.cell.airflow.is_preview


def table(outcomes: Iterable[Outcome], left_out: Iterable[str]) -> str:
    """Return a line for each cell, and one for each thing that was not tried."""
    rows = [("Airflow", "Python", "from", "result", "tests", "seconds")]
    for outcome in outcomes:
        cell = outcome.cell
        failed = "failed, a preview" if cell.airflow.is_preview else "FAILED"
        result = f"{failed}: {outcome.failure}" if outcome.failure else "ok"
        rows.append((cell.airflow.version, cell.python, cell.artefact, result, outcome.tests, f"{outcome.seconds:.0f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"not tried: {reason}" for reason in left_out)])
