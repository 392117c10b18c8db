"""`make test` leaves a file out on Airflow 2.11 only if nothing that it runs can differ there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.version_independent import INTERPRETER, ROOT, UNKNOWN, Files

SAME = ("fsspec", "requests", "certifi", "charset-normalizer", "idna")
SAME_FOR_PYTEST = ("pytest", "iniconfig", "packaging", "pluggy", "pygments")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A tree of one test, a package and a helper; the two environments pin different releases of urllib3."""
    for number in (1, 2):
        lines = [f"{name}==1" for name in SAME + SAME_FOR_PYTEST] + [f"urllib3=={number}"]
        (tmp_path / f"{number}.txt").write_text("\n".join(lines))
    write(tmp_path, "airflow_provider_ossresume/__init__.py", "")
    write(tmp_path, "airflow_provider_ossresume/plain.py", "import fsspec")
    write(tmp_path, "airflow_provider_ossresume/late.py", "def connect():\n    from airflow.models import Connection")
    write(tmp_path, "airflow_provider_ossresume/chosen.py", "import importlib\nimportlib.import_module(name)")
    write(tmp_path, "tests/helper.py", "from airflow_provider_ossresume import late")
    return Files(tmp_path, pins=(tmp_path / "1.txt", tmp_path / "2.txt"))


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "differences"),
    [
        ("import json\nimport airflow_provider_ossresume.plain", set()),
        ("from airflow_provider_ossresume import plain", set()),
        ("from airflow_provider_ossresume import late", {"airflow"}),
        ("def test():\n    from tests import helper", {"airflow"}),
        ("from ..helper import late", {"airflow"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import airflow", set()),
        ("import requests", {"requests"}),  # it requires urllib3
        ("import an_unknown_library", {"an_unknown_library"}),
        ("import pytest\npytest.importorskip('urllib3')", {"urllib3"}),
        ("from airflow_provider_ossresume import chosen", {UNKNOWN}),
        ("import sys\nrun(sys.executable)", {INTERPRETER}),
    ],
)
def test_what_a_file_reaches_and_the_pins_tell_what_may_differ(
    files: Files, tmp_path: Path, text: str, differences: set[str]
) -> None:
    assert files.differences(write(tmp_path, "tests/unit/test_one.py", text)) == differences


def test_what_conftest_imports_counts_for_each_file(files: Files, tmp_path: Path) -> None:
    write(tmp_path, "tests/conftest.py", "import urllib3")

    assert files.differences(write(tmp_path, "tests/unit/test_one.py", "")) == {"urllib3"}


@pytest.mark.parametrize(
    ("name", "is_same"),
    [
        ("upload", True),
        ("client", True),
        ("checkpoint", True),
        ("assets", False),
        ("layers", False),
        ("filesystem_reading", False),
        ("proxies", False),
    ],
)
def test_the_engine_is_the_same_on_both_and_what_reaches_airflow_or_an_optional_library_is_not(
    name: str, is_same: bool
) -> None:
    differences = Files().differences(ROOT / "tests" / "unit" / f"test_{name}.py")

    assert (differences == set()) == is_same, differences
