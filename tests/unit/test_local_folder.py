"""A folder as one end of a transfer of many files: what a scan finds, and that nothing leads out of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, PlanRefused, SourceChanged
from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.case_folding import folds_names
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.name_rules import KeyNameRules
from airflow_provider_ossresume.sets.ports import ScanItem
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.faults.odd_mount import odd_mount

PASS: dict[str, Any] = {"symlinks": "skip", "special_files": "skip", "bad_names": "skip"}


def a_tree(folder: Path, *names: str, data: bytes = b"data") -> Path:
    """Make files; a name that ends with a slash is an empty folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


def scan(
    folder: Path,
    *,
    is_source: bool = True,
    watch: Callable[[], None] = lambda: None,
    work_uri: str = "",
    prefix: str | None = None,
    **options: Any,
) -> list[ScanItem]:
    names = None if prefix is None else KeyNameRules(prefix)
    return list(
        LocalFolder(folder).scan(
            SetOptions(**options), is_source=is_source, watch=watch, names=names, work_uri=work_uri
        )
    )


def names(found: list[ScanItem]) -> list[str]:
    """The names of files, and ``!reason name`` of what is left out."""
    return [each.name if isinstance(each, Entry) else f"!{each.reason} {each.name}" for each in found]


def refusal(folder: Path, **options: Any) -> PlanRefused:
    with pytest.raises(PlanRefused) as caught:
        scan(folder, **options)
    return caught.value


# --- what is found ----------------------------------------------------------------------------------------------------


def test_files_come_in_the_order_of_the_bytes_of_their_whole_names(tmp_path: Path) -> None:
    a_tree(tmp_path, "a/x", "a-b", "a.b", "a0", "a/b/c", "a/b-c", "Z", "é", "\uffff", "\U00010000", "a b")

    found = names(scan(tmp_path))

    assert found == ["Z", "a b", "a-b", "a.b", "a/b-c", "a/b/c", "a/x", "a0", "é", "\uffff", "\U00010000"]
    assert found == sorted(found, key=str.encode)


def test_an_entry_says_what_its_file_is(tmp_path: Path) -> None:
    file = a_tree(tmp_path, "a/x", data=b"12345") / "a/x"
    os.utime(file, ns=(1, 1_700_000_000_123_456_789))
    before = file.stat()

    [entry] = scan(tmp_path)

    assert entry == Entry(
        "a/x", 5, f"f:1700000000123456789:{before.st_ctime_ns}:{before.st_ino}", modified=before.st_mtime
    )


def test_a_hard_link_is_a_file_like_any_other(tmp_path: Path) -> None:
    a_tree(tmp_path, "a")
    os.link(tmp_path / "a", tmp_path / "b")

    assert names(scan(tmp_path)) == ["a", "b"]


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    """An empty mount point looks the same: a mirror of it is refused by the plan, unless it is allowed."""
    assert scan(tmp_path) == []
    assert scan(tmp_path, empty_folders="marker") == []


def test_a_source_that_is_not_there_is_never_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="does not exist on this worker") as caught:
        scan(tmp_path / "absent")
    assert caught.value.retryable
    with pytest.raises(ArgumentError, match="this is a file") as caught:
        scan(a_tree(tmp_path, "file") / "file")
    assert not caught.value.retryable


def test_a_target_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert scan(tmp_path / "absent", is_source=False) == []
    with pytest.raises(ArgumentError, match="this is a file"):
        scan(a_tree(tmp_path, "file") / "file", is_source=False)


@pytest.mark.parametrize("folder", ["relative", "", "a\0b", "/a\0b"])
def test_a_path_that_no_folder_has_is_refused(folder: str) -> None:
    with pytest.raises(ArgumentError, match=r"^folder="):
        LocalFolder(folder)


def test_the_uri_is_that_of_a_folder(tmp_path: Path) -> None:
    assert LocalFolder(tmp_path / "a b").uri == f"file://{tmp_path}/a%20b/"
    assert LocalFolder("/").uri == "file:///"


def test_the_watch_is_called_all_the_time_and_ends_the_scan(tmp_path: Path) -> None:
    a_tree(tmp_path, *(f"{number % 7}/{number}" for number in range(1_000)))
    calls: list[None] = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 5:
            raise KeyboardInterrupt

    scan(tmp_path, watch=lambda: calls.append(None))
    assert len(calls) >= 20
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        scan(tmp_path, watch=stop)


