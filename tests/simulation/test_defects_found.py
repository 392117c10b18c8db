"""What the simulation found, each as the shortest script that shows it. Each is to move on when it passes."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import LocalFileError
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    Owner,
    UploadCheckpoint,
    decode,
    encode,
)
from airflow_provider_ossresume.transfer.pool import Pool
from tests.simulation.oss import BUCKET
from tests.simulation.world import PART, Profile, Try, World, a_world

UPLOAD = Profile("upload", size=5 * PART)
DOWNLOAD = Profile("download", size=5 * PART, interval=0.0)
FAIL_IF_EXISTS = {"if_exists": "fail"}


def succeeded(world: World, process: Try) -> bool:
    """True when the try returned and no invariant is broken; the log tells the rest."""
    assert world.ledger.violation is None, "\n".join(["", *world.log])
    assert process.error is None, "\n".join(["", *world.log])
    return True


# 1 -------------------------------------------------------------------------------------------------------------------


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


# 2 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["small", "already there"])
def test_the_upload_of_another_transfer_is_never_aborted(case: str) -> None:
    """A small file, and a transfer that has nothing to do, drop whatever upload the stored checkpoint names."""
    profile = replace(UPLOAD, threshold=10 * PART) if case == "small" else UPLOAD
    with a_world(replace(profile, options={"if_exists": "skip_if_same"})) as world:
        if case == "already there":
            world.oss.put(world.ledger.truth or b"", {})
            world.ledger.object_put_by_others(world.ledger.truth, "put by others")
        theirs = world.oss.initiate({}, None)
        world.ledger.tampered(encode(foreign_checkpoint(theirs.upload_id, try_number=0)))

        assert succeeded(world, world.begin())
        assert theirs.state == "open"


# 3 -------------------------------------------------------------------------------------------------------------------


def test_a_superseded_try_does_not_save_its_first_checkpoint_over_its_successors() -> None:
    """It looks before each later save, not before the first: frozen in between, it overwrites what it does not know."""
    with a_world(UPLOAD) as world:
        older = world.begin(("initiate", "after", 1, "freeze"))
        world.begin(("part", "after", 3, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 3


# 4 -------------------------------------------------------------------------------------------------------------------


def test_a_superseded_try_does_not_delete_its_successors_checkpoint() -> None:
    """It looks before it completes, and then deletes whatever checkpoint is there: here the one of a newer upload."""
    with a_world(UPLOAD) as world:
        older = world.begin(("complete", "after", 1, "freeze"))
        world.rivals.do("source grown")
        world.begin(("part", "after", 3, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept == 3
        assert not world.oss.open_uploads()


def test_a_superseded_try_that_skips_does_not_delete_its_successors_checkpoint() -> None:
    """A try that has no checkpoint of its own never looks at all."""
    with a_world(replace(DOWNLOAD, options={"if_exists": "skip"})) as world:
        older = world.begin(("head", "after", 1, "freeze"))
        newer = world.begin(("get", "after", 3, "freeze"))
        world.rivals.do("file replaced")

        world.go_on(older)
        world.go_on(newer)

        assert world.ledger.violation is None, "\n".join(["", *world.log])


# 5 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [UPLOAD, DOWNLOAD])
@pytest.mark.parametrize("fault", [("save", "before", 1, "down"), ("load", "before", 1, "down for long")])
def test_outside_airflow_a_store_that_fails_once_does_not_make_the_dead_predecessor_a_newer_try(
    profile: Profile, fault: tuple[str, str, int, str]
) -> None:
    """All tries have number 0 there: while ours is not saved, the look finds the checkpoint that we went on from."""
    with a_world(replace(profile, in_airflow=False)) as world:
        world.begin(("get" if profile is DOWNLOAD else "part", "after", 3, "crash"))

        assert succeeded(world, world.begin(fault))


# 6 -------------------------------------------------------------------------------------------------------------------


def test_a_part_file_that_cannot_be_emptied_is_an_error_of_ours() -> None:
    with a_world(DOWNLOAD) as world:
        process = world.begin(("ftruncate", "before", 1, "broken"))

        assert isinstance(process.error, LocalFileError)


# 7 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part_size", [1, PART // 2])
def test_a_checkpoint_whose_parts_oss_would_not_take_is_unreadable(part_size: int) -> None:
    """OSS refuses it at part 10,001 or at Complete, as permanent errors, at each try: nobody drops the checkpoint."""
    with a_world(UPLOAD) as world:
        world.begin(("part", "after", 2, "crash"))
        checkpoint = decode(world.shelf.text)
        world.ledger.tampered(encode(replace(checkpoint, part_size=part_size)))

        assert succeeded(world, world.begin())


# 8 -------------------------------------------------------------------------------------------------------------------


def test_an_upload_that_finds_its_object_made_by_another_try_is_not_left_open() -> None:
    """409 on Complete, and the object holds our bytes: the try returns and forgets that its upload is still open."""
    with a_world(replace(UPLOAD, options=FAIL_IF_EXISTS)) as world:
        older = world.begin(("initiate", "after", 1, "freeze"))
        assert succeeded(world, world.begin())

        world.go_on(older)

        assert succeeded(world, older)
        assert not world.oss.open_uploads()


# 9 ------------------------------------------------------------------------------------------------------------------


def test_a_file_that_an_older_try_has_finished_is_not_refused() -> None:
    """The upload compares under if_exists="fail" whatever is stored; the download only without a part file."""
    with a_world(replace(DOWNLOAD, options=FAIL_IF_EXISTS)) as world:
        world.begin(("save", "before", 1, "overlap"))  # goes on while the next one waits for the part file
        world.begin(("get", "before", 3, "denied"))

        assert succeeded(world, world.begin())


# 10 ------------------------------------------------------------------------------------------------------------------


def test_a_superseded_try_does_not_empty_its_successors_part_file() -> None:
    """It decides by what it loaded long ago that there is nothing to resume, and empties the file before it looks."""
    with a_world(DOWNLOAD) as world:
        older = world.begin(("head", "after", 1, "freeze"))
        world.begin(("get", "before", 4, "crash"))

        world.go_on(older)

        last = world.begin()
        assert succeeded(world, last)
        assert last.result is not None
        assert last.result.parts_kept >= 2


# 11 ------------------------------------------------------------------------------------------------------------------


def test_an_object_that_an_older_try_finishes_under_our_eyes_is_no_permanent_refusal() -> None:
    """409 on Initiate after a HEAD that found nothing: the next try would find it already there."""
    with a_world(replace(UPLOAD, options=FAIL_IF_EXISTS)) as world:
        oldest = world.begin(("save", "before", 1, "freeze"))
        older = world.begin(("initiate", "before", 1, "freeze"))
        world.go_on(oldest)
        world.go_on(older)

        assert world.ledger.violation is None, "\n".join(["", *world.log])
        assert succeeded(world, world.begin())


# 12 ------------------------------------------------------------------------------------------------------------------


def test_what_is_finished_before_the_iteration_ends_by_an_error_is_not_dropped() -> None:
    """A part that was fetched while the watching thread was busy with the store gets into the checkpoint."""
    second_began, first_failed, second_ended = threading.Event(), threading.Event(), threading.Event()

    def function(item: int) -> int:
        if item == 1:
            second_began.wait(5)
            raise LocalFileError("the first fails")
        second_began.set()
        first_failed.wait(0.2)
        return item

    def tick() -> None:
        second_ended.wait(0.5)  # a slow store

    got: list[int] = []
    with pytest.raises(LocalFileError), Pool(workers=2, tick=tick) as pool:
        got.extend(pool.run(function, [1, 2]))

    assert got == [2]


# --- helpers ----------------------------------------------------------------------------------------------------------


def foreign_checkpoint(upload_id: str, *, try_number: int) -> Checkpoint:
    return UploadCheckpoint(BUCKET, "another-key", upload_id, 5 * PART, PART, "", Owner(try_number, "somebody else"))
