"""The map of the package and the way of an upload, as docs/contributing.md has them, are those of the code."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_ossresume
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from tests.docs.pages import codes, table_under
from tests.world import BUCKET, PART, a_file

PACKAGE = Path(airflow_provider_ossresume.__file__).parent
MAP = [(name.strip("/"), codes(row[2])) for row in table_under("contributing.md", "The map") for name in codes(row[0])]
LINES_OF_A_SCREEN = 40


def place_of(file: Path) -> str:
    """Return the row of the map that a module belongs to."""
    return file.relative_to(PACKAGE).parts[0]


def imported_by(place: str) -> set[str]:
    """Return the places that the modules of one import from, within functions too."""
    root = PACKAGE / place
    files = [root] if root.is_file() else root.rglob("*.py")
    return {name for file in files for name in _imports(ast.parse(file.read_text(encoding="utf-8")))}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{PACKAGE.name}."):
            yield node.module.split(".")[1]


def test_every_folder_and_module_has_a_place_on_the_map() -> None:
    places = {place_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__.py"}

    assert {place for place, _ in MAP} == places


@pytest.mark.parametrize(("place", "allowed"), MAP, ids=[place for place, _ in MAP])
def test_a_place_imports_only_from_where_the_map_allows(place: str, allowed: list[str]) -> None:
    assert imported_by(place) - {place} <= set(allowed)


def test_the_map_fits_one_screen() -> None:
    assert len(table_under("contributing.md", "The map")) < LINES_OF_A_SCREEN


def test_an_upload_takes_the_steps_from_an_operator_to_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

    rows = table_under("contributing.md", "From an operator to the network")
    steps = [(codes(file)[0], codes(function)[0]) for _, file, function, _ in rows]
    assert len(steps) == 7
    stacks: list[list[tuple[str, str]]] = []

    def look(request: Request) -> None:
        if request.operation == "UploadPart":
            stacks.extend(map(own_frames, sys._current_frames().values()))

    with LocalOSS(buckets=(BUCKET,)) as oss:
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", oss.airflow_connection())
        oss.on_request = look
        OSSResumableUploadOperator(
            task_id="upload",
            file=str(a_file(tmp_path, size=2 * PART)),
            key=f"oss://{BUCKET}/key",
            checkpoint="memory",
            transfer_config={"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1},
        ).execute({})

    [of_task, *_] = [stack for stack in stacks if steps[0] in stack]
    [of_worker, *_] = [stack for stack in stacks if steps[4] in stack]
    assert [step for step in of_task if step in steps] == steps[:4]
    assert [step for step in of_worker if step in steps] == steps[4:]


def own_frames(frame: object) -> list[tuple[str, str]]:
    """Return a thread's calls into the package, outermost first, each as a file and a function."""
    calls = traceback.extract_stack(frame)  # type: ignore[arg-type]
    return [
        (os.path.relpath(call.filename, PACKAGE), call.name)
        for call in calls
        if Path(call.filename).is_relative_to(PACKAGE)
    ]
