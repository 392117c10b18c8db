"""Find, wait for and end the processes of one throw-away Airflow home.

Run as a script it is the guard: when its standard input closes it ends everything that belongs to the home given as its
argument, so nothing outlives a test run however that ended, `kill -9` included.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")

HOME = "AIRFLOW_HOME"
COMPONENT = "OSSRESUME_TESTS_COMPONENT"
POLL_SECONDS = 0.05  # what is polled (a table, a process) lives in other processes and cannot tell us


def wait_until(condition: Callable[[], Found], *, timeout: float, what: str | Callable[[], str]) -> Found:
    """Return the first true value of `condition`; TimeoutError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(POLL_SECONDS)
    return found


def processes_of(home: Path, *, component: str | None = None) -> list[psutil.Process]:
    """Return the living processes started with this AIRFLOW_HOME, orphans included; zombies are not living.

    A process is known by the environment it was started with, so it is found wherever it stands in the process tree.
    With `component` only that one, and what it has started.
    """
    wanted = {HOME: str(home), **({COMPONENT: component} if component else {})}
    return [process for process in psutil.process_iter() if wanted.items() <= environment_of(process).items()]


def has_ended(process: psutil.Process) -> bool:
    """True when the process runs no more, whether or not its parent has taken note of it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_processes_of(home: Path, *, component: str | None = None, timeout: float = 30) -> int:
    """Kill all these processes, again until a look finds none: they may be starting new ones meanwhile.

    Return how many there were.
    """
    killed: set[psutil.Process] = set()

    def none_left() -> bool:
        left = processes_of(home, component=component)
        for process in left:
            _kill(process)
        killed.update(left)
        return not left and all(has_ended(process) for process in killed)  # one on its way out shows no environment

    wait_until(none_left, timeout=timeout, what=lambda: f"the end of {processes_of(home, component=component)}")
    return len(killed)


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Return what the process was started with; empty when it has ended or belongs to someone else."""
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it ended while we looked, is a zombie, or belongs to someone else
        return {}


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


if __name__ == "__main__":
    sys.stdin.read()
    end_processes_of(Path(sys.argv[1]))
