"""What a child of the nursery does: one transfer, with a file store, which may kill its own process at a step."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.model.checkpoint import checkpoint_key
from airflow_provider_ossresume.model.copy_options import copied_properties
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.lease import this_process
from airflow_provider_ossresume.transfer.options import CopyTransferOptions, DownloadOptions, UploadOptions
from airflow_provider_ossresume.transfer.upload import Uploader
from tests.world import BUCKET, PART


@dataclass(frozen=True)
class Job:
    """A transfer of the object ``key``; a copy is one of ``source``.

    :ivar die_at: the step at which the process kills itself, as ``before save 1`` or ``first failure``
    :ivar on_sigterm: ``stop`` asks the watch to stop, as on_kill does; ``raise`` raises in the handler, as Airflow does
    :ivar store_key: makes the checkpoint's key another one
    :ivar file_size_limit: bytes up to which the process may write a file, when there shall be such a limit
    :ivar user: the uid to work as, when it shall not be our own
    """

    direction: str
    endpoint: str
    access_key_id: str
    access_key_secret: str
    region: str
    file: str
    store: str
    outcome_folder: str
    key: str = "key"
    die_at: str = ""
    on_sigterm: str = ""
    store_key: str = ""
    workers: int = 1
    read_timeout: float = 20.0
    file_size_limit: int = 0
    user: int = 0


class Terminated(BaseException):
    """What Airflow's own handler of SIGTERM raises."""


def run(facts: dict[str, Any]) -> int:
    """Do the job that the facts describe, write down how it ended, and return the exit status."""
    job = Job(**{name: facts[name] for name in facts if name in {field.name for field in fields(Job)}})
    try:
        result = _transfer(job)
        told = {"outcome": result.outcome, "moved": result.parts_sent, "kept": result.parts_kept}
    except BaseException as error:
        told = {"error": type(error).__name__, "text": str(error)}
    if job.user:
        os.setresuid(0, 0, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    path = Path(job.outcome_folder, f"{os.getpid()}.json")
    path.with_suffix(".new").write_text(json.dumps(told))
    path.with_suffix(".new").rename(path)
    return 0


def _transfer(job: Job) -> Any:
    if job.file_size_limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_size_limit, resource.RLIM_INFINITY))
    if job.user:
        os.setresuid(job.user, job.user, 0)
    step = Steps(job.die_at)
    stop: list[int] = []

    def watch() -> None:
        if stop:
            raise TransferStopped("SIGTERM")

    def on_sigterm(*_: object) -> None:
        if job.on_sigterm == "raise":
            raise Terminated
        stop.append(1)

    if job.on_sigterm:
        signal.signal(signal.SIGTERM, on_sigterm)
    config = TransferConfig(
        part_size=PART, multipart_threshold=PART, max_concurrency=job.workers, checkpoint_interval=0
    )
    target = ObjectRef(BUCKET, job.key)
    store = DyingStore(Path(job.store), step)
    tools: dict[str, Any] = {
        "config": config,
        "watch": watch,
        "checkpointer": Checkpointer(
            store,
            checkpoint_key(job.direction, target.uri, job.file, job.store_key),
            owner=this_process(),
            interval=config.checkpoint_interval,
            # A busy disk puts off the saves, perhaps for longer than the transfer lasts: time stands still where
            # one of them is waited for.
            clock=(lambda: 0.0) if " save " in job.die_at else time.monotonic,
        ),
    }
    client = _client(job, step)
    if job.direction == "upload":
        return Uploader(client, target, options=UploadOptions(), **tools).upload(job.file)
    if job.direction == "copy":
        # Into another storage class, for which OSS takes parts.
        options = CopyTransferOptions(copied_properties(job.key, {"storage_class": "IA"}), threshold=0)
        return Copier(client, target, options=options, **tools).copy(ObjectRef(BUCKET, "source"))
    step.watch_renames(Path(job.file))
    return Downloader(client, target, options=DownloadOptions(), **tools).download(job.file)


def _client(job: Job, step: Steps) -> OssClient:
    def on_failure(seconds: float) -> None:
        step("first failure")

    return OssClient(
        parse_endpoint(job.endpoint),
        StaticCredentials(job.access_key_id, job.access_key_secret),
        region=job.region,
        retry=RetryPolicy(attempts=4, sleep=on_failure),
        read_timeout=job.read_timeout,
    )


class Steps:
    """Kills this process when it comes to a step; steps of one name are counted from 1."""

    def __init__(self, die_at: str) -> None:
        self._die_at = die_at
        self._counts: dict[str, int] = {}

    def __call__(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._die_at in (name, f"{name} {self._counts[name]}"):
            die()

    def watch_renames(self, final: Path) -> None:
        """Come to the steps before and after the rename of a download."""
        renamed = False

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal renamed
            if event == "os.rename" and str(arguments[1]) == str(final):
                self("before rename")
                renamed = True
            elif event == "open" and renamed and str(arguments[0]) == str(final.parent):
                self("after rename")

        sys.addaudithook(hook)


class DyingStore(FileCheckpointStore):
    """A file store that comes to a step before and after each save and delete."""

    def __init__(self, folder: Path, step: Steps) -> None:
        super().__init__(folder)
        self._step = step

    def save(self, key: str, text: str) -> None:
        self._step("before save")
        super().save(key, text)
        self._step("after save")

    def delete(self, key: str) -> None:
        self._step("before delete")
        super().delete(key)
        self._step("after delete")


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive after SIGKILL")
