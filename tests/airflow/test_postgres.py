"""The Airflow-backed stores keep their contract on PostgreSQL too, where names have limits and JSON loses its order."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

STORES = Path(__file__).with_name("test_checkpoint_stores.py")


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL of its own, on loopback."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(folders[-1]) if folders else shutil.which("initdb")  # Debian keeps its programs out of PATH
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is absent; .ci/run installs it")
        pytest.skip("PostgreSQL is absent (Debian: apt-get install postgresql)")
    programs = Path(found).parent
    folder = tempfile.mkdtemp(prefix="ossresume-postgres-")
    as_user = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs / program, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            **as_user,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data = f"{folder}/data"
    run("initdb", "-D", data, "-A", "trust", "-U", "airflow", "-E", "UTF8")
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", settings, "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow")
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(600)
def test_the_stores_keep_their_contract_on_postgresql(postgres: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST_"))}
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", str(STORES)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
