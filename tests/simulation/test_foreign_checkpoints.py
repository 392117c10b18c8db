"""A checkpoint that is not this transfer's, or that nobody of ours can have written, is logged and left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner, UploadCheckpoint, decode, encode
from tests.simulation.oss import BUCKET
from tests.simulation.scripts import DOWNLOAD, UPLOAD, succeeded
from tests.simulation.world import PART, Profile, a_world


@pytest.mark.parametrize("profile", [UPLOAD, DOWNLOAD])
def test_a_checkpoint_of_another_transfer_is_no_newer_try(profile: Profile) -> None:
    """Rule 8: a foreign checkpoint is logged and the transfer restarts, whatever try number it names."""
    with a_world(profile) as world:
        world.ledger.tampered(encode(foreign_checkpoint("U9", try_number=9)))

        assert succeeded(world, world.begin())


@pytest.mark.parametrize("profile", [UPLOAD, DOWNLOAD])
def test_a_checkpoint_of_another_transfer_that_appears_under_way_is_no_newer_try(profile: Profile) -> None:
    with a_world(profile) as world:
        process = world.begin(("get" if profile is DOWNLOAD else "part", "after", 2, "freeze"))
        world.ledger.tampered(encode(foreign_checkpoint("U9", try_number=9)))

        world.go_on(process)

        assert succeeded(world, process)


@pytest.mark.parametrize("text", ["NaN", "[]", '"text"', "[" * 9999], ids=["number", "list", "text", "nested"])
def test_what_is_no_checkpoint_is_left_by_a_try_that_sees_it_late(text: str) -> None:
    """The store did not answer before: then the try asks when what it finds was saved."""
    looks_fail = [("load", "before", nth, "down") for nth in range(1, 6)]
    with a_world(UPLOAD) as world:
        process = world.begin(*looks_fail, ("part", "after", 1, "freeze"))
        world.ledger.tampered(text)

        world.go_on(process)

        assert succeeded(world, process)


@pytest.mark.parametrize("case", ["small", "already there"])
def test_the_upload_of_another_transfer_is_never_aborted_nor_its_checkpoint_deleted(case: str) -> None:
    """A small file, and a transfer that has nothing to do, drop whatever upload the stored checkpoint names."""
    profile = replace(UPLOAD, threshold=10 * PART) if case == "small" else UPLOAD
    with a_world(replace(profile, options={"if_exists": "skip_if_same"})) as world:
        if case == "already there":
            world.oss.put(world.ledger.truth or b"", {})
            world.ledger.object_put_by_others(world.ledger.truth, "put by others")
        theirs = world.oss.initiate({}, None)
        foreign = encode(foreign_checkpoint(theirs.upload_id, try_number=0))
        world.ledger.tampered(foreign)

        assert succeeded(world, world.begin())
        assert theirs.state == "open"
        assert world.shelf.text == foreign  # nor is it deleted


def test_a_try_that_drops_all_before_it_has_looked_leaves_the_upload_of_another_transfer() -> None:
    with a_world(UPLOAD) as world:
        theirs = world.oss.initiate({}, None)
        world.ledger.tampered(encode(foreign_checkpoint(theirs.upload_id, try_number=0)))
        world.source.unlink()
        process = world.start_try()
        process.drops = True
        world.run(process)

        assert isinstance(process.error, ArgumentError)
        assert theirs.state == "open"


@pytest.mark.parametrize("part_size", [1, PART // 2])
def test_a_checkpoint_whose_parts_oss_would_not_take_is_unreadable(part_size: int) -> None:
    """OSS refuses it at part 10,001 or at Complete, as permanent errors, at each try: nobody drops the checkpoint."""
    with a_world(UPLOAD) as world:
        world.begin(("part", "after", 2, "crash"))
        checkpoint = decode(world.shelf.text)
        world.ledger.tampered(encode(replace(checkpoint, part_size=part_size)))

        assert succeeded(world, world.begin())


def test_a_checkpoint_of_a_download_in_single_bytes_is_unreadable() -> None:
    with a_world(DOWNLOAD) as world:
        world.begin(("get", "after", 3, "crash"))  # the first one fetches only the beginning of part 1
        checkpoint = decode(world.shelf.text)
        world.ledger.tampered(encode(replace(checkpoint, part_size=1)))

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts == 5


# --- helpers ----------------------------------------------------------------------------------------------------------


def foreign_checkpoint(upload_id: str, *, try_number: int) -> Checkpoint:
    return UploadCheckpoint(BUCKET, "another-key", upload_id, 5 * PART, PART, "", Owner(try_number, "somebody else"))
