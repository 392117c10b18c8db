"""Which test files give the same result beside each Airflow: their code and all their libraries are the same there.

`make test` runs these on Airflow 3.3 only. A file is not one of them if one of these holds:

- it, or a module that it imports, imports Airflow or a library that the two environments pin differently; an import
  within a function counts, and so do the requirements of a library
- a module that it imports chooses a module by a name that only the run knows
- it starts a Python interpreter, so its imports don't show what runs there
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OURS = ("airflow_provider_ossresume", "tests", "example_dags")
BY_NAME = {"import_module", "importorskip", "__import__"}
UNKNOWN = "a module chosen by name"
INTERPRETER = "an interpreter of its own"


class Files:
    """The files below a root, and the libraries that two files of pins have in common."""

    def __init__(self, root: Path = ROOT, *, pins: Iterable[Path] = ()) -> None:
        self._root = root
        self._conftest = root / "tests" / "conftest.py"
        first, second = map(_pinned, pins or (ROOT / ".ci/airflow-3.3.txt", ROOT / ".ci/airflow-2.11.txt"))
        self._same = {name for name, version in first.items() if second.get(name) == version}
        self._reached_from = cache(self._read)

    def differences(self, test_file: Path) -> set[str]:
        """Return what may differ for that file: names of libraries, ``UNKNOWN`` or ``INTERPRETER``; empty for none."""
        source = test_file.read_text(encoding="utf-8")
        found = {name for name in self._foreign(test_file) if not self._is_same(name)}
        # The package imports PySocks by its name, and only for a SOCKS proxy.
        found -= {name for name in found if name == "socks" and "socks" not in source.lower()}
        return found | ({INTERPRETER} if "sys.executable" in source else set())

    def _foreign(self, test_file: Path) -> set[str]:
        """Return the foreign top-level modules that the file reaches, by whatever path."""
        seen: set[Path] = set()
        foreign: set[str] = set()
        todo = [test_file, *self._conftests(test_file)]
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            ours, others = self._reached_from(path)
            todo += ours
            foreign |= others
        return foreign

    def _conftests(self, test_file: Path) -> list[Path]:
        folder = test_file.parent / "conftest.py"
        return [path for path in (self._conftest, folder) if path.exists()]

    def _read(self, path: Path) -> tuple[set[Path], set[str]]:
        """Return the files of ours that a file imports, and the foreign top-level modules."""
        ours: set[Path] = set()
        foreign: set[str] = set()
        package = path.relative_to(self._root).parent.parts
        for name in set(_imports(ast.parse(path.read_text(encoding="utf-8")), package)):
            top = name.partition(".")[0]
            if top in OURS:
                ours.update(self._files_of(name))
            elif top not in sys.stdlib_module_names:
                foreign.add(top)
        return ours, foreign

    def _files_of(self, module: str) -> Iterator[Path]:
        """Yield the file of a module and those of the packages around it. The last name may be no module's."""
        path = self._root
        for name in module.split("."):
            path = path / name
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.exists():
                    yield file

    def _is_same(self, module: str) -> bool:
        dists = _distributions().get(module)
        return dists is not None and all(_with_requirements(dist) <= self._same for dist in dists)


def _imports(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from _imports(child, package)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join((*above, *filter(None, [node.module])))
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _last_name(node.func) in BY_NAME:
        name = node.args[0]
        yield str(name.value) if isinstance(name, ast.Constant) else UNKNOWN
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@cache
def _distributions() -> dict[str, list[str]]:
    found = metadata.packages_distributions()
    return {module: sorted(set(names)) for module, names in found.items()}


@cache
def _with_requirements(dist: str) -> frozenset[str]:
    """Return a distribution and everything that it requires here, extras aside."""
    found: set[str] = set()
    todo = [dist]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [each.name for each in _that_hold_here(metadata.requires(name) or ())]
    return frozenset(map(canonicalize_name, found))


def _pinned(file: Path) -> dict[str, str]:
    """Return the versions that a file pins for this Python, by the names of what they pin."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(each.name): str(each.specifier) for each in _that_hold_here(filter(None, lines))}


def _that_hold_here(requirements: Iterable[str]) -> Iterator[Requirement]:
    for each in map(Requirement, requirements):
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield each
