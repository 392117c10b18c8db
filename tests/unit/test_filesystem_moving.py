"""Whole files and folders that the filesystem moves by the engine, and what it deletes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from fsspec.callbacks import Callback

from airflow_provider_ossresume.errors import ArgumentError, FileExists, FileSystemError, ObjectArchived
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from tests.filesystem_world import Meeting, a_filesystem
from tests.world import BUCKET, PART, a_file, some_bytes

PATH = f"{BUCKET}/key"
PARTS: dict[str, Any] = {
    "transfer_config": {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
}
BROKEN = Fault("status", status=403, code="AccessDenied")


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    return a_filesystem(oss)


class Told(Callback):  # type: ignore[misc]  # fsspec has no types
    """Keeps what a callback is told."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[int | None, int]] = []

    def call(self, *args: Any, **kwargs: Any) -> None:
        self.values.append((self.size, self.value))


# --- put and get ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 5 * PART])
def test_a_file_comes_and_goes_and_its_progress_is_told(oss: LocalOSS, tmp_path: Path, size: int) -> None:
    fs = a_filesystem(oss, **PARTS)
    source = a_file(tmp_path, size=size)
    put, got = Told(), Told()

    fs.put_file(source, PATH, callback=put)
    fs.get_file(PATH, tmp_path / "deep" / "target", callback=got)

    assert oss.object(BUCKET, "key") == source.read_bytes() == (tmp_path / "deep" / "target").read_bytes()
    assert put.values[-1] == got.values[-1] == (size, size)
    assert [done for _, done in put.values] == sorted(done for _, done in put.values)


