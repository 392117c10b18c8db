"""Verdicts: a plan is done when each row of it is proven, and only then is anything deleted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    ArgumentError,
    ManifestUnreadable,
    NotProven,
    OSSResumeError,
    TransferStopped,
)
from airflow_provider_ossresume.model.manifest import LedgerRow, Named
from airflow_provider_ossresume.model.packed_rows import pack_rows, unpack_rows
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_batch, read_plan, read_verdict
from tests.sets_world import Sets

SOURCE = {f"{number:02}": b"%d" % number for number in range(20)}
OLD = {f"old-{number}": b"0" for number in range(5)}
MIRROR: dict[str, Any] = {"mode": "mirror", "max_delete_share": 1, "batch_files": 6}


@pytest.fixture
def sets(tmp_path: Path) -> Callable[..., Sets]:
    return lambda source, target=None: Sets(tmp_path, source, target)


def verdict_of(world: Sets, plan: Plan) -> Verdict:
    found = read_verdict(world.work, plan.header.plan_id)
    assert found is not None
    return found


def not_proven(world: Sets, plan: Plan, **options: object) -> NotProven:
    """Nothing is deleted then, and the verdict says so."""
    with pytest.raises(NotProven) as raised:
        world.finish(plan, **options)
    assert world.mover.deleted == []
    assert verdict_of(world, plan).outcome == "not proven"
    assert raised.value.report == verdict_of(world, plan).report()
    return raised.value


# --- proven -----------------------------------------------------------------------------------------------------------


def test_when_each_row_is_proven_a_mirror_is_one(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    verdict = world.move(**MIRROR)

    assert world.target.files == SOURCE
    assert (verdict.outcome, verdict.files, verdict.moved, verdict.deleted) == ("proven", 20, 20, 5)
    assert verdict.size == verdict.bytes_moved == sum(map(len, SOURCE.values()))
    assert verdict.failed_list == ""


def test_a_verdict_is_read_as_it_was_said(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    said = world.finish(plan)

    assert verdict_of(world, plan) == said
    assert dict(said) == json.loads(json.dumps(said))
    assert "20 of 20 files moved" in str(said)
    assert "5 deleted" in str(said)


def test_a_plan_without_anything_to_do_is_proven(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, SOURCE)
    verdict = world.move(mode="mirror")

    assert (verdict.outcome, verdict.files, verdict.there) == ("proven", 0, 20)


def test_a_copy_deletes_nothing(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    world.move()

    assert world.target.files == {**SOURCE, **OLD}


# --- not proven -------------------------------------------------------------------------------------------------------


def test_rows_that_no_batch_has_said_anything_of_count(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan, batches=slice(1, None))
    error = not_proven(world, plan)

    verdict = verdict_of(world, plan)
    assert (verdict.files, verdict.moved, verdict.not_tried, verdict.kept) == (20, 15, 5, 5)
    assert error.retryable
    assert len(error.failures) == 5
    assert set(error.failures) == {row.name for row in read_batch(world.work, plan.batch_uris[0])}


def test_what_failed_is_named_in_a_list_that_can_be_read(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan, fails=["03", "07"])
    error = not_proven(world, plan)

    assert error.failures == {"03": "AccessDenied: 403", "07": "AccessDenied: 403"}
    assert not error.retryable
    verdict = verdict_of(world, plan)
    assert (verdict.failed, verdict.moved) == (2, 18)
    data = world.work.read(verdict.failed_list.removeprefix(world.work.uri))
    assert data is not None
    assert sorted(Named.of(line).name for line in unpack_rows(data)) == ["03", "07"]
    assert verdict.failed_list in str(error)


def test_the_next_try_of_the_failed_batch_makes_it_proven(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan, fails=["03"])
    not_proven(world, plan)
    world.run(plan, try_number=2)

    assert world.finish(plan).outcome == "proven"
    assert world.target.files == SOURCE
    assert not [name for name in world.written("plans/") if "failed" in name]


def skip(world: Sets, plan: Plan, name: str, reason: str) -> None:
    world.run(plan, fails=[name])
    for uri in plan.batch_uris:
        for row in read_batch(world.work, uri):
            if row.name == name:
                ledger = Ledger(world.work, plan.header.plan_id, plan.batch(uri).number, 2)
                ledger.add(LedgerRow(row.number, "skipped", reason=reason))
                ledger.flush()


def test_a_row_that_was_skipped_is_not_proven(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    skip(world, plan, "03", "vanished")
    error = not_proven(world, plan, allow_skipped=["source_changed"])

    assert error.failures == {"03": "vanished"}
    assert error.retryable  # by a new plan, and nobody has to change anything
    assert verdict_of(world, plan).skipped == {"vanished": 1}


def test_a_skip_that_is_allowed_passes_and_nothing_is_deleted(
    sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture
) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    skip(world, plan, "03", "vanished")
    verdict = world.finish(plan, allow_skipped=["vanished"])

    assert (verdict.outcome, verdict.skipped, verdict.deleted, verdict.kept) == ("allowed", {"vanished": 1}, 0, 5)
    assert set(OLD) <= set(world.target.files)
    assert "5 files in oss://bucket/prefix/ are not deleted" in caplog.text


# --- deletions --------------------------------------------------------------------------------------------------------


def test_what_has_changed_since_the_plan_is_not_deleted(
    sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture
) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    world.target.write("old-2", b"somebody needs it")
    world.target.write("newcomer", b"that the plan has not seen")
    world.target.remove("old-3")
    verdict = world.finish(plan)

    assert world.target.files == {**SOURCE, "old-2": b"somebody needs it", "newcomer": b"that the plan has not seen"}
    assert (verdict.deleted, verdict.gone, verdict.kept) == (3, 1, 1)
    assert "old-2 was not deleted" in caplog.text


def test_a_finish_that_breaks_while_it_deletes_goes_on(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    world.mover.delete_fails_after = 2
    with pytest.raises(OSSResumeError, match="the connection broke"):
        world.finish(plan)
    assert read_verdict(world.work, plan.header.plan_id) is None
    world.mover.delete_fails_after = None
    verdict = world.finish(plan)

    assert world.target.files == SOURCE
    assert (verdict.outcome, verdict.deleted, verdict.gone) == ("proven", 3, 2)


def test_a_second_finish_does_nothing_and_says_the_same(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    identity = world.target.identities["old-1"]
    first = world.finish(plan)
    world.target.write("old-1", b"0")  # it was put back since, and has the ETag that it had
    world.target.identities["old-1"] = identity

    assert world.finish(plan) == first
    assert "old-1" in world.target.files


def test_the_finish_of_an_older_plan_deletes_nothing(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    older = world.plan(**MIRROR)
    world.run(older)
    world.source.write("old-1", b"0")  # it is there again
    newer = world.plan(**MIRROR)
    error = not_proven(world, older)
    assert newer.header.plan_id in str(error)
    world.run(newer)
    world.finish(newer)

    assert world.target.files == world.source.files


def test_a_dry_run_after_it_does_not_make_a_plan_older(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    world.plan(is_dry_run=True, **MIRROR)

    assert world.finish(plan).deleted == 5


# --- what cannot be read ----------------------------------------------------------------------------------------------


def damaged(world: Sets, plan: Plan, part: str) -> str:
    [name, *_] = [name for name in world.written("plans/") if part in name]
    world.work.write(name, pack_rows([Named("00", "foreign")]))
    return name


@pytest.mark.parametrize("part", ["/batches/", "/ledger/", "/deletes-"])
def test_a_file_of_the_plan_that_cannot_be_read_is_named_and_nothing_deleted(
    sets: Callable[..., Sets], part: str
) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    name = damaged(world, plan, part)

    with pytest.raises(ManifestUnreadable, match=name):
        world.finish(plan)
    assert world.mover.deleted == []
    world.work.delete([name])
    with pytest.raises(NotProven if part == "/ledger/" else ManifestUnreadable):
        world.finish(plan)
    assert world.mover.deleted == []


def test_another_target_is_refused(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    world.target.uri = "oss://bucket/other/"

    with pytest.raises(ArgumentError, match="its target is oss://bucket/prefix/"):
        world.finish(plan)
    assert world.mover.deleted == []


def test_a_plan_that_was_read_is_finished_like_one_that_was_made(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)

    assert world.finish(read_plan(world.work, plan.header.plan_id)).deleted == 5


def test_a_header_that_hides_a_batch_is_refused(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    first, *rest = plan.header.batches
    header = dataclasses.replace(plan.header, batches=(dataclasses.replace(first, files=99), *rest))

    with pytest.raises(ManifestUnreadable, match="rows instead of"):
        world.finish(dataclasses.replace(plan, header=header))
    assert world.mover.deleted == []


# --- facts ------------------------------------------------------------------------------------------------------------


def test_what_a_finish_found_proven_is_known_to_the_next_plan_even_when_the_verdict_is_bad(
    sets: Callable[..., Sets],
) -> None:
    world = sets(SOURCE)
    plan = world.plan(batch_files=6)
    world.run(plan, fails=["03"])
    not_proven(world, plan)
    world.work.delete(world.written("last/"))  # so that the ledger does not tell it
    again = world.plan()

    assert world.names(again) == ["03"]
    assert world.mover.compared == []


def test_facts_of_before_are_kept(sets: Callable[..., Sets]) -> None:
    world = sets(SOURCE)
    world.move()
    world.source.write("new", b"x")
    world.move()
    world.plan()

    assert world.mover.compared == []


# --- stops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [0, 1, 2, 5])
def test_a_stop_before_the_deletions_leaves_them_to_the_next_finish(sets: Callable[..., Sets], looks: int) -> None:
    world = sets(SOURCE, OLD)
    plan = world.plan(**MIRROR)
    world.run(plan)
    left = iter(range(looks))

    def watch() -> None:
        if next(left, None) is None:
            raise TransferStopped("stopped")

    with pytest.raises(TransferStopped):
        world.finish(plan, watch=watch)
    assert world.mover.deleted == []
    assert world.finish(plan).deleted == 5