def test_a_scan_leaves_no_descriptor_open(tmp_path: Path) -> None:
    a_tree(tmp_path, "a/b/c/d", "a/b/e", "x")
    before = set(os.listdir("/dev/fd"))

    found = LocalFolder(tmp_path).scan(SetOptions(), is_source=True, watch=lambda: None)
    next(found)
    found.close()  # type: ignore[attr-defined]
    scan(tmp_path)

    assert set(os.listdir("/dev/fd")) == before


# --- what is left out -------------------------------------------------------------------------------------------------


def test_filters_leave_out_and_say_so(tmp_path: Path) -> None:
    a_tree(tmp_path, "a.csv", "b.parquet", "c/d.parquet", "_tmp/x.parquet")

    found = scan(tmp_path, include=["**/*.parquet"], exclude=["_tmp/**"])

    assert names(found) == ["!filtered _tmp/", "!filtered a.csv", "b.parquet", "c/d.parquet"]


def test_sizes_and_times_leave_out(tmp_path: Path) -> None:
    a_tree(tmp_path, "small", data=b"1")
    a_tree(tmp_path, "good", data=b"12345")
    a_tree(tmp_path, "old", data=b"12345")
    a_tree(tmp_path, "large", data=b"1234567890")
    os.utime(tmp_path / "old", (1_000_000_000, 1_000_000_000))

    assert names(scan(tmp_path, min_size=2, max_size=9, newer_than="1d")) == [
        "good", "!filtered large", "!filtered old", "!filtered small",
    ]  # fmt: skip
    assert names(scan(tmp_path, older_than="1d"))[2] == "old"
    assert names(scan(tmp_path, older_than="1d")).count("!filtered good") == 1


def test_what_is_filtered_is_not_looked_into(tmp_path: Path) -> None:
    a_tree(tmp_path, "a", "logs/x")
    os.mkfifo(tmp_path / "logs/pipe")
    os.mkfifo(tmp_path / "old.pipe")
    os.symlink("nowhere", tmp_path / "old.link")

    assert names(scan(tmp_path, exclude=["logs/**", "old.*"])) == [
        "a", "!filtered logs/", "!filtered old.link", "!filtered old.pipe",
    ]  # fmt: skip


def test_pipes_and_sockets_are_refused_by_name_or_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_tree(tmp_path, "a", "z")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")

        assert names(scan(tmp_path, special_files="skip")) == ["a", "!special pipe", "!special socket", "z"]
        assert list(refusal(tmp_path).found) == ["pipe", "socket"]
        assert 'set special_files="skip"' in refusal(tmp_path).found["pipe"]
        assert names(scan(tmp_path, is_source=False)) == ["a", "!special pipe", "!special socket", "z"]


def test_nothing_more_is_yielded_when_something_is_refused(tmp_path: Path) -> None:
    a_tree(tmp_path, "a", "c", "e")
    for name in ("b", "d"):
        os.mkfifo(tmp_path / name)
    found = LocalFolder(tmp_path).scan(SetOptions(), is_source=True, watch=lambda: None)

    assert next(found).name == "a"
    with pytest.raises(PlanRefused, match=r"2 of .* cannot be transferred"):
        next(found)


def test_a_hundred_names_are_enough_to_refuse_a_plan(tmp_path: Path) -> None:
    for number in range(150):
        os.mkfifo(tmp_path / f"{number:03}")

    error = refusal(tmp_path)

    assert (len(error.found), str(error).partition(" of ")[0]) == (100, "100 or more")


def test_names_that_cannot_be_keys_are_refused_or_left_out(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path)
    a_tree(tmp_path, "a", "line\nbreak", "z")
    for name in (b"\xb1", b"a\xff/x", b"\xc3\xa9"):
        os.makedirs(os.path.dirname(raw + b"/" + name), exist_ok=True)
        with open(raw + b"/" + name, "wb"):
            pass

    found = scan(tmp_path, bad_names="skip", prefix="p/")

    assert names(found) == ["a", "!bad_name a\\xff/", "!bad_name line\\nbreak", "z", "!bad_name \\xb1", "é"]
    assert [each.place for each in found] == sorted(each.place for each in found)
    assert list(refusal(tmp_path, prefix="p/").found) == ["a\\xff/", "line\\nbreak", "\\xb1"]
    assert names(scan(tmp_path, is_source=False)) == [
        "a", "!bad_name a\\xff/", "line\nbreak", "z", "!bad_name \\xb1", "é",
    ]  # fmt: skip


