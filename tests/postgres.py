"""A PostgreSQL of one's own in a throw-away folder, on loopback: for Airflow's metadata, and to be stopped."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


class Postgres:
    """A server with one empty database; `stop()` cuts all connections, and `start()` serves the same data again."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = tempfile.mkdtemp(prefix="ossresume-postgres-")
        self._as_user = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._port = free_port()
        self._data = f"{self._folder}/data"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self._port}/airflow"

    @property
    def process(self) -> psutil.Process:
        """The server's own process; each connection has a child of it."""
        return psutil.Process(int(Path(self._data, "postmaster.pid").read_text().split()[0]))

    def create(self) -> None:
        self._run("initdb", "--no-sync", "-D", self._data, "-A", "trust", "-U", "airflow", "-E", "UTF8")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "airflow", "airflow")

    def start(self) -> None:
        settings = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", f"{self._folder}/log", "-o", settings, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def remove(self) -> None:
        """End it, running or not, and leave nothing of it."""
        if Path(self._data, "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            **self._as_user,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """Give a running server; skip the test where PostgreSQL is absent, but not in CI."""
    server = Postgres(_programs())
    try:
        server.create()
        yield server
    finally:
        server.remove()


def _programs() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(folders[-1]) if folders else shutil.which("initdb")  # Debian keeps its programs out of PATH
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is absent; .ci/run installs it")
        pytest.skip("PostgreSQL is absent (Debian: apt-get install postgresql)")
    return Path(found).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
