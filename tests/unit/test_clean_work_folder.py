"""Old plans are removed from a work folder, and nothing else is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.plan_layout import plan_id
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.clean_work_folder import clean_work_folder
from airflow_provider_ossresume.sets.work_folder.last_plan import remember_last_plan
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from tests.world import BUCKET, a_client

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
WEEK = timedelta(weeks=1)
PAIR, OTHER = "a" * 40, "b" * 40
KEY = "c" * 40


@pytest.fixture(params=["oss", "local"])
def work(request: pytest.FixtureRequest, oss: LocalOSS, tmp_path: Path) -> WorkFolder:
    where = f"oss://{BUCKET}/work" if request.param == "oss" else str(tmp_path / "work")
    return open_work_folder(where, a_client(oss))


def a_plan(work: WorkFolder, *, age: timedelta, number: int = 0) -> str:
    made = plan_id(now=NOW - age, random=bytes([number] * 4))
    for name in ("plan.json", "batches/00000-12345678.jsonl.gz", "ledger/00000/0001-00-00000.jsonl.gz", "verdict.json"):
        work.write(f"plans/{made}/{name}", b"x")
    return made


def facts(work: WorkFolder, pair: str, plan: str) -> None:
    remember_last_plan(work, pair, plan)
    work.write(f"facts/{pair}.json", b"{}")
    work.write(f"facts/{pair}/{plan}-00000-12345678.jsonl.gz", b"x")


def clean(work: WorkFolder, *, is_dry_run: bool = False) -> dict[str, object]:
    return dict(clean_work_folder(work, older_than=WEEK, is_dry_run=is_dry_run, now=lambda: NOW))


def test_plans_older_than_the_age_are_removed_with_all_that_became_of_them(work: WorkFolder) -> None:
    old, young = a_plan(work, age=WEEK * 2), a_plan(work, age=WEEK / 2)

    report = clean(work)

    assert {name.split("/")[1] for name in work.names("plans/")} == {young}
    assert (report["removed"], report["kept_young"], report["plans"]) == (1, 1, [f"plans/{old}/"])
    assert report["files"] == 4


def test_a_dry_run_removes_nothing_and_reports_the_same(work: WorkFolder) -> None:
    facts(work, PAIR, a_plan(work, age=WEEK * 2))
    before = list(work.names(""))

    report = clean(work, is_dry_run=True)

    assert list(work.names("")) == before
    assert (report["removed"], report["would_remove"], report["pairs"]) == (0, 1, 1)
    assert report["files"] == len(before)


def test_facts_stay_while_the_last_plan_of_their_source_and_target_is_young(work: WorkFolder) -> None:
    old = a_plan(work, age=WEEK * 2)
    facts(work, PAIR, old)
    facts(work, OTHER, a_plan(work, age=WEEK / 2))
    work.write(f"facts/{OTHER}/{old}-00000-87654321.jsonl.gz", b"written when the old plan was the last one")

    report = clean(work)

    assert report["pairs"] == 1
    assert {name.split("/")[1].removesuffix(".json") for name in work.names("facts/")} == {OTHER}
    assert len(list(work.names(f"facts/{OTHER}/"))) == 2
    assert list(work.names("last/")) == [f"last/{OTHER}.json"]


def test_what_is_none_of_ours_is_left_alone(work: WorkFolder) -> None:
    others = ["plans/mine/plan.json", "plans/20200101T000000Z/x", "notes.txt", f"checkpoints/{KEY}.json", "last/x.json"]
    others.append("plans/20209901T000000Z-00000000/plan.json")  # a month that there is not
    for name in others:
        work.write(name, b"x")
    work.write(f"last/{PAIR}.json", b"no JSON")

    report = clean(work)

    assert sorted(work.names("")) == sorted([*others, f"last/{PAIR}.json"])
    assert (report["removed"], report["foreign"]) == (0, 4)


def test_a_plan_whose_removal_breaks_off_is_no_plan_any_more(work: WorkFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    old = a_plan(work, age=WEEK * 2)
    delete = work.delete

    class Broken(Exception):
        pass

    def once(names: object) -> None:
        delete(names)  # type: ignore[arg-type]
        raise Broken

    monkeypatch.setattr(work, "delete", once)
    with pytest.raises(Broken):
        clean(work)
    monkeypatch.undo()

    assert work.read(f"plans/{old}/plan.json") is None
    clean(work)
    assert list(work.names("")) == []
