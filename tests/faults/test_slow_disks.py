"""A disk that does not come to an end with a flush: who stops the task does not wait for it."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints import file
from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import StoreUnavailable, TransferStopped
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint
from airflow_provider_ossresume.transfer import part_file
from tests.end_to_end.processes import wait_until
from tests.faults.kills import CONTENT, PARTS, Place
from tests.faults.nursery import DEADLINE, Child, Nursery
from tests.faults.odd_mount import serving
from tests.world import Transfers

KEY = "0123456789" * 4


@pytest.mark.parametrize("on_sigterm", ["stop", "raise"])
def test_sigterm_ends_a_download_while_the_disk_hangs_in_its_flush_and_keeps_all_parts(
    oss: LocalOSS, tmp_path: Path, nursery: Nursery, on_sigterm: str
) -> None:
    place = Place(tmp_path, oss, nursery, "download")
    with serving(tmp_path / "odd", hangs=True) as (mount, server):
        child = place.start(file=str(mount / "file"), on_sigterm=on_sigterm)
        wait_for_a_flush(server)

        child.kill(signal.SIGTERM)

        assert ended(child) == {"stop": "TransferStopped", "raise": "Terminated"}[on_sigterm]
        [checkpoint] = place.checkpoints()
        assert isinstance(checkpoint, DownloadCheckpoint)
        assert [(run.first, run.last) for run in checkpoint.runs] == [(1, PARTS)]
        assert not (tmp_path / "odd" / "backing" / "file").exists()
        server.kill()  # else the process would not go away before the flush is answered
        child.wait()


def test_sigterm_ends_an_upload_whose_checkpoint_lies_on_a_disk_that_hangs(
    oss: LocalOSS, tmp_path: Path, nursery: Nursery
) -> None:
    place = Place(tmp_path, oss, nursery, "upload")
    with serving(tmp_path / "odd", hangs=True) as (mount, server):
        child = place.start(store=str(mount), on_sigterm="raise")
        wait_for_a_flush(server)

        child.kill(signal.SIGTERM)

        assert ended(child) == "Terminated"
        server.kill()
        child.wait()


def test_an_upload_whose_store_hangs_is_done_all_the_same(oss: LocalOSS, tmp_path: Path, nursery: Nursery) -> None:
    place = Place(tmp_path, oss, nursery, "upload")
    with serving(tmp_path / "odd", hangs=True) as (mount, server):
        child = place.start(store=str(mount))

        wait_until(lambda: child.outcome, timeout=DEADLINE, what="the end of the upload")

        assert child.outcome["outcome"] == "transferred"
        assert oss.object("bucket", "key") == CONTENT
        server.kill()
        child.wait()


def test_a_store_on_a_disk_that_hangs_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "odd", hangs=True) as (mount, _):
        store = FileCheckpointStore(mount)

        with pytest.raises(StoreUnavailable, match="did not answer within 2 s"):
            store.save(KEY, "text")

        with pytest.raises(
            StoreUnavailable, match="has not finished"
        ):  # or an older save would land behind a newer one
            store.save(KEY, "newer")


def wait_for_a_flush(server: subprocess.Popen[str]) -> None:
    assert server.stdout
    assert server.stdout.readline().strip() == "fsync"


def ended(child: Child) -> str:
    """Return the error that the transfer has ended with, though its process may hang in the flush."""
    told = wait_until(lambda: child.outcome, timeout=DEADLINE, what="the end of the transfer")
    return str(told["error"])


def test_a_delete_that_was_given_up_leaves_the_checkpoint_of_a_later_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, goes_on, has_begun = FileCheckpointStore(tmp_path), threading.Event(), threading.Event()
    path_of = FileCheckpointStore._path

    def slow(self: FileCheckpointStore, key: str) -> Path:
        if threading.current_thread() is not threading.main_thread():
            has_begun.set()
            goes_on.wait()
        return path_of(self, key)

    store.save(KEY, "older")
    monkeypatch.setattr(file, "SAVE_TIME", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(FileCheckpointStore, "_path", slow)
        with pytest.raises(StoreUnavailable):
            store.delete(KEY)
    assert has_begun.is_set()
    (tmp_path / f"{KEY}.json").write_text("newer")  # another process's

    goes_on.set()
    monkeypatch.setattr(file, "SAVE_TIME", 30.0)

    assert store.load(KEY) == "newer"


def test_a_lock_that_comes_when_the_transfer_has_ended_touches_nothing(
    oss: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oss.put("bucket", "key", CONTENT)
    transfers, goes_on, has_asked = Transfers(oss), threading.Event(), threading.Event()
    workers: list[threading.Thread] = []

    class SlowLocks:
        LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

        def flock(self, number: int, how: int) -> None:
            workers.append(threading.current_thread())
            has_asked.set()
            goes_on.wait()
            raise OSError(errno.ENOLCK, "no locks")

    def watch() -> None:
        if has_asked.is_set():
            raise TransferStopped("the transfer was stopped")

    monkeypatch.setattr(part_file, "fcntl", SlowLocks())
    with pytest.raises(TransferStopped):
        transfers.download(tmp_path / "file", watch=watch)
    left = sorted(tmp_path.iterdir())

    goes_on.set()
    for worker in workers:
        worker.join(DEADLINE)

    assert sorted(tmp_path.iterdir()) == left