@pytest.mark.parametrize("direction", ["put", "get"])
def test_with_a_checkpoint_folder_a_transfer_that_broke_is_resumed(
    oss: LocalOSS, tmp_path: Path, direction: str
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    fs = a_filesystem(oss, checkpoint=f"file:{folder}", **PARTS)
    source = a_file(tmp_path)
    if direction == "get":
        oss.put(BUCKET, "key", source.read_bytes())
    operation = "UploadPart" if direction == "put" else "GetObject"

    def move() -> None:
        if direction == "put":
            fs.put_file(source, PATH)
        else:
            fs.get_file(PATH, tmp_path / "target")

    oss.fail_after(operation, 3, BROKEN)
    with pytest.raises(PermissionError):
        move()
    assert os.listdir(folder)
    oss.clear_faults()
    oss.clear_requests()
    move()

    assert len(oss.calls(operation)) == 2
    assert os.listdir(folder) == []
    assert oss.object(BUCKET, "key") == source.read_bytes()
    assert direction == "put" or (tmp_path / "target").read_bytes() == source.read_bytes()


def test_without_one_a_transfer_that_breaks_leaves_nothing(oss: LocalOSS, tmp_path: Path) -> None:
    fs = a_filesystem(oss, **PARTS)
    source = a_file(tmp_path)
    oss.put(BUCKET, "large", source.read_bytes())
    oss.fail_after("UploadPart", 3, BROKEN)
    oss.fail_after("GetObject", 3, BROKEN)

    with pytest.raises(PermissionError):
        fs.put_file(source, PATH)
    with pytest.raises(PermissionError):
        fs.get_file(f"{BUCKET}/large", tmp_path / "target")

    assert oss.uploads(BUCKET) == []
    assert os.listdir(tmp_path) == ["source.bin"]


def test_create_does_not_overwrite(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", b"former")

    with pytest.raises(FileExists):
        fs.put_file(a_file(tmp_path), PATH, mode="create")
    with pytest.raises(FileExistsError):
        fs.pipe_file(PATH, b"", mode="create")

    assert oss.object(BUCKET, "key") == b"former"


def test_an_object_comes_into_an_open_file(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"bytes")
    stream = io.BytesIO()

    fs.get_file(PATH, stream)

    assert stream.getvalue() == b"bytes"


def test_many_small_files_go_at_once_and_come_back(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path) -> None:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    names = [f"{folder}{number}" for folder in ("", "deep/") for number in range(10)]
    for name in names:
        (tmp_path / "from" / name).write_text(name)
    meeting = Meeting(4)
    oss.on_request = meeting.attend
    told = Told()
    fs.put(str(tmp_path / "from"), f"{BUCKET}/to", recursive=True, callback=told)
    oss.on_request = None

    assert meeting.took_place
    assert oss.objects(BUCKET) == sorted(f"to/{name}" for name in names)
    assert told.values[-1] == (22, 22)  # two are folders
    fs.get(f"{BUCKET}/to", str(tmp_path / "back"), recursive=True)
    assert {name: (tmp_path / "back" / name).read_text() for name in names} == {name: name for name in names}


def test_the_first_failure_of_many_is_raised(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_text("")
    oss.fail_after("PutObject", 5, BROKEN)

    with pytest.raises(PermissionError, match="PutObject"):
        fs.put(str(tmp_path), f"{BUCKET}/to", recursive=True)


def test_a_folder_in_the_place_of_the_file_is_an_error(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", b"bytes")

    with pytest.raises(ArgumentError, match="folder"):
        fs.get_file(PATH, tmp_path)


# --- copy and move ----------------------------------------------------------------------------------------------------


def test_oss_copies_by_itself(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.create_bucket("another")
    oss.put(BUCKET, "key", b"bytes", **{"content-type": "text/x", "x-oss-meta-a": "b"})
    oss.clear_requests()

    fs.copy(PATH, "another/copy")

    assert oss.object("another", "copy") == b"bytes"
    assert fs.client.head_object(ref("another", "copy")).metadata == {"a": "b"}
    assert not oss.calls("GetObject")
    with pytest.raises(FileExistsError):
        fs.cp_file(PATH, "another/copy", if_exists="fail")
    with pytest.raises(FileNotFoundError):
        fs.copy(f"{BUCKET}/missing", "another/copy")


def ref(bucket: str, key: str) -> Any:
    from airflow_provider_ossresume.model.objects import ObjectRef

    return ObjectRef(bucket, key)


def test_a_directory_is_copied_at_once(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(12):
        oss.put(BUCKET, f"d/{number % 2}/{number}", str(number).encode())

    fs.copy(f"{BUCKET}/d", f"{BUCKET}/copy", recursive=True)

    assert fs.find(f"{BUCKET}/copy") == [path.replace("/d/", "/copy/") for path in fs.find(f"{BUCKET}/d")]


def test_what_is_moved_is_copied_and_then_deleted(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for key in ("d/1", "d/e/2", "d2"):
        oss.put(BUCKET, key, key.encode())

    fs.mv(f"{BUCKET}/d", f"{BUCKET}/to", recursive=True)
    fs.mv(f"{BUCKET}/d2", f"{BUCKET}/to2")

    assert oss.objects(BUCKET) == ["to/1", "to/e/2", "to2"]
    assert oss.object(BUCKET, "to/e/2") == b"d/e/2"
    with pytest.raises(IsADirectoryError):
        fs.mv(f"{BUCKET}/to", f"{BUCKET}/again")
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{BUCKET}/missing", f"{BUCKET}/again")
    fs.mv(f"{BUCKET}/to2", f"{BUCKET}/to2")
    assert oss.object(BUCKET, "to2") == b"d2"


def test_a_move_deletes_nothing_that_came_meanwhile(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "d/1", b"1")
    oss.put(BUCKET, "d/2", b"2")

    def write(request: Request) -> None:
        if request.operation == "CopyObject":
            oss.on_request = None
            oss.put(BUCKET, "d/new", b"new")

    oss.on_request = write
    fs.mv(f"{BUCKET}/d", f"{BUCKET}/to", recursive=True)

    assert oss.objects(BUCKET) == ["d/new", "to/1", "to/2"]


def test_a_move_keeps_what_changed_meanwhile(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"old")

    def hold(request: Request) -> None:
        if request.operation == "HeadObject" and oss.calls("CopyObject"):
            oss.on_request = None
            oss.put(BUCKET, "key", b"new")

    oss.on_request = hold
    with pytest.raises(FileSystemError, match="changed while it was moved"):
        fs.mv(PATH, f"{BUCKET}/to")

    assert (oss.object(BUCKET, "key"), oss.object(BUCKET, "to")) == (b"new", b"old")


def test_a_move_that_cannot_copy_deletes_nothing(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"bytes")
    oss.fail_after("CopyObject", 0, BROKEN)

    with pytest.raises(PermissionError):
        fs.mv(PATH, f"{BUCKET}/to")

    assert oss.objects(BUCKET) == ["key"]


# --- deletions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(fs: OSSFileSystem, oss: LocalOSS) -> OSSFileSystem:
    for key in ("d/1", "d/2", "d/e/3", "d/e/", "d.txt", "d2/4"):
        oss.put(BUCKET, key, b"" if key.endswith("/") else b"1")
    return fs


def test_only_what_is_named_is_deleted(full: OSSFileSystem, oss: LocalOSS) -> None:
    full.rm(f"{BUCKET}/d/1")
    assert oss.objects(BUCKET) == ["d.txt", "d/2", "d/e/", "d/e/3", "d2/4"]
    full.rm([f"{BUCKET}/d/2", f"{BUCKET}/d2/4"])
    assert oss.objects(BUCKET) == ["d.txt", "d/e/", "d/e/3"]
    full.rm(f"oss://{BUCKET}/d/", recursive=True)
    assert oss.objects(BUCKET) == ["d.txt"]


def test_patterns_and_depths_are_kept_to(full: OSSFileSystem, oss: LocalOSS) -> None:
    full.rm(f"{BUCKET}/d/*")
    assert oss.objects(BUCKET) == ["d.txt", "d/e/", "d/e/3", "d2/4"]
    full.rm(f"{BUCKET}/d", recursive=True, maxdepth=1)
    assert oss.objects(BUCKET) == ["d.txt", "d/e/", "d/e/3", "d2/4"]
    full.rm(f"{BUCKET}/d?", recursive=True)
    assert oss.objects(BUCKET) == ["d.txt", "d/e/", "d/e/3"]
    with pytest.raises(FileNotFoundError):
        full.rm(f"{BUCKET}/no*")


@pytest.mark.parametrize(
    "path", ["", "/", "oss://", BUCKET, f"oss://{BUCKET}/", f"{BUCKET}//", f"{BUCKET}/*", f"{BUCKET}/**", "*", "buck*"]
)
def test_a_whole_bucket_is_deleted_only_when_that_is_said(full: OSSFileSystem, oss: LocalOSS, path: str) -> None:
    with pytest.raises(ArgumentError, match=r"template|bucket's name"):
        full.rm(path, recursive=True)

    assert len(oss.objects(BUCKET)) == 6


def test_a_whole_bucket_is_emptied_when_that_is_said(full: OSSFileSystem, oss: LocalOSS) -> None:
    full.rm(BUCKET, recursive=True, whole_bucket=True)

    assert oss.objects(BUCKET) == []


def test_what_is_not_there_cannot_be_deleted(full: OSSFileSystem, oss: LocalOSS) -> None:
    for recursive in (False, True):
        with pytest.raises(FileNotFoundError):
            full.rm(f"{BUCKET}/no", recursive=recursive)
    with pytest.raises(IsADirectoryError):
        full.rm(f"{BUCKET}/d")
    with pytest.raises(IsADirectoryError):
        full.rm_file(f"{BUCKET}/d")

    assert len(oss.objects(BUCKET)) == 6


def test_many_are_deleted_by_a_thousand_a_request(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(1_500):
        oss.put(BUCKET, f"many/{number}", b"")
    oss.clear_requests()

    fs.rm(f"{BUCKET}/many", recursive=True)

    assert oss.objects(BUCKET) == []
    assert len(oss.calls("DeleteMultipleObjects")) == 2
    assert not oss.calls("DeleteObject")


def test_what_a_pattern_matches_is_deleted_by_a_thousand_a_request_too(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(30):
        oss.put(BUCKET, f"d/a{number:02}", b"")
    oss.put(BUCKET, "d/ab/c", b"")
    oss.put(BUCKET, "d/b", b"")
    oss.clear_requests()

    fs.rm(f"{BUCKET}/d/a*")

    assert oss.objects(BUCKET) == ["d/ab/c", "d/b"]
    assert len(oss.calls("DeleteMultipleObjects")) == 1


def test_a_failing_listing_deletes_nothing(full: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail_after("ListObjectsV2", 0, BROKEN)

    for path in (f"{BUCKET}/d", f"{BUCKET}/d/*"):
        with pytest.raises(PermissionError):
            full.rm(path, recursive=True)

    assert len(oss.objects(BUCKET)) == 6


# --- directories ------------------------------------------------------------------------------------------------------


def test_directories_are_made_of_nothing_unless_markers_are_asked_for(fs: OSSFileSystem, oss: LocalOSS) -> None:
    fs.mkdir(f"{BUCKET}/d")
    fs.makedirs(f"{BUCKET}/d/e", exist_ok=True)
    assert oss.objects(BUCKET) == []
    marking = a_filesystem(oss, directory_markers=True)

    marking.makedirs(f"{BUCKET}/d/e")

    assert oss.objects(BUCKET) == ["d/e/"]
    assert marking.isdir(f"{BUCKET}/d/e")
    assert marking.ls(f"{BUCKET}/d/e") == []
    with pytest.raises(OSError, match="not empty"):
        marking.rmdir(f"{BUCKET}/d")
    marking.rmdir(f"{BUCKET}/d/e")
    assert oss.objects(BUCKET) == []


def test_no_bucket_is_made_or_deleted(fs: OSSFileSystem, oss: LocalOSS) -> None:
    fs.mkdir(BUCKET)
    for make in (fs.mkdir, fs.makedirs):
        with pytest.raises(FileNotFoundError):
            make("no-such-bucket")
    with pytest.raises(ArgumentError):
        fs.rmdir(BUCKET)
    assert not oss.calls("PutBucket")


def test_a_marker_with_bytes_is_seen_and_not_taken_for_a_directory(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "d/", b"odd")
    oss.put(BUCKET, "d/1", b"1")

    assert fs.ls(f"{BUCKET}/d", detail=False) == [f"{BUCKET}/d/", f"{BUCKET}/d/1"]
    assert fs.du(f"{BUCKET}/d") == 4


def test_an_archived_object_is_a_permission_error_that_says_why(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"bytes", **{"x-oss-storage-class": "Archive"})

    with pytest.raises(PermissionError) as raised:
        fs.cat_file(PATH)

    assert isinstance(raised.value.__cause__, ObjectArchived)


def test_bytes_that_were_put_are_the_files(oss: LocalOSS, tmp_path: Path) -> None:
    fs = a_filesystem(oss, **PARTS)
    source = a_file(tmp_path, size=3 * PART)

    fs.put(str(source), f"oss://{BUCKET}/folder/")

    assert oss.object(BUCKET, "folder/source.bin") == some_bytes(3 * PART)


def test_what_oss_does_not_copy_by_itself_passes_through_here(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"bytes")
    oss.link(BUCKET, "link", "key")

    fs.copy(f"{BUCKET}/link", f"{BUCKET}/copy")

    assert oss.object(BUCKET, "copy") == b"bytes"


# --- what would be lost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (["a/x", "b/x"], "c/"),
        (["a/x", "b/x"], ["c", "c"]),
        (["a/x", "b/x"], ["b/x", "c"]),
        (["a/x", "b/x"], ["c"]),
    ],
)
@pytest.mark.parametrize("operation", ["mv", "copy"])
def test_a_call_whose_files_would_overwrite_each_other_is_refused(
    fs: OSSFileSystem, oss: LocalOSS, operation: str, sources: list[str], targets: Any
) -> None:
    for key in sources:
        oss.put(BUCKET, key, key.encode())
    to = f"{BUCKET}/{targets}" if isinstance(targets, str) else [f"{BUCKET}/{key}" for key in targets]

    with pytest.raises(ArgumentError):
        getattr(fs, operation)([f"{BUCKET}/{key}" for key in sources], to)

    assert {key: oss.object(BUCKET, key) for key in oss.objects(BUCKET)} == {key: key.encode() for key in sources}


def test_a_tree_that_would_overwrite_itself_on_its_way_is_not_moved(fs: OSSFileSystem, oss: LocalOSS) -> None:
    keys = ["a/b/b/x", "a/b/x"]  # a/b/b/x would go where a/b/x still is
    for key in keys:
        oss.put(BUCKET, key, key.encode())

    with pytest.raises(ArgumentError, match="a source too"):
        fs.mv(f"{BUCKET}/a/b/", f"{BUCKET}/a/", recursive=True)

    assert {key: oss.object(BUCKET, key) for key in oss.objects(BUCKET)} == {key: key.encode() for key in keys}


def test_two_files_that_would_be_one_object_or_one_file_are_refused(
    fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text(folder)
    with pytest.raises(ArgumentError, match="would both be written there"):
        fs.put([str(tmp_path / "a" / "x"), str(tmp_path / "b" / "x")], f"{BUCKET}/c/")
    assert oss.objects(BUCKET) == []

    oss.put(BUCKET, "d/e//x", b"1")
    oss.put(BUCKET, "d/e/x", b"2")
    with pytest.raises(ArgumentError, match="would both be written there"):
        fs.get(f"{BUCKET}/d", str(tmp_path / "d"), recursive=True)


@pytest.mark.parametrize("path", ["", "oss://", "/"])
def test_a_path_that_names_no_bucket_is_neither_source_nor_target(
    fs: OSSFileSystem, oss: LocalOSS, path: str, tmp_path: Path
) -> None:
    oss.put(BUCKET, "a/key", b"bytes")
    for call in (
        lambda: fs.mv(path, f"{BUCKET}/z", recursive=True),
        lambda: fs.mv(f"{BUCKET}/a", path, recursive=True),
        lambda: fs.copy(path, f"{BUCKET}/z", recursive=True),
        lambda: fs.copy(f"{BUCKET}/a", path, recursive=True),
        lambda: fs.cp_file(path, f"{BUCKET}/z"),
        lambda: fs.put(str(tmp_path), path, recursive=True),
        lambda: fs.get(path, str(tmp_path), recursive=True),
    ):
        with pytest.raises(ArgumentError, match="a template may have rendered to nothing"):
            call()

    assert oss.objects(BUCKET) == ["a/key"]


@pytest.mark.parametrize("pattern", ["", "/", "/*", "/**", "/?*", "/*/*"])
def test_a_whole_bucket_is_moved_only_when_that_is_said(fs: OSSFileSystem, oss: LocalOSS, pattern: str) -> None:
    oss.create_bucket("other-bucket")
    for key in ("key", "a/key"):
        oss.put(BUCKET, key, key.encode())

    for call in (
        lambda: fs.mv(BUCKET + pattern, "other-bucket/z", recursive=True),
        lambda: fs.rm(BUCKET + pattern, recursive=True),
    ):
        with pytest.raises(ArgumentError, match="whole_bucket=True"):
            call()
    assert oss.objects(BUCKET) == ["a/key", "key"]

    fs.mv(BUCKET, "other-bucket/z", recursive=True, whole_bucket=True)
    assert (oss.objects(BUCKET), oss.objects("other-bucket")) == ([], ["z/a/key", "z/key"])


def test_a_copy_into_a_bucket_that_does_not_exist_fails(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "a/key", b"bytes")

    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        fs.copy(f"{BUCKET}/a", "no-such-bucket/a", recursive=True)


def test_an_object_that_no_path_names_is_not_left_out_in_silence(
    fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path
) -> None:
    oss.put(BUCKET, "a/d/", b"bytes")
    oss.put(BUCKET, "a/key", b"bytes")

    for call in (
        lambda: fs.get(f"{BUCKET}/a", str(tmp_path), recursive=True),
        lambda: fs.copy(f"{BUCKET}/a", f"{BUCKET}/b", recursive=True),
        lambda: fs.mv(f"{BUCKET}/a", f"{BUCKET}/b", recursive=True),
    ):
        with pytest.raises(ArgumentError, match="no path can name"):
            call()
    assert oss.objects(BUCKET) == ["a/d/", "a/key"]


def test_an_object_that_no_path_names_is_deleted_with_its_directory(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for key in ("a/d/", "a/e", "b"):
        oss.put(BUCKET, key, b"bytes")

    fs.rm(f"{BUCKET}/a", recursive=True, maxdepth=2)

    assert oss.objects(BUCKET) == ["b"]


def test_what_changed_after_a_listing_and_before_the_move_is_moved(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"old")
    fs.ls(BUCKET)
    oss.put(BUCKET, "key", b"new bytes")

    fs.mv(PATH, f"{BUCKET}/moved")

    assert (oss.objects(BUCKET), oss.object(BUCKET, "moved")) == (["moved"], b"new bytes")
