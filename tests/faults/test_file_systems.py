"""File systems that are not ext4: shares without fsync, mounts that write in order only, files that say 0 bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import AccessDenied, ArgumentError, LocalFileError, SourceChanged
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer import publishing
from airflow_provider_ossresume.transfer.local_file import MAX_UNREPORTED_SIZE, LocalFile
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_path
from airflow_provider_ossresume.transfer.stop import Stop
from tests.faults.odd_mount import odd_mount, serving
from tests.faults.test_storage import DENIED, disk_in_a_file, fill, interrupt_download, mounted
from tests.world import BUCKET, PART, Transfers, a_file, some_bytes

SIZE = 4 * PART + 17
CONTENT = some_bytes(SIZE)


@pytest.fixture
def transfers(oss: LocalOSS) -> Transfers:
    oss.put(BUCKET, "key", CONTENT)
    return Transfers(oss, checkpoint_interval=0)


# --- what a mount tells, and refuses ----------------------------------------------------------------------------------


def test_a_file_system_that_tells_no_sizes_is_not_full(transfers: Transfers, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=0", "tmpfs") as disk:
        transfers.download(disk / "file")

        assert (disk / "file").read_bytes() == CONTENT


def test_a_mount_of_object_storage_that_tells_no_sizes_takes_a_download(transfers: Transfers, tmp_path: Path) -> None:
    with odd_mount(tmp_path, untold=True) as mount:
        transfers.download(mount / "file")

        assert (mount / "file").read_bytes() == CONTENT
        assert os.listdir(mount) == ["file"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_share_that_flushes_no_file_is_warned_about_and_takes_a_download(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    with odd_mount(tmp_path, fsync=code) as mount:
        transfers.download(mount / "file")

        assert (mount / "file").read_bytes() == CONTENT
    assert caplog.text.count("cannot flush files") == 1


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_share_that_flushes_no_file_keeps_checkpoints(tmp_path: Path, code: int) -> None:
    with odd_mount(tmp_path, fsync=code) as mount:
        store, key = FileCheckpointStore(mount), "0123456789" * 4
        store.save(key, "text")

        assert store.load(key) == "text"


def test_a_mount_that_writes_in_order_is_refused_before_a_part_moves_and_the_error_says_the_way_out(
    transfers: Transfers, tmp_path: Path
) -> None:
    with odd_mount(tmp_path, in_order=errno.EOPNOTSUPP) as mount:
        with pytest.raises(ArgumentError, match="set max_concurrency=1"):
            transfers.download(mount / "file", config={"max_concurrency": 4})

        assert os.listdir(mount) == []
        assert transfers.calls("GetObject") == 1  # for the beginning
        transfers.download(mount / "file", config={"max_concurrency": 1})
        assert (mount / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("name_max", [143, 100])
def test_a_file_system_with_little_room_for_names_takes_a_name_as_long_as_it_can(
    transfers: Transfers, tmp_path: Path, name_max: int
) -> None:
    with odd_mount(tmp_path, name_max=name_max) as mount:
        file = mount / ("n" * name_max)
        with transfers.oss.failing("GetObject", after=3, fault=DENIED), pytest.raises(AccessDenied):
            transfers.download(file)

        assert transfers.download(file).parts_kept == 3
        assert file.read_bytes() == CONTENT
        assert os.listdir(mount) == [file.name]


def test_a_mount_that_refuses_chmod_takes_a_download(transfers: Transfers, tmp_path: Path) -> None:
    with odd_mount(tmp_path, chmod=errno.EPERM) as mount:
        transfers.download(mount / "file")

        assert (mount / "file").read_bytes() == CONTENT


def test_permissions_that_a_file_system_does_not_keep_are_refused_before_a_part_moves(
    transfers: Transfers, tmp_path: Path
) -> None:
    """FAT and CIFS show the same permissions for all files."""
    with odd_mount(tmp_path, mode=0o755) as mount:
        with pytest.raises(LocalFileError, match="cannot get the mode 0640"):
            transfers.download(mount / "file", file_mode=0o640)
        assert transfers.calls("GetObject") == 1

        transfers.download(mount / "file", file_mode=0o755)
        assert (mount / "file").read_bytes() == CONTENT
        transfers.download(mount / "file")


# --- mounts that come and go ------------------------------------------------------------------------------------------


def test_a_crashed_mount_may_pass_so_retries_count(transfers: Transfers, tmp_path: Path) -> None:
    with serving(tmp_path) as (mount, server):
        (mount / "source").write_bytes(CONTENT)
        server.kill()
        server.wait()
        transfers.oss.clear_requests()

        for attempt in (
            lambda: transfers.upload(mount / "source"),
            lambda: transfers.download(mount / "file"),
            lambda: transfers.download(mount / "folder" / "file"),
        ):
            with pytest.raises(LocalFileError, match="the mount has crashed") as caught:
                attempt()
            assert caught.value.retryable
    assert not transfers.oss.requests


@pytest.mark.parametrize("policy", ["overwrite", "skip_if_same"])
def test_a_file_that_is_a_mount_of_its_own_is_refused_before_a_part_moves(
    transfers: Transfers, tmp_path: Path, policy: str
) -> None:
    with a_mounted_file(tmp_path) as file:
        with pytest.raises(ArgumentError, match="mount its folder"):
            transfers.download(file, if_exists=policy)

        assert transfers.calls("GetObject") == 0
        assert file.read_bytes() == b"mounted"
        assert list(file.parent.glob(".*")) == []


def test_a_file_that_is_a_mount_of_its_own_is_skipped_where_that_is_asked_for(
    transfers: Transfers, tmp_path: Path
) -> None:
    with a_mounted_file(tmp_path) as file:
        assert transfers.download(file, if_exists="skip").outcome == "skipped"


@contextlib.contextmanager
def a_mounted_file(folder: Path) -> Iterator[Path]:
    """Bind a file of the same file system, as Docker does."""
    (folder / "elsewhere").write_bytes(b"mounted")
    file = folder / "target" / "file"
    file.parent.mkdir()
    file.touch()
    done = subprocess.run(
        ["mount", "--bind", str(folder / "elsewhere"), str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield file
    finally:
        subprocess.run(["umount", "--lazy", str(file)], check=True)


# --- a disk that fails to take what was written -----------------------------------------------------------------------


def test_nothing_is_believed_after_a_failed_flush_however_right_it_reads(transfers: Transfers, tmp_path: Path) -> None:
    """The page cache holds the right bytes, and the disk has not taken them."""
    with disk_in_a_file(tmp_path) as (disk, image):
        (disk / "before").touch()
        subprocess.run(["sync"], check=True)
        fill(image.parent)

        with pytest.raises(LocalFileError, match="could not be flushed to the disk"):
            transfers.download(disk / "file")
        assert not (disk / "file").exists()
        (image.parent / "rubbish").unlink()
        transfers.oss.clear_requests()

        assert transfers.download(disk / "file").parts_kept == 0
        Path("/proc/sys/vm/drop_caches").write_text("3")
        assert (disk / "file").read_bytes() == CONTENT


# --- sources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, SIZE])
def test_a_file_that_says_it_is_empty_is_read_to_its_end(transfers: Transfers, tmp_path: Path, size: int) -> None:
    with odd_mount(tmp_path, empty=True) as mount:
        (mount.parent / "backing" / "source").write_bytes(CONTENT[:size])
        assert (mount / "source").stat().st_size == 0

        transfers.upload(mount / "source")

    assert transfers.oss.object(BUCKET, "key") == CONTENT[:size]


def test_a_file_of_proc_is_read_to_its_end(transfers: Transfers) -> None:
    transfers.upload(Path("/proc/version"))

    assert transfers.oss.object(BUCKET, "key") == Path("/proc/version").read_bytes()


def test_a_file_that_says_it_is_empty_and_has_more_than_fits_into_memory_is_refused(
    transfers: Transfers, tmp_path: Path
) -> None:
    with odd_mount(tmp_path, empty=True) as mount:
        with (mount.parent / "backing" / "source").open("wb") as file:
            file.truncate(MAX_UNREPORTED_SIZE + 1)

        with pytest.raises(ArgumentError, match="upload the copy"):
            transfers.upload(mount / "source")

    assert not transfers.oss.requests


def test_an_empty_file_that_is_being_written_is_an_ordinary_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with LocalFile(tmp_path / "empty") as source:
        assert source.size == 0
        (tmp_path / "empty").write_bytes(b"more")
        with pytest.raises(SourceChanged):
            source.check_sent(Part(1, 0, 0), Stop(), crc64=0)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_source_that_is_rewritten_and_gets_its_old_time_stamp_back_never_becomes_an_object_of_mixed_bytes(
    transfers: Transfers, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, other = a_file(tmp_path, size=SIZE), some_bytes(SIZE, seed=9)
    before = source.stat()
    read = LocalFile.read

    def rewrite(file: LocalFile, part: Part, stop: Stop, **more: int) -> Iterator[memoryview]:
        if part.number == number and source.read_bytes() != other:
            source.write_bytes(other)
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        yield from read(file, part, stop, **more)

    monkeypatch.setattr(LocalFile, "read", rewrite)

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == other


@pytest.mark.parametrize("change", ["link", "chmod"])
@pytest.mark.parametrize("part", [1, 3, 5])
def test_a_source_that_only_gets_a_link_or_other_permissions_has_not_changed(
    transfers: Transfers, tmp_path: Path, change: str, part: int
) -> None:
    source = a_file(tmp_path, size=SIZE)

    def touched(request: Request) -> None:
        if request.operation == "UploadPart" and request.part_number == part:
            if change == "link":
                os.link(source, tmp_path / "link")
            else:
                source.chmod(0o600)

    transfers.oss.on_request = touched

    transfers.upload(source, source_changed="fail")

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert transfers.part_numbers() == [1, 2, 3, 4, 5]


# --- if_exists="fail" -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["renames", "links", "neither"])
def test_what_comes_in_the_last_moment_is_never_overwritten(
    transfers: Transfers, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at the final name and the publishing."""
    with contextlib.ExitStack() as mounts:
        folder = tmp_path
        if kind != "renames":
            oddities = {"link": errno.EPERM} if kind == "neither" else {}
            folder = mounts.enter_context(odd_mount(tmp_path, **oddities))
        file = folder / "file"
        publish = PartFile.publish

        def late(part_file: PartFile, final: Path, **more: object) -> None:
            final.write_bytes(b"somebody else's")
            publish(part_file, final, **more)  # type: ignore[arg-type]

        transfers.download(folder / "first", if_exists="fail")
        monkeypatch.setattr(PartFile, "publish", late)
        with pytest.raises(ArgumentError, match="it exists"):
            transfers.download(file, if_exists="fail")

        assert (folder / "first").read_bytes() == CONTENT
        assert file.read_bytes() == b"somebody else's"


