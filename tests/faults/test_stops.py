"""A stop is noticed whatever the transfer waits for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import CredentialsUnavailable, TransferStopped
from airflow_provider_ossresume.model.checkpoint import Owner, checkpoint_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.temporary_credentials import RefreshingCredentials, TemporaryCredentials
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.options import DownloadOptions
from tests.world import BUCKET, PART, Transfers, a_client, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


def test_a_stop_is_noticed_while_the_checkpoint_store_is_waited_for(transfers: Transfers, tmp_path: Path) -> None:
    """A store that is down is asked four times within 14 seconds, in the thread that watches."""
    folder = tmp_path / "store"
    key = checkpoint_key("download", TARGET.uri)
    (folder / f"{key}.json").mkdir(parents=True)  # it cannot be read
    transfers.oss.put(BUCKET, "key", CONTENT)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()

    def watch() -> None:
        if stop.is_set():
            raise TransferStopped("on_kill")

    config = TransferConfig(part_size=PART)
    checkpointer = Checkpointer(FileCheckpointStore(folder), key, owner=Owner(2, "2"), interval=0)
    began = time.monotonic()
    with pytest.raises(TransferStopped):
        Downloader(
            transfers.client, TARGET, checkpointer, config=config, options=DownloadOptions(), watch=watch
        ).download(tmp_path / "file")

    assert time.monotonic() - began < 5


def test_a_stop_is_noticed_while_credentials_are_waited_for(transfers: Transfers, tmp_path: Path) -> None:
    asked, stopped = threading.Event(), threading.Event()

    class Silent:
        def fetch(self) -> TemporaryCredentials:
            asked.set()
            stopped.wait(60)
            raise CredentialsUnavailable("did not answer")

    def watch() -> None:
        if asked.is_set():
            raise TransferStopped("on_kill")

    transfers.client = a_client(transfers.oss, credentials=RefreshingCredentials(Silent()))
    try:
        with pytest.raises(TransferStopped):
            transfers.upload(a_file(tmp_path), watch=watch)
        assert not stopped.is_set()
    finally:
        stopped.set()
