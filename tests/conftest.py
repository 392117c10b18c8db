from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.record import Record
from tests.airflow_home import migrate
from tests.version_independent import Files
from tests.world import BUCKET, Transfers

ROOT = Path(__file__).parents[1]
UNMEASURED = ("simulation", "properties", "faults", "conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--airflow-python",
        default=sys.executable,
        metavar="PYTHON",
        help="interpreter of the environment whose Airflow runs the DAGs of tests/docs and tests/installed",
    )
    parser.addoption(
        "--once-on-both",
        action="store_true",
        help="leave out the files of tests/unit that are the same beside both pinned Airflows; Airflow 3.3 runs them",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--once-on-both") or not collection_path.match("tests/unit/test_*.py"):
        return None
    return not files_of_tests().differences(collection_path) or None


@cache
def files_of_tests() -> Files:
    return Files()


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.getoption("--once-on-both"):
        return None
    files = sorted((ROOT / "tests" / "unit").glob("test_*.py"))
    same = [path for path in files if not files_of_tests().differences(path)]
    return f"left out: {len(same)} of {len(files)} files in tests/unit, which are the same on Airflow 3.3"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage where lines run that other tests run too: it takes 1.7 to 2.5 times as long."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] in UNMEASURED:
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of garbage collections, of which one took up to 3 s."""
    gc.collect()
    gc.freeze()


class RecordsInLogs(logging.Handler):
    """Notices a result that is logged as it is: Airflow 2.11's filter of secrets makes a plain dict of it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        if any(isinstance(each, Record) for each in args):
            self.lines.append(f"{record.pathname}:{record.lineno}: {record.msg}")


@pytest.fixture(autouse=True)
def no_results_dict_in_the_log() -> Iterator[None]:
    handler = RecordsInLogs()
    logger = logging.getLogger("airflow_provider_ossresume")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert handler.lines == [], "log str(...) of a result"


@pytest.fixture
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=(BUCKET,)) as server:
        yield server


@pytest.fixture
def transfers(oss: LocalOSS) -> Transfers:
    return Transfers(oss)


@pytest.fixture(scope="session")
def airflow_python(request: pytest.FixtureRequest) -> str:
    """The interpreter of the environment whose Airflow and whose package are asked."""
    return str(request.config.getoption("--airflow-python"))


@pytest.fixture(scope="session")
def shell_env(airflow_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process with an Airflow home of its own, and nothing of the caller's Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    return {
        **inherited,
        "PATH": os.pathsep.join((str(Path(airflow_python).parent), os.environ.get("PATH", os.defpath))),
        "HOME": str(home),  # checkpoint="file" and the functions without Airflow keep checkpoints below it
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def airflow_env(airflow_python: str, shell_env: dict[str, str], shared_by_workers: Path) -> dict[str, str]:
    """The same, with a database in that home."""
    migrate(airflow_python, shell_env, shared=shared_by_workers)
    return shell_env
