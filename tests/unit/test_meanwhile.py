"""What others do to the final file, or a signal does to a try, between two steps of it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import (
    ArgumentError,
    CredentialsUnavailable,
    LocalFileError,
    OSSResumeError,
    TransferStopped,
)
from airflow_provider_ossresume.local_oss import Fault, Request
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, UploadCheckpoint, decode
from airflow_provider_ossresume.oss.credentials import Credentials, StaticCredentials
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.world import BUCKET, PART, Transfers, a_client, a_file, some_bytes

OLD, NEW = some_bytes(3 * PART, seed=1), some_bytes(3 * PART, seed=2)
LONG = 30.0  # seconds; only a test that fails waits for them


class Alarm(BaseException):
    """What a signal's handler raises."""


# --- the final file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_file_that_came_while_it_was_downloaded_is_not_overwritten(
    transfers: Transfers, tmp_path: Path, policy: str
) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    file = tmp_path / "file"

    def somebody_writes(request: Request) -> None:
        if transfers.calls("GetObject") == 2:
            file.write_bytes(b"somebody else's")

    transfers.oss.on_request = somebody_writes
    if policy == "skip":
        assert transfers.download(file, if_exists=policy).outcome == "skipped"
    else:
        with pytest.raises(ArgumentError, match="it exists"):
            transfers.download(file, if_exists=policy)

    assert file.read_bytes() == b"somebody else's"


