"""Tries of one task that overlap: the newer one has the transfer, the older one bows out."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import TransferStopped, TrySuperseded
from airflow_provider_ossresume.local_oss import Fault, Request
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, checkpoint_key, decode, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.options import DownloadOptions
from tests.world import BUCKET, LONG, PART, Transfers, a_client, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")
MIDDLE_PARTS = [f"bytes={number * PART}-{(number + 1) * PART - 1}" for number in (1, 2, 3)]
LAST_PART = f"bytes={4 * PART}-{4 * PART + 16}"


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
    stalled, has_saved = threading.Event(), threading.Event()
    transfers.oss.fail("GetObject", nth=3, fault=Fault("stall", after_bytes=1000))
    transfers.oss.on_request = lambda request: stalled.set() if len(transfers.oss.calls("GetObject")) == 2 else None
    older_ended: list[BaseException] = []

    def watch() -> None:  # a newer try that finds no checkpoint has none to take over: see BlindAtFirst
        if transfers.store.texts:
            has_saved.set()

    def older() -> None:
        try:
            a_try(transfers, number=1, clock=lambda: 50 * time.monotonic(), watch=watch).download(file)
        except BaseException as error:
            older_ended.append(error)

    thread = threading.Thread(target=older)
    thread.start()
    assert stalled.wait(60)
    assert has_saved.wait(60)

    a_try(transfers, number=2).download(file)

    thread.join(10)
    assert file.read_bytes() == CONTENT
    assert [type(error) for error in older_ended] == [TrySuperseded]


class Meeting:
    """An older try that a server holds in its last part, until the newer one waits for the part file."""

    def __init__(self, transfers: Transfers, file: Path) -> None:
        self._held, self._let_go, self._stop = threading.Event(), threading.Event(), threading.Event()
        transfers.oss.put(BUCKET, "key", CONTENT)
        transfers.oss.on_request = self._hold
        self._thread = threading.Thread(target=self._older, args=(a_try(transfers, number=1, watch=self._watch), file))
        self._thread.start()
        assert self._held.wait(LONG)

    def _older(self, downloader: Downloader, file: Path) -> None:
        with suppress(TransferStopped):
            downloader.download(file)

    def _hold(self, request: Request) -> None:
        if request.range == LAST_PART:
            self._held.set()
            self._let_go.wait(LONG)

    def _watch(self) -> None:
        if self._stop.is_set():
            raise TransferStopped("the older try is stopped")

    def finish(self) -> None:
        """Let the older one fetch its last part, and wait for its end."""
        self._let_go.set()
        self._thread.join(LONG)

    def stop(self) -> None:
        self._stop.set()
        self.finish()


class BeforeSave(MemoryCheckpointStore):
    """Does something once, before its first save."""

    def __init__(self, texts: dict[str, str], do: Callable[[], None]) -> None:
        self.texts = texts
        self._do = [do]

    def save(self, key: str, text: str) -> None:
        while self._do:
            self._do.pop()()
        super().save(key, text)


class BlindAtFirst(MemoryCheckpointStore):
    """Has nothing when it is asked first, as the older try has not saved yet."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self._looks = itertools.count()

    def load(self, key: str) -> str | None:
        return super().load(key) if next(self._looks) else None


def test_nothing_is_fetched_again_when_the_older_try_finishes_before_the_newer_one_has_said_that_it_waits(
    transfers: Transfers, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    meeting = Meeting(transfers, file)

    result = a_try(transfers, number=2, store=BeforeSave(transfers.store.texts, meeting.finish)).download(file)

    assert (result.outcome, result.parts_sent) == ("already there", 0)
    assert_fetched_once(transfers, file)


@pytest.mark.parametrize("end", ["finish", "stop"])
def test_nothing_is_fetched_again_when_the_newer_try_began_before_the_older_one_had_saved(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    file = tmp_path / "file"
    meeting = Meeting(transfers, file)

    def watch() -> None:
        if "is being written by another process" in caplog.text:
            getattr(meeting, end)()

    result = a_try(transfers, number=2, store=BlindAtFirst(transfers.store.texts), watch=watch).download(file)

    assert result.outcome == ("already there" if end == "finish" else "transferred")
    assert_fetched_once(transfers, file)


def assert_fetched_once(transfers: Transfers, file: Path) -> None:
    assert file.read_bytes() == CONTENT
    assert os.listdir(file.parent) == [file.name]
    assert not transfers.store.texts
    behind_the_first = [request.range for request in transfers.oss.calls("GetObject") if request.range in MIDDLE_PARTS]
    assert behind_the_first == MIDDLE_PARTS


def a_try(
    transfers: Transfers,
    *,
    number: int,
    clock: object = time.monotonic,
    store: MemoryCheckpointStore | None = None,
    watch: Callable[[], None] = lambda: None,
) -> Downloader:
    config = TransferConfig(part_size=PART, multipart_threshold=PART, max_concurrency=1, checkpoint_interval=0)
    checkpointer = Checkpointer(
        store or transfers.store,
        checkpoint_key("download", TARGET.uri),
        owner=Owner(number, f"try-{number}"),
        interval=config.checkpoint_interval,
        clock=clock,  # type: ignore[arg-type]
    )
    client = a_client(transfers.oss, read_timeout=20)
    return Downloader(client, TARGET, checkpointer, config=config, options=DownloadOptions(), watch=watch)
