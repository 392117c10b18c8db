"""Tries of one task that overlap: the newer one has the transfer, the older one bows out."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import (
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, checkpoint_key, decode, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.download import Downloader, DownloadOptions
from tests.world import BUCKET, PART, Transfers, a_client, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


def test_a_superseded_try_aborts_an_upload_that_no_checkpoint_names(transfers: Transfers, tmp_path: Path) -> None:
    """Two tries begin at once: both initiate, one checkpoint wins, and the other's upload ID is left for ever."""
    source = a_file(tmp_path)

    def another_try_begins(request: object) -> None:
        if getattr(request, "operation", None) == "UploadPart":
            transfers.oss.on_request = None
            theirs = a_client(transfers.oss).initiate(TARGET)
            [(key, text)] = transfers.store.texts.items()
            ours = decode(text)
            assert isinstance(ours, UploadCheckpoint)
            newer = UploadCheckpoint(**{**vars(ours), "upload_id": theirs, "owner": Owner(7, "the other")})
            transfers.store.texts[key] = encode(newer)

    transfers.oss.on_request = another_try_begins

    with pytest.raises(TrySuperseded, match="the other"):
        transfers.upload(source)

    [text] = transfers.store.texts.values()
    assert transfers.oss.uploads(BUCKET) == [("key", decode(text).upload_id)]


def test_a_newer_try_takes_a_download_over_from_an_older_one_that_is_still_at_it(
    transfers: Transfers, tmp_path: Path
) -> None:
    """The newer try waits for the part file's lock without a word in the checkpoint, so the older never lets go."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", CONTENT)
    stalled = threading.Event()
    transfers.oss.fail("GetObject", nth=3, fault=Fault("stall", after_bytes=1000))
    transfers.oss.on_request = lambda request: stalled.set() if len(transfers.oss.calls("GetObject")) == 2 else None
    older_ended: list[BaseException] = []

    def older() -> None:
        try:
            a_try(transfers, number=1, clock=lambda: 50 * time.monotonic()).download(file)
        except BaseException as error:
            older_ended.append(error)

    thread = threading.Thread(target=older)
    thread.start()
    assert stalled.wait(10)

    a_try(transfers, number=2).download(file)

    thread.join(10)
    assert file.read_bytes() == CONTENT
    assert [type(error) for error in older_ended] == [TrySuperseded]


def a_try(transfers: Transfers, *, number: int, clock: object = time.monotonic) -> Downloader:
    config = TransferConfig(part_size=PART, multipart_threshold=PART, max_concurrency=1, checkpoint_interval=0)
    checkpointer = Checkpointer(
        transfers.store,
        checkpoint_key("download", TARGET.uri),
        owner=Owner(number, f"try-{number}"),
        interval=config.checkpoint_interval,
        clock=clock,  # type: ignore[arg-type]
    )
    client = a_client(transfers.oss, read_timeout=20)
    return Downloader(client, TARGET, checkpointer, config=config, options=DownloadOptions())