@pytest.mark.parametrize("refused", ["rename_without_replacing", "_link"])
def test_nor_is_what_comes_once_the_file_system_has_refused_what_cannot_overwrite(
    transfers: Transfers, tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = getattr(publishing, refused)

    def late(source: Path, target: Path) -> None:
        try:
            move(source, target)
        finally:
            target.write_bytes(b"somebody else's")

    with odd_mount(tmp_path, link=errno.EPERM) as mount:
        monkeypatch.setattr(publishing, refused, late)
        with pytest.raises(ArgumentError, match="it exists"):
            transfers.download(mount / "file", if_exists="fail")

        assert (mount / "file").read_bytes() == b"somebody else's"


def test_a_part_file_that_was_published_as_a_link_by_a_killed_try_is_not_written_to(
    transfers: Transfers, tmp_path: Path
) -> None:
    part_file = interrupt_download(transfers, tmp_path / "file", after=3)
    os.link(part_file, tmp_path / "published")
    published = (tmp_path / "published").read_bytes()
    transfers.oss.put(BUCKET, "key", some_bytes(SIZE, seed=3))

    transfers.download(tmp_path / "file")

    assert (tmp_path / "published").read_bytes() == published
    assert (tmp_path / "file").read_bytes() == some_bytes(SIZE, seed=3)


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_forked_child_does_not_hold_the_lock_when_the_try_is_killed(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        from pathlib import Path
        from airflow_provider_ossresume.transfer.part_file import PartFile
        file = PartFile(Path(sys.argv[1]))
        assert file.lock()
        if not os.fork():
            print(os.getpid(), flush=True)
        time.sleep(60)
    """
    path = tmp_path / "part"
    with subprocess.Popen(
        (sys.executable, "-c", dedent(code), str(path)), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with PartFile(path) as other:
                assert not other.lock()  # its own process holds it
            process.kill()
            process.wait()

            with PartFile(path) as other:
                assert other.lock()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_file_is_closed_when_its_last_user_is_done(tmp_path: Path) -> None:
    with PartFile(tmp_path / "part") as file:
        with file._file.use() as number:
            file._file.close()
            os.write(number, b"the file is still this one")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 255, "数" * 85, "a"])
def test_a_part_files_name_has_room_everywhere(tmp_path: Path, name: str) -> None:
    path = part_file_path(tmp_path / name, "key")

    assert len(os.fsencode(path.name)) <= 143
    assert path.parent == tmp_path
    path.touch()
    assert stat.S_ISREG(path.stat().st_mode)
