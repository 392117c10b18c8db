"""The worked examples fit the present code: a copy of the project gets their diffs, and their tests run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, blocks_of

ROOT = DOCS.parent
PAGE = DOCS / "worked-examples.md"
DIFFS = blocks_of(PAGE, "diff")
COMPARE = ("tests/docs/test_tables.py", "tests/unit/test_layers.py")  # with the code: its docs, and who imports what
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "_build", "_generated", "dist", "*.egg-info")


def path_of(diff: Block) -> str:
    [path] = re.findall(r"^\+\+\+ b/(.+)$", diff.text, re.MULTILINE)
    return str(path)


def new_tests() -> list[str]:
    return [path_of(diff) for diff in DIFFS if diff.text.startswith("--- /dev/null") and "/test_" in path_of(diff)]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the changes of the page."""
    copy = tmp_path_factory.mktemp("worked-examples") / "project"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    for diff in DIFFS:
        apply = ("git", "apply", "--whitespace=nowarn", "-")
        done = subprocess.run(
            apply, cwd=copy, input=diff.text, text=True, stderr=subprocess.PIPE, env=environment(copy)
        )
        assert done.returncode == 0, f"{diff} does not fit {path_of(diff)} any more: {done.stderr}"
    return copy


def environment(copy: Path) -> dict[str, str]:
    """Return the environment for commands in the copy: its package counts, and the project's repository does not."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "GIT"))}
    return {**inherited, "PYTHONPATH": str(copy), "GIT_CEILING_DIRECTORIES": str(copy.parent)}


def run(copy: Path, *command: str) -> None:
    done = subprocess.run(
        (sys.executable, "-m", *command), cwd=copy, env=environment(copy), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_each_example_changes_code_docs_and_tests() -> None:
    for example in re.split(r"^## Add ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        changed_folders = {path.split("/")[0] for path in re.findall(r"^\+\+\+ b/(.+)$", example, re.MULTILINE)}
        assert {"airflow_provider_ossresume", "docs", "tests"} <= changed_folders, example.splitlines()[0]


@pytest.mark.timeout(1800)
def test_the_tests_of_the_examples_pass_and_so_do_those_that_compare_docs_and_layers_with_the_code(
    changed: Path,
) -> None:
    added = new_tests()
    assert len(added) == 3
    names = [Path(path).stem for path in added]
    concerned = " or ".join([*names, "is_listed", "choice", "public_module", "import", "loads"])

    run(changed, "pytest", "-q", "-p", "no:cacheprovider", "-k", concerned, *added, *COMPARE)


def test_the_examples_are_formatted_and_free_of_lint(changed: Path) -> None:
    run(changed, "ruff", "format", "--check", "--no-cache", ".")
    run(changed, "ruff", "check", "--no-cache", ".")
