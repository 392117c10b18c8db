"""What the judge has once called a defect of the engine, and is none."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_ossresume.model.checkpoint import decode, encode
from tests.simulation.scripts import DOWNLOAD, UPLOAD, is_sound, succeeded
from tests.simulation.world import Profile, a_world

STREAM = Profile("copy", size=UPLOAD.size, options={"if_exists": "overwrite", "mode": "stream"})


def test_an_alarm_that_strikes_a_try_which_its_store_has_turned_away_may_leave_its_upload() -> None:
    """No newer checkpoint is there, and yet the try was on its way out already: the store of Airflow knows each try."""
    with a_world(replace(UPLOAD, is_fenced=True)) as world:
        older = world.begin(("load", "after", 2, "freeze"))
        world.begin(("load", "before", 1, "crash"))
        [upload] = world.oss.open_uploads()
        point = ("wait", "before")
        world.chaos.arm(older, point, older.passed[point] + 1, "timeout")

        world.go_on(older)

        assert upload.state == "open"
        assert succeeded(world, world.begin())
        world.finish()
        assert is_sound(world)


def test_a_part_that_lands_late_is_of_the_content_that_it_was_sent_of() -> None:
    with a_world(STREAM) as world:
        process = world.begin(("part", "body", 1, "late"), ("get", "after", 3, "freeze"))
        [upload] = world.oss.open_uploads()
        world.rivals.do("object rewritten")
        world.chaos.arm(process, ("head", "after"), process.passed["head", "after"] + 1, "freeze")
        world.go_on(process)  # up to the look at the source as it is now
        world.hurry()

        assert len(upload.parts) == 1
        world.go_on(process)
        assert succeeded(world, process)


def test_a_checkpoint_leads_to_nothing_when_the_part_file_is_one_that_a_newer_try_has_begun() -> None:
    """Outside Airflow, where a try that drops all owns the transfer until a newer one has saved."""
    with a_world(replace(DOWNLOAD, in_airflow=False)) as world:
        world.begin(("get", "after", 4, "crash"))
        world.rivals.do("part file removed")
        dropping = world.start_try()
        dropping.drops = True
        world.chaos.arm(dropping, ("load", "after"), 1, "timeout")
        world.chaos.arm(dropping, ("load", "before"), 4, "freeze")  # the look before it deletes
        world.run(dropping)
        newer = world.begin(("ftruncate", "before", 1, "freeze"))
        assert world.part_files()

        world.go_on(dropping)
        world.go_on(newer)

        assert succeeded(world, newer)


def test_a_checkpoint_that_was_edited_so_that_nobody_can_use_it_leads_to_no_upload() -> None:
    """And nothing is aborted by it: who has edited it may have edited the upload ID too."""
    with a_world(replace(UPLOAD, options={"if_exists": "skip_if_same"})) as world:
        world.begin(("part", "after", 2, "crash"))
        world.ledger.tampered(encode(replace(decode(world.shelf.text), part_size=1)))
        world.oss.put(world.ledger.truth or b"", {})
        world.ledger.object_put_by_others(world.ledger.truth, "put by others")

        assert succeeded(world, world.begin())
        world.finish()
        assert is_sound(world)
