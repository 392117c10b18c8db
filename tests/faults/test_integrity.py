"""Damage on the way, and a source that changes: wrong bytes never become an object or a file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import (
    ConnectionFailed,
    OSSResumeError,
    SourceChanged,
)
from airflow_provider_ossresume.local_oss import Fault
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.transfer.rate_limit import MIN_PIECE_SIZE
from tests.world import BUCKET, PART, Transfers, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


@pytest.mark.parametrize("kind", ["wrong-crc", "no-crc"])
def test_the_whole_is_compared_with_what_oss_says_now_not_with_what_an_earlier_answer_said(
    transfers: Transfers, tmp_path: Path, kind: str
) -> None:
    """A CRC-64 that was wrong in one answer stands in the checkpoint, and no later try can ever succeed."""
    file = tmp_path / "file"
    transfers.oss.put(BUCKET, "key", CONTENT)
    transfers.oss.fail("GetObject", fault=Fault(kind))
    transfers.oss.fail_after("GetObject", 2, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(OSSResumeError):
        transfers.download(file)
    transfers.oss.clear_faults()
    transfers.oss.clear_requests()
    if kind == "no-crc":  # and one that was absent leaves every later try unproven
        transfers.oss.fail("GetObject", fault=Fault("flip", after_bytes=5))

    transfers.download(file)

    assert file.read_bytes() == CONTENT


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


def test_a_small_source_that_changes_under_way_never_becomes_an_object_of_mixed_bytes(
    transfers: Transfers, tmp_path: Path
) -> None:
    """The change is noticed when the last byte is on its way already, so OSS stores old and new bytes in one object."""
    source = a_file(tmp_path, size=2 * MIN_PIECE_SIZE, seed=1)
    transfers.oss.put(BUCKET, "key", b"what was there")

    def change_the_second_half(done: int, total: int) -> None:
        if done == MIN_PIECE_SIZE:  # the first piece is on its way, the second waits for its share of the bandwidth
            with source.open("r+b") as file:
                file.seek(MIN_PIECE_SIZE)
                file.write(some_bytes(MIN_PIECE_SIZE, seed=2))

    with pytest.raises(SourceChanged):
        transfers.upload(
            source,
            source_changed="fail",
            progress_callback=change_the_second_half,
            config={"max_bandwidth": MIN_PIECE_SIZE, "max_concurrency": 1},
        )

    transfers.oss.stop()  # whatever was received is stored by then
    assert transfers.oss.object(BUCKET, "key") == b"what was there"
