"""What others wrote since the plan is kept where that is asked for, in each direction and by each try."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.moving_world import FROM, PREFIX, Batches, write
from tests.world import BUCKET, PART, some_bytes

LARGE = 3 * PART
NEW, OLD, OTHER = some_bytes(LARGE, seed=1), some_bytes(LARGE, seed=2), some_bytes(LARGE, seed=3)


class World(Batches):
    """One file that is to take the place of another one, by a plan that was made when that one was there."""

    def __init__(self, oss: LocalOSS, folder: Path, direction: str) -> None:
        super().__init__(oss, folder, direction, target_changed="fail")
        self._is_local = direction == "download"
        folder.mkdir()
        if direction == "upload":
            write(folder, {"k": NEW})
        else:
            oss.put(BUCKET, (FROM if direction == "copy" else PREFIX) + "k", NEW)
        self.write(OLD)
        self.planned = self.rows()

    def write(self, data: bytes) -> None:
        if self._is_local:
            write(self.folder, {"k": data})
        else:
            self.oss.put(BUCKET, f"{PREFIX}k", data)

    def target(self) -> bytes:
        return (self.folder / "k").read_bytes() if self._is_local else self.oss.object(BUCKET, f"{PREFIX}k")


@pytest.fixture(params=["upload", "download", "copy"])
def world(request: pytest.FixtureRequest, oss: LocalOSS, tmp_path: Path) -> World:
    return World(oss, tmp_path / "folder", request.param)


BY_PARTS = pytest.mark.parametrize("small_size", [PART, LARGE + 1])
TRIES = pytest.mark.parametrize("check_first", [False, True])


@BY_PARTS
@TRIES
def test_what_others_wrote_is_kept(world: World, small_size: int, check_first: bool) -> None:
    world.write(OTHER)
    report = world.run(world.planned, small_size=small_size, check_first=check_first)

    assert world.target() == OTHER
    assert (report.done, report.same, report.failed) == (0, 0, 1)
    assert "target_changed='fail'" in report.failures["k"]


@BY_PARTS
@TRIES
def test_what_the_plan_saw_is_overwritten(world: World, small_size: int, check_first: bool) -> None:
    report = world.run(world.planned, small_size=small_size, check_first=check_first)

    assert world.target() == NEW
    assert (report.done, report.failed) == (1, 0)


@BY_PARTS
def test_what_an_earlier_try_wrote_is_not_another_writers(world: World, small_size: int) -> None:
    world.write(NEW)
    report = world.run(world.planned, small_size=small_size, check_first=True)

    assert (report.done, report.same, report.failed) == (0, 1, 0)
