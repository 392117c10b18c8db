"""Bytes that the filesystem reads: of one content, as few as are asked for, and many requests at once."""

from __future__ import annotations

import io
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError, FileMissing, FileSystemError, NoSuchKey, PreconditionFailed
from airflow_provider_ossresume.filesystem import range_reads
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.transfer import read_ahead
from tests.filesystem_world import Meeting, a_filesystem
from tests.world import BUCKET, some_bytes

PATH = f"{BUCKET}/key"
MIB = 1024 * 1024
DATA = some_bytes(5 * MIB)


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    return a_filesystem(oss)


def put(oss: LocalOSS, data: bytes = DATA, key: str = "key") -> None:
    oss.put(BUCKET, key, data)
    oss.clear_requests()


def bytes_sent(oss: LocalOSS) -> int:
    return sum(request.bytes_sent for request in oss.calls("GetObject"))


# --- open files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 65_536, 65_537, 5 * MIB])
@pytest.mark.parametrize("step", [-1, 1000, MIB, 7 * MIB])
def test_a_file_is_read_from_its_beginning_to_its_end(fs: OSSFileSystem, oss: LocalOSS, size: int, step: int) -> None:
    put(oss, DATA[:size])
    with fs.open(PATH, "rb") as file:
        pieces = [file.read(step)]
        while pieces[-1]:
            pieces.append(file.read(step))

    assert b"".join(pieces) == DATA[:size]
    assert bytes_sent(oss) == size


def test_a_large_file_is_fetched_by_many_requests_and_little_of_it_is_held(
    fs: OSSFileSystem, oss: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "PIECE", MIB)
    data = some_bytes(30 * MIB)
    put(oss, data)
    small = a_filesystem(oss, file_memory=4 * MIB)
    seen = bytearray()
    with small.open(PATH, "rb") as file:
        while piece := file.read(200_000):
            seen += piece
            held = sum(each.stop - each.start for each in file.cache._read_ahead._pieces)
            assert held <= 4 * MIB

    assert seen == data
    assert bytes_sent(oss) == len(data)
    assert len(oss.calls("GetObject")) <= 40


