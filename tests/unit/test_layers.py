"""Imports run one way, heavy ones come late, and a few habits of the package hold everywhere."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

import airflow_provider_ossresume

N = TypeVar("N", bound=ast.AST)

ROOT = Path(airflow_provider_ossresume.__file__).parent
PACKAGE = ROOT.name

# What the modules of each row may import of the package, beside their own row.
LAYERS: dict[str, set[str]] = {
    "operators": {"links", "hooks", "sets", "transfer", "checkpoints", "assets", "model", "errors", "_airflow"},
    "sensors": {"triggers", "hooks", "model", "errors", "_airflow"},
    "triggers": {"hooks", "model", "errors", "_airflow"},
    "policies": {"errors", "_airflow"},
    "links": {"hooks", "model", "errors", "_airflow"},
    "filesystem": {"hooks", "transfer", "checkpoints", "oss", "model", "errors"},
    "hooks": {"sets", "transfer", "checkpoints", "oss", "assets", "model", "errors", "_airflow", "get_provider_info"},
    "resumable": {"transfer", "checkpoints", "oss", "model", "errors"},
    "sets": {"transfer", "checkpoints", "oss", "model", "errors", ""},  # "": the version that made a plan
    "transfer": {"model", "errors"},
    "checkpoints": {"model", "errors", "_airflow"},
    "assets": {"model", "errors", "_airflow"},
    "oss": {"model", "errors", ""},  # "" is the package itself, whose __version__ goes into User-Agent
    "model": {"errors"},
    "errors": set(),
    "local_oss": {"oss", "model", "errors"},
    "_airflow": {"errors"},
    "get_provider_info": set(),
    "": set(),
}
KNOW_AIRFLOW = {"operators", "policies", "sensors", "triggers", "links", "hooks", "assets"}
AIRFLOW_STORES = {f"checkpoints.{name}" for name in ("variable", "xcom", "task_state", "select")}
HTTP = {"requests", "tenacity", "urllib3"}
IMPURE = {"os", "io", "pathlib", "socket", "time", "threading", "logging", "random"}


def name_of(path: Path) -> str:
    """The module's name below the package's, such as ``oss.client``; the package's own is empty."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def row_of(name: str) -> str:
    return name.partition(".")[0]


