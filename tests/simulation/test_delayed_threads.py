"""A worker that the disk or OSS held back does nothing any more when its try is over, though its process lives on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.transfer import part_file
from tests.simulation.mutants import ClosesUnderItsUsers
from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import Engine, Profile, World, a_world

STOPPED = ("watch", "before", 12, "stop")  # by when the first part has been begun, and is held back


def let_workers_end(world: World) -> None:
    world.scheduler.run_until(lambda: not world.scheduler.threads)


def test_a_download_begins_no_write_after_its_end_and_keeps_the_file_open_for_one_that_hangs() -> None:
    assert held_back_by_the_disk(Engine()) is None


def test_the_simulation_notices_one_that_closes_it() -> None:
    engine = Engine(replacements=((part_file, "Descriptor", ClosesUnderItsUsers),))
    assert "closed a file" in (held_back_by_the_disk(engine) or "")


def held_back_by_the_disk(engine: Engine) -> str | None:
    """Stop a download while the disk holds a write; return the invariant that breaks."""
    with a_world(replace(DOWNLOAD, in_airflow=False), engine=engine) as world:
        stopped = world.begin(("pwrite", "before", 1, "delay"), STOPPED)
        assert isinstance(stopped.error, TransferStopped)
        assert world.scheduler.threads
        let_workers_end(world)
        return world.ledger.violation


@pytest.mark.parametrize(
    ("profile", "operation"),
    [
        (UPLOAD, "part"),
        (UPLOAD, "initiate"),
        (DOWNLOAD, "get"),
        (Profile("copy", size=UPLOAD.size, options={"if_exists": "overwrite", "mode": "server"}), "part copy"),
        (Profile("copy", size=UPLOAD.size, options={"if_exists": "overwrite", "mode": "stream"}), "get"),
    ],
    ids=["upload", "upload that begins", "download", "copy", "copy through the worker"],
)
def test_a_request_that_was_held_back_is_not_sent_after_the_end(profile: Profile, operation: str) -> None:
    with a_world(replace(profile, in_airflow=False)) as world:
        stopped = world.begin((operation, "before", 1, "delay"), STOPPED)
        assert isinstance(stopped.error, TransferStopped)
        assert world.scheduler.threads
        held = {upload.upload_id: dict(upload.parts) for upload in world.oss.uploads.values()}
        let_workers_end(world)

        assert is_sound(world)
        assert {upload.upload_id: dict(upload.parts) for upload in world.oss.uploads.values()} == held
        assert succeeded(world, world.begin())
