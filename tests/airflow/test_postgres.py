"""The Airflow-backed stores keep their contract on PostgreSQL too, where names have limits and JSON loses its order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres, a_postgres

pytestmark = pytest.mark.airflow

STORES = Path(__file__).with_name("test_checkpoint_stores.py")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with a_postgres() as server:
        yield server


@pytest.mark.timeout(1800)
def test_the_stores_keep_their_contract_on_postgresql(postgres: Postgres) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST_"))}
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:pytest_cov", str(STORES)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
