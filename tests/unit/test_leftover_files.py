"""Part files that tries have left behind: which are found, and which are removed."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import AccessDenied, ArgumentError
from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED
from airflow_provider_ossresume.model.leftover_files import LeftoverFilesReport
from airflow_provider_ossresume.transfer.left_files import PART_FILE, clean_left_files
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.world import BUCKET, PART, Transfers, some_bytes

DAY = 86_400.0
KEY = "a" * 40


def a_part_file(folder: Path, name: str = "model.bin", *, size: int = 10) -> Path:
    path = folder / part_file_name(name, KEY)
    path.write_bytes(b"x" * size)
    return path


def clean(folder: object, *, days_later: float = 8, **options: Any) -> LeftoverFilesReport:
    """Remove what is older than a week, so many days from now: nobody can set a file's time of change back."""
    folders = folder if isinstance(folder, list) else [folder]
    arguments = {"older_than": timedelta(days=7), "dry_run": False, **options}
    return clean_left_files(folders, now=lambda: time.time() + days_later * DAY, **arguments)


def test_the_part_file_of_a_download_that_failed_is_found_and_removed(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(5 * PART))
    transfers.oss.fail_after("GetObject", 3, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(AccessDenied):
        transfers.download(tmp_path / "model.bin")
    [part_file] = tmp_path.iterdir()
    size = part_file.stat().st_size

    report = clean(tmp_path).report()

    assert list(tmp_path.iterdir()) == []
    assert (report["found"], report["removed"], report["bytes"]) == (1, 1, size)
    assert report["files"] == [str(part_file)]


def test_a_download_whose_part_file_was_removed_begins_again(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(5 * PART))
    transfers.oss.fail_after("GetObject", 3, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(AccessDenied):
        transfers.download(tmp_path / "model.bin")
    transfers.oss.clear_faults()
    clean(tmp_path)

    result = transfers.download(tmp_path / "model.bin")

    assert (result.parts_kept, result.parts_sent) == (0, 5)
    assert (tmp_path / "model.bin").read_bytes() == some_bytes(5 * PART)


def test_nothing_is_removed_in_a_dry_run(tmp_path: Path) -> None:
    part_file = a_part_file(tmp_path)
    before = os.stat(part_file)

    report = clean(tmp_path, dry_run=True).report()

    assert os.stat(part_file) == before
    assert (report["removed"], report["would_remove"], report["bytes"], report["files"]) == (0, 1, 10, [str(part_file)])


def test_what_is_younger_is_kept(tmp_path: Path) -> None:
    part_file = a_part_file(tmp_path)

    assert clean(tmp_path, days_later=6.9).report()["kept_young"] == 1

    assert part_file.exists()


def test_a_part_file_with_an_old_time_of_modification_is_as_old_as_its_last_change(tmp_path: Path) -> None:
    """As `preserve_mtime` leaves one, when the try ends just before it publishes."""
    part_file = a_part_file(tmp_path)
    os.utime(part_file, (0, 0))

    assert clean(tmp_path, days_later=0).report()["kept_young"] == 1
    assert part_file.exists()


@pytest.mark.parametrize(
    "name",
    [
        "model.bin",
        "model.bin.ossresume-part",
        ".ossresume-part",
        f".{'0' * 12}.ossresume-part",
        f"model.bin.{'0' * 12}.ossresume-part",
        f".model.bin.{'0' * 11}.ossresume-part",
        f".model.bin.{'0' * 13}.ossresume-part",
        f".model.bin.{'A' * 12}.ossresume-part",
        f".model.bin.{'g' * 12}.ossresume-part",
        f".model.bin.{'0' * 12}.ossresume-part.bak",
        f".model.bin.{'0' * 12}.ossresume-part\n",
        f".{'0' * 15}.ossresume-part",
        f".{'0' * 17}.ossresume-part",
    ],
)
def test_what_has_another_name_is_not_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")

    assert clean(tmp_path).found == 0
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a", "键.bin", "two\nlines", "x" * 255, "." * 30, os.fsdecode(b"\xff\xfe.bin")])
def test_every_name_of_a_target_is_found(tmp_path: Path, name: str) -> None:
    part_file = a_part_file(tmp_path, name)

    [shown] = clean(tmp_path).report()["files"]

    assert not part_file.exists()
    shown.encode()  # as JSON and logs need it


def test_the_part_file_of_a_try_on_a_file_system_without_locks_is_known_by_its_name() -> None:
    assert re.fullmatch(PART_FILE, b".0123456789abcdef.ossresume-part")


@pytest.mark.parametrize("make", ["link", "folder", "fifo"])
def test_what_is_no_regular_file_is_left_alone(tmp_path: Path, make: str) -> None:
    precious = a_part_file(tmp_path, "precious").rename(tmp_path / "precious")
    path = tmp_path / part_file_name("model.bin", KEY)
    {"link": lambda: path.symlink_to(precious), "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[make]()

    assert clean(tmp_path, recursive=True).found == 0

    assert os.path.lexists(path)
    assert precious.exists()


def test_folders_below_are_looked_into_only_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files = [a_part_file(tmp_path / "a" / "b"), a_part_file(tmp_path / "a"), a_part_file(tmp_path)]

    assert clean(tmp_path).found == 1
    assert [file.exists() for file in files] == [True, True, False]
    assert clean(tmp_path, recursive=True).found == 2
    assert not any(file.exists() for file in files)


def test_a_link_to_a_folder_is_not_followed_unless_it_is_the_one_that_is_named(tmp_path: Path) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir()
    data.mkdir()
    part_file = a_part_file(elsewhere)
    (data / "link").symlink_to(elsewhere)

    assert clean(data, recursive=True).found == 0
    assert part_file.exists()
    assert clean(data / "link").report()["removed"] == 1


def test_a_folder_that_is_named_twice_is_looked_into_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    a_part_file(tmp_path / "a")

    report = clean([tmp_path, tmp_path / "a", str(tmp_path)], recursive=True, dry_run=True)

    assert report.found == 1


def test_a_part_file_that_a_try_writes_to_is_kept_and_let_be(tmp_path: Path) -> None:
    path = a_part_file(tmp_path)
    with PartFile(path) as file:
        assert file.lock()
        for dry_run in (True, False):
            assert clean(tmp_path, dry_run=dry_run).report()["kept_locked"] == 1
        assert path.exists()

    assert clean(tmp_path).report()["removed"] == 1


def test_no_try_begins_on_a_part_file_while_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_part_file(tmp_path)
    locked: list[bool] = []
    unlink = os.unlink

    def try_first(*arguments: Any, **options: Any) -> None:
        with PartFile(path) as file:
            locked.append(file.lock())
        unlink(*arguments, **options)

    monkeypatch.setattr(os, "unlink", try_first)
    clean(tmp_path)

    assert locked == [False]
    assert not path.exists()


@pytest.mark.parametrize("change", ["written", "replaced", "published"])
def test_a_part_file_that_changes_after_it_was_looked_at_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = a_part_file(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(b"x" * 10)
    changes = {
        "written": lambda: path.write_bytes(b"y" * 10),
        "replaced": lambda: os.replace(other, path),
        "published": lambda: os.replace(path, tmp_path / "model.bin"),
    }
    with before_the_lock(monkeypatch, changes[change]):
        report = clean(tmp_path).report()

    assert report["removed"] == 0
    assert report["vanished" if change == "published" else "kept_young"] == 1
    assert path.exists() == (change != "published")


@contextmanager
def before_the_lock(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> Iterator[None]:
    flock = fcntl.flock

    def change_and_lock(file: int, operation: int) -> None:
        do()
        flock(file, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", change_and_lock)
        yield


def test_a_part_file_whose_lock_cannot_be_tested_counts_as_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = a_part_file(tmp_path)

    def refuse(file: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert clean(tmp_path).report()["kept_locked"] == 1
    assert path.exists()
    assert "its lock cannot be tested: Operation not supported" in caplog.text


def test_one_that_cannot_be_removed_stops_no_other_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = a_part_file(tmp_path, "a"), a_part_file(tmp_path, "b")
    unlink = os.unlink

    def refuse(name: str, **options: Any) -> None:
        if name == stuck.name:
            raise PermissionError(13, "Permission denied")
        unlink(name, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    report = clean(tmp_path)

    assert (stuck.exists(), other.exists()) == (True, False)
    assert {path: str(error) for path, error in report.errors.items()} == {
        str(stuck): "it cannot be removed: Permission denied"
    }
    assert (report.report()["failed"], report.report()["bytes"]) == (1, 10)


def test_a_folder_that_cannot_be_read_is_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    part_file = a_part_file(tmp_path / "open")
    opened = os.open

    def refuse(path: str, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    report = clean(tmp_path, recursive=True)

    assert not part_file.exists()
    assert not report.errors
    assert report.report()["unread_folders"] == 1
    assert report.report()["unread"] == {
        str(tmp_path / "closed"): "the folder cannot be read on this worker: Permission denied"
    }


def test_a_folder_that_is_named_and_not_there_is_an_error_and_stops_no_other(tmp_path: Path) -> None:
    part_file = a_part_file(tmp_path)

    report = clean([tmp_path / "typo", tmp_path])

    assert not part_file.exists()
    assert list(report.errors) == [str(tmp_path / "typo")]


@pytest.mark.parametrize(
    "folder", ["/", "//", "/./", "/tmp/..", "data", ".", "./data", "", "~nobody-of-that-name/x", "/\0"]
)
def test_a_folder_that_may_not_be_what_was_meant_is_refused(folder: str, tmp_path: Path) -> None:
    part_file = a_part_file(tmp_path)

    with pytest.raises(ArgumentError, match="folder="):
        clean([tmp_path, folder])

    assert part_file.exists()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    a_part_file(tmp_path / "data")

    assert clean("~/data").report()["removed"] == 1


def test_a_stop_ends_the_work(tmp_path: Path) -> None:
    files = [a_part_file(tmp_path, name) for name in "abc"]
    calls: list[None] = []

    def watch() -> None:
        calls.append(None)
        if len(calls) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean(tmp_path, watch=watch)

    assert [file.exists() for file in files] == [False, True, True]


def test_a_report_of_many_files_names_the_first(tmp_path: Path) -> None:
    for number in range(MOST_NAMED + 1):
        a_part_file(tmp_path, f"{number:03}")

    report = clean(tmp_path, dry_run=True)

    assert report.report()["would_remove"] == MOST_NAMED + 1
    assert len(report.report()["files"]) == MOST_NAMED
    assert str(report) == f"{MOST_NAMED + 1} left-over files: {MOST_NAMED + 1} would be removed, 1010 B"
