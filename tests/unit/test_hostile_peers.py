"""Whatever answers in OSS's place: the call ends, with an error of ours in one line, and in little memory."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import ArgumentError, BadAnswer, ConnectionFailed, RequestError, ServiceError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.wire import MAX_HEAD
from tests.unit.peak_of_calls import CALLS
from tests.unit.raw_peer import Connection, RawPeer
from tests.unit.relay import Relay
from tests.unit.test_client import (
    TARGET,
    Collected,
    Scripted,
    a_scripted_client,
    an_answer,
    everything_about,
    failure,
)
from tests.world import a_client

ROOT = Path(__file__).parents[2]
MIB = 2**20

SUCCESS = {"GetObject": 206, "DeleteObject": 204, "AbortMultipartUpload": 204}


# --- answers without an end -------------------------------------------------------------------------------------------


def endless(head: bytes, piece: bytes, *, pause: float = 0.0) -> Callable[[], Iterator[bytes]]:
    """An answer whose last piece comes again and again, until the peer has gone."""

    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            if pause:
                time.sleep(pause)  # the trickle is the fault
            yield piece

    return pieces


def head(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode()


OK, CHUNKED = head(200), head(200, "Transfer-Encoding: chunked")
BLOCK = 64 * 1024
ENDLESS: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "an error's text": ("ListParts", endless(head(500), b"x" * BLOCK)),
    "an error's XML": ("ListParts", endless(head(403) + b"<Error><Message>", b"x" * BLOCK)),
    "text": ("ListParts", endless(OK + b"<ListPartsResult>", b"x" * BLOCK)),
    "tags": ("ListParts", endless(OK + b"<ListPartsResult>", b"<Part>" * 10_000)),
    "closed tags": ("ListParts", endless(OK + b"<ListPartsResult>", b"<a/>" * 10_000)),
    "attributes": ("ListParts", endless(OK + b"<ListPartsResult", b"".join(b' a%d=""' % n for n in range(9_000)))),
    "an attribute": ("ListParts", endless(OK + b"<ListPartsResult a='", b"x" * BLOCK)),
    "a comment": ("ListParts", endless(OK + b"<ListPartsResult><!--", b"x" * BLOCK)),
    "chunks": ("CompleteMultipartUpload", endless(CHUNKED, b"10000\r\n%s\r\n" % (b"x" * BLOCK))),
    "a chunk's size": ("ListParts", endless(CHUNKED + b"5", b"0" * BLOCK)),
    "a chunk's size that trickles": ("ListParts", endless(CHUNKED + b"5;", b"x", pause=0.02)),
    "trailers": ("ListParts", endless(CHUNKED + b"0\r\n", b"Trailer: x\r\n" * 5_000)),
    "trailers that trickle": ("ListParts", endless(CHUNKED + b"0\r\n", b"Trailer: x\r\n", pause=0.02)),
    "an object": ("GetObject", endless(head(206, "Content-Range: bytes 0-9/10", "ETag: E"), b"x" * BLOCK)),
    "a header": ("HeadObject", endless(b"HTTP/1.1 200 OK\r\nA: ", b"x" * BLOCK)),
    "headers": ("HeadObject", endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 10_000)),
    "headers that trickle": ("HeadObject", endless(b"HTTP/1.1 200 OK\r\n", b"A", pause=0.02)),
    "100 Continue": ("HeadObject", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)),
    "100 Continue with headers": ("HeadObject", endless(b"", b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" * 1_000)),
    "a status line": ("HeadObject", endless(b"HTTP/1.1 200 ", b"x" * BLOCK)),
    **{
        f"a body after {name} that trickles": (name, endless(head(SUCCESS.get(name, 200), "ETag: E"), b"x", pause=0.02))
        for name in ("ListParts",)
    },
    "a body after DeleteObject that trickles in chunks": (
        "DeleteObject",
        endless(head(200, "Transfer-Encoding: chunked"), b"1\r\nx\r\n", pause=0.02),
    ),
}


@pytest.mark.parametrize(("operation", "answer"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_an_end_ends_the_call(operation: str, answer: Callable[[], Iterator[bytes]]) -> None:
    with Scripted(answer) as server:
        client = server.client(stall_timeout=0.3, read_timeout=20)
        error = failure(RequestError, lambda: CALLS[operation](client))

    assert error.operation == operation
    assert len(server.heads) == 1
    assert len(str(error)) < 5_000
    assert str(error).isprintable()


def test_trailers_are_limited_as_headers_are() -> None:
    with Scripted(endless(CHUNKED + b"0\r\n", b"Trailer: x\r\n" * 5_000)) as server:
        error = failure(RequestError, lambda: CALLS["ListParts"](server.client(stall_timeout=20, read_timeout=20)))

    assert f"the trailers are longer than {MAX_HEAD} bytes" in str(error)


@pytest.mark.parametrize("name", ["PutObject", "UploadPart"])
def test_the_rest_of_a_success_is_not_read_without_end(name: str) -> None:
    with Scripted(endless(head(200, 'ETag: "E"'), b"x" * BLOCK)) as server:
        assert CALLS[name](server.client())


@pytest.mark.parametrize("name", ["PutObject", "UploadPart", "DeleteObject"])
def test_nor_is_it_waited_for_when_it_trickles(name: str) -> None:
    lines = ["ETag: E", "Transfer-Encoding: chunked"]
    with Scripted(endless(head(SUCCESS.get(name, 200), *lines), b"1\r\nx\r\n", pause=0.02)) as server:
        CALLS[name](server.client(stall_timeout=20, read_timeout=20))


def test_a_connection_is_used_again_when_its_answer_was_read(tmp_path: Path) -> None:
    with LocalOSS(tmp_path) as oss, Relay(oss) as relay:
        client = a_client(relay)
        for _ in range(5):
            for operation in ("PutObject", "HeadObject", "GetObject", "DeleteObject"):
                CALLS[operation](client)
            failure(ServiceError, lambda: client.list_parts(TARGET, "none"))

    assert len(relay.passed) == 25
    assert len({passing.port for passing in relay.passed}) == 1


# --- memory -----------------------------------------------------------------------------------------------------------

LARGE: dict[str, tuple[str, bytes, bytes]] = {
    "an error's text": ("ListParts", head(500), b"x" * BLOCK),
    "an error's XML": ("ListParts", head(403) + b"<Error><Message>", b"x" * BLOCK),
    "text": ("ListParts", OK + b"<ListPartsResult>", b"x" * BLOCK),
    "text of four bytes a character": ("ListParts", OK + b"<ListPartsResult>\xf0\x9f\x98\x80", b"x" * BLOCK),
    "tags": ("ListParts", OK + b"<ListPartsResult>", b"<Part>" * 10_000),
    "closed tags": ("ListParts", OK + b"<ListPartsResult>", b"<a/>" * 10_000),
    "attributes": ("ListParts", OK + b"<ListPartsResult", b"".join(b' a%d=""' % n for n in range(9_000))),
    "a trailer": ("ListParts", CHUNKED + b"0\r\n", b"x" * BLOCK),
    "headers": ("HeadObject", b"HTTP/1.1 200 OK\r\n", b"A: %s\r\n" % (b"x" * 60_000)),
}
WITH_AN_END: dict[str, tuple[str, Callable[[], bytes]]] = {
    "as many closed tags as are read": (
        "ListParts",
        lambda: b"<ListPartsResult>%s</ListPartsResult>" % (b"<a/>" * 2_000_000),
    ),
    "as many attributes as are read": (
        "ListParts",
        lambda: b"<r>%s</r>" % (b'<a b="" c="" d="" e="" f="" g=""/>' * 200_000),
    ),
    "as deep as is read": ("ListParts", lambda: b"<a>" * 2_700_000),
    "a zip bomb": ("ListParts", lambda: gzip.compress(b"<ListPartsResult>" + b" " * 100 * MIB)),
    "as long a page as OSS sends": (
        "ListParts",
        lambda: (
            b"<ListPartsResult><IsTruncated>false</IsTruncated>%s</ListPartsResult>"
            % (b"<Part><PartNumber>1</PartNumber><ETag>E</ETag><Size>1</Size></Part>" * 1_000)
        ),
    ),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_100_mb_of_any_answer_take_under_64_mib() -> None:
    names = [*LARGE, *WITH_AN_END]
    with Scripted(an_answer(404), *(large_answer(name) for name in names)) as server:
        operations = ["HeadObject", *((LARGE | WITH_AN_END)[name][0] for name in names)]
        command = [sys.executable, "-m", "tests.unit.peak_of_calls", server.url, *operations]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stderr
    calm, *peaks = [int(line) for line in done.stdout.split()]
    grown = {name: (peak - calm) // 1024 for name, peak in zip(names, peaks, strict=True)}
    assert {name: mib for name, mib in grown.items() if mib >= 64} == {}
    assert len(server.heads) == len(operations)


def large_answer(name: str) -> bytes | Callable[[], Iterator[bytes]]:
    if name in WITH_AN_END:
        return an_answer(200, WITH_AN_END[name][1](), **({"Content-Encoding": "gzip"} if "zip" in name else {}))
    _, start, piece = LARGE[name]

    def pieces() -> Iterator[bytes]:
        yield start
        yield from itertools.repeat(piece, 100 * MIB // len(piece))

    return pieces


# --- answers that lie -------------------------------------------------------------------------------------------------

NO_CHUNKS = {
    "no hex": b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "nothing": b"",
    "an empty line": b"\r\n\r\n",
    "too short": b"ff\r\nhello\r\n0\r\n\r\n",
    "too long": b"2\r\nhello\r\n0\r\n\r\n",
    "of 2^64 bytes": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "of a thousand digits": b"f" * 1000 + b"\r\nhello\r\n0\r\n\r\n",
    "no end": b"5\r\nhello\r\n",
    "underscores": b"0_5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", NO_CHUNKS.values(), ids=NO_CHUNKS)
@pytest.mark.parametrize("operation", ["ListParts", "GetObject"])
def test_chunks_that_are_none_are_an_error(operation: str, chunks: bytes) -> None:
    lines = ["Transfer-Encoding: chunked", "Content-Range: bytes 0-9/10", "Connection: close", "ETag: E"]
    with Scripted(head(SUCCESS.get(operation, 200), *lines) + chunks) as server:
        failure(RequestError, lambda: CALLS[operation](server.client()))


def test_a_chunk_of_negative_size_is_an_error_when_it_brings_more_than_the_sink_takes_at_once() -> None:
    has_come = threading.Event()

    class Small(Collected):
        piece_size = 5

        def write(self, data: memoryview) -> None:
            super().write(data)
            has_come.set()

    def serve(connection: Connection) -> None:
        connection.request()
        lines = ["Transfer-Encoding: chunked", "Content-Range: bytes 0-9/10", "ETag: E"]
        connection.say(head(206, *lines) + b"5\r\nhello\r\n")
        has_come.wait(30)
        connection.say(b"-5\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n")

    with RawPeer(serve) as peer:
        error = failure(
            ConnectionFailed, lambda: a_scripted_client(peer.url).get_object(TARGET, Small(), start=0, stop=10)
        )

    assert "a chunk has a negative size" in str(error)


@pytest.mark.parametrize("length", ["0", "9", "11", "-1", "x", "1e1", "10, 10", "9" * 20, "9" * 5000, "", "+9", "１０"])
def test_a_length_that_is_a_lie_never_makes_a_part_of_another_size(length: str) -> None:
    sink = Collected()
    lines = [f"Content-Length: {length}", "Content-Range: bytes 0-9/10", 'ETag: "E"', "Connection: close"]
    with Scripted(head(206, *lines) + b"ten bytes.") as server:
        try:
            server.client().get_object(TARGET, sink, start=0, stop=10)
        except RequestError:
            return
    assert sink.data == b"ten bytes."


@pytest.mark.parametrize(
    "said", ["bytes 0-9/" + "9" * 5000, "bytes " + "0" * 5000 + "-9/10", "bytes 0-9/٣", "bytes 0-9/10\x1b[31m"]
)
def test_a_content_range_that_is_none_is_a_bad_answer(said: str) -> None:
    lines = [f"Content-Range: {said}", "Content-Length: 10"]
    with Scripted(head(206, *lines) + b"ten bytes.") as server:
        error = failure(BadAnswer, lambda: CALLS["GetObject"](server.client()))

    assert "asked for bytes 0-9" in str(error)
    assert len(str(error)) < 5_000
    assert str(error).isprintable()


def test_an_object_that_calls_itself_gzip_is_taken_as_it_is() -> None:
    bomb = gzip.compress(b"\0" * 10 * MIB)
    sink = Collected()
    said = {"Content-Encoding": "gzip", "Content-Range": f"bytes 0-{len(bomb) - 1}/{len(bomb)}", "ETag": '"E"'}
    with Scripted(an_answer(206, bomb, **said)) as server:
        server.client().get_object(TARGET, sink, start=0, stop=len(bomb))

    assert sink.data == bomb
    assert server.header("Accept-Encoding") == "identity"


BOMBS = {
    "a billion laughs": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><Error><Code>&b;</Code></Error>',
    "a file": b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><Error><Code>&a;</Code></Error>',
    "a parameter entity": b'<!DOCTYPE l [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><Error><Code>x</Code></Error>',
    "a DTD": b'<!DOCTYPE l SYSTEM "http://127.0.0.1:1/x.dtd"><Error><Code>x</Code></Error>',
}
CODINGS = {"UTF-8": "utf-8", "UTF-8 with its mark": "utf-8-sig", "UTF-16": "utf-16", "UTF-16BE": "utf-16-be",
           "UTF-16LE": "utf-16-le", "UTF-32": "utf-32", "UTF-7": "utf-7", "EBCDIC": "cp037"}  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_entity_is_ever_expanded(bomb: bytes, coding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{coding.partition(" ")[0]}"?>' + bomb.decode()
    for body in (declared.encode(CODINGS[coding]), bomb.decode().encode(CODINGS[coding])):
        with Scripted(an_answer(400, body)) as server:
            error = failure(ServiceError, lambda: server.client().head_object(ObjectRef("bucket", "key")))
            failure(ServiceError, lambda: CALLS["ListParts"](server.client()))

        assert error.code == ""


MORE_BEHIND = (
    b"<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>"
)


def test_a_listing_that_goes_back_and_forth_ends() -> None:
    with Scripted(*(an_answer(200, MORE_BEHIND % marker) for marker in (2, 1, 2, 1, 2, 1))) as server:
        error = failure(BadAnswer, lambda: CALLS["ListParts"](server.client()))

    assert "does not advance" in str(error)
    assert len(server.heads) == 2


@pytest.mark.parametrize("marker", ["10001", "99999999999999999999"])
def test_a_listing_beyond_the_last_part_number_ends(marker: str) -> None:
    with Scripted(an_answer(200, MORE_BEHIND % int(marker))) as server:
        failure(BadAnswer, lambda: CALLS["ListParts"](server.client()))

    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "date",
    ["Fri, 31 Dec 9999 23:59:59 -2359", "Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0100 00:00:00 +2359", "never"],
)
def test_a_clock_that_no_oss_has_is_not_signed_with(date: str) -> None:
    skewed = an_answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", Date=date)
    with Scripted(skewed) as server:
        client = server.client(attempts=3)
        for _ in range(2):
            error = failure(ServiceError, lambda: CALLS["ListParts"](client))

    assert error.code == "RequestTimeTooSkewed"
    assert client.clock_offset == 0
    assert len(server.heads) == 2


def test_a_date_without_a_time_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        with Scripted(an_answer(404, Date="Wed, 25 Nov 2026 01:30:07 -0000")) as server:
            error = failure(ServiceError, lambda: server.client().head_object(TARGET))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert error.server_time == 1_795_570_207


# --- what a peer says in a log ----------------------------------------------------------------------------------------

FORGED = "\n[2026-11-25] INFO - Task succeeded\r\n\u2028\x1b[2J" + "x" * 60_000


@pytest.mark.parametrize("place", ["Code", "Message", "EC", "RequestId", "HostId"])
def test_a_peer_cannot_write_lines_of_its_own_into_the_log(place: str) -> None:
    said = FORGED.replace("\x1b", "")
    body = f"<Error><Code>A</Code><{place}>{said}</{place}></Error>".replace("<Code>A</Code><Code>", "<Code>")
    with Scripted(an_answer(400, body.encode())) as server:
        error = failure(ServiceError, lambda: CALLS["ListParts"](server.client()))

    assert "Task succeeded" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 2_000


@pytest.mark.parametrize("name", ["Location", "x-oss-request-id", "x-oss-ec"])
def test_nor_by_a_header(name: str) -> None:
    with Scripted(an_answer(307, **{name: "a\r\n b\x1b[2J" + "x" * 60_000})) as server:
        error = failure(ServiceError, lambda: CALLS["ListParts"](server.client()))

    assert str(error).isprintable()
    assert len(str(error)) < 2_000


# --- proxies ----------------------------------------------------------------------------------------------------------

PASSWORD = "5ecret-of-the-proxy"
NO_PROXIES = [
    "http://user:{}@",
    "http://user:{}@:3128",
    "http://user:{}/x@127.0.0.1:1",
    "http://user:{}#x@127.0.0.1:1",
    "http://user:{}?x@127.0.0.1:1",
    "http://user:{}@127.0.0.1:99999",
    "http://user:{}@host:port",
    "http://user:{}@[::1",
    "http://user:{}@127.0.0.1:1/path",
    "http://user:{}@exa mple:80",
    "http://user:{}@127.0.0.1:1\r\nX: y",
    "ftp://user:{}@127.0.0.1:1",
    "user:{}:host:1",
]


@pytest.mark.parametrize("proxy", NO_PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_one_is_refused_without_its_password(scheme: str, proxy: str) -> None:
    told = proxy.format(PASSWORD)

    error = failure(
        ArgumentError, lambda: a_scripted_client(f"{scheme}://oss.example.com", proxies={"http": told, "https": told})
    )

    assert error.argument == "proxy"
    assert "http://user:password@host:3128" in str(error)
    assert PASSWORD not in everything_about(error)


def test_so_is_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://user:{PASSWORD}/x@127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    error = failure(ArgumentError, lambda: a_scripted_client("http://oss.example.com"))

    assert PASSWORD not in everything_about(error)


@pytest.mark.parametrize("proxy", ["http://p:3128", "p:3128", "HTTP://p", "https://u:a%2Fb@p:1/", "http://[::1]:1"])
def test_a_proxy_that_can_be_one_is_taken(proxy: str) -> None:
    a_scripted_client("http://oss.example.com", proxies={"http": proxy}).close()


def test_a_silent_end_of_a_connection_is_a_failed_connection() -> None:
    with Scripted(b"") as server:
        assert failure(ConnectionFailed, lambda: CALLS["ListParts"](server.client())).retryable
