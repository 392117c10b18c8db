"""A batch goes on past files that fail, stops where going on is of no use, and keeps what it has done."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    CredentialsError,
    LocalFileError,
    NoSuchBucket,
    NotProven,
    OSSResumeError,
    StoreUnavailable,
    TransferStopped,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.manifest import LedgerRow, Row
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.sets.batch.ledger_writer import LedgerWriter
from tests.faults.test_storage import small_disk
from tests.moving_world import PREFIX, Batches, MemoryLedger, read, write
from tests.world import LONG, PART, a_client, some_bytes

LARGE = 5 * PART
DENIED = Fault("status", status=403, code="AccessDenied")
DIRECTIONS = pytest.mark.parametrize("direction", ["upload", "download"])
MOVES = {"upload": "PutObject", "download": "GetObject"}


def some_files(count: int, *, size: int = 100) -> dict[str, bytes]:
    return {f"file-{number:04}": some_bytes(size, seed=number) for number in range(count)}


@pytest.fixture
def make(oss: LocalOSS, tmp_path: Path) -> Callable[..., Batches]:
    """Makes the two ends, with files at the source."""

    def made(direction: str, files: dict[str, bytes], **options: object) -> Batches:
        batches = Batches(oss, tmp_path / "folder", direction, **options)
        if direction == "upload":
            write(tmp_path / "folder", files)
        else:
            batches.put(files)
        return batches

    return made


def moved(batches: Batches, direction: str) -> dict[str, bytes]:
    """What is at the target."""
    if direction == "upload":
        return batches.objects()
    return read(batches.folder) if batches.folder.exists() else {}


class Held:
    """Holds the server's answers from the nth request of an operation on, until they are let go."""

    def __init__(self, oss: LocalOSS, operation: str, *, nth: int) -> None:
        self._oss, self._operation, self._nth = oss, operation, nth
        self.is_asked, self._may_answer = threading.Event(), threading.Event()
        self._seen = 0
        oss.on_request = self._hold

    def _hold(self, request: Request) -> None:
        if request.operation == self._operation:
            self._seen += 1
            if self._seen >= self._nth:
                self.is_asked.set()
                self._may_answer.wait(LONG)

    def watch(self) -> None:
        if self.is_asked.is_set():
            raise TransferStopped("somebody stopped it")

    def let_go(self) -> None:
        self._may_answer.set()


@DIRECTIONS
def test_a_file_that_is_refused_stops_no_other(make: Callable[..., Batches], oss: LocalOSS, direction: str) -> None:
    files = some_files(30)
    batches = make(direction, files)
    with oss.failing(MOVES[direction], fault=DENIED, key=f"{PREFIX}file-0003"):
        report = batches.run()
    del files["file-0003"]
    assert moved(batches, direction) == files
    assert (report.done, report.failed, list(report.failures)) == (29, 1, ["file-0003"])
    assert batches.results()[4] == ("failed", "AccessDenied")
    with pytest.raises(NotProven, match=r"1 of 30 files failed: file-0003: .*AccessDenied") as failed:
        report.raise_for_failures()
    assert not failed.value.retryable


@DIRECTIONS
def test_the_next_try_moves_only_what_has_failed(make: Callable[..., Batches], oss: LocalOSS, direction: str) -> None:
    files = some_files(30)
    batches = make(direction, files)
    rows = batches.rows()
    with oss.failing(MOVES[direction], fault=DENIED, key=f"{PREFIX}file-0003"):
        batches.run(rows)
    before = len(oss.calls(MOVES[direction]))
    report = batches.run(rows)
    assert moved(batches, direction) == files
    assert (report.proven_before, report.done, report.proven, report.failed) == (29, 1, 30, 0)
    assert len(oss.calls(MOVES[direction])) == before + 1


@DIRECTIONS
def test_access_that_is_denied_to_all_files_stops_the_batch(
    make: Callable[..., Batches], oss: LocalOSS, direction: str
) -> None:
    batches = make(direction, some_files(1_000), max_failures=1_000)
    rows = batches.rows()
    with oss.failing(MOVES[direction], fault=DENIED), pytest.raises(AccessDenied):
        batches.run(rows)
    # It takes a few failures in a row; others are under way then, and a busy machine hears of them late.
    assert len(oss.calls(MOVES[direction])) < 500
    assert {result for result, _ in batches.results().values()} == {"failed"}


def test_access_that_is_denied_later_is_the_files_own(make: Callable[..., Batches], oss: LocalOSS) -> None:
    batches = make("upload", some_files(60))
    with oss.failing("PutObject", after=20, fault=DENIED):
        report = batches.run()
    assert (report.done, report.failed) == (20, 40)


@DIRECTIONS
def test_a_bucket_that_is_gone_stops_the_batch_at_once(
    make: Callable[..., Batches], oss: LocalOSS, direction: str
) -> None:
    batches = make(direction, some_files(1_000))
    rows = batches.rows()
    gone = Fault("status", status=404, code="NoSuchBucket")
    with oss.failing(MOVES[direction], fault=gone), pytest.raises(NoSuchBucket):
        batches.run(rows)
    assert len(oss.calls(MOVES[direction])) < 500