def test_a_key_with_its_prefix_is_too_long_for_a_deep_file(tmp_path: Path) -> None:
    deep = "/".join(["d" * 200] * 5)
    a_tree(tmp_path, f"{deep}/x")

    assert names(scan(tmp_path, prefix="p" * 15 + "/")) == [f"{deep}/x"]
    assert list(refusal(tmp_path, prefix="p" * 16 + "/x" * 2 + "/").found) == [f"{deep}/x"]


def test_folders_deeper_than_any_key_are_not_looked_into(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(600):  # deeper than a path can be
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)

    assert names(scan(tmp_path, bad_names="skip")) == [f"!bad_name {'d/' * 512}"]


def test_empty_folders_are_counted_or_made_markers(tmp_path: Path) -> None:
    a_tree(tmp_path, "a/b/", "a-", "c/", "d")

    assert names(scan(tmp_path)) == ["a-", "!empty_folder a/b/", "!empty_folder c/", "d"]
    assert names(scan(tmp_path, empty_folders="marker", prefix="p/")) == ["a-", "a/b/", "c/", "d"]
    assert names(scan(tmp_path, is_source=False)) == ["a-", "d"]
    assert names(scan(tmp_path, is_source=False, empty_folders="marker")) == ["a-", "a/b/", "c/", "d"]
    assert [each.size for each in scan(tmp_path, empty_folders="marker") if isinstance(each, Entry)] == [4, 0, 0, 4]


def test_part_files_are_no_part_of_a_set(tmp_path: Path) -> None:
    part_file = part_file_name("model.bin", "a" * 40)
    a_tree(tmp_path, part_file, f"d/{part_file}", "like.ossresume-part")

    assert names(scan(tmp_path)) == [f"!part_file {part_file}", f"!part_file d/{part_file}", "like.ossresume-part"]
    assert names(scan(tmp_path, is_source=False)) == ["like.ossresume-part"]


