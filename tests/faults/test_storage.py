"""Disks that are full, broken or read-only, and files that change behind a transfer's back."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    LocalFileError,
    SourceChanged,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Run, UploadCheckpoint, decode, encode
from airflow_provider_ossresume.model.crc64 import crc64
from tests.faults.nursery import Nursery
from tests.world import BUCKET, PART, Transfers, a_file, some_bytes, touch

PARTS = 5
SIZE = (PARTS - 1) * PART + 17
CONTENT = some_bytes(SIZE)
OTHER = some_bytes(SIZE, seed=2)
DENIED = Fault("status", status=403, code="AccessDenied")


@pytest.fixture
def transfers(oss: LocalOSS) -> Transfers:
    oss.put(BUCKET, "key", CONTENT)
    return Transfers(oss, checkpoint_interval=0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return the name of a file in a folder that holds nothing else."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target" / "file"


# --- full and broken disks --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, *what: str) -> Iterator[Path]:
    """Mount a file system on a new folder; the test is skipped where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(["mount", *what, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as disk:
        yield disk


def test_a_file_behind_a_link_to_a_folder_on_another_disk_is_no_mount_of_its_own(
    transfers: Transfers, tmp_path: Path
) -> None:
    transfers.oss.put(BUCKET, "key", b"new")
    with small_disk(tmp_path / "disk", SIZE) as disk:
        (disk / "file").write_bytes(b"old")
        (tmp_path / "link").symlink_to(disk)

        transfers.download(tmp_path / "link" / "file")

        assert (disk / "file").read_bytes() == b"new"


def test_a_download_that_does_not_fit_fails_before_a_byte_is_written_and_says_the_numbers(
    transfers: Transfers, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", SIZE // 2) as disk:
        (disk / "file").write_bytes(b"old")

        with pytest.raises(LocalFileError, match=r"has .* free, the download needs .* more"):
            transfers.download(disk / "file")

        assert (disk / "file").read_bytes() == b"old"
        assert sum(part_file.stat().st_size for part_file in disk.glob(".*.ossresume-part")) == 0
    assert transfers.calls("GetObject") == 1  # for the beginning, which tells the size


def test_a_disk_that_fills_up_under_way_ends_the_try_and_the_next_fetches_only_what_is_missing(
    transfers: Transfers, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", SIZE + 4 * PART) as disk:

        def fill(request: Request) -> None:
            if request.operation == "GetObject" and transfers.calls("GetObject") == 2:
                free = os.statvfs(disk)
                (disk / "rubbish").write_bytes(bytes(free.f_bavail * free.f_frsize))

        transfers.oss.on_request = fill
        with pytest.raises(LocalFileError, match=r"No space left on device; .* are free in") as caught:
            transfers.download(disk / "file")
        assert caught.value.retryable
        assert not (disk / "file").exists()
        transfers.oss.on_request = None
        transfers.oss.clear_requests()
        (disk / "rubbish").unlink()

        transfers.download(disk / "file")

        assert (disk / "file").read_bytes() == CONTENT
        assert transfers.calls("GetObject") == PARTS - 2
        assert os.listdir(disk) == ["file"]


def test_a_full_disk_under_the_checkpoints_is_warned_about_and_the_transfer_goes_on(
    oss: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_file(tmp_path, size=SIZE)
    with small_disk(tmp_path / "disk", 16384) as disk:
        (disk / "rubbish").write_bytes(bytes(12288))
        with contextlib.suppress(OSError):
            (disk / "more").write_bytes(bytes(8192))

        Transfers(oss, store=FileCheckpointStore(disk / "checkpoints")).upload(source)

        assert "The checkpoint could not be saved" in caplog.text
        assert oss.object(BUCKET, "key") == source.read_bytes()


def test_writes_that_the_process_may_not_make_are_local_file_errors(
    transfers: Transfers, target: Path, tmp_path: Path, nursery: Nursery
) -> None:
    """By RLIMIT_FSIZE, as quotas and ulimits have it; part 3 does not fit."""
    job = a_job("download", transfers.oss, target, tmp_path, file_size_limit=2 * PART + 100)
    first = nursery.start(**job)
    first.wait()

    assert first.outcome["error"] == "LocalFileError"
    assert "File too large" in first.outcome["text"]
    assert not target.exists()
    transfers.oss.clear_requests()
    second = nursery.start(**{**job, "file_size_limit": 0})
    second.wait()
    assert target.read_bytes() == CONTENT
    assert transfers.calls("GetObject") <= PARTS - 1


def a_job(direction: str, oss: LocalOSS, file: Path, folder: Path, **more: object) -> dict[str, object]:
    return {
        "direction": direction,
        "endpoint": oss.endpoint,
        "access_key_id": oss.access_key_id,
        "access_key_secret": oss.access_key_secret,
        "region": oss.region,
        "file": str(file),
        "store": str(folder / "checkpoints"),
        **more,
    }


@contextlib.contextmanager
def disk_in_a_file(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a folder on a loop device, and the device's backing file, which cannot grow when its folder is filled."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4 here")
    with small_disk(folder / "backing", 12 * 2**20) as backing:
        image = backing / "image"
        with image.open("wb") as file:
            file.truncate(8 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], check=True)
        with mounted(folder / "disk", "-o", "loop,errors=continue", str(image)) as disk:
            yield disk, image


@contextlib.contextmanager
def broken_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder on a loop device, and what makes the device fail: its backing file is cut off and cannot grow."""
    with disk_in_a_file(folder) as (disk, image):

        def cut() -> None:
            subprocess.run(["sync"], check=True)
            os.truncate(image, 2**20)
            fill(image.parent)
            Path("/proc/sys/vm/drop_caches").write_text("3")

        yield disk, cut


def fill(folder: Path) -> None:
    with (folder / "rubbish").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_source_that_cannot_be_read_ends_the_upload_and_publishes_nothing(
    transfers: Transfers, tmp_path: Path
) -> None:
    with broken_disk(tmp_path) as (disk, cut):
        source = disk / "source"
        source.write_bytes(some_bytes(4 * 2**20))
        cut()

        with pytest.raises((LocalFileError, ArgumentError), match="cannot be read"):
            transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == CONTENT


def test_a_part_file_that_can_neither_be_read_back_nor_written_ends_the_download_and_publishes_nothing(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broken_disk(tmp_path) as (disk, cut):
        (disk / "filler").write_bytes(bytes(2**20))
        interrupt_download(transfers, disk / "file", after=3)
        cut()

        with pytest.raises(LocalFileError, match=r"Input/output error|No space left on device"):
            transfers.download(disk / "file")

        assert "fetched again" in caplog.text
        assert not (disk / "file").exists()


# --- who may not ------------------------------------------------------------------------------------------------------


NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may look into; pytest's own are closed."""
    if os.getuid():
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_source_that_may_not_be_read_is_refused_before_any_request(
    oss: LocalOSS, open_folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    source = a_file(open_folder)
    source.chmod(0o600)

    child = nursery.start(**a_job("upload", oss, source, tmp_path, user=NOBODY))
    child.wait()

    assert child.outcome["error"] == "ArgumentError"
    assert "cannot be read: Permission denied" in child.outcome["text"]
    assert not oss.requests


def test_a_target_folder_that_may_not_be_written_is_refused_before_any_request(
    oss: LocalOSS, open_folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    child = nursery.start(**a_job("download", oss, open_folder / "file", tmp_path, user=NOBODY))
    child.wait()

    assert child.outcome["error"] == "ArgumentError"
    assert "is not writable for this worker's user" in child.outcome["text"]
    assert not oss.requests


def test_a_read_only_file_system_is_refused_before_any_request(transfers: Transfers, tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "ro", "tmpfs") as disk,
        pytest.raises(ArgumentError, match="is not writable"),
    ):
        transfers.download(disk / "file")

    assert not transfers.oss.requests


# --- part files -------------------------------------------------------------------------------------------------------


def interrupt_download(transfers: Transfers, file: Path, *, after: int) -> Path:
    """Break a download off after so many parts, and return its part file."""
    with transfers.oss.failing("GetObject", after=after, fault=DENIED), pytest.raises(AccessDenied):
        transfers.download(file)
    transfers.oss.clear_requests()
    [part_file] = file.parent.glob(f".{file.name}.*")
    return part_file


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    # what happens to a part file with parts 1 to 3, and which parts are fetched then: a run is proven as a whole
    "nothing": (lambda path: None, [4, 5]),
    "touched": (touch, [4, 5]),
    "cut in part 2": (lambda path: os.truncate(path, 2 * PART - 1), [1, 2, 3, 4, 5]),
    "emptied": (lambda path: os.truncate(path, 0), [1, 2, 3, 4, 5]),
    "a byte of part 2 edited": (lambda path: overwrite(path, PART + 5, b"?"), [1, 2, 3, 4, 5]),
    "bytes of part 4 scribbled": (lambda path: overwrite(path, 3 * PART, b"rubbish"), [4, 5]),
    "grown behind the end": (lambda path: overwrite(path, 2 * SIZE, b"rubbish"), [4, 5]),
    "removed": (lambda path: path.unlink(), [1, 2, 3, 4, 5]),
    "replaced by a copy": (
        lambda path: (shutil.copy(path, path.with_name("copy")), os.replace(path.with_name("copy"), path)),
        [4, 5],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_part_file_is_proven_before_it_is_built_upon(transfers: Transfers, target: Path, damage: str) -> None:
    part_file = interrupt_download(transfers, target, after=3)
    do, fetched = DAMAGES[damage]
    do(part_file)

    transfers.download(target)

    assert target.read_bytes() == CONTENT
    assert fetched_parts(transfers) == fetched
    assert os.listdir(target.parent) == ["file"]


@pytest.mark.parametrize("kind", ["folder", "symlink", "dangling symlink", "fifo"])
def test_what_is_no_file_in_the_part_files_place_is_refused_and_left_alone(
    transfers: Transfers, target: Path, tmp_path: Path, kind: str
) -> None:
    part_file = interrupt_download(transfers, target, after=3)
    part_file.unlink()
    elsewhere = tmp_path / "elsewhere"
    if kind == "folder":
        part_file.mkdir()
    elif kind == "fifo":
        os.mkfifo(part_file)
    else:
        part_file.symlink_to(elsewhere)
        if kind == "symlink":
            elsewhere.write_bytes(b"precious")

    with pytest.raises(LocalFileError):
        transfers.download(target)

    assert not target.exists()
    assert elsewhere.exists() == (kind == "symlink")
    assert kind != "symlink" or elsewhere.read_bytes() == b"precious"


def fetched_parts(transfers: Transfers) -> list[int]:
    ranges = [request.range or "" for request in transfers.oss.calls("GetObject")]
    return [int(text.removeprefix("bytes=").partition("-")[0]) // PART + 1 for text in ranges]


# --- power loss: the checkpoint and the data are not of one moment ----------------------------------------------------


def test_a_checkpoint_ahead_of_the_data_is_believed_only_where_the_disk_bears_it_out(
    transfers: Transfers, target: Path
) -> None:
    """The checkpoint of the first and the third part survived the power loss, the bytes of the third did not."""
    part_file = interrupt_download(transfers, target, after=3)
    overwrite(part_file, 2 * PART, bytes(PART))
    [(key, text)] = transfers.store.texts.items()
    checkpoint = decode(text)
    assert isinstance(checkpoint, DownloadCheckpoint)
    runs = tuple(Run(number, number, crc64(CONTENT[(number - 1) * PART : number * PART])) for number in (1, 3))
    transfers.store.texts[key] = encode(replace(checkpoint, runs=runs))

    transfers.download(target)

    assert target.read_bytes() == CONTENT
    assert fetched_parts(transfers) == [2, 3, 4, 5]


def test_data_ahead_of_the_checkpoint_is_fetched_again(transfers: Transfers, target: Path) -> None:
    interrupt_download(transfers, target, after=1)
    earlier = dict(transfers.store.texts)
    interrupt_download(transfers, target, after=2)
    transfers.store.texts.update(earlier)

    transfers.download(target)

    assert target.read_bytes() == CONTENT
    assert fetched_parts(transfers) == [2, 3, 4, 5]


def test_an_upload_whose_checkpoint_was_lost_begins_again_and_its_parts_are_not_mixed_in(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=SIZE)
    interrupt_upload(transfers, source, after=2)
    [(_, lost)] = transfers.oss.uploads(BUCKET)
    transfers.store.texts.clear()

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert transfers.oss.uploads(BUCKET) == [("key", lost)]  # only its checkpoint could have told of it


def test_a_checkpoint_from_before_the_upload_that_is_under_way_restarts_and_mixes_nothing(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=SIZE)
    transfers.oss.put(BUCKET, "key", b"old")
    interrupt_upload(transfers, source, after=1)
    earlier = dict(transfers.store.texts)
    [text] = earlier.values()
    checkpoint = decode(text)
    assert isinstance(checkpoint, UploadCheckpoint)
    transfers.oss.abort(BUCKET, "key", checkpoint.upload_id)
    interrupt_upload(transfers, source, after=3)
    transfers.store.texts.update(earlier)

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


# --- sources ----------------------------------------------------------------------------------------------------------


def interrupt_upload(transfers: Transfers, source: Path, *, after: int) -> None:
    with transfers.oss.failing("UploadPart", after=after, fault=DENIED), pytest.raises(AccessDenied):
        transfers.upload(source)
    transfers.oss.clear_requests()


def replace_file(path: Path) -> None:
    path.with_name("other").write_bytes(OTHER)
    path.with_name("other").replace(path)


CHANGES: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    # what happens to a source of which parts 1 to 3 were sent, and which parts are sent then
    "touched": (touch, [4, 5]),
    "replaced by the same bytes": (
        lambda path: (path.with_name("copy").write_bytes(CONTENT), path.with_name("copy").replace(path)),
        [4, 5],
    ),
    "replaced by other bytes of the size": (replace_file, [1, 2, 3, 4, 5]),
    "a byte of part 2 edited": (lambda path: overwrite(path, PART + 5, b"?"), [2, 4, 5]),
    "cut": (lambda path: os.truncate(path, 2 * PART), [1, 2]),
    "grown": (lambda path: overwrite(path, SIZE, b"more"), [1, 2, 3, 4, 5]),
    "emptied": (lambda path: os.truncate(path, 0), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_between_tries_is_uploaded_as_it_is_now(
    transfers: Transfers, tmp_path: Path, change: str
) -> None:
    source = a_file(tmp_path, size=SIZE)
    interrupt_upload(transfers, source, after=3)
    do, sent = CHANGES[change]
    do(source)

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert transfers.part_numbers() == sent
    assert not transfers.oss.uploads(BUCKET)


@pytest.mark.parametrize("policy", ["restart", "fail"])
@pytest.mark.parametrize("change", [*CHANGES, "removed"])
def test_a_source_that_changes_under_the_upload_never_becomes_an_object_of_mixed_bytes(
    transfers: Transfers, tmp_path: Path, change: str, policy: str
) -> None:
    source = a_file(tmp_path, size=SIZE)
    transfers.oss.put(BUCKET, "key", OTHER[:100])
    do: Callable[[Path], object] = Path.unlink if change == "removed" else CHANGES[change][0]

    def on_request(request: Request) -> None:
        if request.operation == "UploadPart" and request.part_number == 3:
            transfers.oss.on_request = None
            do(source)

    transfers.oss.on_request = on_request

    if change == "removed" or policy == "fail":
        with pytest.raises(ArgumentError if policy == "restart" else SourceChanged):
            transfers.upload(source, source_changed=policy)
        assert transfers.oss.object(BUCKET, "key") == OTHER[:100]
    else:
        transfers.upload(source, source_changed=policy)
        assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
        assert not transfers.oss.uploads(BUCKET)


# --- targets ----------------------------------------------------------------------------------------------------------


def test_a_target_on_another_file_system_than_the_temporary_folder_appears_at_once(
    transfers: Transfers, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 4 * 2**20) as disk:
        transfers.download(disk / "file")

        assert (disk / "file").read_bytes() == CONTENT
        assert os.listdir(disk) == ["file"]


def test_a_target_that_is_a_symlink_to_another_file_system_is_replaced_by_the_file(
    transfers: Transfers, tmp_path: Path, target: Path
) -> None:
    with small_disk(tmp_path / "disk", 4 * 2**20) as disk:
        (disk / "theirs").write_bytes(b"theirs")
        target.symlink_to(disk / "theirs")

        transfers.download(target)

        assert target.read_bytes() == CONTENT
        assert (disk / "theirs").read_bytes() == b"theirs"


def test_a_target_folder_that_is_removed_under_way_is_told_and_the_next_try_makes_it(
    transfers: Transfers, target: Path
) -> None:
    def on_request(request: Request) -> None:
        if request.operation == "GetObject" and transfers.calls("GetObject") == 2:
            transfers.oss.on_request = None
            shutil.rmtree(target.parent)

    transfers.oss.on_request = on_request
    with pytest.raises(LocalFileError):
        transfers.download(target)

    transfers.download(target)

    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ["file"]


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "n" * 250, "." + "n" * 200, "a b\tc\n", "-rf"])
def test_a_name_as_long_and_odd_as_the_file_system_takes_is_resumed_too(
    transfers: Transfers, tmp_path: Path, name: str
) -> None:
    (tmp_path / "target").mkdir()
    file = tmp_path / "target" / name
    with transfers.oss.failing("GetObject", after=3, fault=DENIED), pytest.raises(AccessDenied):
        transfers.download(file)
    transfers.oss.clear_requests()

    transfers.download(file)

    assert file.read_bytes() == CONTENT
    assert fetched_parts(transfers) == [4, 5]
    assert os.listdir(tmp_path / "target") == [name]


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "/".join(["d" * 250] * 17)])
def test_a_target_name_that_the_file_system_does_not_take_is_refused_before_any_byte(
    transfers: Transfers, tmp_path: Path, name: str
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    with pytest.raises(ArgumentError, match="file="):
        transfers.download(tmp_path / name)

    assert transfers.oss.requests == []


def test_a_part_file_that_was_replaced_under_way_is_never_published(transfers: Transfers, tmp_path: Path) -> None:
    """What is renamed is whatever stands at the part file's path, not what was written and compared."""
    file = tmp_path / "target" / "file"
    file.parent.mkdir()
    transfers.oss.put(BUCKET, "key", CONTENT)

    def replace_part_file(request: object) -> None:
        if len(transfers.oss.calls("GetObject")) == 4:
            [part_file] = file.parent.iterdir()
            part_file.unlink()
            part_file.write_bytes(b"what another process writes")

    transfers.oss.on_request = replace_part_file

    with pytest.raises(LocalFileError):
        transfers.download(file)

    assert not file.exists()


def test_a_folder_in_the_part_files_place_does_not_end_a_download_that_has_nothing_to_do(
    transfers: Transfers, target: Path
) -> None:
    part_file = interrupt_download(transfers, target, after=2)
    part_file.unlink()
    part_file.mkdir()
    target.write_bytes(CONTENT)

    assert transfers.download(target, if_exists="skip_if_same").outcome == "skipped"
