"""Connections to OSS: what is sent, how an answer's head is read, and which connections are used again."""

from __future__ import annotations

import io
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.response import Response, ResponseHead
from tests.unit.test_client import a_certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Peer:
    """A server that answers each whole request with the next of its answers.

    :ivar heads: what it was asked
    :ivar accepted: how many connections were made to it
    """

    def __init__(self, *answers: bytes) -> None:
        self.heads: list[bytes] = []
        self.accepted = 0
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while self._answers:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while self._answers and (head := _read_head(file)):
                length = int((re.findall(rb"content-length: (\d+)", head) or [0])[0])
                if len(file.read(length)) < length:
                    return
                self.heads.append(head)
                connection.sendall(self._answers.pop(0))

    def close(self) -> None:
        self._listener.close()


def _read_head(file: io.BufferedReader) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (line := file.readline()):
        head += line
    return head


@contextmanager
def peer(*answers: bytes) -> Iterator[Peer]:
    made = Peer(*answers)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def connections(url: str, **options: Any) -> Iterator[Connections]:
    settings = environment_settings(url, proxies=options.pop("proxies", {"no_proxy": "*"}), verify_tls=True)
    timeouts = dict.fromkeys(("connect_timeout", "send_timeout", "read_timeout", "stall_timeout"), 10.0)
    made = Connections(settings, max_connections=2, **(timeouts | options))
    try:
        yield made
    finally:
        made.close()


def body_of(answer: Response) -> bytes:
    return b"".join(answer.pieces(1024, Limit("nothing came", silence=10.0)))


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_request_is_sent_as_it_was_written() -> None:
    headers = {"content-length": "4", "x-a": "杭州"}
    with peer(OK) as server, connections(server.origin) as ours:
        ours.exchange("PUT", server.origin, "/b/a/../c//d?x=%2F", headers, lambda: [b"ab", b"cd"]).close()

    host = server.origin.removeprefix("http://")
    assert server.heads == [
        f"PUT /b/a/../c//d?x=%2F HTTP/1.1\r\nHost: {host}\r\ncontent-length: 4\r\nx-a: 杭州\r\n\r\n".encode()
    ]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/a\r\nx-evil: 1", {}), ("/", {"x-a": "1\nx-evil: 1"}), ("/", {"x-a\r\nx-evil": "1"}), ("/", {"x-a": "1\rb"})],
)
def test_nothing_can_break_a_line_of_the_head(path: str, headers: dict[str, str]) -> None:
    with peer() as server, connections(server.origin) as ours, pytest.raises(ValueError, match="a line break"):
        ours.exchange("GET", server.origin, path, headers)

    assert server.accepted == 0


# --- which connections are used again ---------------------------------------------------------------------------------


def test_a_connection_is_used_again_once_its_answer_is_read() -> None:
    with peer(OK, OK, OK) as server, connections(server.origin) as ours:
        bodies = []
        for _ in range(3):
            with ours.exchange("GET", server.origin, "/", {}) as answer:
                bodies.append(body_of(answer))

    assert bodies == [b"hello"] * 3
    assert server.accepted == 1