@pytest.mark.parametrize("is_source", [True, False])
def test_work_folders_are_no_part_of_a_set(tmp_path: Path, is_source: bool) -> None:
    a_tree(tmp_path, "set/.ossresume/plans/x", "set/a", "set/b/.ossresume/y", "set/work here/plans/z", "set/work/a")
    os.symlink("set/work here", tmp_path / "way")

    for work in (tmp_path / "set/work here", tmp_path / "way"):
        found = scan(tmp_path / "set", is_source=is_source, work_uri=f"{work.as_uri()}/")
        assert [each.name for each in found if isinstance(each, Entry)] == ["a", "work/a"]
    assert "work here/plans/z" in names(scan(tmp_path / "set", is_source=is_source, work_uri="oss://b/.ossresume/"))


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with links: to a file, to a folder, to one above, out of it, to nothing, and to one another."""
    a_tree(tmp_path, "set/d/x", "set/d/e/y", "set/file", "outside/secret")
    for link, to in {
        "to-file": "d/x",
        "to-folder": "d",
        "d/e/up": "..",
        "d/e/top": "../..",
        "out": "../outside/secret",
        "out-folder": "../outside",
        "nowhere": "absent",
        "ring": "ring",
    }.items():
        os.symlink(to, tmp_path / "set" / link)
    return tmp_path / "set"


def test_links_are_refused_by_name(linked: Path) -> None:
    assert list(refusal(linked).found) == [
        "d/e/top/", "d/e/up/", "nowhere", "out", "out-folder/", "ring", "to-file", "to-folder/",
    ]  # fmt: skip


def test_links_are_left_out(linked: Path) -> None:
    files = [name for name in names(scan(linked, symlinks="skip")) if not name.startswith("!")]

    assert files == ["d/e/y", "d/x", "file"]
    assert len(scan(linked, symlinks="skip")) == 3 + 8


def test_links_are_followed_below_the_folder_and_through_no_ring(linked: Path) -> None:
    for link in ("out", "out-folder", "nowhere", "ring"):
        (linked / link).unlink()

    assert names(scan(linked, symlinks="follow")) == [
        "!loop d/e/top/", "!loop d/e/up/", "d/e/y", "d/x", "file", "to-file",
        "!loop to-folder/e/top/", "!loop to-folder/e/up/", "to-folder/e/y", "to-folder/x",
    ]  # fmt: skip


def test_a_link_that_leads_out_or_nowhere_is_refused_though_links_are_followed(linked: Path) -> None:
    error = refusal(linked, symlinks="follow")

    assert list(error.found) == ["nowhere", "out", "out-folder/", "ring"]
    assert "leads out of the folder, or to nothing" in error.found["out"]


def test_a_followed_link_has_the_identity_of_what_it_leads_to(tmp_path: Path) -> None:
    a_tree(tmp_path, "z", data=b"12345")
    os.symlink("z", tmp_path / "a")

    link, file = scan(tmp_path, symlinks="follow")

    assert isinstance(link, Entry)
    assert isinstance(file, Entry)
    assert (link.size, link.identity) == (5, file.identity)


def test_links_of_a_target_are_not_to_be_touched(linked: Path) -> None:
    found = scan(linked, is_source=False, symlinks="follow")

    assert [each.reason for each in found if isinstance(each, LeftOut)] == ["symlink"] * 8
    assert [each.name for each in found if isinstance(each, Entry)] == ["d/e/y", "d/x", "file"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    a_tree(tmp_path, "real/a")
    os.symlink("real", tmp_path / "link")
    os.symlink("a", tmp_path / "real/b")

    assert names(scan(tmp_path / "link", symlinks="follow")) == ["a", "b"]


# --- what changes meanwhile -------------------------------------------------------------------------------------------


def test_what_goes_away_while_the_folder_is_scanned_is_named(tmp_path: Path) -> None:
    a_tree(tmp_path, "a", "b", "c/x", "d", "e/")
    found = LocalFolder(tmp_path).scan(SetOptions(), is_source=True, watch=lambda: None)
    first = next(found)
    (tmp_path / "b").unlink()
    (tmp_path / "c/x").unlink()
    (tmp_path / "c").rmdir()
    (tmp_path / "d").unlink()
    (tmp_path / "d").mkdir()

    assert names([first, *found]) == ["a", "!vanished b", "!vanished c/", "!vanished d", "!empty_folder e/"]


def test_a_link_that_takes_a_files_place_is_not_read(tmp_path: Path) -> None:
    a_tree(tmp_path, "set/a", "set/b", "outside/b", data=b"secret")
    found = LocalFolder(tmp_path / "set").scan(SetOptions(), is_source=True, watch=lambda: None)
    next(found)
    (tmp_path / "set/b").unlink()
    os.symlink(tmp_path / "outside/b", tmp_path / "set/b")

    assert names(list(found)) == ["!vanished b"]


@pytest.mark.parametrize("what", ["a link", "a file"])
def test_a_link_that_takes_a_folders_place_is_not_gone_into(tmp_path: Path, what: str) -> None:
    a_tree(tmp_path, "set/a", "set/b/x", "outside/x")
    found = LocalFolder(tmp_path / "set").scan(SetOptions(), is_source=True, watch=lambda: None)
    next(found)
    os.rename(tmp_path / "set/b", tmp_path / "moved")
    if what == "a link":
        os.symlink(tmp_path / "outside", tmp_path / "set/b")
    else:
        a_tree(tmp_path, "set/b")

    with pytest.raises(LocalFileError, match=r"set/b/ was replaced .* during the scan"):
        list(found)


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["not to be read", "not to be looked into"])
@pytest.mark.parametrize("is_source", [True, False])
def test_a_folder_that_may_not_be_read_is_no_empty_one(mode: int, is_source: bool) -> None:
    code = f"""
        import os
        from airflow_provider_ossresume.errors import LocalFileError
        from airflow_provider_ossresume.model.set_options import SetOptions
        from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            found = LocalFolder(os.environ["SET"]).scan(SetOptions(), is_source={is_source}, watch=lambda: None)
            print([each.name for each in found])
        except LocalFileError as error:
            print(error)
    """
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = a_tree(Path(name), "a", "b/x") / "b"
        folder.chmod(mode)
        done = subprocess.run(
            (sys.executable, "-c", dedent(code)), env={**os.environ, "SET": name}, capture_output=True, text=True
        )
        folder.chmod(0o755)

    assert "cannot be read: Permission denied" in done.stdout, done.stderr


# --- files below it ---------------------------------------------------------------------------------------------------


def read(folder: Path, name: str, **options: Any) -> bytes | None:
    file = LocalFolder(folder).open_source(name, **options)
    if file is None:
        return None
    with open(file, "rb") as opened:
        return opened.read()


def test_a_file_is_opened_by_its_name(tmp_path: Path) -> None:
    a_tree(tmp_path, "a/b/c", "a/é\n")

    assert read(tmp_path, "a/b/c") == b"data"
    assert read(tmp_path, "a/é\n") == b"data"


@pytest.mark.parametrize("name", ["absent", "a/absent", "absent/b"])
def test_a_file_that_is_gone_is_nothing(tmp_path: Path, name: str) -> None:
    assert read(a_tree(tmp_path, "a/b/c"), name) is None
    assert read(tmp_path / "absent", name) is None


@pytest.mark.parametrize("name", ["to-file", "to-folder/x", "out", "out-folder/secret", "nowhere", "d", "d/x/y"])
def test_no_file_is_read_through_a_link(linked: Path, name: str) -> None:
    with pytest.raises(SourceChanged, match="replaced by"):
        read(linked, name)


@pytest.mark.parametrize("name", ["out", "out-folder/secret", "nowhere", "ring"])
def test_no_followed_link_leads_out(linked: Path, name: str) -> None:
    assert read(linked, "to-folder/e/y", follow_links=True) == b"data"
    assert read(linked, "to-file", follow_links=True) == b"data"
    with pytest.raises(SourceChanged, match="leads out of the folder"):
        read(linked, name, follow_links=True)


def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SourceChanged, match="replaced by something that is not a file"):
        read(tmp_path, "pipe")


@pytest.mark.parametrize("name", ["../outside/secret", "/etc/passwd", "d/../file", "d//x", ".", "", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(linked: Path, name: str) -> None:
    with pytest.raises(LocalFileError, match="cannot be a path below"):
        read(linked, name)
    with pytest.raises(LocalFileError, match="cannot be a path below"), LocalFolder(linked).parent(name, make=True):
        pass


def write(folder: Path, name: str) -> None:
    with LocalFolder(folder).parent(name, make=True) as (opened, last):
        os.close(os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=opened))


def test_the_folders_of_a_file_are_made(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write(tmp_path / "new/set", "a/b/c")
        write(tmp_path / "new/set", "a/b/d")
    finally:
        os.umask(umask)

    assert names(scan(tmp_path / "new/set")) == ["a/b/c", "a/b/d"]
    assert (tmp_path / "new/set/a/b").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["to-folder/new", "out-folder/new", "nowhere/new", "d/x/new", "file/new"])
def test_nothing_is_written_through_a_link_or_a_file(linked: Path, name: str) -> None:
    before = sorted(linked.parent.rglob("*"))

    with pytest.raises(LocalFileError, match="is a symbolic link or a file, not a folder; move it away") as caught:
        write(linked, name)

    assert not caught.value.retryable
    assert sorted(linked.parent.rglob("*")) == before


def test_no_folder_is_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="cannot be opened: No such file"), LocalFolder(tmp_path).parent("a/b"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_moved_away_meanwhile_is_still_the_one_that_was_opened(tmp_path: Path) -> None:
    a_tree(tmp_path, "set/d/x", "outside/")
    with LocalFolder(tmp_path / "set").parent("d/new") as (opened, last):
        os.rename(tmp_path / "set/d", tmp_path / "moved")
        os.symlink(tmp_path / "outside", tmp_path / "set/d")
        os.close(os.open(last, os.O_WRONLY | os.O_CREAT, dir_fd=opened))

    assert os.listdir(tmp_path / "outside") == []
    assert (tmp_path / "moved/new").exists()


# --- how the file system takes names ----------------------------------------------------------------------------------


def test_a_folder_that_tells_upper_from_lower_case_is_left_as_it_was(tmp_path: Path) -> None:
    assert not folds_names(tmp_path)
    assert not folds_names(tmp_path / "absent/too")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_does_not_is_known(tmp_path: Path) -> None:
    with odd_mount(tmp_path, folds=True) as mount:
        assert folds_names(mount)
        assert os.listdir(mount) == []
        rules = LocalFolder(mount).name_rules()
        assert [rules.why_refused(Entry(name, 1, "o:E")) for name in ("A", "B")] == ["", ""]
        assert "as one name" in rules.why_refused(Entry("a", 1, "o:E"))


def test_a_file_system_that_does_not_tell_what_names_are_is_asked_for_each(tmp_path: Path) -> None:
    """As some network shares, and this mount."""
    with odd_mount(tmp_path) as mount:
        a_tree(tmp_path / "backing", "a/x", "a-b", "c/")

        assert names(scan(mount)) == ["a-b", "a/x", "!empty_folder c/"]