SOURCES = {name_of(path): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(SOURCES[name])


def nodes(name: str, kind: type[N]) -> Iterator[N]:
    return (node for node in ast.walk(tree_of(name)) if isinstance(node, kind))


def imports(name: str) -> set[str]:
    """Everything that a module imports, wherever: at its top, in a function, for types only."""
    found = {alias.name for node in nodes(name, ast.Import) for alias in node.names}
    for node in nodes(name, ast.ImportFrom):
        found |= {"." * node.level + f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(name: str) -> set[str]:
    """The package's modules that a module imports; a name that is no module stands for the one that it is in."""
    below = {found.removeprefix(f"{PACKAGE}.") for found in imports(name) if found.startswith(f"{PACKAGE}.")}
    return {found if found in SOURCES else found.rpartition(".")[0] for found in below}


def others(name: str) -> set[str]:
    """The other packages that a module imports."""
    return {row_of(found) for found in imports(name)} - {PACKAGE}


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_modules_import_only_from_the_rows_below_theirs() -> None:
    wrong = {name: {found for found in own(name) if row_of(found) not in allowed_for(name)} for name in SOURCES}

    assert {name: found for name, found in wrong.items() if found} == {}


def allowed_for(name: str) -> set[str]:
    return LAYERS[row_of(name)] | {row_of(name)}


def test_imports_are_absolute() -> None:
    assert {name for name in SOURCES if any(found.startswith(".") for found in imports(name))} == set()


def test_only_the_oss_layer_speaks_http() -> None:
    assert {row_of(name) for name in SOURCES if others(name) & HTTP} == {"oss"}


def test_only_one_package_knows_airflow_and_the_engine_does_not_even_know_that_one() -> None:
    assert {row_of(name) for name in SOURCES if "airflow" in others(name)} == {"_airflow"}
    assert {name for name in SOURCES if "_airflow" in own(name) and row_of(name) not in KNOW_AIRFLOW} == AIRFLOW_STORES


def test_the_local_server_shares_only_the_signatures_with_the_client() -> None:
    shared = {found for name in SOURCES if row_of(name) == "local_oss" for found in own(name) if row_of(found) == "oss"}

    assert shared == {"oss.signing"}


def test_the_model_is_pure() -> None:
    assert {name for name in SOURCES if row_of(name) in ("model", "errors") and others(name) & IMPURE} == set()


def test_what_airflow_discovers_imports_nothing() -> None:
    assert imports("get_provider_info") <= {"__future__.annotations", "typing.Any"}
    assert imports("") <= {"__future__.annotations"}


def test_the_contracts_of_lint_imports_are_kept() -> None:
    pytest.importorskip("importlinter")
    folder = ROOT.parent
    if not (folder / "setup.cfg").exists():
        pytest.skip("the package is installed without its sources")
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"

    # In a process of its own, as it sets up logging for the whole of it.
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


# --- circles and sizes ------------------------------------------------------------------------------------------------

MOST_LINES = 350


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports in functions and imports for types only count too: neither may hide a circle."""
    graph = {name: (own(name) & SOURCES.keys()) - {name} for name in SOURCES}

    assert circles(graph) == []


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules of which each can be reached from each other."""
    reached = {name: reachable(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        circle = {other for other in reached[name] if name in reached[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for following in graph[waiting.pop()] - found:
            found.add(following)
            waiting.append(following)
    return found


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}

    assert circles(graph) == [{"b", "c"}]


def test_no_module_is_longer_than_350_lines() -> None:
    lines = {name: len(source.splitlines()) for name, source in SOURCES.items()}

    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


# --- what is loaded when ----------------------------------------------------------------------------------------------


def loaded_by(names: list[str], *, home: Path) -> dict[str, set[str]]:
    """What a fresh interpreter loads for each of the package's modules, beside what the ones before it did."""
    program = f"""
import importlib, sys
for name in {names}:
    before = set(sys.modules)
    importlib.import_module("{PACKAGE}." + name)
    print(name, *sorted(set(sys.modules) - before))
"""
    environment = {**os.environ, "AIRFLOW_HOME": str(home)}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True, timeout=120
    ).stdout
    lines = [line.split() for line in told.splitlines()]
    return {name: set(modules) for name, *modules in lines if name in names}


def test_parsing_a_dag_loads_no_http_and_no_engine(tmp_path: Path) -> None:
    # Airflow itself is loaded first: what it needs is not our doing.
    names = [
        "_airflow",
        "assets.oss",
        "links.oss",
        "operators.oss",
        "operators.copy",
        "operators.objects",
        "operators.janitor",
        "operators.folders",
        "operators.sets",
        "sensors.oss",
        "triggers.oss",
    ]
    loaded = loaded_by(names, home=tmp_path)

    for name in names[1:]:
        assert f"{PACKAGE}.{name}" in loaded[name]
        assert loaded[name] & {*HTTP, f"{PACKAGE}.oss.client"} == set()
        assert {module for module in loaded[name] if "openlineage" in module} == set()


def test_discovery_loads_nothing_and_the_engine_no_airflow(tmp_path: Path) -> None:
    loaded = loaded_by(["get_provider_info", "assets.oss", "resumable", "filesystem.oss"], home=tmp_path)

    assert {name for name in loaded["get_provider_info"] if row_of(name) not in sys.stdlib_module_names} == {
        PACKAGE,
        f"{PACKAGE}.get_provider_info",
    }
    for module in ("assets.oss", "resumable", "filesystem.oss"):
        assert {name for name in loaded[module] if row_of(name) == "airflow"} == set()


# --- habits -----------------------------------------------------------------------------------------------------------


def test_no_property_has_a_lock_for_all_objects_of_its_class() -> None:
    """``cached_property`` has one before Python 3.12, and a child that is forked meanwhile waits for it for ever."""
    assert [module for module, source in SOURCES.items() if "import cached_property" in source] == []


def test_the_package_has_no_assert_which_python_may_drop() -> None:
    assert {name for name in SOURCES if any(nodes(name, ast.Assert))} == set()


def test_values_are_frozen() -> None:
    thawed = {
        f"{name}.{node.name}"
        for name in SOURCES
        for node in nodes(name, ast.ClassDef)
        if row_of(name) != "local_oss"
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "frozen=True" not in decorator
    }

    assert thawed == set()


def test_whoever_catches_everything_and_keeps_it_says_why() -> None:
    silent = [
        f"{name}:{handler.lineno}"
        for name, source in SOURCES.items()
        for handler in broad_handlers(name)
        if "#" not in source.splitlines()[handler.lineno - 1]
    ]

    assert silent == []


def broad_handlers(name: str) -> Iterator[ast.ExceptHandler]:
    """Those for any exception at all, but for clean-ups that let it go on."""
    for handler in nodes(name, ast.ExceptHandler):
        last = handler.body[-1]
        is_clean_up = isinstance(last, ast.Raise) and last.exc is None
        if not is_clean_up and (handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")):
            yield handler
