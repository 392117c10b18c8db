"""A pytest plugin: ``pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]`` adds a fixture::

    def test_my_dag(local_oss, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", local_oss.airflow_connection())
        ...
        assert local_oss.object("bucket", "key") == b"bytes"

A test can pass arguments to the server: ``@pytest.mark.parametrize("local_oss", [{"tls": True}], indirect=True)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss.server import LocalOSS


@pytest.fixture
def local_oss(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOSS]:
    """An OSS server with an empty bucket named ``bucket``. Its parameter, if any, holds arguments of ``LocalOSS``."""
    root: Path = tmp_path_factory.mktemp("local_oss")
    with LocalOSS(root, **getattr(request, "param", {})) as oss:
        yield oss
