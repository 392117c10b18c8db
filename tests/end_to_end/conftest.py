"""One running Airflow for nearly all tests of this folder: it takes longer to start than most of them take to run.

A test that shares it has run IDs, keys and Variables of its own, and leaves no fault on the server that all share. A
test that kills a scheduler, stops the database or needs other settings has an Airflow of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.airflow_home import have_airflow_home

have_airflow_home()  # what is imported next imports airflow, on 2.11
from airflow_provider_ossresume._airflow import AIRFLOW_3  # noqa: E402
from tests.end_to_end.airflow_process import RealAirflow  # noqa: E402
from tests.end_to_end.celery_workers import CeleryWorkers  # noqa: E402
from tests.end_to_end.statsd import StatsdListener  # noqa: E402
from tests.postgres import Postgres, a_postgres  # noqa: E402
from tests.redis import a_redis  # noqa: E402

DAGS = Path(__file__).parent / "dags"
BUCKETS = ("bucket", "demo", "cleared")
FOR_FIFTY_TASKS = {
    "AIRFLOW__CORE__PARALLELISM": "50",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "20",  # of the API server's connections
    "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "30",
}


@pytest.fixture(scope="session")
def airflow_oss() -> Iterator[LocalOSS]:
    """The OSS server behind the connections of each running Airflow."""
    with LocalOSS(buckets=BUCKETS) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what a test leaves, on purpose or as it has failed, on the server that all share."""
    yield
    if "airflow_oss" in request.fixturenames:
        server: LocalOSS = request.getfixturevalue("airflow_oss")
        server.on_request = None
        server.clear_faults()
        for bucket in BUCKETS:
            for key, upload_id in server.uploads(bucket):
                with contextlib.suppress(KeyError):  # a task that a failed test has left has ended it meanwhile
                    server.abort(bucket, key, upload_id)


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdListener]:
    """What the running Airflow sends its metrics to."""
    with StatsdListener() as listener:
        yield listener


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[Postgres]:
    """The running Airflow's. On SQLite 2.11 runs one task at a time, and fifty of 3.3's find it locked."""
    with a_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory,
    airflow_oss: LocalOSS,
    airflow_database: Postgres,
    statsd: StatsdListener,
) -> Iterator[RealAirflow]:
    """All DAGs, a triggerer, and room for many tasks at once."""
    home = tmp_path_factory.mktemp("airflow")
    connection = airflow_oss.airflow_connection()
    env = {
        **(statsd.settings if find_spec("statsd") else {}),  # the matrix of releases installs no more than it needs
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # As in a deployment: no task is given up for lost as a busy machine is late. See let_heartbeat_expire().
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
        "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "300",
        # For the triggerer, which imports a trigger from there.
        "PYTHONPATH": os.pathsep.join((str(home / "dags"), os.environ.get("PYTHONPATH", ""))),
        # An edited DAG must be seen at once. Otherwise 2.11 stores the new DAG's hash although it has read the old DAG.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
        **(FOR_FIFTY_TASKS if AIRFLOW_3 else {}),
    }
    with RealAirflow(
        home,
        dags=[DAGS, DAGS / "triggerer"],
        connections={"oss_default": connection, "oss_in_environment": connection},
        env=env,
        also=["triggerer"],
        database=airflow_database.url,
        ui=True,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def spread(tmp_path_factory: pytest.TempPathFactory, airflow_oss: LocalOSS) -> Iterator[RealAirflow]:
    """An Airflow 3 whose tasks run in two workers of Celery's."""
    with a_postgres() as postgres, a_redis() as redis:
        running = RealAirflow(
            tmp_path_factory.mktemp("airflow"),
            dags=[DAGS / "harness_gate.py", DAGS / "many_files.py"],
            connections={"oss_default": airflow_oss.airflow_connection()},
            database=postgres.url,
            celery=CeleryWorkers(redis.url),
            ui=True,
        )
        with running:
            yield running
        assert running.processes() == []