def test_ranges_that_are_read_out_of_order_are_all_that_comes(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    with fs.open(PATH, "rb") as file:
        for start in (4 * MIB, MIB, 3 * MIB, 2 * MIB):
            file.seek(start)
            assert file.read(200_000) == DATA[start : start + 200_000]
        file.seek(-100_000, 2)
        assert file.read() == DATA[-100_000:]

    assert bytes_sent(oss) == 4 * 200_000 + 100_000


def test_text_is_read_by_lines_with_few_requests(fs: OSSFileSystem, oss: LocalOSS) -> None:
    lines = [f"line {number}\n" for number in range(100_000)]
    put(oss, "".join(lines).encode())

    with fs.open(PATH, "r") as file:
        assert list(file) == lines
    assert len(oss.calls("GetObject")) <= 4


def test_an_object_that_changes_is_an_error_and_never_mixed(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    with fs.open(PATH, "rb") as file:
        file.seek(MIB)
        assert file.read(100) == DATA[MIB : MIB + 100]
        oss.put(BUCKET, "key", some_bytes(5 * MIB, seed=2))
        file.seek(3 * MIB)
        with pytest.raises(FileSystemError, match="PreconditionFailed") as raised:
            file.read(100)

    assert isinstance(raised.value.__cause__, PreconditionFailed)


def test_a_file_of_a_listing_that_is_old_is_read_as_it_is_when_it_is_opened(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss, b"old")
    assert fs.info(fs.ls(BUCKET, detail=False)[0])["size"] == 3
    oss.put(BUCKET, "key", b"longer")

    with fs.open(PATH, "rb") as file:
        assert file.read() == b"longer"


def test_a_missing_object_and_a_directory_cannot_be_opened(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "dir/key", b"")

    with pytest.raises(FileNotFoundError) as raised:
        fs.open(PATH, "rb")
    assert isinstance(raised.value, FileMissing)
    with pytest.raises(IsADirectoryError, match="is a directory"):
        fs.open(f"{BUCKET}/dir", "rb")
    with pytest.raises(ArgumentError, match="names no object"):
        fs.open(BUCKET, "rb")


@pytest.mark.parametrize("cache_type", ["oss", "readahead", "bytes", "none", "all", "mmap"])
def test_any_of_fsspecs_caches_may_be_chosen(fs: OSSFileSystem, oss: LocalOSS, cache_type: str) -> None:
    put(oss)
    with fs.open(PATH, "rb", cache_type=cache_type) as file:
        file.seek(100)
        assert file.read(100) == DATA[100:200]
        file.seek(-10, 2)
        assert file.read() == DATA[-10:]


def test_a_reader_that_is_pickled_reads_on_in_the_same_object(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    with fs.open(PATH, "rb") as file:
        file.seek(100)
        copy = pickle.loads(pickle.dumps(file))
    assert copy.read(10) == DATA[100:110]
    oss.put(BUCKET, "key", b"1" * len(DATA))
    other = pickle.loads(pickle.dumps(copy))
    with pytest.raises(FileSystemError):
        other.read(10)


def test_a_reader_works_on_in_a_child_that_was_forked(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path) -> None:
    put(oss)
    file = fs.open(PATH, "rb")
    file.read(1000)
    child = os.fork()
    if not child:
        try:
            (tmp_path / "read").write_bytes(file.read(1000) + fs.cat_file(PATH, 0, 10))
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert (tmp_path / "read").read_bytes() == DATA[1000:2000] + DATA[:10]
    assert file.read(1000) == DATA[1000:2000]


def test_a_break_of_the_connection_is_mended(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    oss.fail("GetObject", nth=1, fault=Fault("truncated", after_bytes=100_000))

    with fs.open(PATH, "rb") as file:
        assert file.read() == DATA


# --- cat --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, None), (0, None), (5, None), (None, 5), (5, 10), (-5, None), (-10, -5), (5, -5), (90, 200), (200, 300),
     (10, 5), (0, 0), (-500, 5), (0, 100)],
)  # fmt: skip
def test_a_slice_is_as_pythons(fs: OSSFileSystem, oss: LocalOSS, start: int | None, end: int | None) -> None:
    put(oss, DATA[:100])

    assert fs.cat_file(PATH, start, end) == DATA[:100][start:end]


def test_an_empty_object_has_no_bytes(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss, b"")

    assert fs.cat_file(PATH) == b""
    assert fs.cat_file(PATH, 0, 10) == b""
    assert fs.cat_file(PATH, -10) == b""


def test_a_small_object_is_one_request_and_a_large_one_many_of_one_content(
    fs: OSSFileSystem, oss: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_reads, "PIECE", MIB)
    put(oss, b"small", "small")
    assert fs.cat_file(f"{BUCKET}/small") == b"small"
    assert len(oss.requests) == 1
    put(oss)

    assert fs.cat_file(PATH) == DATA

    assert [bool(request.headers.get("if-match")) for request in oss.calls("GetObject")].count(True) == 4


def test_bytes_that_are_not_oss_s_are_an_error(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    oss.fail("GetObject", fault=Fault("flip-answer"))

    with pytest.raises(FileSystemError, match="do not match its CRC-64"):
        fs.cat_file(PATH)


def test_many_ranges_come_at_once_and_near_ones_together(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    starts = [number * 100_000 for number in range(50)]
    meeting = Meeting(32)
    oss.on_request = meeting.attend
    found = fs.cat_ranges([PATH] * 50, starts, [start + 1000 for start in starts])
    oss.on_request = None

    assert meeting.took_place
    assert found == [DATA[start : start + 1000] for start in starts]
    assert len(oss.calls("GetObject")) == 50
    oss.clear_requests()

    found = fs.cat_ranges([PATH] * 50, [n * 2000 for n in range(50)], [n * 2000 + 1000 for n in range(50)])

    assert found == [DATA[n * 2000 : n * 2000 + 1000] for n in range(50)]
    assert len(oss.calls("GetObject")) == 1
    oss.clear_requests()
    fs.cat_ranges([PATH] * 2, [0, 2000], [1000, 3000], max_gap=100)
    assert len(oss.calls("GetObject")) == 2


def test_what_cannot_be_read_stands_in_its_place_or_is_raised(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    paths = [PATH, f"{BUCKET}/missing", PATH]

    found: list[Any] = fs.cat_ranges(paths, 0, [10, 10, 20])

    assert (found[0], found[2]) == (DATA[:10], DATA[:20])
    assert isinstance(found[1], FileMissing)
    with pytest.raises(FileNotFoundError) as raised:
        fs.cat_ranges(paths, 0, 10, on_error="raise")
    assert isinstance(raised.value.__cause__, NoSuchKey)
    with pytest.raises(ArgumentError):
        fs.cat_ranges(paths, 0, 10, on_error="omit")
    with pytest.raises(ValueError, match="the same length"):
        fs.cat_ranges(paths, [0], 10)


def test_ranges_of_an_object_that_changes_meanwhile_are_errors(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    answered: list[Request] = []

    def change(request: Request) -> None:
        if request.operation == "GetObject" and not answered:
            answered.append(request)
            oss.put(BUCKET, "key", some_bytes(5 * MIB, seed=2))

    oss.after_request = change
    fs = a_filesystem(oss, transfer_config={"max_concurrency": 1})
    found = fs.cat_ranges([PATH] * 3, [0, MIB, 2 * MIB], [10, MIB + 10, 2 * MIB + 10])

    assert all(isinstance(each, FileSystemError) and "changed while" in str(each) for each in found)


def test_many_objects_are_read_by_cat(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for key in ("d/a", "d/b"):
        put(oss, key.encode(), key)

    assert fs.cat(f"{BUCKET}/d", recursive=True) == {f"{BUCKET}/d/a": b"d/a", f"{BUCKET}/d/b": b"d/b"}
    assert fs.head(f"{BUCKET}/d/a", 1) == b"d"
    assert fs.tail(f"{BUCKET}/d/a", 1) == b"a"
    assert fs.read_block(f"{BUCKET}/d/a", 1, 1) == b"/"


def test_one_filesystem_is_read_from_many_threads(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    wrong: list[int] = []

    def read(number: int) -> None:
        with fs.open(PATH, "rb") as file:
            file.seek(number * 1000)
            if file.read(1000) != DATA[number * 1000 : number * 1000 + 1000]:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_bytes_are_read_by_lines_and_between_them(fs: OSSFileSystem, oss: LocalOSS) -> None:
    lines = [b"x" * (number % 200) + b"\n" for number in range(20_000)] + [b"the last"]
    whole = b"".join(lines)
    put(oss, whole)

    with fs.open(PATH, "rb") as file:
        assert list(file) == lines
        assert file.readline() == b""
    assert len(oss.calls("GetObject")) <= 6
    assert bytes_sent(oss) == len(whole)
    with fs.open(PATH, "rb") as file, io.BytesIO(whole) as model:
        for reads in (file, model):
            reads.seek(1000)
        for step in ("readline", 200_000, "readline", 3, "readline", "seek", "readline", 10, "readlines"):
            if step == "seek":
                assert file.seek(5) == model.seek(5)
            elif isinstance(step, int):
                assert file.read(step) == model.read(step)
                assert file.readline(step) == model.readline(step)
            else:
                assert getattr(file, step)() == getattr(model, step)()
            assert file.tell() == model.tell()


def test_fsspecs_parquet_parts_are_taken(fs: OSSFileSystem, oss: LocalOSS) -> None:
    put(oss)
    options = {"data": {(100, 200): DATA[100:200]}, "strict": False}
    oss.clear_requests()

    with fs.open(PATH, "rb", cache_type="parts", cache_options=options, size=len(DATA)) as file:
        file.seek(110)
        assert file.read(10) == DATA[110:120]

    assert not oss.calls("GetObject")


def test_a_closed_file_is_not_read(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"one\ntwo\n")
    file = fs.open(PATH, "rb")
    file.readline()
    file.close()

    for call in (
        file.read,
        file.readline,
        lambda: file.read(0),
        lambda: file.readinto(bytearray(2)),
        lambda: next(file),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