def test_credentials_that_are_gone_stop_the_batch_at_once(make: Callable[..., Batches], oss: LocalOSS) -> None:
    class Expired:
        def get(self) -> None:
            raise CredentialsError("there are none any more")

        renew = get

    batches = make("upload", some_files(300))
    rows = batches.rows()
    batches.client = a_client(oss, credentials=Expired())
    with pytest.raises(CredentialsError):
        batches.run(rows)
    assert moved(batches, "upload") == {}


def test_a_full_disk_stops_the_batch_at_once(oss: LocalOSS, tmp_path: Path) -> None:
    files = some_files(100, size=3_000)
    with small_disk(tmp_path / "disk", 20 * 4096) as disk:
        batches = Batches(oss, disk / "target", "download")
        batches.put(files)
        rows = batches.rows()
        with pytest.raises(LocalFileError, match="No space left") as full:
            batches.run(rows)
        there = {name: data for name, data in read(disk / "target").items() if not name.startswith(".")}
        proven = {rows[number - 1].name for number, kept in batches.ledger.kept.items() if kept.is_proven}
    assert there == {name: files[name] for name in proven}
    assert "/proc/self/fd" not in str(full.value)
    assert len(oss.calls("GetObject")) < 90


def test_a_large_file_that_does_not_fit_fails_alone(oss: LocalOSS, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * LARGE) as disk:
        batches = Batches(oss, disk / "target", "download")
        batches.put({"large": some_bytes(LARGE), "larger": some_bytes(3 * LARGE)})
        report = batches.run(small_size=LARGE)
        assert (disk / "target" / "large").read_bytes() == some_bytes(LARGE)
    assert list(report.failures) == ["larger"]
    assert "/proc/self/fd" not in report.failures["larger"]


@pytest.mark.parametrize(("most", "failed"), [(0, 1), (5, 6)])
def test_the_batch_gives_up_when_too_many_files_have_failed(
    make: Callable[..., Batches], oss: LocalOSS, most: int, failed: int
) -> None:
    batches = make("upload", some_files(300), max_failures=most)
    with oss.failing("PutObject", fault=Fault("status", status=400, code="InvalidArgument")):
        report = batches.run()
    assert report.gave_up
    assert failed <= report.failed < 100
    with pytest.raises(NotProven, match="max_failures stopped the batch"):
        report.raise_for_failures()


@DIRECTIONS
def test_throttling_is_waited_out(make: Callable[..., Batches], oss: LocalOSS, direction: str) -> None:
    files = some_files(40)
    batches = make(direction, files)
    waits: list[float] = []
    batches.client = a_client(oss, retry=RetryPolicy(sleep=waits.append))
    slow = Fault("status", status=503, code="ServiceUnavailable", retry_after=3)
    with oss.failing(MOVES[direction], fault=slow, after=10, times=5):
        report = batches.run()
    assert (report.done, moved(batches, direction)) == (40, files)
    assert len(waits) == 5
    assert min(waits) >= 3


@DIRECTIONS
def test_what_was_moved_before_a_kill_is_found_and_not_moved_again(
    make: Callable[..., Batches], oss: LocalOSS, direction: str
) -> None:
    files = {**some_files(20), "large": some_bytes(LARGE)}
    batches = make(direction, files)
    rows = batches.rows()
    batches.run(rows, small_size=LARGE, ledger=MemoryLedger())  # whose words are lost
    before = len(oss.calls("PutObject")), len(oss.calls("UploadPart")), len(oss.calls("GetObject"))
    report = batches.run(rows, small_size=LARGE, check_first=True)
    assert (report.same, report.done, report.bytes_moved) == (21, 0, 0)
    assert (len(oss.calls("PutObject")), len(oss.calls("UploadPart")), len(oss.calls("GetObject"))) == before


def test_a_first_try_asks_nothing_before_it_sends(make: Callable[..., Batches], oss: LocalOSS) -> None:
    batches = make("upload", some_files(20))
    batches.run()
    assert oss.calls("HeadObject") == []


@DIRECTIONS
@pytest.mark.parametrize("kind", ["small", "large"])
def test_nothing_happens_after_a_stop_and_the_ledger_has_what_was_done(
    make: Callable[..., Batches], oss: LocalOSS, direction: str, kind: str
) -> None:
    is_large = kind == "large"
    files = some_files(8, size=LARGE) if is_large else some_files(200)
    held_at = "UploadPart" if is_large and direction == "upload" else MOVES[direction]
    batches = make(direction, files)
    rows = batches.rows()
    others = set(threading.enumerate())
    held = Held(oss, held_at, nth=10)
    with pytest.raises(TransferStopped, match="somebody stopped it"):
        batches.run(rows, small_size=LARGE, watch=held.watch)
    left = [each.name for each in set(threading.enumerate()) - others if each.name.startswith("ossresume-")]
    proven = {rows[number - 1].name for number, kept in batches.ledger.kept.items() if kept.is_proven}
    whole = {name for name, data in moved(batches, direction).items() if files.get(name) == data}
    held.let_go()
    assert left == []
    assert proven <= whole
    report = batches.run(rows, small_size=LARGE)
    assert (report.proven, report.proven_before) == (len(files), len(proven))
    assert {name: moved(batches, direction)[name] for name in files} == files


