"""Ledgers: what has become of the rows of a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import ManifestUnreadable, OSSResumeError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.manifest import LedgerRow, Named
from airflow_provider_ossresume.model.packed_rows import pack_rows
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger, read_ledger
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from tests.world import BUCKET, a_client

PLAN = "20261129T120000Z-0123abcd"


@pytest.fixture
def work(tmp_path: Path) -> LocalWorkFolder:
    return LocalWorkFolder(tmp_path)


def done(number: int) -> LedgerRow:
    return LedgerRow(number, "done", "f:1", "o:E", 2**64 - 1, 5, 5)


def failed(number: int) -> LedgerRow:
    return LedgerRow(number, "failed", reason="AccessDenied", is_retryable=True)


def wrote(work: LocalWorkFolder, try_number: int, *rows: LedgerRow) -> str:
    before = set(work.names("plans/"))
    ledger = Ledger(work, PLAN, 3, try_number)
    for row in rows:
        ledger.add(row)
    ledger.flush()
    [name] = set(work.names("plans/")) - before
    return name


@given(st.builds(LedgerRow, st.integers(1), st.sampled_from(["done", "same", "skipped", "failed"]), st.text(),
                 st.text(), st.none() | st.integers(0, 2**64 - 1), st.integers(0), st.integers(0), st.text(),
                 st.text(), st.booleans()))  # fmt: skip
def test_a_row_comes_back(row: LedgerRow) -> None:
    assert LedgerRow.of(row.line()) == row


def test_a_later_try_finds_what_earlier_ones_have_proven(work: LocalWorkFolder) -> None:
    wrote(work, 1, done(1), failed(2))
    wrote(work, 2, done(3))

    assert Ledger(work, PLAN, 3, 3).rows() == {1: done(1), 3: done(3)}
    assert read_ledger(work, PLAN, 3) == {1: done(1), 2: failed(2), 3: done(3)}
    assert Ledger(work, PLAN, 4, 1).rows() == {}


@pytest.mark.parametrize("tries", [(1, 2), (2, 1)])
def test_what_one_try_has_proven_no_other_takes_back(work: LocalWorkFolder, tries: tuple[int, int]) -> None:
    wrote(work, tries[0], done(1))
    wrote(work, tries[1], failed(1))

    assert read_ledger(work, PLAN, 3) == {1: done(1)}


def test_two_tries_of_one_number_write_files_of_their_own(work: LocalWorkFolder) -> None:
    ledgers = [Ledger(work, PLAN, 3, 1), Ledger(work, PLAN, 3, 1)]
    for round_ in range(3):
        for place, ledger in enumerate(ledgers):
            ledger.add(done(2 * round_ + place))
            ledger.flush()

    assert sorted(read_ledger(work, PLAN, 3)) == list(range(6))
    assert len(list(work.names("plans/"))) == 6


def test_a_flush_without_rows_writes_nothing(work: LocalWorkFolder) -> None:
    Ledger(work, PLAN, 3, 1).flush()

    assert list(work.names("")) == []


def test_rows_of_a_flush_that_failed_are_in_the_next(oss: LocalOSS) -> None:
    work = open_work_folder(f"oss://{BUCKET}/work/", a_client(oss))
    ledger = Ledger(work, PLAN, 3, 1)
    ledger.add(done(1))
    oss.fail("PutObject", 1, fault=Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(OSSResumeError):
        ledger.flush()
    ledger.add(done(2))
    ledger.flush()

    assert sorted(read_ledger(work, PLAN, 3)) == [1, 2]


def test_a_flush_whose_answer_was_lost_for_good_does_not_keep_later_rows_out(oss: LocalOSS) -> None:
    work = open_work_folder(f"oss://{BUCKET}/work/", a_client(oss))
    ledger = Ledger(work, PLAN, 3, 1)
    ledger.add(done(1))
    oss.fail("PutObject", fault=Fault("answer-lost"))
    oss.fail("PutObject", 2, Fault("status", status=503), times=None)
    with pytest.raises(OSSResumeError):
        ledger.flush()
    oss.clear_faults()
    ledger.add(done(2))
    ledger.flush()

    assert read_ledger(work, PLAN, 3) == {1: done(1), 2: done(2)}


def test_of_a_torn_file_the_rows_before_the_tear_count(work: LocalWorkFolder) -> None:
    name = wrote(work, 1, *map(done, range(2_000)))
    data = work.read(name)
    assert data is not None
    work.write(name, data[: len(data) // 2])
    found = read_ledger(work, PLAN, 3)

    assert sorted(found) == list(range(len(found)))
    assert 0 < len(found) < 2_000


@pytest.mark.parametrize(
    "data",
    [b"no gzip", pack_rows([Named("a", "foreign")]), pack_rows([done(1)])[:30] + b"x" * 30],
    ids=["no gzip", "foreign", "damaged"],
)
def test_a_file_of_others_is_named(work: LocalWorkFolder, data: bytes) -> None:
    name = wrote(work, 1, done(1))
    work.write(name, data)

    with pytest.raises(ManifestUnreadable, match=name):
        read_ledger(work, PLAN, 3)


def test_a_row_of_a_newer_version_is_named(work: LocalWorkFolder) -> None:
    class Newer:
        def line(self) -> str:
            return done(1).line().replace('"done"', '"teleported"')

    name = wrote(work, 1, done(1))
    work.write(name, pack_rows([Newer()]))

    with pytest.raises(ManifestUnreadable, match=f"{name}.*teleported.*newer"):
        read_ledger(work, PLAN, 3)
