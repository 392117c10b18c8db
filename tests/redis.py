"""A Redis of one's own in a throw-away folder, on loopback: the broker of Celery's workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.processes import wait_until
from tests.postgres import free_port

START_SECONDS = 60


class Redis:
    """A server that keeps everything in memory."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = tempfile.mkdtemp(prefix="ossresume-redis-")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            (
                *(self._program, "--bind", "127.0.0.1", "--port", str(self._port), "--dir", self._folder),
                *("--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", f"{self._folder}/log"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not end it before its users
        )
        wait_until(self._answers, timeout=START_SECONDS, what=lambda: f"Redis to start\n{self._log()}")

    def remove(self) -> None:
        """End it, running or not, and leave nothing of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    def _log(self) -> str:
        log = Path(self._folder, "log")
        return log.read_text(errors="replace") if log.exists() else "(no log)"


@contextmanager
def a_redis() -> Iterator[Redis]:
    """Give a running server; skip the test where Redis is absent, but not in CI."""
    server = Redis(_program())
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Redis is absent; .ci/run installs it")
        pytest.skip("Redis is absent (Debian: apt-get install redis-server)")
    return found
