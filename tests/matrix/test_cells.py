"""Which cells the matrix tries, that its data are those of the project, and what it says at its end."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest

from airflow_provider_ossresume import __version__
from tests.docs.pages import table_under
from tests.matrix.__main__ import PATTERNS
from tests.matrix.cells import AIRFLOWS, PYTHONS, Airflow, Cell, Outcome, plan, table
from tests.matrix.environments import find_pythons

ROOT = Path(__file__).parents[2]
RELEASED = [airflow for airflow in AIRFLOWS if not airflow.is_preview]
SUBSETS = [found for size in range(1, 5) for found in itertools.combinations(PYTHONS, size)]


# --- which cells ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("present", SUBSETS, ids="+".join)
def test_each_airflow_that_can_be_has_a_cell_and_so_has_each_python(present: tuple[str, ...]) -> None:
    cells = plan(AIRFLOWS, present, every_pair=False).cells

    assert {cell.airflow for cell in cells} == {each for each in AIRFLOWS if set(each.pythons) & set(present)}
    assert {cell.python for cell in cells} == set(present)
    assert all(cell.python in cell.airflow.pythons for cell in cells)
    assert len(cells) <= len(AIRFLOWS) + len(present) - 1


def test_with_all_pythons_there_is_one_cell_for_each_airflow() -> None:
    cells = plan(AIRFLOWS, PYTHONS, every_pair=False).cells

    assert [(cell.airflow.minor, cell.python) for cell in cells] == [
        ("2.11", "3.12"),
        ("3.0", "3.11"),
        ("3.1", "3.13"),
        ("3.2", "3.10"),
        ("3.3", "3.13"),
        ("3.4", "3.12"),
    ]


def test_every_pair_is_tried_when_asked_for() -> None:
    cells = plan(AIRFLOWS, PYTHONS, every_pair=True).cells

    pairs = [(cell.airflow, cell.python) for cell in cells]
    assert pairs == [(airflow, python) for airflow in AIRFLOWS for python in airflow.pythons]


def test_one_cell_gets_the_sdist_and_all_others_the_wheel() -> None:
    for every_pair in (False, True):
        first, *others = plan(AIRFLOWS, PYTHONS, every_pair=every_pair).cells
        assert first.artefact == "sdist"
        assert {cell.artefact for cell in others} == {"wheel"}


def test_what_cannot_be_tried_is_named() -> None:
    only_the_newest = plan(AIRFLOWS, ["3.13"], every_pair=False)

    assert only_the_newest.left_out == (
        "Python 3.10 is not on this machine",
        "Python 3.11 is not on this machine",
        "Python 3.12 is not on this machine",
        "Airflow 2.11.2 needs Python 3.10 or 3.11 or 3.12",
        "Airflow 3.0.6 needs Python 3.10 or 3.11 or 3.12",
    )
    assert plan(AIRFLOWS, PYTHONS, every_pair=False).left_out == ()


def test_what_was_not_asked_for_is_not_missed() -> None:
    airflows = [airflow.only_on(["3.13"]) for airflow in AIRFLOWS]

    chosen = plan(airflows, ["3.13"], every_pair=True)

    assert [cell.airflow.minor for cell in chosen.cells] == ["3.1", "3.2", "3.3", "3.4"]
    assert chosen.left_out == ()


def test_a_machine_without_any_python_of_ours_has_no_cell() -> None:
    assert plan(AIRFLOWS, [], every_pair=True).cells == ()


# --- the data ---------------------------------------------------------------------------------------------------------


def test_the_pythons_are_those_of_the_metadata() -> None:
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())

    assert tuple(classifiers) == PYTHONS


@pytest.mark.parametrize("airflow", AIRFLOWS, ids=lambda airflow: airflow.version)
def test_each_airflow_has_its_pins(airflow: Airflow) -> None:
    for ending in ("in", "txt"):
        lines = (ROOT / ".ci" / f"airflow-{airflow.minor}.{ending}").read_text().splitlines()
        assert f"apache-airflow=={airflow.version}" in lines


def test_the_readme_names_each_airflow() -> None:
    [row] = re.findall(r"^\| Airflow \|.*$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert set(re.findall(r"\d\.\d+\.\d+\w*", row)) == {airflow.version for airflow in AIRFLOWS}


def test_the_docs_name_the_pythons_of_each_airflow() -> None:
    rows = {version: pythons for version, pythons, _ in table_under("index.md", "What it runs on")}

    assert rows == {airflow.version: f"{airflow.pythons[0]} to {airflow.pythons[-1]}" for airflow in RELEASED}


@pytest.mark.parametrize("artefact", ["wheel", "sdist"])
def test_each_artefact_is_looked_for_under_its_ending(artefact: str) -> None:
    stem = f"airflow_provider_ossresume-{__version__}"
    names = [f"{stem}-py3-none-any.whl", f"{stem}.tar.gz"]

    assert [Path(name).match(PATTERNS[artefact]) for name in names].count(True) == 1


# --- the machine ------------------------------------------------------------------------------------------------------


def test_the_python_of_these_tests_is_found_and_one_that_is_not_there_is_not() -> None:
    ours = "{}.{}".format(*sys.version_info)

    assert find_pythons([ours, "2.0"]).keys() == {ours}


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_preview_that_fails_is_shown_and_fails_nothing() -> None:
    preview = next(airflow for airflow in AIRFLOWS if airflow.is_preview)
    outcome = Outcome(Cell(preview, "3.12"), "", 3.0, failure="tests")

    assert not outcome.is_bad
    assert "failed, a preview: tests" in table([outcome], [])
    assert Outcome(Cell(RELEASED[0], "3.12"), "", 3.0, failure="tests").is_bad


def test_the_table_has_a_line_for_each_cell_and_for_all_that_was_not_tried() -> None:
    outcomes = [
        Outcome(Cell(AIRFLOWS[0], "3.10", "sdist"), "13 passed in 1.00s", 61.4),
        Outcome(Cell(AIRFLOWS[4], "3.13"), "", 3.0, failure="pip check"),
    ]

    assert table(outcomes, ["Python 3.11 is not on this machine"]).splitlines() == [
        "Airflow  Python  from   result             tests               seconds",
        "2.11.2   3.10    sdist  ok                 13 passed in 1.00s  61",
        "3.3.2    3.13    wheel  FAILED: pip check                      3",
        "not tried: Python 3.11 is not on this machine",
    ]
