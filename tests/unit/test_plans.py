"""Plans: what both sides have is looked at, decided about, and sealed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import (
    ArgumentError,
    LocalFileError,
    ManifestUnreadable,
    OSSResumeError,
    PlanRefused,
    TransferStopped,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.entries import LeftOut
from airflow_provider_ossresume.model.manifest import PlanHeader
from airflow_provider_ossresume.model.parts import GIB
from airflow_provider_ossresume.model.plan_layout import pair_key, split_batch_uri, split_plan_uri
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets import spool
from airflow_provider_ossresume.sets.movers.mover_base import Gone
from airflow_provider_ossresume.sets.plan.make_plan import make_plan
from airflow_provider_ossresume.sets.plan.overlap import check_overlap
from airflow_provider_ossresume.sets.work_folder.fact_store import FactStore
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.sealed_plan import read_batch, read_plan, victims_of
from tests.sets_world import Sets, broken
from tests.world import BUCKET, LONG, a_client

NEW = {"a": b"1", "b/c": b"22", "d": b"333"}


@pytest.fixture
def sets(tmp_path: Path) -> Callable[..., Sets]:
    return lambda source, target=None: Sets(tmp_path, source, target)


# --- what is planned --------------------------------------------------------------------------------------------------


def test_what_the_target_lacks_is_to_be_moved(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)
    plan = world.plan()

    assert [(row.number, row.name, row.size, row.was) for row in world.rows(plan)] == [
        (1, "a", 1, None),
        (2, "b/c", 2, None),
        (3, "d", 3, None),
    ]
    assert plan.header.found == {"source_files": 3, "source_bytes": 6, "target_files": 0}
    assert plan.header.actions == {"put": 3, "same": 0, "delete": 0, "keep": 0}


def test_equal_bytes_stay_and_other_bytes_of_the_same_size_are_moved(sets: Callable[..., Sets]) -> None:
    world = sets({"same": b"11", "other": b"22", "longer": b"333"}, {"same": b"11", "other": b"xx", "longer": b"3"})
    plan = world.plan()

    assert world.names(plan) == ["longer", "other"]
    assert {row.name: row.was for row in world.rows(plan)} == {
        name: world.target.identities[name] for name in ("longer", "other")
    }
    assert sorted(world.mover.compared) == ["other", "same"]


def test_a_copy_deletes_nothing_and_a_mirror_names_what_only_the_target_has(sets: Callable[..., Sets]) -> None:
    world = sets({"a": b"1"}, {"a": b"1", "b": b"2"})

    assert world.plan().header.deletes == ""
    plan = world.plan(mode="mirror", max_delete_share=1)
    assert [victim.name for victim in victims_of(world.work, plan.header)] == ["b"]
    assert plan.samples["delete"] == ["b"]


def test_a_mirror_keeps_what_a_filter_hides(sets: Callable[..., Sets]) -> None:
    world = sets({"a.csv": b"1", "c.txt": b"3"}, {"b.csv": b"2", "b.txt": b"2", "c.txt": b"x"})
    plan = world.plan(mode="mirror", include=["*.csv"], max_delete_share=1)

    assert [victim.name for victim in victims_of(world.work, plan.header)] == ["b.csv"]
    assert world.names(plan) == ["a.csv"]
    assert plan.header.left_out == {"filtered": 1}


def test_a_plan_is_read_as_it_was_made(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)
    plan = world.plan(exclude=["x/**"], batch_files=1)

    assert read_plan(world.work, plan.header.plan_id) == plan
    assert PlanHeader.of(plan.header.text()) == plan.header
    assert SetOptions.of_json(plan.header.options).exclude == ("x/**",)
    assert split_plan_uri(plan.uri) == (world.work.uri, plan.header.plan_id)
    assert [split_batch_uri(uri)[:2] for uri in plan.batch_uris] == [split_plan_uri(plan.uri)] * 3
    assert [plan.batch(uri).files for uri in plan.batch_uris] == [1, 1, 1]


def test_a_batch_uri_is_short_and_batches_grow_where_there_would_be_too_many(sets: Callable[..., Sets]) -> None:
    world = sets({f"{number:05}": b"" for number in range(100)})
    plan = world.plan(batch_files=1, max_batches=7)

    assert [batch.files for batch in plan.header.batches] == [15, 15, 14, 14, 14, 14, 14]
    assert max(len(uri.removeprefix(world.work.uri)) for uri in plan.batch_uris) <= 130
    assert world.names(plan) == sorted(world.source.files)
    with pytest.raises(ArgumentError, match="max_batches"):
        world.plan(max_batches=1_001)


def test_two_plans_of_one_second_are_two(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)

    assert world.plan().header.plan_id != world.plan().header.plan_id


def test_large_files_are_spread_by_size(sets: Callable[..., Sets]) -> None:
    world = sets({"small": b"1"})
    for number, size in enumerate((1, 4, 2, 3)):
        world.source.pretend(f"large-{number}", size * GIB)
    plan = world.plan(batch_bytes="6GiB")

    assert [batch.size // GIB for batch in plan.header.batches] == [5, 5]


NAME = st.text("ab-./0é𐀀\uffff", min_size=1, max_size=5).filter(
    lambda name: not name.startswith("/") and not name.endswith("/") and "//" not in name
)
FILES = st.dictionaries(NAME, st.sampled_from([b"", b"1", b"2", b"22"]), max_size=12)


@settings(deadline=None, max_examples=25)
@given(FILES, FILES)
def test_a_plan_carried_out_makes_the_target_the_source(
    tmp_path_factory: pytest.TempPathFactory, source: dict[str, bytes], target: dict[str, bytes]
) -> None:
    world = Sets(tmp_path_factory.mktemp("sets"), source, target)
    world.move(mode="mirror", max_delete_share=1, allow_empty_source=True, batch_files=3)

    assert world.target.files == source
    again = world.plan(mode="mirror", max_delete_share=1, allow_empty_source=True)
    assert (again.header.batches, again.header.deletes) == ((), "")


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(world: Sets, **options: Any) -> PlanRefused:
    """Nothing has been moved then, and nothing was written."""
    before = dict(world.target.files)
    with pytest.raises(PlanRefused) as raised:
        world.plan(**options)
    assert world.written() == []
    assert world.target.files == before
    return raised.value


def test_more_deletions_than_allowed_are_refused_by_name(sets: Callable[..., Sets]) -> None:
    world = sets({"a": b"1"}, {"a": b"1", **{f"old-{number}": b"" for number in range(3)}})

    assert "max_delete=2" in str(refused(world, mode="mirror", max_delete=2, max_delete_share=1))
    assert set(refused(world, mode="mirror", max_delete_share=0.5).found) == {"old-0", "old-1", "old-2"}
    assert world.plan(mode="mirror", max_delete=3, max_delete_share=0.75).header.actions["delete"] == 3


def test_a_mirror_of_nothing_is_refused(sets: Callable[..., Sets]) -> None:
    world = sets({}, {"a": b"1"})

    assert "mounted" in str(refused(world, mode="mirror", max_delete_share=1))
    assert world.plan(mode="mirror", max_delete_share=1, allow_empty_source=True).header.actions["delete"] == 1


def test_a_copy_of_a_source_that_has_nothing_is_refused_unless_that_is_allowed(sets: Callable[..., Sets]) -> None:
    world = sets({}, {"there": b"1"})
    with pytest.raises(PlanRefused, match=r"the source .* is empty; .*allow_empty_source"):
        world.plan()
    assert world.written() == []

    assert world.plan(allow_empty_source=True).batch_uris == []


def test_a_source_of_which_all_is_filtered_is_empty(sets: Callable[..., Sets]) -> None:
    world = sets({"a.txt": b"1"}, {"b.csv": b"2"})

    assert "mounted" in str(refused(world, mode="mirror", max_delete_share=1, include=["*.csv"]))


def test_too_many_files_are_refused_before_all_are_scanned(sets: Callable[..., Sets]) -> None:
    world = sets({f"{number:03}": b"" for number in range(100)})
    looks: list[None] = []

    with pytest.raises(PlanRefused, match="max_files=5"):
        world.plan(max_files=5, watch=lambda: looks.append(None))
    assert len(looks) < 50


@pytest.mark.parametrize(
    ("reason", "option"),
    [("symlink", "symlinks"), ("special", "special_files"), ("bad_name", "bad_names"), ("archived", "archived")],
)
def test_what_may_not_be_left_out_is_refused_by_name(sets: Callable[..., Sets], reason: str, option: str) -> None:
    world = sets({"a": b"1"})
    world.source.others = [LeftOut.of(f"odd-{number:03}", reason, "it is odd") for number in range(150)]

    error = refused(world)
    assert list(error.found) == [f"odd-{number:03}" for number in range(100)]
    plan = world.plan(**{option: "skip"})
    assert plan.header.left_out == {reason: 150}
    assert world.names(plan) == ["a"]


@pytest.mark.parametrize(
    ("source", "target", "work"),
    [
        ("oss://b/a/", "oss://b/a/", "oss://w/"),
        ("oss://b/a/c/", "oss://b/a/", "oss://w/"),
        ("oss://b/a/", "oss://b/a/c/", "oss://w/"),
        ("oss://b/", "oss://b/a/", "oss://w/"),
        ("file:///a/", "oss://w/", "oss://w/"),
        ("oss://w/x/a/", "oss://b/", "oss://w/x/"),
        ("file:///tmp/../a/b/", "oss://b/", "file:///a/"),
    ],
)
def test_places_that_overlap_are_refused(source: str, target: str, work: str) -> None:
    with pytest.raises(PlanRefused):
        check_overlap(source, target, work)


@pytest.mark.parametrize(
    ("source", "target", "work"),
    [
        ("oss://b/a/", "oss://b/ab/", "oss://b/.ossresume/"),
        ("oss://b/a/", "oss://c/a/", "oss://c/a/work/"),
        ("file:///a/", "oss://b/", "file:///a/work/"),
    ],
)
def test_a_work_folder_may_lie_in_either_side(source: str, target: str, work: str) -> None:
    check_overlap(source, target, work)


def test_a_link_to_the_work_folder_is_the_work_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")

    with pytest.raises(PlanRefused):
        check_overlap(f"{(tmp_path / 'link' / 'x').as_uri()}/", "oss://b/", f"{(tmp_path / 'work').as_uri()}/")


# --- ends in the middle -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_scan_that_fails_in_its_middle_seals_and_deletes_nothing(sets: Callable[..., Sets], side: str) -> None:
    world = sets({"a": b"1", "b": b"2", "c": b"3"}, {"a": b"1", "b": b"2", "c": b"3"})
    getattr(world, side).fails_at = "b"

    with pytest.raises(OSSResumeError, match="the listing broke at b"):
        world.plan(mode="mirror", max_delete_share=1)
    assert world.written() == []
    assert sorted(world.target.files) == ["a", "b", "c"]


def test_a_stop_ends_it_and_nothing_is_sealed(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)
    looks = iter(range(1, 100))

    def watch() -> None:
        if next(looks) == 3:
            raise TransferStopped("stopped")

    with pytest.raises(TransferStopped):
        world.plan(watch=watch)
    assert not [name for name in world.written() if name.endswith("plan.json")]


def put_faults(nth: int) -> dict[str, Any]:
    return {
        "operation": "PutObject",
        "nth": nth,
        "fault": Fault("status", status=403, code="AccessDenied"),
        "times": None,
    }


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_plan_that_dies_before_its_seal_is_invisible(sets: Callable[..., Sets], oss: LocalOSS, nth: int) -> None:
    """Three batches are written, and then the seal."""
    world = sets(NEW)
    work = open_work_folder(f"oss://{BUCKET}/work/", a_client(oss))
    oss.fail(**put_faults(nth))

    with pytest.raises(OSSResumeError):
        make_plan(world.mover, work, SetOptions(batch_files=1))
    [*written] = work.names("")
    assert len(written) == nth - 1
    for plan_id in {name.split("/")[1] for name in written}:
        with pytest.raises(ManifestUnreadable, match="was not completed"):
            read_plan(work, plan_id)
    oss.clear_faults()
    assert len(make_plan(world.mover, work, SetOptions(batch_files=1)).batch_uris) == 3


def test_a_plan_that_dies_after_its_seal_costs_nothing(sets: Callable[..., Sets], oss: LocalOSS) -> None:
    world = sets(NEW)
    work = open_work_folder(f"oss://{BUCKET}/work/", a_client(oss))
    oss.fail(**put_faults(3))  # one batch, the seal, and which plan is the last

    with pytest.raises(OSSResumeError):
        make_plan(world.mover, work, SetOptions())
    oss.clear_faults()
    [sealed] = [name for name in work.names("plans/") if name.endswith("plan.json")]
    plan = make_plan(world.mover, work, SetOptions())
    assert plan.header.plan_id != sealed.split("/")[1]
    assert sorted(row.name for uri in plan.batch_uris for row in read_batch(work, uri)) == sorted(NEW)


def test_a_disk_without_room_for_rows_is_an_error_of_ours(
    sets: Callable[..., Sets], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sets({f"{number:06}": b"" for number in range(40_000)})
    monkeypatch.setattr(spool, "_TABLES", f"PRAGMA max_page_count=100; {spool._TABLES}")

    with pytest.raises(LocalFileError, match="TMPDIR"):
        world.plan()
    assert world.written() == []


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_that_is_not_the_sealed_one_is_refused(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)
    plan, other = world.plan(), world.plan(include=["a"])
    [uri], [foreign] = plan.batch_uris, other.batch_uris
    data = world.work.read(foreign.removeprefix(world.work.uri))
    assert data is not None
    world.work.write(uri.removeprefix(world.work.uri), data)

    with pytest.raises(ManifestUnreadable, match="has changed since the plan was made"):
        read_batch(world.work, uri)
    world.work.delete([uri.removeprefix(world.work.uri)])
    with pytest.raises(ManifestUnreadable, match="no longer exists"):
        read_batch(world.work, uri)
    with pytest.raises(ArgumentError, match="no such batch"):
        plan.batch(foreign)


@pytest.mark.parametrize("uri", ["", "oss://b/work/", "oss://b/work/plans/x/batches/00000-0.jsonl.gz"])
def test_what_is_no_batch_is_refused(sets: Callable[..., Sets], uri: str) -> None:
    with pytest.raises(ArgumentError):
        read_batch(sets({}).work, uri)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"format": 2}'])
def test_a_plan_of_others_or_of_a_newer_version_is_named(sets: Callable[..., Sets], text: bytes) -> None:
    world = sets(NEW)
    plan_id = world.plan().header.plan_id
    world.work.write(f"plans/{plan_id}/plan.json", text)

    with pytest.raises(ManifestUnreadable, match=f"plans/{plan_id}/plan.json"):
        read_plan(world.work, plan_id)


# --- dry runs ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_is_sealed_as_one_and_has_no_batches_to_run(sets: Callable[..., Sets]) -> None:
    world = sets(NEW, {"d": b"333", "old": b"0"})
    plan = world.plan(is_dry_run=True, mode="mirror", max_delete_share=1)

    assert read_plan(world.work, plan.header.plan_id).header.is_dry_run
    assert plan.batch_uris == []
    assert plan.samples == {"put": ["a", "b/c"], "delete": ["old"]}
    assert plan.header.actions == {"put": 2, "same": 1, "delete": 1, "keep": 0}
    assert [name for name in world.written() if not name.startswith("plans/")] == []
    assert world.finish(plan).outcome == "dry run"
    assert sorted(world.target.files) == ["d", "old"]


def test_the_log_of_a_dry_run_names_what_it_would_do(
    sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture
) -> None:
    world = sets(NEW, {"d": b"333", "old": b"0"})
    with caplog.at_level(logging.INFO):
        world.plan(is_dry_run=True, mode="mirror", max_delete_share=1)

    lines = [line for line in caplog.messages if line.startswith("Would")]
    assert lines == ["Would move a", "Would move b/c", "Would delete old"]


def test_the_log_warns_of_a_source_without_a_file(sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture) -> None:
    world = sets({"a.tmp": b"1"}, {})
    with caplog.at_level(logging.WARNING):
        plan = world.plan(exclude=["*.tmp"])

    assert plan.batch_uris == []
    assert "has no files to transfer, and 1 were left out" in caplog.text


# --- facts ------------------------------------------------------------------------------------------------------------


def test_what_was_proven_and_has_not_changed_is_not_compared_again(sets: Callable[..., Sets]) -> None:
    world = sets({f"{number:05}": b"%d" % number for number in range(5_000)})
    world.move()
    plan = world.plan()

    assert world.mover.compared == []
    assert plan.header.actions["same"] == 5_000
    assert plan.batch_uris == []


def test_what_a_plan_has_compared_is_known_to_the_next(sets: Callable[..., Sets]) -> None:
    world = sets(NEW, NEW)
    world.plan()
    assert sorted(world.mover.compared) == sorted(NEW)
    world.plan()

    assert sorted(world.mover.compared) == sorted(NEW)


def test_what_has_changed_on_either_side_is_compared_again(sets: Callable[..., Sets]) -> None:
    world = sets(NEW)
    world.move()
    world.source.write("a", b"9")
    world.target.write("d", b"999")
    plan = world.plan()

    assert world.names(plan) == ["a", "d"]
    assert sorted(world.mover.compared) == ["a", "d"]


def test_facts_of_another_target_are_not_taken(sets: Callable[..., Sets], tmp_path: Path) -> None:
    world = sets(NEW)
    world.move()
    world.target.uri = "oss://bucket/other/"
    world.plan()

    assert sorted(world.mover.compared) == sorted(NEW)


def test_a_plan_takes_what_the_batches_of_an_unfinished_one_have_proven(sets: Callable[..., Sets]) -> None:
    world = sets({f"{number:02}": b"%d" % number for number in range(20)})
    first = world.plan(batch_files=5)
    world.run(first, batches=slice(2))  # then all workers die, and the plan is cleared
    second = world.plan(batch_files=5)

    assert world.mover.compared == []
    assert len(world.rows(second)) == 10
    third = world.plan(batch_files=5)  # what it took is kept
    assert world.mover.compared == []
    assert world.names(third) == world.names(second)


@pytest.mark.parametrize("prefix", ["facts/", "last/"])
@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b'{"format": 2, "plan_id": "x", "files": []}'])
def test_facts_that_cannot_be_read_are_compared_again(
    sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture, prefix: str, data: bytes
) -> None:
    world = sets(NEW, NEW)
    world.plan()
    world.mover.compared.clear()
    for name in world.written(prefix):
        if name.endswith(".json"):
            world.work.write(name, data)
    with caplog.at_level(logging.WARNING):
        plan = world.plan()

    assert plan.header.actions["same"] == 3
    assert "compared again" in caplog.text
    assert sorted(world.mover.compared) == (sorted(NEW) if prefix == "facts/" else [])


def test_a_file_of_facts_that_is_gone_or_damaged_costs_only_its_own(
    sets: Callable[..., Sets], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.sets.work_folder.fact_store.FACTS_PER_FILE", 2)
    world = sets(dict.fromkeys("abcdef", b"1"), dict.fromkeys("abcdef", b"1"))
    world.plan()
    world.mover.compared.clear()
    first, second, _ = [name for name in world.written("facts/") if name.endswith(".gz")]
    world.work.delete([first])
    world.work.write(second, b"damaged")
    world.plan()

    assert sorted(world.mover.compared) == ["a", "b", "c", "d"]


def test_facts_do_not_pile_up(sets: Callable[..., Sets], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.sets.plan.make_plan.MANY_STALE_FACTS", 0)
    world = sets(dict.fromkeys("abcdef", b"1"))
    world.move()
    for name in "abc":
        world.source.remove(name)
    world.plan()

    assert len([name for name in world.written("facts/") if name.endswith(".gz")]) == 1
    assert len(list(facts_of(world))) == 3


def facts_of(world: Sets) -> list[str]:
    store = FactStore(world.work, pair_key(world.source.uri, world.target.uri))
    return [fact.name for fact in store.read()]


# --- comparisons ------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_compared_is_to_be_moved(
    sets: Callable[..., Sets], caplog: pytest.LogCaptureFixture
) -> None:
    world = sets(NEW, NEW)
    world.mover.compare_fails = lambda name: broken("403") if name == "d" else None

    assert world.names(world.plan()) == ["d"]
    assert "d could not be compared" in caplog.text


def test_files_that_went_away_since_the_scan_end_no_plan(sets: Callable[..., Sets]) -> None:
    files = {f"{number:02}": b"1" for number in range(20)}
    world = sets(files, files)
    world.mover.compare_fails = lambda name: Gone(f"{name} is not there any more")

    assert world.names(world.plan()) == sorted(files)


def test_when_nothing_can_be_compared_the_plan_fails(sets: Callable[..., Sets]) -> None:
    files = {f"{number:02}": b"" for number in range(40)}
    world = sets(files, files)
    world.mover.compare_fails = lambda name: broken("403 for all")

    with pytest.raises(OSSResumeError, match="403 for all"):
        world.plan()
    assert world.written() == []


def test_rows_keep_the_order_of_names_whatever_is_compared(
    sets: Callable[..., Sets], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.sets.plan.comparer.COMPARED_AT_ONCE", 3)
    monkeypatch.setattr("airflow_provider_ossresume.sets.plan.comparer.MAX_WAITING", 7)
    source = {f"{number:03}": b"1" for number in range(100)}
    world = sets(source, dict.fromkeys(list(source)[::4], b"2"))
    rows = world.rows(world.plan())

    assert [(row.number, row.name) for row in rows] == list(enumerate(sorted(source), 1))


# --- a work folder that hangs -----------------------------------------------------------------------------------------


class Hanging(LocalWorkFolder):
    """A share that does not answer until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def write(self, name: str, data: bytes) -> None:
        self.is_asked.set()
        self.may_answer.wait(LONG)


def test_a_stop_is_heard_while_a_share_hangs(sets: Callable[..., Sets], tmp_path: Path) -> None:
    world, work = sets(NEW), Hanging(tmp_path / "share")

    def watch() -> None:
        if work.is_asked.is_set():
            raise TransferStopped("stopped")

    with pytest.raises(TransferStopped):
        make_plan(world.mover, work, SetOptions(), watch=watch)
    assert not work.may_answer.is_set()
    work.may_answer.set()
