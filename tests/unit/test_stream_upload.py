"""The upload of a stream: in bounded memory, in parts at once, proven, and without a trace when it fails."""

from __future__ import annotations

import io
import logging
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    ConnectionFailed,
    IntegrityError,
    ServiceError,
    TransferStopped,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import GIB, MAX_PART_COUNT, MAX_PART_SIZE, MIB, GrowingPlan
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.stream_upload import StreamUploader
from tests.world import BUCKET, PART, a_client, some_bytes

DATA = some_bytes(5 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


class Stream:
    """Gives its bytes in short pieces, and knows how far it has been read."""

    def __init__(self, data: bytes, *, piece: int = 7_001, at: dict[int, Callable[[], Any]] | None = None) -> None:
        self._file = io.BytesIO(data)
        self._piece = piece
        self._at = at or {}
        self.position = 0

    def read(self, size: int) -> bytes:
        for position in [each for each in self._at if each <= self.position]:
            self._at.pop(position)()
        data = self._file.read(min(size, self._piece))
        self.position += len(data)
        return data


def upload(oss: LocalOSS, stream: Any, *, watch: Callable[[], None] = lambda: None, **options: Any) -> TransferResult:
    config = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 2, **options.pop("config", {})}
    uploader = StreamUploader(
        a_client(oss, **options.pop("client", {})),
        TARGET,
        config=TransferConfig.of(config),
        options=UploadOptions(**options),
        watch=watch,
    )
    return uploader.upload(stream)