@pytest.mark.parametrize("size", [1_000, 3 * PART])
def test_a_try_that_was_overtaken_does_not_publish_what_the_object_was_before(
    transfers: Transfers, tmp_path: Path, size: int
) -> None:
    """Of a small object nothing is in the store that could tell it."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", OLD[:size])
    gets = 1 if size < PART else 3

    def a_newer_try_publishes() -> None:
        if transfers.calls("GetObject") == gets and not file.exists():
            transfers.oss.put(BUCKET, "key", NEW[:size])
            file.write_bytes(NEW[:size])

    transfers.download(file, watch=a_newer_try_publishes)

    assert file.read_bytes() == NEW[:size]


def test_a_device_or_a_pipe_under_the_final_name_is_no_place_for_a_download(
    transfers: Transfers, tmp_path: Path
) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ArgumentError, match="not a regular file"):
        transfers.download(tmp_path / "pipe")

    assert (tmp_path / "pipe").is_fifo()


def test_permissions_that_a_file_has_not_are_given_to_it_by_a_retry_that_finds_the_bytes_there(
    transfers: Transfers, tmp_path: Path
) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    file = tmp_path / "file"
    file.write_bytes(OLD)
    file.chmod(0o644)

    transfers.download(file, file_mode="600", earlier_try=True)

    assert file.stat().st_mode & 0o777 == 0o600
    assert transfers.download(file, file_mode="600", earlier_try=True).outcome == "already there"


def test_a_long_name_is_cut_between_two_characters() -> None:
    name = part_file_name("数" * 84 + "x", "key")

    assert len(name.encode()) <= 143
    assert name.startswith(".数")


def test_a_folder_that_may_only_be_written_to_takes_a_download(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    open_file = os.open

    def refuse_folders(path: Any, flags: int, *mode: int) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_file(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse_folders)  # the tests may run as root, who may read all

    transfers.download(tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == OLD


# --- the part file ----------------------------------------------------------------------------------------------------


def test_where_no_file_can_be_locked_an_older_try_cannot_write_into_what_a_newer_one_publishes(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    transfers.oss.put(BUCKET, "key", OLD)
    file = tmp_path / "file"
    go_on, is_writing = threading.Event(), threading.Event()
    ends: list[BaseException] = []
    write = PartFile.write

    def write_slowly(part_file: PartFile, data: bytes, offset: int) -> None:
        if offset == PART and not is_writing.is_set():
            is_writing.set()
            go_on.wait(LONG)
        write(part_file, data, offset)

    def older_try() -> None:
        try:
            transfers.download(file, try_number=1, object_changed="fail")
        except OSSResumeError as error:
            ends.append(error)

    monkeypatch.setattr(PartFile, "write", write_slowly)
    thread = threading.Thread(target=older_try)
    thread.start()
    assert is_writing.wait(LONG)
    transfers.oss.put(BUCKET, "key", NEW)
    transfers.download(file, try_number=2)
    go_on.set()
    thread.join(LONG)

    assert ends
    assert file.read_bytes() == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_skipping_try_leaves_the_part_file_that_another_one_writes_to(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    file = tmp_path / "file"
    file.write_bytes(b"somebody else's")
    path = interrupted(transfers, file)

    with PartFile(path) as writing:
        assert writing.lock()
        assert transfers.download(file, if_exists="skip").outcome == "skipped"
        assert path.exists()


def test_a_part_file_that_cannot_be_opened_again_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "part"

    def lock() -> None:
        with PartFile(path) as file:
            path.unlink()
            path.symlink_to(tmp_path / "elsewhere")
            file.lock()

    with pytest.raises(LocalFileError, match="cannot be opened"):
        lock()


# --- signals ----------------------------------------------------------------------------------------------------------


def test_a_part_that_was_fetched_is_kept_though_a_signal_strikes_before_it_is_noted(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers.oss.put(BUCKET, "key", OLD)
    strike_once(monkeypatch, DownloadCheckpoint, "with_part")
    with pytest.raises(Alarm):
        transfers.download(tmp_path / "file")

    assert transfers.download(tmp_path / "file").parts_kept >= 1
    assert (tmp_path / "file").read_bytes() == OLD


def test_an_upload_that_was_begun_is_named_though_a_signal_strikes_before_it_is_noted(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike_once(monkeypatch, Checkpointer, "update")
    with pytest.raises(Alarm):
        transfers.upload(a_file(tmp_path))

    assert isinstance(transfers.store, MemoryCheckpointStore)
    [text] = transfers.store.texts.values()
    checkpoint = decode(text)
    assert isinstance(checkpoint, UploadCheckpoint)
    [upload] = transfers.client.list_uploads(BUCKET)
    assert checkpoint.upload_id == upload.upload_id


def test_a_stop_stays_a_stop_when_there_are_no_credentials_to_drop_the_upload_with(
    transfers: Transfers, tmp_path: Path
) -> None:
    credentials = Failing(StaticCredentials(transfers.oss.access_key_id, transfers.oss.access_key_secret))
    transfers.client = a_client(transfers.oss, credentials=credentials)
    states: list[str] = []

    def stop() -> None:
        if transfers.calls("UploadPart"):
            credentials.is_down = True
            raise TransferStopped("on_kill")

    with pytest.raises(TransferStopped):
        transfers.upload(
            a_file(tmp_path), watch=stop, drop_when=lambda _: True, observer=lambda now: states.append(now.state)
        )

    assert states[-1] == "failed"


# --- helpers ----------------------------------------------------------------------------------------------------------


class Failing:
    """Credentials whose source may be down."""

    def __init__(self, inner: StaticCredentials) -> None:
        self.is_down = False
        self._inner = inner

    def get(self) -> Credentials:
        if self.is_down:
            raise CredentialsUnavailable("the metadata service did not answer")
        return self._inner.get()

    def renew(self, used: Credentials) -> Credentials:
        return used


def strike_once(monkeypatch: pytest.MonkeyPatch, kind: type, method: str) -> None:
    """Let a signal strike the first call of a method."""
    usual = getattr(kind, method)

    def struck(*arguments: Any) -> None:
        monkeypatch.setattr(kind, method, usual)
        raise Alarm

    monkeypatch.setattr(kind, method, struck)


def interrupted(transfers: Transfers, file: Path) -> Path:
    """Leave a part file."""
    transfers.oss.fail("GetObject", nth=3, fault=Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(OSSResumeError):
        transfers.download(file)
    transfers.oss.clear_faults()
    [path] = file.parent.glob(".*.ossresume-part")
    return path
