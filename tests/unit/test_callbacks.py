"""Upload callbacks: the object is there whatever becomes of the call, and one situation ends in one way."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import BadAnswer, CallbackFailed, ServiceError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import Receipt
from tests.unit.test_client import TARGET, Bytes, Scripted, an_answer, failure
from tests.world import BUCKET, PART, Transfers, a_client, a_file


class Application:
    """The server that OSS calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.status, self.body = 200, b'{"Status": "OK"}'
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                application.calls.append((self.path, self.headers["Content-Type"], body))
                self.send_response(application.status)
                self.send_header("Content-Length", str(len(application.body)))
                self.end_headers()
                self.wfile.write(application.body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/told"


@pytest.fixture
def application() -> Iterator[Application]:
    application = Application()
    thread = threading.Thread(target=application.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield application
    application.server.shutdown()
    application.server.server_close()


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def headers_for(url: str, **more: str) -> dict[str, str]:
    callback = {"callbackUrl": url, "callbackBody": "k=${object}&s=${size}&m=${x:who}", **more}
    return {"x-oss-callback": encoded(callback), "x-oss-callback-var": encoded({"x:who": "me & you"})}


SIZES = [PART // 2, 4 * PART + 7]  # one request, and parts


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("body", [b'{"Status": "OK"}', b"[]", b'"%s"' % (b"x" * 200_000)])
def test_whatever_the_callback_server_says_the_upload_is_a_success(
    transfers: Transfers, application: Application, tmp_path: Path, size: int, body: bytes
) -> None:
    application.body = body

    result = transfers.upload(a_file(tmp_path, size=size), "a key", headers=headers_for(application.url))

    assert (result.outcome, result.retries) == ("transferred", 0)
    assert result.etag == transfers.client.head_object(result.target).etag
    assert application.calls == [("/told", "application/x-www-form-urlencoded", f"k=a%20key&s={size}&m=me%20%26%20you")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("status", "body"), [(502, b"{}"), (200, b"<ok/>"), (200, b"")])
def test_a_failed_callback_is_told_once_and_the_object_is_there(
    transfers: Transfers, application: Application, tmp_path: Path, size: int, status: int, body: bytes
) -> None:
    application.status, application.body = status, body
    source = a_file(tmp_path, size=size)

    with pytest.raises(CallbackFailed, match="the object is stored") as raised:
        transfers.upload(source, headers=headers_for(application.url))

    assert (raised.value.status, raised.value.code, raised.value.retryable) == (203, "CallbackFailed", False)
    assert len(application.calls) == 1
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    again = transfers.upload(source, headers=headers_for(application.url), earlier_try=True)
    assert again.outcome == "already there"
    assert len(application.calls) == 1


def test_a_callback_server_that_is_away_is_a_failed_callback_too(transfers: Transfers, tmp_path: Path) -> None:
    for key, url in (("a", "http://127.0.0.1:9/"), ("b", "127.0.0.1:9"), ("c", "http://127.0.0.1:x/")):
        with pytest.raises(CallbackFailed):
            transfers.upload(a_file(tmp_path), key, headers=headers_for(url))


def test_the_next_url_is_called_when_the_first_fails(
    transfers: Transfers, application: Application, tmp_path: Path
) -> None:
    body = '{"m":${mimeType},"s":${size},"w":${x:who},"h":${imageInfo.height}}'
    urls = f"127.0.0.1:9;{application.url}"
    headers = headers_for(urls, callbackBodyType="application/json", callbackBody=body)
    transfers.upload(a_file(tmp_path, size=5), headers={**headers, "Content-Type": "text/csv"})

    assert json.loads(application.calls[0][2]) == {"m": "text/csv", "s": 5, "w": "me & you", "h": ""}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-oss-callback": "no base64"},
        {"x-oss-callback": encoded("no dict")},
        {"x-oss-callback": encoded({"callbackUrl": "http://127.0.0.1:9/"})},
        {
            "x-oss-callback": encoded(
                {"callbackUrl": "127.0.0.1", "callbackBody": "b", "callbackBodyType": "text/plain"}
            )
        },
        {"x-oss-callback": encoded({"callbackUrl": "127.0.0.1;b;c;d;e;f", "callbackBody": "b"})},
        {"x-oss-callback": encoded({"callbackUrl": "127.0.0.1", "callbackBody": "x" * 5000})},
        {**headers_for("127.0.0.1"), "x-oss-callback-var": encoded({"y": "1"})},
    ],
)
def test_a_callback_that_is_none_is_refused_before_anything_is_stored(
    oss: LocalOSS, tmp_path: Path, headers: dict[str, str]
) -> None:
    error = failure(ServiceError, lambda: a_client(oss).put_object(TARGET, Bytes(b"x"), headers=headers))

    assert error.code == "InvalidArgument"
    assert oss.objects(BUCKET) == []


@pytest.mark.parametrize("url", ["", "http://callback.example.com/", "http://["])
def test_a_callback_that_leads_off_this_machine_is_not_made(oss: LocalOSS, url: str) -> None:
    a_client(oss).put_object(TARGET, Bytes(b"x"), headers={"x-oss-callback": encoded({"callbackUrl": url})})

    assert oss.objects(BUCKET) == ["key"]


# --- what is believed -------------------------------------------------------------------------------------------------

ASKED = {"x-oss-callback": "e30="}
PARTS = [Receipt(1, "E", 7, None)]


def complete(server: Scripted, **options: Any) -> Any:
    return server.client(attempts=3).complete(TARGET, "ID", PARTS, **options)


@pytest.mark.parametrize("body", [b"", b"OK", b'{"a": 1}', b"<ok/>", b"<html>", b"\xff\x00"])
def test_with_a_callback_the_headers_of_complete_tell_the_etag(body: bytes) -> None:
    with Scripted(an_answer(200, body)) as server:
        assert complete(server, headers=ASKED).etag == "E"
        assert server.connections == 1


def test_without_one_it_is_no_answer() -> None:
    with Scripted(an_answer(200, b'{"a": 1}')) as server:
        failure(BadAnswer, lambda: complete(server))


def test_an_error_of_oss_that_comes_late_is_one_with_a_callback_too() -> None:
    late = b"<Error><Code>InternalError</Code><Message>later</Message><RequestId>1</RequestId></Error>"
    with Scripted(an_answer(200, late)) as server:
        assert failure(ServiceError, lambda: complete(server, headers=ASKED)).code == "InternalError"


def test_a_203_without_a_callback_is_a_proxys() -> None:
    with Scripted(an_answer(203, b"")) as server:
        error = failure(BadAnswer, lambda: server.client().put_object(TARGET, Bytes(b"x")))

    assert "got the unexpected status 203" in str(error)
