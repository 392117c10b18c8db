"""One running Airflow for all tests of this folder: it takes longer to start than most of them take to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_process import RealAirflow

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    with RealAirflow(tmp_path_factory.mktemp("airflow"), dags=[HERE / "dags"]) as running:
        yield running
