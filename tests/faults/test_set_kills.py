"""Whatever ends the process of a batch, the next try moves only what is missing, and the verdict is the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import LocationRef, SetTransfers
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.faults.set_child import STOPPED
from tests.moving_world import PREFIX, read, write
from tests.world import BUCKET, LONG, a_client, some_bytes

FILES = {f"folder-{number % 7}/file-{number:03}": some_bytes(2_000, seed=number) for number in range(300)}
MOVES = {"upload": "PutObject", "download": "GetObject"}
AT_ONCE = 32  # files that are in flight at most


class World:
    """A plan of one batch, and processes that move it."""

    def __init__(self, oss: LocalOSS, folder: Path, direction: str) -> None:
        self.oss, self.folder, self.direction = oss, folder, direction
        prefix = PrefixRef(BUCKET, PREFIX)
        folder.mkdir()
        self.ends: tuple[LocationRef, LocationRef] = (LocalFolder(folder), prefix)
        if direction == "upload":
            write(folder, FILES)
        else:
            self.ends = prefix, LocalFolder(folder)
            for name, data in FILES.items():
                oss.put(BUCKET, PREFIX + name, data)
        self.plan: Plan = self.transfers(1).plan(*self.ends, options=SetOptions(), work_folder=f"oss://{BUCKET}/work/")

    def transfers(self, try_number: int) -> SetTransfers:
        config = TransferConfig(progress_interval=0)
        return SetTransfers(a_client(self.oss), config, Owner(try_number, f"try-{try_number}"))

    def start(self, *, try_number: int = 1) -> subprocess.Popen[bytes]:
        [batch] = self.plan.batch_uris
        job = {
            "endpoint": self.oss.endpoint, "access_key_id": self.oss.access_key_id, "region": self.oss.region,
            "access_key_secret": self.oss.access_key_secret, "batch": batch, "try": str(try_number),
        }  # fmt: skip
        return subprocess.Popen([sys.executable, "-m", "tests.faults.set_child", json.dumps(job)])

    def moves(self) -> list[Request]:
        """The requests that moved a file of the set."""
        calls = self.oss.calls(MOVES[self.direction])
        return [call for call in calls if call.key is not None and call.key.startswith(PREFIX)]

    def there(self) -> dict[str, bytes]:
        """What is at the target under its final name."""
        if self.direction == "download":
            return {name: data for name, data in read(self.folder).items() if not name.endswith(".ossresume-part")}
        keys = [key for key in self.oss.objects(BUCKET) if key.startswith(PREFIX)]
        return {key[len(PREFIX) :]: self.oss.object(BUCKET, key) for key in keys}


@pytest.fixture(params=["upload", "download"])
def world(oss: LocalOSS, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    yield World(oss, tmp_path / "folder", request.param)
    oss.on_request = None


def ended_after(world: World, count: int, end: signal.Signals) -> int:
    """Run a try until so many files are on their way, and end its process; return how it has ended."""
    seen = []
    is_time = threading.Event()

    def count_up(request: Request) -> None:
        if request.operation == MOVES[world.direction] and (request.key or "").startswith(PREFIX):
            seen.append(request.key)
            if len(seen) >= count:
                is_time.set()

    world.oss.on_request = count_up
    child = world.start()
    try:
        assert is_time.wait(LONG)
        child.send_signal(end)
        return child.wait(LONG)
    finally:
        world.oss.on_request = None
        child.kill()
        child.wait()


def test_a_batch_that_is_killed_goes_on_where_it_was(world: World) -> None:
    assert ended_after(world, 150, signal.SIGKILL) == -signal.SIGKILL
    before, there = len(world.moves()), world.there()
    assert there.items() <= FILES.items()

    [batch] = world.plan.batch_uris
    report = world.transfers(2).run_batch(batch)

    assert world.there() == FILES
    assert (report.proven, report.failed) == (len(FILES), 0)
    moved_again = len(world.moves()) - before
    assert moved_again <= len(FILES) - len(there) + AT_ONCE
    assert report.same >= len(there) - report.proven_before - AT_ONCE
    assert world.transfers(2).finish(world.plan.uri).outcome == "proven"
    assert [name for name in read(world.folder) if name.endswith(".ossresume-part")] == []


def test_a_batch_that_is_terminated_says_what_it_has_done(world: World) -> None:
    assert ended_after(world, 150, signal.SIGTERM) == STOPPED
    before, there = len(world.moves()), world.there()

    [batch] = world.plan.batch_uris
    report = world.transfers(2).run_batch(batch)

    assert world.there() == FILES
    assert report.proven_before > 0
    assert report.proven_before >= len(there) - AT_ONCE
    assert len(world.moves()) - before <= len(FILES) - report.proven_before


def test_two_processes_at_one_batch_harm_each_other_in_nothing(world: World) -> None:
    children = [world.start(try_number=number) for number in (1, 2)]
    try:
        assert [child.wait(LONG) for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert world.there() == FILES
    assert [name for name in read(world.folder) if name.endswith(".ossresume-part")] == []
    [batch] = world.plan.batch_uris
    before = len(world.moves())
    assert world.transfers(3).run_batch(batch).proven_before == len(FILES)
    assert len(world.moves()) == before
