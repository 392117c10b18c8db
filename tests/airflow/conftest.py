"""A throw-away Airflow for the tests of this folder."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.airflow_home import have_airflow_home, migrate

have_airflow_home()
pytest.register_assert_rewrite("tests.airflow.store_contract")

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "migrated" in getattr(item, "fixturenames", ()):
            item.add_marker("airflow")


@pytest.fixture(scope="session")
def migrated(shared_by_workers: Path) -> None:
    """An empty metadata database in the home of this process."""
    migrate(sys.executable, os.environ, shared=shared_by_workers)


@pytest.fixture
def database(migrated: None) -> Iterator[None]:
    """The metadata database; no checkpoint outlives its test."""
    from tests.airflow import runs

    yield
    runs.forget_checkpoints()


@pytest.fixture
def dag(database: None) -> Any:
    """An empty DAG with one retry, at once, for each of its tasks."""
    from airflow.providers.common.compat.sdk import DAG

    return DAG(
        f"dag_{next(_numbers)}",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        default_args={"retries": 1, "retry_delay": timedelta(0)},
    )


@pytest.fixture
def connected(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> LocalOSS:
    """The server behind the connection ``oss_default``."""
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", oss.airflow_connection())
    return oss


@pytest.fixture
def conn_id(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> str:
    """A connection that no earlier test has used: Airflow keeps the filesystem of each, and this server is new."""
    name = f"oss_fs_{next(_numbers)}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", oss.airflow_connection())
    return name


class Connections:
    """Airflow connections, made by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def add(self, conn_id: str = "oss_default", **fields: Any) -> str:
        """Add one as JSON has it: conn_type, login, password, schema, extra."""
        return self.add_text(conn_id, json.dumps({"conn_type": "oss_resume", **fields}))

    def add_text(self, conn_id: str, text: str) -> str:
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)
        return conn_id


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    return Connections(monkeypatch)


@pytest.fixture
def of_alibaba(oss: LocalOSS, connections: Connections) -> LocalOSS:
    """The server behind a connection to Alibaba's own endpoint: it stands there as the connection's proxy."""
    connections.add(
        login=oss.access_key_id,
        password=oss.access_key_secret,
        extra={"endpoint": "http://oss-cn-hangzhou.aliyuncs.com", "proxy": oss.endpoint},
    )
    return oss
