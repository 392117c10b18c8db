"""A signal that ends a task while its file waits for OSS: nothing is published, and nothing goes on afterwards."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from tests.filesystem_world import a_filesystem
from tests.world import BUCKET, LONG, PART, some_bytes

PATH = f"{BUCKET}/key"


class Ended(BaseException):
    """What the handler of the signal raises, as Airflow's does."""


class SignalInRequest:
    """Sends this process a signal while a server holds the first request of an operation, and those after it."""

    def __init__(self, oss: LocalOSS, operation: str) -> None:
        self._operation = operation
        self._may_answer = threading.Event()
        self._is_sent = threading.Event()
        oss.on_request = self._hold

    def _hold(self, request: Request) -> None:
        if request.operation == self._operation:
            if not self._is_sent.is_set():
                self._is_sent.set()
                os.kill(os.getpid(), signal.SIGUSR1)
            self._may_answer.wait(LONG)

    def let_go(self) -> None:
        self._may_answer.set()


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise Ended

    gc.collect()  # Python drops an exception in a finalizer, such as the one of an earlier test's connections
    former = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, former)


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    return a_filesystem(oss)


def test_a_file_that_is_written_is_discarded(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"former")
    held = SignalInRequest(oss, "UploadPart")

    def write() -> None:
        with fs.open(PATH, "wb", block_size=PART) as file:
            for _ in range(100):
                file.write(bytes(PART))

    with pytest.raises(Ended):
        write()
    held.let_go()

    assert oss.object(BUCKET, "key") == b"former"
    assert oss.uploads(BUCKET) == []
    assert not oss.calls("CompleteMultipartUpload")


@pytest.mark.parametrize("operation", ["read", "cat_file", "cat_ranges", "get"])
def test_what_is_read_is_let_go_of(fs: OSSFileSystem, oss: LocalOSS, tmp_path: Path, operation: str) -> None:
    oss.put(BUCKET, "key", some_bytes(3 * PART))
    held = SignalInRequest(oss, "GetObject")

    def read() -> None:
        if operation == "read":
            with fs.open(PATH, "rb") as file:
                file.read()
        elif operation == "cat_file":
            fs.cat_file(PATH)
        elif operation == "cat_ranges":
            fs.cat_ranges([PATH] * 2, [0, 2 * PART], [10, 2 * PART + 10])
        else:
            fs.get_file(PATH, tmp_path / "file")

    with pytest.raises(Ended):
        read()
    held.let_go()
    oss.on_request = None

    assert os.listdir(tmp_path) == []
    assert fs.cat_file(PATH) == some_bytes(3 * PART)


def test_a_move_that_is_ended_has_deleted_nothing_that_is_not_copied(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(20):
        oss.put(BUCKET, f"d/{number}", str(number).encode())
    held = SignalInRequest(oss, "CopyObject")

    with pytest.raises(Ended):
        fs.mv(f"{BUCKET}/d", f"{BUCKET}/to", recursive=True)
    held.let_go()

    assert {key.rpartition("/")[2] for key in oss.objects(BUCKET)} == {str(number) for number in range(20)}
