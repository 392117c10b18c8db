"""Processes that run one transfer each and may be killed: forked from one that has imported all that they need.

A fork of pytest itself would inherit its threads, and a new interpreter for each would take most of the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEADLINE = 60.0  # seconds, after which a test is hung


@dataclass
class Child:
    """A forked process.

    :ivar status: as waitpid gives it, when it has ended
    """

    pid: int
    folder: Path
    ended: threading.Event = field(default_factory=threading.Event)
    status: int | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; a process that has ended already takes no notice."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.kill(self.pid, number)

    def wait(self) -> None:
        assert self.ended.wait(DEADLINE), f"process {self.pid} does not end"

    def kill_and_wait(self) -> None:
        self.kill()
        self.wait()

    @property
    def was_killed(self) -> bool:
        return self.status is not None and os.WIFSIGNALED(self.status)

    @property
    def outcome(self) -> dict[str, Any]:
        """What the transfer returned or raised, by ``children.run``; empty when it was killed."""
        path = self.folder / f"{self.pid}.json"
        return json.loads(path.read_text()) if path.exists() else {}


class Nursery:
    """Forks children on demand. A context manager; children that are left are killed at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._born: list[Child] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, name="nursery", daemon=True).start()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.kill()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(DEADLINE)

    def start(self, **job: Any) -> Child:
        """Fork a child that does a job, as ``children.Job`` has it."""
        assert self._process.stdin
        with self._changed:
            wanted = len(self._born) + 1
            self._process.stdin.write(json.dumps({**job, "outcome_folder": str(self._folder)}) + "\n")
            self._process.stdin.flush()
            assert self._changed.wait_for(lambda: len(self._born) >= wanted, DEADLINE)
            return self._born[-1]

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            facts = json.loads(line)
            with self._changed:
                if "born" in facts:
                    child = Child(facts["born"], self._folder)
                    self._children[child.pid] = child
                    self._born.append(child)
                    self._changed.notify_all()
                    continue
                child = self._children.pop(facts["ended"])
            child.status = facts["status"]
            child.ended.set()


def main() -> None:
    """Fork a child for each line of the standard input, and tell when one has ended."""
    from tests.faults import children

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap()
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (0, wake_read, wake_write):
                        os.close(descriptor)
                    os.dup2(2, 1)  # what is read from us comes from our parent alone
                    os._exit(children.run(json.loads(line)))
                print(json.dumps({"born": pid}), flush=True)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        print(json.dumps({"ended": pid, "status": status}), flush=True)


if __name__ == "__main__":
    main()
