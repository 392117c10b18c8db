"""Finds the Pythons of this machine and makes clean environments with an Airflow and the built package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.matrix.cells import Cell

ROOT = Path(__file__).parents[2]
EXAMPLES_NEED = ("pandas", "pyarrow", "polars", "duckdb")  # the package itself needs none of them


class StepFailed(Exception):
    """A command of the matrix ended with another status than 0; what it wrote is in the log."""


def find_pythons(versions: Iterable[str]) -> dict[str, str]:
    """Return an interpreter for each of the versions that is here: on PATH, of pyenv, of uv, or this one's."""
    found = {version: next(filter(_works_as(version), _candidates(version)), None) for version in versions}
    return {version: path for version, path in found.items() if path}


def _candidates(version: str) -> Iterator[str]:
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from (str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))
    yield str(Path(sys.base_prefix, "bin", f"python{version}"))
    find = (sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", "--system", version)
    yield from subprocess.run(find, capture_output=True, text=True).stdout.splitlines()


def _works_as(version: str) -> Callable[[str], bool]:
    """Return a test for interpreters: of that version, and able to make an environment that has pip."""
    code = f"import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"

    def works(python: str) -> bool:
        try:
            return subprocess.run((python, "-c", code), capture_output=True).returncode == 0
        except OSError:
            return False

    return works


class Environment:
    """A clean environment in a folder of its own; what its commands write goes to a log."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self.python = str(folder / "bin" / "python")

    def make(self, base_python: str, cell: Cell, package: Path) -> None:
        """Bring Airflow with its pins, as a deployment has it, then install the package as its user does.

        uv brings Airflow in seconds. The package and what it needs is pip's, which must find nothing to complain of.
        """
        pins = _pins(cell)
        airflow = f"apache-airflow=={cell.airflow.version}"
        self._run("make the environment", base_python, "-m", "venv", "--clear", str(self._folder))
        self._uv_install("install Airflow", pins, airflow)
        pip = (self.python, "-m", "pip")
        install = (*pip, "install", "--quiet", "--constraint", str(pins), airflow, str(package))
        self._run("install the package", *install)
        self._run("pip check", *pip, "check")

    def ask(self) -> str:
        """Put to it what is asked of an installed package, from outside; return pytest's last line."""
        return self._pytest("tests", sys.executable, "tests/installed", f"--airflow-python={self.python}")

    def run_examples(self, cell: Cell) -> str:
        """Bring the libraries that the examples show, and run every example; return pytest's last line."""
        self._uv_install("install the libraries of the examples", _pins(cell), *EXAMPLES_NEED)
        test = "tests/docs/test_example_dags.py"
        return self._pytest("examples", sys.executable, test, f"--airflow-python={self.python}")

    def run_triggerer(self, cell: Cell) -> str:
        """Bring the tools for tests, and let its scheduler and its triggerer run; return pytest's last line."""
        pins = _pins(cell)
        self._uv_install("install tools for tests", pins, "--requirement", str(pins.with_suffix(".in")))
        return self._pytest("triggerer", self.python, "tests/end_to_end/test_triggerer.py")

    def run_suites(self) -> str:
        """Run the tests of the package in it, with the same tools; return pytest's last line."""
        return self._pytest("suites", self.python, "tests/unit", "tests/airflow")

    def _pytest(self, step: str, python: str, *tests: str) -> str:
        return self._run(step, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests).splitlines()[-1]

    def _uv_install(self, step: str, pins: Path, *what: str) -> None:
        uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", self.python)
        self._run(step, *uv, "--constraint", str(pins), *what)

    def _run(self, step: str, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with self._log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}\n")
        if done.returncode:
            raise StepFailed(step)
        return done.stdout


def _pins(cell: Cell) -> Path:
    return ROOT / ".ci" / f"airflow-{cell.airflow.minor}.txt"
