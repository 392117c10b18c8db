"""The small world that the engine's tests build: files, a client for the local OSS server, and tries."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner, checkpoint_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.lease import CheckpointStore
from airflow_provider_ossresume.transfer.options import CopyTransferOptions, DownloadOptions, UploadOptions
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.upload import Uploader

PART = 100 * 1024  # the smallest part that OSS takes
BUCKET = "bucket"
LONG = 30.0  # seconds; only a test that fails waits for them


def some_bytes(size: int, *, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def a_file(folder: Path, *, size: int = 5 * PART, seed: int = 1, name: str = "source.bin") -> Path:
    path = folder / name
    path.write_bytes(some_bytes(size, seed=seed))
    return path


def touch(path: Path) -> None:
    """Same bytes, another mtime."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def a_client(oss: LocalOSS | Any, *, kind: type[OssClient] = OssClient, **options: Any) -> OssClient:
    """A client whose retries wait for nothing."""
    settings: dict[str, Any] = {
        "region": oss.region,
        "retry": RetryPolicy(attempts=4, total=60, sleep=lambda _: None),
        "connect_timeout": 5,
        "read_timeout": 5,
        **options,
    }
    credentials = StaticCredentials(oss.access_key_id, oss.access_key_secret, oss.security_token)
    return kind(parse_endpoint(oss.endpoint), settings.pop("credentials", credentials), **settings)


class BytesBody:
    """A part's body without a CRC-64, as of somebody else's client."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def open(self) -> list[bytes]:
        return [self._data]

    def content_md5(self) -> None:
        return None

    def crc64(self) -> None:
        return None


class Transfers:
    """Runs tries against one server, with one checkpoint store; each try is a new owner, as in Airflow."""

    def __init__(self, oss: LocalOSS, *, store: CheckpointStore | None = None, **config: Any) -> None:
        self.oss = oss
        self.store = store or MemoryCheckpointStore()
        self.client = a_client(oss)
        self._config = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, **config}
        self._tries = itertools.count(1)

    def upload(self, file: Path, key: str = "key", **options: Any) -> TransferResult:
        tools = self._tools("upload", key, options)
        return Uploader(self.client, options=UploadOptions(**options), **tools).upload(file)

    def download(self, file: Path, key: str = "key", **options: Any) -> TransferResult:
        tools = self._tools("download", key, options)
        return Downloader(self.client, options=DownloadOptions(**options), **tools).download(file)

    def copy(self, source: str, key: str = "copy", **options: Any) -> TransferResult:
        reader = options.pop("reader", None)
        version_id = options.pop("version_id", None)
        tools = self._tools("copy", key, options)
        copier = Copier(self.client, options=CopyTransferOptions(**options), **tools)
        return copier.copy(ObjectRef(BUCKET, source, version_id=version_id), oss=reader)

    def _tools(self, direction: str, key: str, options: dict[str, Any]) -> dict[str, Any]:
        number = options.pop("try_number", None) or next(self._tries)
        config = TransferConfig.of({**self._config, **options.pop("config", {})})
        target = ObjectRef(BUCKET, key)
        return {
            "target": target,
            "config": config,
            "checkpointer": Checkpointer(
                self.store,
                checkpoint_key(direction, target.uri),
                owner=Owner(number, f"try-{number}"),
                interval=config.checkpoint_interval,
                sleep=lambda _: None,
            ),
            "watch": options.pop("watch", lambda: None),
            "drop_when": options.pop("drop_when", lambda error: False),
            "progress_callback": options.pop("progress_callback", None),
            "observer": options.pop("observer", None),
        }

    def calls(self, operation: str) -> int:
        return len(self.oss.calls(operation))

    def part_numbers(self, operation: str = "UploadPart") -> list[int]:
        """The parts that were sent, in order, repetitions included."""
        return [request.part_number for request in self.oss.calls(operation) if request.part_number]


def counting(calls: Mapping[str, Callable[[], int]]) -> dict[str, int]:
    return {name: call() for name, call in calls.items()}


class StopInRequest:
    """Stops a transfer while a server holds the nth request and all later ones."""

    def __init__(self, oss: LocalOSS, *, nth: int = 1) -> None:
        self._left = itertools.count(nth - 1, -1)
        self._is_asked, self._may_answer = threading.Event(), threading.Event()
        self._others = set(threading.enumerate())  # such as those that tests of a triggerer leave waiting
        oss.on_request = self._hold

    def _hold(self, request: Request) -> None:
        if next(self._left) <= 0:
            self._is_asked.set()
            self._may_answer.wait(LONG)

    def watch(self) -> None:
        """For the transfer."""
        if self._is_asked.is_set():
            raise TransferStopped("the transfer was stopped")

    def let_go(self) -> None:
        """Let the server answer. No worker is left that could hear it."""
        left = [thread.name for thread in set(threading.enumerate()) - self._others]
        self._may_answer.set()
        assert not [name for name in left if name.startswith("ossresume-")]


class Clock:
    """OSS's clock, set by hand; requests pass while it is within a quarter of an hour of the client's."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
