"""Defects that the fault tests found, each as the behaviour that was missing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import (
    ArgumentError,
    ConnectionFailed,
    LocalFileError,
    OSSResumeError,
    SourceChanged,
    TransferStopped,
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, checkpoint_key, decode, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.download import Downloader, DownloadOptions
from airflow_provider_ossresume.transfer.local import PIECE_SIZE
from tests.world import BUCKET, PART, Transfers, a_client, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


# 1 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wrong-crc", "no-crc"])
def test_the_whole_is_compared_with_what_oss_says_now_not_with_what_an_earlier_answer_said(
    transfers: Transfers, tmp_path: Path, kind: str
) -> None:
    """A CRC-64 that was wrong in one HEAD stands in the checkpoint, and no later try can ever succeed."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail("HeadObject", fault=Fault(kind))
    transfers.oss.fail_after("GetObject", 2, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(OSSResumeError):
        transfers.download(file)
    transfers.oss.clear_faults()
    transfers.oss.clear_requests()
    if kind == "no-crc":  # and one that was absent leaves every later try unproven
        transfers.oss.fail("GetObject", fault=Fault("flip", after_bytes=5))

    transfers.download(file)

    assert file.read_bytes() == CONTENT


# 2 -------------------------------------------------------------------------------------------------------------------


def test_workers_whose_requests_were_all_signed_with_the_old_clock_all_try_again(tmp_path: Path) -> None:
    """Only the first to notice is tried again; the others find the clock mended and give up."""
    ahead = 0.0
    with LocalOSS(buckets=(BUCKET,), clock=lambda: time.time() + ahead) as oss:
        transfers = Transfers(oss, max_concurrency=4)
        source = a_file(tmp_path, size=8 * PART)
        all_signed = threading.Barrier(4)

        def jump_when_all_are_signed(request: object) -> None:
            nonlocal ahead
            if getattr(request, "operation", None) == "UploadPart" and not ahead:
                all_signed.wait(10)
                ahead = 3600.0

        oss.on_request = jump_when_all_are_signed

        transfers.upload(source)

        assert oss.object(BUCKET, "key") == source.read_bytes()


# 3 -------------------------------------------------------------------------------------------------------------------


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


# 4 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "/".join(["d" * 250] * 17)])
def test_a_target_name_that_the_file_system_does_not_take_is_refused_before_any_byte(
    transfers: Transfers, tmp_path: Path, name: str
) -> None:
    transfers.oss.put(BUCKET, "key", CONTENT)

    with pytest.raises(ArgumentError, match="file="):
        transfers.download(tmp_path / name)

    assert transfers.oss.requests == []


# 5 -------------------------------------------------------------------------------------------------------------------


class ShortAnswers(BaseHTTPRequestHandler):
    """A server, or a proxy before one, whose ranged answers hold less than their Content-Range says."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._head(200, len(CONTENT))

    def do_GET(self) -> None:
        start, stop = (int(number) for number in self.headers["Range"].removeprefix("bytes=").split("-"))
        body = CONTENT[start : stop + 1][: PART // 2]
        self._head(206, len(body), f"bytes {start}-{stop}/{len(CONTENT)}")
        self.wfile.write(body)

    def _head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("ETag", '"ABC"')
        self.send_header("Content-Length", str(length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def short_answers() -> Iterator[OssClient]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ShortAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield OssClient(
            parse_endpoint(f"http://127.0.0.1:{server.server_port}"),
            StaticCredentials("id", "secret"),
            region="cn-hangzhou",
            retry=RetryPolicy(attempts=2, sleep=lambda _: None),
        )
        server.shutdown()


def test_an_answer_that_is_shorter_than_its_range_is_no_finished_part(transfers: Transfers, tmp_path: Path) -> None:
    """The object has no CRC-64 to tell, and the file is published with holes of zeros."""
    with short_answers() as transfers.client, pytest.raises(ConnectionFailed):
        transfers.download(tmp_path / "file")

    assert not (tmp_path / "file").exists()


# 6 -------------------------------------------------------------------------------------------------------------------


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


# 7 -------------------------------------------------------------------------------------------------------------------


def test_an_xml_answer_that_trickles_is_given_up_within_the_stall_timeout(oss: LocalOSS) -> None:
    """Only the bodies of GetObject are watched; a peer that sends a byte now and then holds a worker for ever."""
    oss.put(BUCKET, "key", CONTENT)
    client = a_client(oss, retry=RetryPolicy(attempts=1), read_timeout=0.5, stall_timeout=0.5, connect_timeout=5)
    oss.fail("GetBucketInfo", fault=Fault("bandwidth", bytes_per_second=100))
    began = time.monotonic()

    with pytest.raises(ConnectionFailed, match="stalled"):
        client.get_bucket_info(BUCKET)

    assert time.monotonic() - began < 3


# 8 -------------------------------------------------------------------------------------------------------------------


def test_a_folder_in_the_part_files_place_does_not_end_a_download_that_has_nothing_to_do(
    transfers: Transfers, tmp_path: Path
) -> None:
    file = tmp_path / "target" / "file"
    file.parent.mkdir()
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail_after("GetObject", 2, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(OSSResumeError):
        transfers.download(file)
    transfers.oss.clear_faults()
    [part_file] = file.parent.iterdir()
    part_file.unlink()
    part_file.mkdir()
    file.write_bytes(CONTENT)

    assert transfers.download(file, if_exists="skip_if_same").outcome == "skipped"


# 9 -------------------------------------------------------------------------------------------------------------------


def test_a_small_source_that_changes_under_way_never_becomes_an_object_of_mixed_bytes(
    transfers: Transfers, tmp_path: Path
) -> None:
    """The change is noticed when the last byte is on its way already, so OSS stores old and new bytes in one object."""
    source = a_file(tmp_path, size=2 * PIECE_SIZE, seed=1)
    transfers.oss.put(BUCKET, "key", b"what was there")

    def change_the_second_half(request: object) -> None:
        transfers.oss.on_request = None
        time.sleep(0.1)  # the first piece is on its way, the second is read 0.25 s after it
        with source.open("r+b") as file:
            file.seek(PIECE_SIZE)
            file.write(some_bytes(PIECE_SIZE, seed=2))

    transfers.oss.on_request = change_the_second_half

    with pytest.raises(SourceChanged):
        transfers.upload(
            source,
            source_changed="fail",
            config={"multipart_threshold": 2**20, "max_bandwidth": 4 * PIECE_SIZE},
        )

    transfers.oss.stop()  # whatever was received is stored by then
    assert transfers.oss.object(BUCKET, "key") == b"what was there"


# 10 ------------------------------------------------------------------------------------------------------------------


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


# 11 ------------------------------------------------------------------------------------------------------------------


def test_a_call_after_one_that_died_between_the_rename_and_the_end_fetches_nothing(
    transfers: Transfers, tmp_path: Path
) -> None:
    """Its checkpoint proves that there was an earlier try; outside Airflow nobody says so."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", CONTENT)
    checkpoints: dict[str, str] = {}
    transfers.download(file, watch=lambda: checkpoints.update(transfers.store.texts))
    transfers.store.texts.update(checkpoints)
    transfers.oss.clear_requests()

    result = transfers.download(file)

    assert (result.outcome, transfers.calls("GetObject")) == ("already there", 0)
    assert not transfers.store.texts


# 12 ------------------------------------------------------------------------------------------------------------------


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