def test_what_the_stop_cuts_off_is_no_failure(make: Callable[..., Batches], oss: LocalOSS) -> None:
    batches = make("upload", some_files(200))
    held = Held(oss, "PutObject", nth=10)
    with pytest.raises(TransferStopped):
        batches.run(watch=held.watch)
    held.let_go()
    assert {result for result, _ in batches.results().values()} <= {"done"}


class TroubledLedger(MemoryLedger):
    """One whose work folder fails at first."""

    def __init__(self, failures: int, *, retryable: bool = True) -> None:
        super().__init__()
        self._failures = failures
        self._error: OSSResumeError = StoreUnavailable("the share hangs")
        self._error.retryable = retryable
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes <= self._failures:
            raise self._error
        super().flush()


def recorded(batches: Batches, ledger: MemoryLedger, count: int, *, clock: Callable[[], float] = lambda: 0.0) -> None:
    """Take rows one after another, as a batch does."""
    writer = LedgerWriter(batches.mover(), ledger, watch=lambda: None, clock=clock)
    for number in range(1, count + 1):
        writer.add(LedgerRow(number, "done"))
        writer.flush_if_due()


def test_the_ledger_is_kept_after_each_thousand_rows(make: Callable[..., Batches]) -> None:
    ledger = TroubledLedger(0)
    recorded(make("upload", {}), ledger, 2_100)
    assert (ledger.flushes, len(ledger.kept)) == (2, 2_000)


def test_the_ledger_is_kept_every_thirty_seconds(make: Callable[..., Batches]) -> None:
    ledger = TroubledLedger(0)
    recorded(make("upload", {}), ledger, 9, clock=itertools.count(0, 10).__next__)
    assert ledger.flushes >= 2
    assert len(ledger.kept) >= 5


def test_a_ledger_that_is_down_for_a_while_ends_no_batch(make: Callable[..., Batches]) -> None:
    ledger = TroubledLedger(1)
    recorded(make("upload", {}), ledger, 2_000)
    assert (ledger.flushes, len(ledger.kept)) == (2, 2_000)


def test_a_ledger_that_refuses_for_good_ends_the_batch_early(make: Callable[..., Batches]) -> None:
    with pytest.raises(StoreUnavailable):
        recorded(make("upload", {}), TroubledLedger(5, retryable=False), 2_000)


def test_a_stop_within_a_flush_is_no_failure_of_the_ledger(make: Callable[..., Batches]) -> None:
    def stop() -> None:
        raise TransferStopped("somebody stopped it")

    ledger = MemoryLedger()
    writer = LedgerWriter(make("upload", {}).mover(), ledger, watch=stop, clock=lambda: 0.0)
    for number in range(1, 1_001):
        writer.add(LedgerRow(number, "done"))
    with pytest.raises(TransferStopped):
        writer.flush_if_due()
    writer.finish_quickly()
    assert len(ledger.kept) == 1_000


def test_a_ledger_that_cannot_be_written_at_the_end_fails_the_try(make: Callable[..., Batches], oss: LocalOSS) -> None:
    batches = make("upload", some_files(10))
    with pytest.raises(StoreUnavailable):
        batches.run(ledger=TroubledLedger(5))


def test_a_large_file_goes_on_from_the_parts_that_an_earlier_try_sent(
    make: Callable[..., Batches], oss: LocalOSS
) -> None:
    files = {"large": some_bytes(10 * PART)}
    for direction, operation in (("upload", "UploadPart"), ("download", "GetObject")):
        batches = make(direction, files)
        rows = batches.rows()
        denied = Fault("status", status=400, code="InvalidArgument")
        with oss.failing(operation, after=5, fault=denied):
            report = batches.run(rows, small_size=PART, config={"max_concurrency": 1})
        assert report.failed == 1
        report = batches.run(rows, small_size=PART)
        assert moved(batches, direction)["large"] == files["large"]
        assert report.bytes_moved <= 6 * PART


def test_rows_that_the_ledger_has_are_not_looked_at(make: Callable[..., Batches], oss: LocalOSS) -> None:
    batches = make("upload", some_files(10))
    rows: list[Row] = batches.rows()
    batches.run(rows)
    before = len(oss.calls("PutObject")), len(oss.calls("HeadObject"))
    report = batches.run(rows)
    assert (report.proven_before, report.proven, report.done) == (10, 10, 0)
    assert (len(oss.calls("PutObject")), len(oss.calls("HeadObject"))) == before
