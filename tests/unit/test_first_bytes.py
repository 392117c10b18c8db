"""A new download begins with the object's first bytes: their answer tells the rest, and a small one is here by it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    ConnectionFailed,
    IntegrityError,
    LocalFileError,
    ObjectChanged,
    TransferStopped,
)
from airflow_provider_ossresume.local_oss import Fault, Request
from airflow_provider_ossresume.transfer.download import FIRST_BYTES_SIZE
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.progress import Snapshot
from tests.world import BUCKET, PART, StopInRequest, Transfers, some_bytes

PART_SIZE = 3 * PART  # larger than the beginning
CONFIG = {"part_size": PART_SIZE, "multipart_threshold": 2 * PART_SIZE}
SMALL, ONE_REQUEST, PARTS = PART, PART_SIZE + 5, 3 * PART_SIZE + 17  # bytes of objects
BROKEN = Fault("status", status=403, code="AccessDenied")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "target.bin"


def download(transfers: Transfers, file: Path, **options: Any) -> Any:
    return transfers.download(file, config=CONFIG, **options)


# --- how many requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, SMALL, FIRST_BYTES_SIZE])
def test_a_small_object_takes_one_request(transfers: Transfers, file: Path, size: int) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))

    result = download(transfers, file)

    assert [request.operation for request in transfers.oss.requests] == ["GetObject"]
    assert file.read_bytes() == some_bytes(size)
    assert (result.parts, result.parts_sent, result.bytes_moved, result.retries) == (1, 1, size, 0)
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize(("size", "requests"), [(FIRST_BYTES_SIZE + 1, 2), (ONE_REQUEST, 2), (PARTS, 5)])
def test_of_a_larger_one_no_byte_moves_twice_and_all_are_of_one_version(
    transfers: Transfers, file: Path, size: int, requests: int
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))

    result = download(transfers, file)

    asked = sorted(bytes_asked_for(request) for request in transfers.oss.requests)
    assert file.read_bytes() == some_bytes(size)
    assert len(transfers.oss.requests) == requests  # the parts, and one before that tells how many they are
    assert [first for first, _ in asked] == [0, *(last + 1 for _, last in asked[:-1])]
    assert sum(request.bytes_sent for request in transfers.oss.requests) == result.bytes_moved == size
    assert all("if-match" in request.headers for request in transfers.oss.requests[1:])


def test_an_empty_object_has_no_first_byte_and_is_asked_for_by_head(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", b"")

    result = download(transfers, file)

    assert [(request.operation, request.status) for request in transfers.oss.requests] == [
        ("GetObject", 416),
        ("HeadObject", 200),
    ]
    assert (file.read_bytes(), result.crc64, result.retries) == (b"", 0, 0)


def test_nothing_is_kept_of_a_beginning_that_broke_off_when_the_object_has_become_an_empty_one(
    transfers: Transfers, file: Path
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(SMALL))
    transfers.oss.fail("GetObject", fault=Fault("truncated", after_bytes=70_000))

    def empty_it(request: Request) -> None:
        if len(transfers.oss.calls("GetObject")) == 1:
            transfers.oss.put(BUCKET, "key", b"")

    transfers.oss.on_request = empty_it
    progress: list[tuple[int, int]] = []

    transfers.download(  # a piece of 64 KiB has come
        file, config={**CONFIG, "max_bandwidth": "256KiB"}, progress_callback=lambda *moved: progress.append(moved)
    )

    assert file.read_bytes() == b""
    assert progress == [(0, 0)]


def test_no_more_is_asked_for_than_one_part(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(5 * PART))

    transfers.download(file, config={"part_size": PART, "multipart_threshold": 4 * PART})

    assert [bytes_asked_for(request)[1] for request in transfers.oss.requests] == [
        stop * PART - 1 for stop in range(1, 6)
    ]


# What is known, or must be known, before bytes move; and how many requests for content that leaves.
FIRST_A_LOOK: list[tuple[dict[str, Any], bytes | None, int]] = [
    ({"byte_range": (5, 10)}, None, 1),
    ({"if_exists": "skip"}, b"old", 0),
    ({"if_exists": "skip_if_same"}, some_bytes(SMALL), 0),
    ({"earlier_try": True}, some_bytes(SMALL), 0),
    ({"config": {"multipart_threshold": 0}}, None, 1),
]


@pytest.mark.parametrize(("options", "there", "moves"), FIRST_A_LOOK)
def test_what_may_be_settled_or_cut_is_looked_at_before_a_byte_moves(
    transfers: Transfers, file: Path, options: dict[str, Any], there: bytes | None, moves: int
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(SMALL))
    if there is not None:
        file.write_bytes(there)

    transfers.download(file, **options)

    assert [request.operation for request in transfers.oss.requests] == ["HeadObject", *["GetObject"] * moves]


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SMALL, ONE_REQUEST, PARTS])
@pytest.mark.parametrize("policy", ["restart", "fail"])
def test_an_object_that_changes_behind_its_beginning_is_never_mixed(
    transfers: Transfers, file: Path, size: int, policy: str
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))
    file.write_bytes(b"old")
    other = some_bytes(size)[::-1]

    def replace_object(request: Request) -> None:
        if len(transfers.oss.calls("GetObject")) == 1:
            transfers.oss.on_request = None
            transfers.oss.put(BUCKET, "key", other)

    transfers.oss.on_request = replace_object

    if size == SMALL:
        download(transfers, file, object_changed=policy)  # all of the former one had come
        assert file.read_bytes() == some_bytes(size)
    elif policy == "restart":
        download(transfers, file)
        assert file.read_bytes() == other
    else:
        with pytest.raises(ObjectChanged):
            download(transfers, file, object_changed="fail")
        assert file.read_bytes() == b"old"


@pytest.mark.parametrize("size", [SMALL, ONE_REQUEST, PARTS])
@pytest.mark.parametrize("lasts", [False, True])
def test_a_damaged_beginning_is_never_published(transfers: Transfers, file: Path, size: int, lasts: bool) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))
    transfers.oss.fail("GetObject", fault=Fault("flip", after_bytes=5), times=None if lasts else 1)
    file.write_bytes(b"old")
    seen: list[Snapshot] = []

    if lasts:
        with pytest.raises(IntegrityError):
            download(transfers, file, observer=seen.append)
        assert file.read_bytes() == b"old"
    else:
        download(transfers, file, observer=seen.append)
        assert file.read_bytes() == some_bytes(size)
    assert all(each.done <= each.total for each in seen if each.total is not None)
    assert [each.state for each in seen].count("finished") == (not lasts)


@pytest.mark.parametrize("size", [SMALL, ONE_REQUEST, PARTS])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("kind", ["truncated", "reset-answer"])
def test_a_body_that_breaks_off_is_fetched_again_and_the_beginning_counts_once(
    transfers: Transfers, file: Path, size: int, nth: int, kind: str
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))
    transfers.oss.fail("GetObject", nth, Fault(kind, after_bytes=1000))
    progress: list[tuple[int, int]] = []

    result = download(transfers, file, progress_callback=lambda *moved: progress.append(moved))

    was_struck = nth == 1 or size > FIRST_BYTES_SIZE
    assert file.read_bytes() == some_bytes(size)
    assert size <= result.bytes_moved <= size + 1000
    assert result.retries == was_struck
    assert transfers.calls("GetObject") == requests_of(size) + was_struck
    assert progress[-1] == (size, size)
    assert all(0 <= done <= size for done, _ in progress)


def test_a_beginning_that_never_comes_leaves_nothing_behind(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(PARTS))
    transfers.oss.fail_after("GetObject", 0, Fault("truncated", after_bytes=9))

    with pytest.raises(ConnectionFailed):
        download(transfers, file)

    assert os.listdir(file.parent) == []
    assert not transfers.store.texts


@pytest.mark.parametrize(("answered", "kept"), [(1, 0), (2, 1), (3, 2)])
def test_a_later_try_keeps_the_part_that_the_beginning_has_become(
    transfers: Transfers, file: Path, answered: int, kept: int
) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(PARTS))
    transfers.oss.fail_after("GetObject", answered, BROKEN)
    with pytest.raises(AccessDenied):
        download(transfers, file)
    transfers.oss.clear_faults()

    result = download(transfers, file)

    assert (result.parts_kept, result.parts_sent) == (kept, 4 - kept)
    assert file.read_bytes() == some_bytes(PARTS)


def test_a_stop_while_the_beginning_is_under_way_leaves_nothing_behind(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(SMALL))
    transfers.oss.fail("GetObject", fault=Fault("stall", after_bytes=PART // 2))

    def watch() -> None:
        raise TransferStopped("the transfer was stopped")

    with pytest.raises(TransferStopped):
        download(transfers, file, watch=watch)

    assert os.listdir(file.parent) == []


def test_a_straggler_writes_no_beginning_into_a_file_that_is_closed(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(ONE_REQUEST))
    stop = StopInRequest(transfers.oss, nth=2)

    with pytest.raises(TransferStopped):
        download(transfers, file, watch=stop.watch)
    with file.open("w+b"):  # under the number that the part file had
        stop.let_go()

    assert file.read_bytes() == b""


def test_nothing_is_written_into_a_part_file_that_another_process_holds(
    transfers: Transfers, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.transfer.download.LOCK_TIMEOUT", 0.0)
    transfers.oss.put(BUCKET, "key", some_bytes(PARTS))
    transfers.oss.fail_after("GetObject", 1, BROKEN)
    with pytest.raises(AccessDenied):
        download(transfers, file)
    transfers.oss.clear_faults()
    transfers.store.texts.clear()
    [part_file] = file.parent.iterdir()
    part_file.write_bytes(b"another's")

    with PartFile(part_file) as other:
        assert other.lock()
        with pytest.raises(LocalFileError, match="another process still writes to"):
            download(transfers, file)

    assert part_file.read_bytes() == b"another's"


# --- helpers ----------------------------------------------------------------------------------------------------------


def bytes_asked_for(request: Request) -> tuple[int, int]:
    """Return the first and the last byte of a request that met an object of at least that size, or of all of it."""
    assert request.range
    first, last = request.range.removeprefix("bytes=").split("-")
    return int(first), min(int(last), int(first) + request.bytes_sent - 1)


def requests_of(size: int) -> int:
    """How many requests an undisturbed download takes."""
    return {SMALL: 1, ONE_REQUEST: 2, PARTS: 5}[size]
