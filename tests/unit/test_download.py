"""Downloads, against the local OSS server on a real socket."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    IntegrityError,
    LocalFileError,
    NoSuchKey,
    ObjectChanged,
    OSSResumeError,
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Owner, Run, decode, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.part_file import PartFile
from tests.world import BUCKET, PART, Transfers, some_bytes

BROKEN = Fault("status", status=403, code="AccessDenied")
CONTENT = some_bytes(5 * PART + 17)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "target.bin"


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 5 * PART + 17])
def test_the_file_holds_exactly_the_object(transfers: Transfers, file: Path, size: int) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(size))

    result = transfers.download(file)

    assert file.read_bytes() == some_bytes(size)
    assert (result.size, result.parts_kept, result.bytes_moved) == (size, 0, size)
    assert os.listdir(file.parent) == [file.name]
    assert not transfers.store.texts


def test_many_workers_fetch_the_parts_of_one_object(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(40 * PART + 3))

    result = transfers.download(file, config={"max_concurrency": 8})

    assert file.read_bytes() == some_bytes(40 * PART + 3)
    assert result.parts_sent == 41


def test_a_retry_fetches_only_what_is_missing(transfers: Transfers, file: Path) -> None:
    interrupted_download(transfers, file, parts_fetched=3)

    result = transfers.download(file)

    assert (result.parts_kept, result.parts_sent) == (3, 3)
    assert fetched(transfers) == [3, 4, 5]
    assert file.read_bytes() == CONTENT
    assert os.listdir(file.parent) == [file.name]
    assert not transfers.store.texts


def test_every_ranged_get_is_bound_to_the_etag(transfers: Transfers, file: Path) -> None:
    interrupted_download(transfers, file, parts_fetched=3)
    transfers.oss.put(BUCKET, "key", CONTENT[::-1])

    result = transfers.download(file)

    assert (result.parts_kept, result.parts_sent) == (0, 6)
    assert file.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("policy", ["restart", "fail"])
def test_an_object_that_changes_under_way_is_never_mixed(transfers: Transfers, file: Path, policy: str) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    file.write_bytes(b"old")

    def replace_object(request: object) -> None:
        if fetched(transfers) == [0, 1]:
            transfers.oss.on_request = None
            transfers.oss.put(BUCKET, "key", CONTENT[::-1])

    transfers.oss.on_request = replace_object

    if policy == "fail":
        with pytest.raises(ObjectChanged):
            transfers.download(file, object_changed="fail")
        assert file.read_bytes() == b"old"
    else:
        transfers.download(file)
        assert file.read_bytes() == CONTENT[::-1]


# What happens to the part file between two tries, and which parts are fetched again.
DAMAGES = [
    ("nothing", [3, 4, 5]),
    ("a byte of part 2 flipped", [0, 1, 2, 3, 4, 5]),  # the run 1..3 fails as a whole
    ("truncated", [0, 1, 2, 3, 4, 5]),
    ("removed", [0, 1, 2, 3, 4, 5]),
    ("grown", [3, 4, 5]),
]


@pytest.mark.parametrize(("damage", "fetched_again"), DAMAGES)
def test_the_part_file_is_proven_before_it_is_kept(
    transfers: Transfers, file: Path, damage: str, fetched_again: list[int]
) -> None:
    interrupted_download(transfers, file, parts_fetched=3)
    [part_file] = file.parent.iterdir()
    if damage.startswith("a byte"):
        content = bytearray(part_file.read_bytes())
        content[PART + 1] ^= 1
        part_file.write_bytes(content)
    elif damage == "truncated":
        os.truncate(part_file, 10)
    elif damage == "removed":
        part_file.unlink()
    elif damage == "grown":
        os.truncate(part_file, 100 * PART)

    transfers.download(file)

    assert fetched(transfers) == fetched_again
    assert file.read_bytes() == CONTENT


def test_a_run_that_fails_is_fetched_again_alone(transfers: Transfers, file: Path) -> None:
    interrupted_download(transfers, file, parts_fetched=3)
    [(key, text)] = transfers.store.texts.items()
    checkpoint = decode(text)
    assert isinstance(checkpoint, DownloadCheckpoint)
    split = encode(DownloadCheckpoint(**{**vars(checkpoint), "runs": (Run(1, 1, 123), *runs_of(2, 3))}))
    transfers.store.texts[key] = split

    transfers.download(file)

    assert fetched(transfers) == [0, 3, 4, 5]
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("text", ["", "{}", "[1]", '"x"', "\x00", '{"ossresume": 99}', '{"ossresume": 1}', "nul" * 99])
def test_a_checkpoint_that_is_none_restarts_with_its_reason(
    transfers: Transfers, file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    interrupted_download(transfers, file, parts_fetched=3)
    [key] = transfers.store.texts
    transfers.store.texts[key] = text

    result = transfers.download(file)

    assert (result.parts_kept, result.parts_sent) == (0, 6)
    assert file.read_bytes() == CONTENT
    assert "cannot be used" in caplog.text


def test_ten_thousand_parts_make_a_checkpoint_of_under_two_kib(transfers: Transfers) -> None:
    runs = tuple(Run(1 + 300 * i, 200 + 300 * i, 2**64 - 1) for i in range(33))
    checkpoint = DownloadCheckpoint(
        BUCKET, "k" * 200, None, "E" * 32, 10_000 * PART, 2**64 - 1, PART, "f" * 200, Owner(12, "i" * 40), runs
    )

    assert len(encode(checkpoint)) < 2048
    assert json.loads(encode(checkpoint))["size"] == 10_000 * PART


# --- faults -----------------------------------------------------------------------------------------------------------

FAULTS = [
    Fault("reset-answer", after_bytes=1000),
    Fault("truncated", after_bytes=1000),
    Fault("status", status=503, code="ServiceUnavailable"),
    Fault("refuse"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_a_part_that_breaks_off_is_fetched_again_within_the_try(transfers: Transfers, file: Path, fault: Fault) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail("GetObject", nth=2, fault=fault)

    transfers.download(file)

    assert file.read_bytes() == CONTENT
    assert len(transfers.oss.calls("GetObject")) == 7


def test_a_flipped_byte_is_never_published(transfers: Transfers, file: Path) -> None:
    file.write_bytes(b"old")
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 0, Fault("flip", after_bytes=5))

    with pytest.raises(IntegrityError):
        transfers.download(file)

    assert file.read_bytes() == b"old"
    transfers.oss.clear_faults()
    transfers.download(file)
    assert file.read_bytes() == CONTENT


def test_a_byte_that_flips_once_costs_one_restart(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail("GetObject", nth=2, fault=Fault("flip", after_bytes=5))

    transfers.download(file)

    assert file.read_bytes() == CONTENT


def test_a_failed_download_leaves_the_old_file_and_the_part_file(transfers: Transfers, file: Path) -> None:
    file.write_bytes(b"old")

    interrupted_download(transfers, file, parts_fetched=3)

    assert file.read_bytes() == b"old"
    assert len(os.listdir(file.parent)) == 2


def test_a_missing_object_is_named(transfers: Transfers, file: Path) -> None:
    with pytest.raises(NoSuchKey, match=r"GetObject oss://bucket/key answered 404 NoSuchKey.*request id"):
        transfers.download(file)

    assert os.listdir(file.parent) == []


# --- the target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["a folder", "a missing folder", "a trailing slash"])
def test_a_target_that_cannot_be_written_is_refused_before_any_request(
    transfers: Transfers, tmp_path: Path, bad: str
) -> None:
    target = {
        "a folder": str(tmp_path),
        "a missing folder": str(tmp_path / "missing" / "file"),
        "a trailing slash": f"{tmp_path}/new/",
    }[bad]

    with pytest.raises(ArgumentError, match="file="):
        transfers.download(Path(target) if bad != "a trailing slash" else target, create_parents=False)  # type: ignore[arg-type]

    assert transfers.oss.requests == []


def test_folders_are_made_on_demand(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    transfers.download(tmp_path / "a" / "b" / "file", create_parents=True)

    assert (tmp_path / "a" / "b" / "file").read_bytes() == CONTENT


def test_a_name_of_the_greatest_length_works(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    transfers.download(tmp_path / ("ü" * 127))

    assert (tmp_path / ("ü" * 127)).read_bytes() == CONTENT


def test_a_symlink_in_the_part_files_place_is_not_followed(transfers: Transfers, file: Path, tmp_path: Path) -> None:
    interrupted_download(transfers, file, parts_fetched=3)
    [part_file] = file.parent.iterdir()
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    part_file.unlink()
    part_file.symlink_to(precious)

    with pytest.raises(LocalFileError, match="cannot be opened"):
        transfers.download(file)

    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("if_exists", "content", "outcome"),
    [
        ("skip", b"old", "skipped"),
        ("skip_if_same", CONTENT, "skipped"),
        ("skip_if_same", CONTENT[::-1], "transferred"),
        ("overwrite", CONTENT, "transferred"),
    ],
)
def test_if_exists_decides_about_a_file_that_is_there(
    transfers: Transfers, file: Path, if_exists: str, content: bytes, outcome: str
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    file.write_bytes(content)

    assert transfers.download(file, if_exists=if_exists).outcome == outcome
    assert file.read_bytes() == (content if outcome == "skipped" else CONTENT)


def test_if_exists_fail_refuses(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    file.write_bytes(b"old")

    with pytest.raises(ArgumentError, match="if_exists='fail'"):
        transfers.download(file, if_exists="fail")


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_a_retry_after_ones_own_success_moves_nothing(transfers: Transfers, file: Path, if_exists: str) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.download(file, if_exists=if_exists)

    result = transfers.download(file, if_exists=if_exists, earlier_try=True)

    assert (result.outcome, result.bytes_moved) == ("already there", 0)


def test_a_try_that_died_between_the_rename_and_the_end_leaves_nothing_to_fetch(
    transfers: Transfers, file: Path
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    checkpoints: dict[str, str] = {}

    def remember() -> None:
        checkpoints.update(transfers.store.texts)

    transfers.download(file, watch=remember)
    transfers.store.texts.update(checkpoints)
    transfers.oss.clear_requests()

    result = transfers.download(file, earlier_try=True)

    assert checkpoints
    assert (result.outcome, fetched(transfers)) == ("already there", [])
    assert not transfers.store.texts


# --- tries that overlap -----------------------------------------------------------------------------------------------


def test_a_superseded_try_publishes_nothing_and_leaves_the_checkpoint(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    def take_over(request: object) -> None:
        if fetched(transfers) == [0, 1, 2]:
            [(key, text)] = transfers.store.texts.items()
            checkpoint = decode(text)
            assert isinstance(checkpoint, DownloadCheckpoint)
            newer = DownloadCheckpoint(**{**vars(checkpoint), "owner": Owner(7, "the successor")})
            transfers.store.texts[key] = encode(newer)

    transfers.oss.on_request = take_over

    with pytest.raises(TrySuperseded, match="the successor"):
        transfers.download(file)

    assert not file.exists()
    [text] = transfers.store.texts.values()
    assert decode(text).owner == Owner(7, "the successor")


# --- helpers ----------------------------------------------------------------------------------------------------------


def interrupted_download(transfers: Transfers, file: Path, *, parts_fetched: int) -> None:
    """Leave a download of six parts of which some were fetched, and forget the requests that it took."""
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", parts_fetched, BROKEN)
    with pytest.raises((AccessDenied, OSSResumeError)):
        transfers.download(file)
    transfers.oss.clear_faults()
    transfers.oss.clear_requests()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def fetched(transfers: Transfers) -> list[int]:
    """Which parts were asked for, counted from 0, in order."""
    return [
        int(request.range.removeprefix("bytes=").split("-")[0]) // PART
        for request in transfers.oss.calls("GetObject")
        if request.range
    ]


def runs_of(first: int, last: int) -> tuple[Run, ...]:
    from airflow_provider_ossresume.model.crc64 import crc64

    return (Run(first, last, crc64(CONTENT[(first - 1) * PART : last * PART])),)


# --- what the file is like --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, "640", "0o640"])
def test_the_file_has_the_mode_that_was_asked_for(transfers: Transfers, file: Path, mode: int | str) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    transfers.download(file, file_mode=mode)

    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [None, 0o644])
def test_nobody_else_can_open_the_part_file(transfers: Transfers, file: Path, mode: int | None) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    seen: set[int] = set()
    transfers.oss.on_request = lambda _: seen.update(
        stat.S_IMODE(part.stat().st_mode) for part in file.parent.glob(".*.ossresume-part")
    )

    transfers.download(file, file_mode=mode)

    assert seen == {0o600}


def test_a_file_has_the_mode_of_any_new_file(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    with umask(0o027):
        transfers.download(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(file.parent) == [file.name]


def test_a_file_has_the_mode_that_its_folders_default_acl_gives(transfers: Transfers, file: Path) -> None:
    entries = ((0x01, 7), (0x04, 7), (0x20, 0))  # owner, group, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, may, 2**32 - 1) for tag, may in entries)
    try:
        os.setxattr(file.parent, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    transfers.oss.put(BUCKET, "key", CONTENT)
    with umask(0o077):
        transfers.download(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_nobody_may_write_to_can_still_be_resumed(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 3, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.download(file, file_mode=0o440)
    transfers.oss.clear_faults()

    assert transfers.download(file, file_mode=0o440).parts_kept == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o440


def test_a_part_file_that_others_may_read_becomes_private_when_it_is_resumed(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 3, BROKEN)
    for _ in range(2):
        with pytest.raises(AccessDenied):
            transfers.download(file)
        [part_file] = file.parent.glob(".*.ossresume-part")
        assert stat.S_IMODE(part_file.stat().st_mode) == 0o600
        part_file.chmod(0o644)  # as 0.1 left it


def test_the_file_may_keep_the_objects_time(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    modified = transfers.client.head_object(ObjectRef(BUCKET, "key")).last_modified
    assert modified is not None

    transfers.download(file, preserve_mtime=True)

    assert file.stat().st_mtime == modified.timestamp()


@pytest.mark.parametrize("mode", ["rw-r--r--", "0888", 640, -1, 0o1777, "1777", True])
def test_a_mode_that_is_none_is_refused(transfers: Transfers, file: Path, mode: int | str) -> None:
    with pytest.raises(ArgumentError, match=r"file_mode=.*: give permissions from 0 to 0o777"):
        transfers.download(file, file_mode=mode)

    assert transfers.oss.requests == []


# --- a part of the object ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (17, PART), (PART - 1, 4 * PART + 3), (5 * PART, len(CONTENT)), (0, len(CONTENT))]
)
def test_a_range_is_exactly_the_bytes_that_were_asked_for(
    transfers: Transfers, file: Path, start: int, stop: int
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    result = transfers.download(file, byte_range=(str(start), str(stop)))

    assert file.read_bytes() == CONTENT[start:stop]
    assert result.size == result.bytes_moved == stop - start
    assert not transfers.store.texts


def test_a_range_resumes_and_is_bound_to_one_version_of_the_object(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 2, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.download(file, byte_range=(7, 4 * PART))
    transfers.oss.clear_faults()

    result = transfers.download(file, byte_range=(7, 4 * PART))

    assert (result.parts, result.parts_kept, result.parts_sent) == (4, 2, 2)
    assert file.read_bytes() == CONTENT[7 : 4 * PART]
    assert {request.headers["if-match"].strip('"') for request in transfers.oss.calls("GetObject")} == {result.etag}


def test_another_range_of_the_same_length_is_never_taken_for_the_first(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 2, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.download(file, byte_range=(0, 4 * PART))
    transfers.oss.clear_faults()

    result = transfers.download(file, byte_range=(PART, 5 * PART))

    assert (result.parts_kept, result.parts_sent) == (0, 4)
    assert file.read_bytes() == CONTENT[PART : 5 * PART]


@pytest.mark.parametrize(
    ("options", "argument", "says"),
    [
        ({"byte_range": (5, 5)}, "byte_range", "give (start, stop) in bytes, stop excluded"),
        ({"byte_range": (-1, 5)}, "byte_range", "give (start, stop)"),
        ({"byte_range": ("a", "b")}, "byte_range", "give (start, stop)"),
        ({"byte_range": "0-5"}, "byte_range", "give (start, stop)"),
        ({"byte_range": (0, 1.5)}, "byte_range", "give (start, stop)"),
        ({"byte_range": (0, 5), "if_exists": "skip_if_same"}, "if_exists", "OSS has no CRC-64 of a byte_range"),
        ({"byte_range": (0, len(CONTENT) + 1)}, "byte_range", f"oss://bucket/key has only {len(CONTENT)} bytes"),
    ],
)
def test_a_range_that_cannot_be_is_refused(
    transfers: Transfers, file: Path, options: dict[str, Any], argument: str, says: str
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    with pytest.raises(ArgumentError) as error:
        transfers.download(file, **options)

    assert error.value.argument == argument
    assert says in str(error.value)
    assert not transfers.oss.calls("GetObject")


# --- what is dropped --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "answered"), [(PART, 3), (6 * PART, 1)], ids=["parts", "one request"])
def test_what_a_try_is_to_drop_leaves_neither_part_file_nor_checkpoint(
    transfers: Transfers, file: Path, threshold: int, answered: int
) -> None:
    config = {"multipart_threshold": threshold}
    transfers.oss.put(BUCKET, "key", some_bytes(5 * PART))
    transfers.oss.fail_after("GetObject", answered, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.download(file, config=config)
    assert list(file.parent.glob(".*.ossresume-part"))

    with pytest.raises(AccessDenied):
        transfers.download(file, config=config, drop_when=lambda error: True)

    assert not list(file.parent.iterdir())
    assert not transfers.store.texts


def test_a_part_file_that_another_process_writes_to_is_kept(transfers: Transfers, file: Path) -> None:
    transfers.oss.put(BUCKET, "key", some_bytes(5 * PART))
    transfers.oss.fail_after("GetObject", 3, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.download(file)
    [part_file] = file.parent.glob(".*.ossresume-part")
    transfers.oss.fail("HeadObject", fault=BROKEN)

    with PartFile(part_file) as other:
        assert other.lock()
        with pytest.raises(AccessDenied):
            transfers.download(file, drop_when=lambda error: True)
    transfers.oss.clear_faults()

    assert transfers.download(file).parts_kept == 3