# --- what is read is what is there ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PART, PART + 1, 2 * PART, 2 * PART - 1, 5 * PART + 17])
def test_a_stream_goes_part_by_part(oss: LocalOSS, size: int) -> None:
    result = upload(oss, Stream(DATA[:size]))

    assert oss.object(BUCKET, "key") == DATA[:size]
    assert (result.size, result.crc64) == (size, crc64(DATA[:size]))
    assert result.parts == result.parts_sent == len(oss.calls("UploadPart")) == -(-size // PART)
    assert (oss.calls("PutObject"), oss.uploads(BUCKET)) == ([], [])


@pytest.mark.parametrize("size", [0, 1, PART - 1])
def test_little_goes_by_one_request(oss: LocalOSS, size: int) -> None:
    result = upload(oss, Stream(DATA[:size]))

    assert oss.object(BUCKET, "key") == DATA[:size]
    assert [request.operation for request in oss.requests] == ["PutObject"]
    assert (result.size, result.crc64, result.parts, result.parts_sent) == (size, crc64(DATA[:size]), 1, 1)


def test_a_stream_is_read_from_where_it_stands_and_left_open(oss: LocalOSS, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with open(tmp_path / "file", "rb") as file:
        file.seek(PART)
        upload(oss, file)
        assert not file.closed

    assert oss.object(BUCKET, "key") == DATA[PART:]


def test_parts_go_at_once_and_no_more_of_them_are_in_memory_than_that(oss: LocalOSS) -> None:
    stream = Stream(DATA)
    furthest: list[int] = []
    both_are_here = threading.Barrier(2, action=lambda: furthest.append(stream.position), timeout=30)

    def on_request(request: Any) -> None:
        if request.operation == "UploadPart" and request.part_number in (1, 2):
            both_are_here.wait()  # it breaks when the second part comes only after the first

    oss.on_request = on_request
    upload(oss, stream)

    assert oss.object(BUCKET, "key") == DATA
    assert max(furthest) <= 3 * PART  # two on their way, and one that is being read


def test_the_beginning_that_is_read_ahead_is_in_memory_once(oss: LocalOSS) -> None:
    class Zeros:
        left = 110 * PART

        def read(self, size: int) -> bytes:
            data = bytes(min(size, PART, self.left))
            self.left -= len(data)
            return data

    tracemalloc.start()
    try:
        upload(oss, Zeros(), config={"multipart_threshold": 100 * PART})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 140 * PART  # a growing buffer has an eighth in reserve


def test_headers_and_options_are_the_objects(oss: LocalOSS) -> None:
    for data in (DATA, b"little"):
        upload(oss, Stream(data), headers={"x-oss-meta-team": "sales", "x-oss-object-acl": "private"})
        assert a_client(oss).head_object(TARGET).metadata == {"team": "sales"}
        assert a_client(oss).get_object_acl(TARGET) == "private"


# --- what fails leaves nothing ----------------------------------------------------------------------------------------


def test_a_stream_that_breaks_leaves_the_former_object_and_no_parts(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"before")

    def breaks() -> None:
        raise ConnectionResetError("the stream broke")

    with pytest.raises(ConnectionResetError, match="the stream broke"):
        upload(oss, Stream(DATA, at={4 * PART: breaks}))

    assert oss.object(BUCKET, "key") == b"before"
    assert oss.uploads(BUCKET) == []


def test_a_stream_that_breaks_at_once_asks_nothing_of_oss(oss: LocalOSS) -> None:
    with pytest.raises(ZeroDivisionError):
        upload(oss, Stream(DATA, at={0: lambda: 1 / 0}))

    assert oss.requests == []


def test_a_part_that_oss_refuses_ends_the_upload_and_nothing_is_left(oss: LocalOSS) -> None:
    oss.fail("UploadPart", 3, Fault("status", status=403, code="AccessDenied"))
    stream = Stream(bytes(100 * PART))

    with pytest.raises(ServiceError, match="AccessDenied"):
        upload(oss, stream)

    assert (oss.objects(BUCKET), oss.uploads(BUCKET)) == ([], [])
    assert stream.position < 100 * PART


def test_what_the_watch_raises_ends_the_upload(oss: LocalOSS) -> None:
    def watch() -> None:
        if len(oss.calls("UploadPart")) >= 2:
            raise TransferStopped("stop")

    with pytest.raises(TransferStopped):
        upload(oss, Stream(DATA), watch=watch)

    assert (oss.objects(BUCKET), oss.uploads(BUCKET)) == ([], [])


def test_an_upload_that_is_stopped_when_its_object_is_there_is_not_said_to_be_removed(
    oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    def watch() -> None:
        if oss.objects(BUCKET):
            raise TransferStopped("stop")

    with pytest.raises(TransferStopped):
        upload(oss, Stream(DATA), watch=watch)

    assert (oss.object(BUCKET, "key"), oss.uploads(BUCKET)) == (DATA, [])
    assert f"{TARGET} may exist and be complete" in caplog.text
    assert "are removed" not in caplog.text


def test_parts_that_cannot_be_removed_are_named_in_the_log(oss: LocalOSS, caplog: pytest.LogCaptureFixture) -> None:
    denied = Fault("status", status=403, code="AccessDenied")
    oss.fail("UploadPart", 2, denied)
    oss.fail("AbortMultipartUpload", 1, denied, times=None)

    with pytest.raises(ServiceError, match="UploadPart"):
        upload(oss, Stream(DATA))

    [(_, upload_id)] = oss.uploads(BUCKET)
    assert f"The parts of upload ID {upload_id} of {TARGET} could not be removed" in caplog.text


def test_an_upload_that_may_have_begun_is_told_of(oss: LocalOSS, caplog: pytest.LogCaptureFixture) -> None:
    oss.fail("InitiateMultipartUpload", 1, Fault("answer-lost"), times=None)

    with pytest.raises(ConnectionFailed, match="InitiateMultipartUpload"):
        upload(oss, Stream(DATA))

    assert "OSS did not answer the request to start the upload" in caplog.text


# --- what is damaged --------------------------------------------------------------------------------------------------


def test_a_part_that_is_damaged_on_its_way_is_sent_again(oss: LocalOSS) -> None:
    oss.fail("UploadPart", 2, Fault("flip", after_bytes=5))

    result = upload(oss, Stream(DATA))

    assert oss.object(BUCKET, "key") == DATA
    assert result.retries == 1


def test_an_object_with_another_crc_is_an_error(oss: LocalOSS) -> None:
    oss.fail("CompleteMultipartUpload", 1, Fault("wrong-crc"))

    with pytest.raises(IntegrityError, match="do not use the object"):
        upload(oss, Stream(DATA))


# --- what is there already --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [DATA, b"little"])
def test_an_object_that_exists_is_not_overwritten(oss: LocalOSS, data: bytes) -> None:
    oss.put(BUCKET, "key", b"before")

    with pytest.raises(AlreadyExists):
        upload(oss, Stream(data), if_exists="fail")

    assert oss.object(BUCKET, "key") == b"before"
    assert oss.uploads(BUCKET) == []


@pytest.mark.parametrize(("data", "operation"), [(b"little", "PutObject"), (DATA, "CompleteMultipartUpload")])
def test_an_object_that_is_made_by_an_attempt_whose_answer_was_lost_is_ours(
    oss: LocalOSS, data: bytes, operation: str
) -> None:
    oss.fail(operation, 1, Fault("answer-lost"))

    result = upload(oss, Stream(data), if_exists="fail")

    assert oss.object(BUCKET, "key") == data
    assert result.crc64 == crc64(data)


def test_an_object_that_holds_the_streams_bytes_already_is_a_success_and_nothing_is_sent(
    oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upload(oss, Stream(DATA), if_exists="fail")
    sent = len(oss.calls("UploadPart"))

    result = upload(oss, Stream(DATA), if_exists="fail")

    assert len(oss.calls("UploadPart")) == sent
    assert (result.size, result.crc64, result.parts, result.parts_kept) == (len(DATA), crc64(DATA), 6, 6)
    assert f"{TARGET} exists. Reading the stream to compare its CRC-64 with the object's" in caplog.text


def test_a_stream_is_read_no_further_than_an_object_that_exists_is_long(oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", DATA[: PART + 1])
    stream = Stream(DATA)

    with pytest.raises(AlreadyExists):
        upload(oss, stream, if_exists="fail")

    assert stream.position <= 2 * PART


def test_an_object_with_the_streams_bytes_and_other_headers_is_not_taken_for_it(oss: LocalOSS) -> None:
    upload(oss, Stream(DATA))

    with pytest.raises(AlreadyExists):
        upload(oss, Stream(DATA), if_exists="fail", headers={"x-oss-meta-team": "sales"})


# --- what is no stream of bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [io.StringIO("text"), type("Idle", (), {"read": lambda self, size: None})()])
def test_a_stream_that_gives_no_bytes_is_refused(oss: LocalOSS, stream: Any) -> None:
    with pytest.raises(ArgumentError, match="a file opened with 'rb'"):
        upload(oss, stream)

    assert oss.requests == []


def test_a_stream_that_gives_more_than_it_was_asked_for_is_refused(oss: LocalOSS) -> None:
    class TooMuch:
        def read(self, size: int) -> bytes:
            return bytes(size + 1)

    with pytest.raises(ArgumentError, match="more bytes than requested"):
        upload(oss, TooMuch())


# --- how it is cut ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PART, 1000 * PART, 1000 * PART + 1, 3005 * PART + 7, 10 * GIB])
def test_parts_that_grow_tile_the_object(size: int) -> None:
    plan = GrowingPlan(size, PART)
    parts = list(plan)

    assert [part.start for part in parts] == [0, *(part.stop for part in parts)][: len(parts)]
    assert (parts[-1].stop if parts else 0) == size
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(part.size == plan.size_of(part.number) for part in parts[:-1])


def test_ten_thousand_parts_hold_55_000_times_the_first_one() -> None:
    assert GrowingPlan(0, 8 * MIB).most == 55_000 * 8 * MIB
    assert len(GrowingPlan(55_000 * 8 * MIB, 8 * MIB)) == MAX_PART_COUNT
    assert GrowingPlan(0, GIB).size_of(9_001) == MAX_PART_SIZE


def test_a_stream_of_more_than_ten_thousand_parts_is_refused_at_their_end(
    oss: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.transfer.written_object.MAX_PART_COUNT", 3)

    with pytest.raises(ArgumentError, match="raise part_size"):
        upload(oss, Stream(DATA))

    assert (oss.objects(BUCKET), oss.uploads(BUCKET)) == ([], [])


def test_the_log_tells_how_much_has_been_sent(oss: LocalOSS, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    upload(oss, Stream(DATA), config={"progress_interval": 0.000001})

    assert f"Uploading a stream to {TARGET} in parts of 100.0 KiB, 2 at once at most" in caplog.text
    assert f"Uploading a stream to {TARGET}: " in caplog.text
    assert "Transferred: 500.0 KiB" in caplog.text
