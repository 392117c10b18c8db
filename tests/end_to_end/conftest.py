"""One running Airflow for all tests of this folder: it takes longer to start than most of them take to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.airflow_home import have_airflow_home

have_airflow_home()  # what is imported next imports airflow, on 2.11
from tests.end_to_end.airflow_process import RealAirflow  # noqa: E402

DAGS = Path(__file__).parent / "dags"


@pytest.fixture(scope="session")
def airflow_oss() -> Iterator[LocalOSS]:
    """The OSS server behind the running Airflow's connection `oss_default`."""
    with LocalOSS(buckets=["bucket"]) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what a test leaves on purpose on the server that all share."""
    yield
    if "airflow_oss" in request.fixturenames:
        server: LocalOSS = request.getfixturevalue("airflow_oss")
        for key, upload_id in server.uploads("bucket"):
            server.abort("bucket", key, upload_id)


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, airflow_oss: LocalOSS) -> Iterator[RealAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    connections = {"oss_default": airflow_oss.airflow_connection()}
    env = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
    with RealAirflow(home, dags=[DAGS], connections=connections, env=env) as running:
        yield running