@pytest.mark.parametrize(
    "first",
    [
        OK[:-1],
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["a body that is not read", "Connection: close", "HTTP/1.0"],
)
def test_a_connection_is_left_whose_answer_is_not_read_or_is_its_last(first: bytes) -> None:
    with peer(first, OK) as server, connections(server.origin) as ours:
        with ours.exchange("GET", server.origin, "/", {}) as answer:
            if first.endswith(b"hello"):
                assert body_of(answer) == b"hello"
        with ours.exchange("GET", server.origin, "/", {}) as answer:
            assert body_of(answer) == b"hello"

    assert server.accepted == 2


def test_a_body_that_fails_leaves_no_half_request_for_the_next() -> None:
    def failing() -> Iterator[bytes]:
        yield b"ab"
        raise LookupError("the source is gone")

    with peer(OK, OK) as server, connections(server.origin) as ours:
        with pytest.raises(LookupError):
            ours.exchange("PUT", server.origin, "/", {"content-length": "4"}, failing)
        with ours.exchange("GET", server.origin, "/second", {}) as answer:
            assert body_of(answer) == b"hello"

    assert server.heads[-1].startswith(b"GET /second ")
    assert server.accepted == 2


def test_an_answer_in_advance_is_not_taken_for_the_answer_nor_that_for_the_next() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with peer(hints + hints + OK, OK.replace(b"hello", b"world")) as server, connections(server.origin) as ours:
        answers = []
        for _ in range(2):
            with ours.exchange("GET", server.origin, "/", {}) as answer:
                answers.append((answer.status, "link" in answer.fields, body_of(answer)))

    assert answers == [(200, False, b"hello"), (200, False, b"world")]
    assert server.accepted == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_that_is_forked_makes_connections_of_its_own() -> None:
    """Over its parent's, each of the two would read the other's answers."""
    with peer(OK, OK) as server, connections(server.origin) as ours:
        with ours.exchange("GET", server.origin, "/", {}) as answer:
            body_of(answer)
        child = os.fork()
        if not child:
            with suppress(BaseException), ours.exchange("GET", server.origin, "/child", {}) as answer:
                os._exit(body_of(answer) != b"hello")
            os._exit(2)
        _, status = os.waitpid(child, 0)

    assert status == 0
    assert server.accepted == 2


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden"])
def test_a_success_that_is_answered_before_the_body_is_sent_is_none(status: bytes) -> None:
    hung_up = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            _read_head(file)
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        hung_up.set()

    def pieces() -> Iterator[bytes]:
        yield b"a"
        hung_up.wait(30)
        for _ in range(64):  # more than the sockets take before they notice
            yield bytes(2**20)

    threading.Thread(target=hang_up, daemon=True).start()
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, connections(origin) as ours:
        headers = {"content-length": str(2**26 + 1)}
        if status.startswith(b"2"):
            with pytest.raises(ExchangeFailed, match="before it had received the whole request"):
                ours.exchange("PUT", origin, "/", headers, pieces)
        else:
            with ours.exchange("PUT", origin, "/", headers, pieces) as answer:
                assert answer.status == 403


def test_nothing_takes_a_lock_that_a_signal_may_leave_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises where a condition is entered leaves its lock taken, and the next request would wait for it
    for ever.
    """

    class Struck(BaseException):
        pass

    enter, ours_is = threading.Condition.__enter__, threading.current_thread()

    def struck(condition: threading.Condition) -> bool:
        entered = enter(condition)
        if threading.current_thread() is ours_is:
            raise Struck
        return entered

    with peer(OK, OK, OK) as server, connections(server.origin) as ours:
        for _ in range(3):
            with ours.exchange("GET", server.origin, "/", {}) as answer:
                assert body_of(answer) == b"hello"
            monkeypatch.setattr(threading.Condition, "__enter__", struck)  # the way is known by now
        monkeypatch.undo()


def test_closed_connections_are_made_anew() -> None:
    with peer(OK, OK) as server, connections(server.origin) as ours:
        for _ in range(2):
            with ours.exchange("GET", server.origin, "/", {}) as answer:
                assert body_of(answer) == b"hello"
            ours.close()

    assert server.accepted == 2


def test_a_ca_bundle_is_read_once_for_all_clients_and_again_when_it_has_changed(tmp_path: Path) -> None:
    bundle = a_certificate(tmp_path / "ca.pem", address="127.0.0.1")

    def read(verify_tls: bool | str) -> ssl.SSLContext:
        return environment_settings("https://127.0.0.1", proxies=None, verify_tls=verify_tls).tls()

    first = read(str(bundle))
    assert read(str(bundle)) is first
    assert read(True) is read(True)

    a_certificate(bundle, address="127.0.0.2")
    os.utime(bundle, ns=(0, 0))
    assert read(str(bundle)) is not first


# --- an answer's head -------------------------------------------------------------------------------------------------

HEADS = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    b"HTTP/1.1 404 Not Found\r\ncontent-length:0\r\nX-A:  a b \r\nx-a: c\r\nConnection: Close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: a\r\n b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 O\nK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: ٥\r\nX-A: é\r\n\r\n".encode(),
    b"nonsense\r\n\r\n",
]
# No pattern may go back over them.
BLANKS = b"HTTP/1.1 200 OK\r\nX-A:" + 8000 * b" " + b"\n\r\nContent-Length: 5\r\n\r\n"

STATUS_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 304 x", b"HTTP/1.1 100 Continue\r\n\r\n"]
FIELDS = [b"Content-Length: 5", b"Content-Length: 5x", b"content-length:", b"Transfer-Encoding: chunked"]
FIELDS += [b"Connection: close", b"X-A: a"]
SIGNS = [b"\r\n", b"\n", b"\r", b" ", b":", b"\xff", b"\0", b"\t", b","]
pieces = st.sampled_from(STATUS_LINES + FIELDS + SIGNS)


@given(
    head=st.lists(pieces, max_size=12).map(lambda parts: b"HTTP/1.1 200 OK\r\n" + b"".join(parts) + b"\r\n\r\n")
    | st.sampled_from(HEADS),
    method=st.sampled_from(["GET", "HEAD"]),
)
@example(HEADS[1], "GET")
@example(HEADS[4], "GET")
@example(BLANKS, "GET")
def test_a_head_says_what_http_client_reads_in_it_or_is_refused(head: bytes, method: str) -> None:
    """Status, headers, the length of the body and whether the connection stays are those that the standard library
    reads; none of its lines is passed over.
    """
    end = re.search(rb"\n\r?\n", head)
    assert end
    head = head[: end.end()]
    try:
        ours = ResponseHead(head, method)
    except ExchangeFailed:
        return
    theirs, peers = socket.socketpair()
    with theirs, peers:
        peers.sendall(head)
        peers.shutdown(socket.SHUT_WR)
        read = HTTPResponse(theirs, method=method)
        read.begin()
        read.close()

    assert ours.status == read.status
    assert (ours.length, ours.chunked is not None) == (read.length, bool(read.chunked))
    assert (ours.is_last, ours.reason) == (read.will_close, read.reason)
    assert set(ours.fields) == {name.lower() for name in read.headers}
    unfolded = re.sub(rb"\r?\n[ \t]", b" ", head)
    assert len(unfolded.strip().splitlines()) - 1 == len(read.headers)


PLAIN_HEADS = [HEADS[0], HEADS[1], HEADS[2], HEADS[3], HEADS[5], HEADS[6], HEADS[7], HEADS[10]]
BROKEN_HEADS = {
    "a line without a colon": HEADS[11],
    "a blank before the colon": HEADS[12],
    "no name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 5\r\n\r\n",
    "no status line": HEADS[14],
    "a line end within a line": b"HTTP/1.1 200 OK\r\nX-A: a\rContent-Length: 7\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX-A: a\0\r\n\r\n",
    "a continuation of the status line": b"HTTP/1.1 200 OK\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("head", PLAIN_HEADS)
def test_a_plain_head_is_taken(head: bytes) -> None:
    assert ResponseHead(head, "GET").status in (200, 204, 404)


@pytest.mark.parametrize("head", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
def test_a_head_with_a_broken_line_is_a_failed_exchange(head: bytes) -> None:
    with pytest.raises(ExchangeFailed):
        ResponseHead(head, "GET")


def test_a_head_of_more_lines_than_http_client_takes_is_read_whole() -> None:
    lines = [b"x-oss-meta-%d: %d" % (number, number) for number in range(400)]
    head = ResponseHead(
        b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 5", b"Connection: close", b"", b""]), "GET"
    )

    assert head.fields["x-oss-meta-399"] == "399"
    assert len(head.fields) == 402
    assert (head.length, head.is_last) == (5, True)


@pytest.mark.parametrize(
    "head",
    [b"x-a: 1\r\nX-A: 2\r\nContent-Length: 0\r\n", b"x-a: 1\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n"],
    ids=["with a length", "in chunks"],
)
def test_fields_of_one_name_are_joined(head: bytes) -> None:
    with peer(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n") as server, connections(server.origin) as ours:
        answer = ours.exchange("GET", server.origin, "/", {})
    assert answer.fields["x-a"] == "1, 2"


# --- by a SOCKS proxy -------------------------------------------------------------------------------------------------


def test_a_socks_proxy_is_passed() -> None:
    pytest.importorskip("socks", reason="requests takes SOCKS proxies with PySocks only")
    with peer(OK) as server, socks_proxy() as proxy:
        settings = {"proxies": {"http": proxy.url}}
        with connections(server.origin, **settings) as ours, ours.exchange("GET", server.origin, "/", {}) as answer:
            assert body_of(answer) == b"hello"

    assert proxy.asked_for == [server.origin.removeprefix("http://")]


class SocksProxy:
    """As much of SOCKS 5 as one connection to an IPv4 address needs."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as file:
            _, methods = file.read(2)
            file.read(methods)
            client.sendall(b"\x05\x00")
            request = file.read(10)
            host, port = socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:10], "big")
            self.asked_for.append(f"{host}:{port}")
            with socket.create_connection((host, port)) as server:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                server.sendall(_read_head(file))
                while data := server.recv(1024):
                    client.sendall(data)


@contextmanager
def socks_proxy() -> Iterator[SocksProxy]:
    proxy = SocksProxy()
    try:
        yield proxy
    finally:
        proxy.listener.close()
