"""Each phase of an exchange has a limit, and what is over it says which phase it was."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import AccessDenied, ConnectionFailed
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.oss import dialing
from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.unit import raw_peer
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.unit.test_client import TARGET, Bytes, a_certificate, a_scripted_client, failure
from tests.unit.test_stopping import Endless, full_listener, pump

PAUSE = 0.02  # seconds between the bytes of a trickle: the trickle is the fault
SOURCE = ObjectRef("bucket", "source")
COPIED = b'<?xml version="1.0"?>\n<CopyObjectResult><ETag>"C"</ETag></CopyObjectResult>'


def trickle(connection: Connection, pieces: Iterator[bytes] | list[bytes]) -> None:
    for piece in pieces:
        connection.say(piece)
        threading.Event().wait(PAUSE)


def endless(piece: bytes) -> Iterator[bytes]:
    return itertools.repeat(piece)


# --- the phases -------------------------------------------------------------------------------------------------------


def test_no_connection() -> None:
    with full_listener() as port:
        client = a_scripted_client(f"http://127.0.0.1:{port}", connect_timeout=0.3)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "no connection within 0.3 s; check the endpoint and the firewall" in str(error)
    assert error.retryable


def test_all_addresses_share_the_time_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the last one has its turn, and all of them take no longer than one."""
    with full_listener() as port, RawPeer(lambda connection: list(connection.requests())) as peer:
        tried = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in (port, port, peer.port)]
        client = a_scripted_client(
            "http://oss.invalid", proxies={"no_proxy": "*"}, connect_timeout=0.6, read_timeout=0.1
        )
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: tried)
        reached = failure(ConnectionFailed, lambda: client.head_object(TARGET))
        del tried[2]
        lost = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "no response within 0.1 s" in str(reached)
    assert "no connection within 0.6 s" in str(lost)


def test_no_name_server_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    client = a_scripted_client("http://silent.invalid", proxies={"no_proxy": "*"}, connect_timeout=0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(30))
    error = failure(ConnectionFailed, lambda: client.head_object(TARGET))
    over.set()

    assert "no name server resolved bucket.silent.invalid in time" in str(error)


def test_name_servers_that_do_not_answer_are_asked_by_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is there until the system gives up, which may be long after we have."""
    over = threading.Event()

    def never(*_: object) -> list[object]:
        over.wait(60)
        return []

    client = a_scripted_client("http://dead.invalid", proxies={"no_proxy": "*"}, connect_timeout=0.05)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    try:
        for number in range(30):
            bucket = f"bucket-{number % 15}"
            failure(ConnectionFailed, lambda name=bucket: client.head_object(ObjectRef(name, "key")))
        threads = [thread for thread in threading.enumerate() if thread.name == "resolver"]
    finally:
        over.set()

    assert 1 <= len(threads) <= dialing._MAX_RESOLVERS


def test_no_tls_handshake() -> None:
    with RawPeer(lambda connection: connection.request()) as peer:
        client = a_scripted_client(peer.url.replace("http:", "https:"), connect_timeout=0.2)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "no TLS handshake within 0.2 s" in str(error)


def test_a_proxys_answer_that_trickles() -> None:
    def serve(connection: Connection) -> None:
        connection.head()
        connection.say(b"HTTP/1.1 200 OK\r\n")
        trickle(connection, [b"A: b\r\n"] * 50)

    with RawPeer(serve) as proxy:
        client = a_scripted_client("https://oss.example", proxies={"https": proxy.url}, connect_timeout=0.3)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "no response from the proxy within 0.3 s; check the connection's Proxy" in str(error)


def test_a_head_that_trickles() -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 200 OK\r\n")
        trickle(connection, [b"A: b\r\n"] * 50)
        connection.say(b'ETag: "E"\r\nContent-Length: 0\r\n\r\n')

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, stall_timeout=0.3)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "the response headers did not arrive completely within 0.3 s" in str(error)


@pytest.mark.parametrize("is_tls", [False, True], ids=["TCP", "TLS"])
def test_a_peer_that_takes_nothing(tmp_path: Path, is_tls: bool) -> None:
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1") if is_tls else None
    over = threading.Event()

    def serve(connection: Connection) -> None:
        connection.head()
        over.wait(30)

    with RawPeer(serve, certificate=certificate) as peer:
        client = a_scripted_client(
            peer.url, read_timeout=0.3, stall_timeout=0.3, verify_tls=str(certificate) if certificate else True
        )
        error = failure(ConnectionFailed, lambda: client.put_object(TARGET, Endless()))
        over.set()

    assert "256 KiB could not be sent within 0.3 s" in str(error)


def test_a_body_read_slowly_by_its_taker_is_no_stall() -> None:
    """As with max_bandwidth: only the time counts in which the peer is waited for. Most of it is not read ahead."""

    class Slow:
        piece_size = 5000

        def open(self) -> None: ...

        def resume(self) -> None: ...

        def write(self, data: memoryview) -> None:
            threading.Event().wait(PAUSE)

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer(body=bytes(200_000)))

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, stall_timeout=0.1)
        assert client.get_object(TARGET, Slow()).size == 200_000


# --- answers in advance, and early ones -------------------------------------------------------------------------------


def test_an_announcement_that_nobody_asked_for_is_no_early_answer() -> None:
    def serve(connection: Connection) -> None:
        head = connection.head()
        connection.say(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 10")
        threading.Event().wait(PAUSE)
        connection.say(b"2 Processing\r\nA: b\r\n\r\n")
        connection.finish(head)
        connection.say(an_answer(x_oss_hash_crc64ecma=""))

    with RawPeer(serve) as peer:
        body = Bytes(bytes(16 * 2**20), piece_size=2**20, verified=False)
        client = a_scripted_client(peer.url, read_timeout=raw_peer.PATIENCE)
        assert client.put_object(TARGET, body).size == 16 * 2**20


@pytest.mark.parametrize("is_tls", [False, True], ids=["TCP", "TLS"])
def test_an_early_refusal_of_a_peer_that_takes_no_more_is_the_answer(tmp_path: Path, is_tls: bool) -> None:
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1") if is_tls else None
    over = threading.Event()

    def serve(connection: Connection) -> None:
        connection.head()
        connection.say(an_answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"))
        over.wait(30)

    with RawPeer(serve, certificate=certificate) as peer:
        client = a_scripted_client(
            peer.url, read_timeout=0.5, retry=RetryPolicy(attempts=3, sleep=lambda _: None),
            verify_tls=str(certificate) if certificate else True,
        )  # fmt: skip
        for body in (Endless(), Bytes(bytes(2**24), piece_size=2**24, verified=False)):
            assert failure(AccessDenied, lambda body=body: client.put_object(TARGET, body)).code == "AccessDenied"
        over.set()

        assert len(peer.accepted) == 2


def test_announcements_while_oss_is_at_work_do_not_make_a_stall() -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        trickle(connection, [b"HTTP/1.1 102 Processing\r\n\r\n"] * 20)
        connection.say(an_answer(body=COPIED))

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, stall_timeout=0.15, read_timeout=0.3)
        assert client.copy_object(SOURCE, TARGET).etag == "C"


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
def test_blanks_while_oss_is_at_work_do_not_make_a_stall(operation: str) -> None:
    body = COPIED.replace(b"CopyObject", {"UploadPartCopy": b"CopyPart"}.get(operation, operation.encode()))

    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 200 OK\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        trickle(connection, [b"1\r\n \r\n"] * 20)
        connection.say(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, stall_timeout=0.15, read_timeout=0.3)
        if operation == "CopyObject":
            client.copy_object(SOURCE, TARGET)
        elif operation == "UploadPartCopy":
            client.upload_part_copy(SOURCE, TARGET, "id", 1, start=0, stop=10, if_match="E")
        else:
            assert client.complete(TARGET, "id", [Receipt(1, "E", 10, None)]).etag

        assert len(peer.accepted) == 1


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n "], ids=["102", "blanks"]
)
def test_work_that_never_ends_has_one_limit_in_all(said: bytes) -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(said)
        trickle(connection, endless(said[-27:] if b"102" in said else b" "))

    with RawPeer(serve) as peer, connections(peer.url, longest_work=0.3) as ours:  # noqa: SIM117
        with pytest.raises(ExchangeFailed, match=r"within 0\.3 s"):
            with ours.exchange("GET", peer.url, "/", {}) as answer:
                list(answer.pieces(10, ours.slow_response_limit()))


@contextmanager
def connections(url: str, **options: Any) -> Iterator[Connections]:
    settings = environment_settings(url, proxies={"no_proxy": "*"}, verify_tls=True)
    timeouts = dict.fromkeys(("connect_timeout", "send_timeout", "read_timeout", "stall_timeout"), 10.0)
    made = Connections(settings, max_connections=2, **timeouts, **options)
    try:
        yield made
    finally:
        made.close()


# --- answers that are cut ---------------------------------------------------------------------------------------------

HEAD = b'HTTP/1.1 200 OK\r\nETag: "E"\r\nContent-Length: 52428800\r\n\r\n'


@pytest.mark.parametrize("cut", [10, len(HEAD) - 10, len(HEAD) - 4, len(HEAD) - 2, len(HEAD) - 1])
def test_a_head_that_is_cut_is_a_broken_connection(cut: int) -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(HEAD[:cut])

    with RawPeer(serve) as peer:
        error = failure(ConnectionFailed, lambda: a_scripted_client(peer.url).head_object(TARGET))

    assert "the connection ended inside the response headers" in str(error)


def test_a_refusal_whose_body_is_cut_is_one() -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(an_answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")[:-10])

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, retry=RetryPolicy(attempts=3, sleep=lambda _: None))
        error = failure(AccessDenied, lambda: client.list_parts(TARGET, "id"))

        assert not error.retryable
        assert len(peer.accepted) == 1


def test_the_error_of_a_local_file_is_not_the_connections() -> None:
    class Broken(Bytes):
        def open(self) -> Iterator[bytes]:
            self.opened += 1
            yield b"x"
            raise ConnectionResetError("of a network drive")

    body = Broken(b"xx", verified=False)
    with RawPeer(lambda connection: connection.request()) as peer:
        client = a_scripted_client(peer.url, retry=RetryPolicy(attempts=3, sleep=lambda _: None))
        with pytest.raises(ConnectionResetError, match="of a network drive"):
            client.put_object(TARGET, body)

    assert body.opened == 1


# --- proxies ----------------------------------------------------------------------------------------------------------

THRICE = RetryPolicy(attempts=3, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("status", "attempts"), [("407 No", 1), ("403 No", 1), ("404 No", 1), ("503 No", 3), ("429 No", 3)]
)
def test_a_proxy_that_refuses_for_good_is_asked_once(status: str, attempts: int) -> None:
    def serve(connection: Connection) -> None:
        connection.head()
        connection.say(an_answer(status))

    with RawPeer(serve) as proxy:
        client = a_scripted_client("https://oss.example", proxies={"https": proxy.url}, retry=THRICE)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

        assert f"Tunnel connection failed: {status}; check the connection's Proxy" in str(error)
        assert error.retryable == (attempts > 1)
        assert len(proxy.accepted) == attempts


def tunnel(connection: Connection) -> None:
    host, port = connection.head().split()[1].split(":")
    with socket.create_connection((host, int(port))) as there:
        connection.say(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=pump, args=(there, connection.sock, None), daemon=True)
        back.start()
        pump(connection.sock, there, None)


def test_a_proxy_by_tls_leads_to_tls_with_the_bundle_read_once(tmp_path: Path) -> None:
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1")

    def serve(connection: Connection) -> None:
        for head in connection.requests():
            heads.append(head)
            connection.say(an_answer())
            if "part" not in head:
                return

    heads: list[str] = []
    with RawPeer(serve, certificate=certificate) as peer, RawPeer(tunnel, certificate=certificate) as proxy:
        client = a_scripted_client(peer.url, proxies={"https": proxy.url}, verify_tls=str(certificate))
        certificate.unlink()
        client.put_object(TARGET, Bytes(bytes(2**20), verified=False))
        client.upload_part(TARGET, "id", 1, Bytes(b"x", verified=False))
        client.upload_part(TARGET, "id", 2, Bytes(b"x", verified=False))

    assert len(heads) == 3
    assert len(proxy.accepted) == len(peer.accepted) == 2


@pytest.mark.parametrize("said", [b"", b"\x05\x00\x05\x02\x00\x01" + bytes(6)], ids=["silence", "a refusal"])
def test_a_socks_proxy_that_makes_no_connection(said: bytes) -> None:
    pytest.importorskip("socks", reason="requests takes SOCKS proxies with PySocks only")

    def serve(connection: Connection) -> None:
        connection.sock.recv(100)
        if said:
            connection.say(said)
        connection.sock.recv(100)
        connection.sock.recv(100)

    with RawPeer(serve) as proxy:
        url = proxy.url.replace("http:", "socks5h:")
        client = a_scripted_client("http://oss.example", proxies={"http": url}, connect_timeout=0.3)
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "check the connection's Proxy" in str(error)
    assert error.retryable


def test_what_comes_after_the_answer_to_connect_is_no_tls() -> None:
    def serve(connection: Connection) -> None:
        connection.head()
        connection.say(b"HTTP/1.1 200 OK\r\n\r\nmore")
        connection.request()

    with RawPeer(serve) as proxy:
        client = a_scripted_client(
            "https://oss.example", proxies={"https": proxy.url}, connect_timeout=raw_peer.PATIENCE
        )
        error = failure(ConnectionFailed, lambda: client.head_object(TARGET))

    assert "the proxy sent more than its response to CONNECT" in str(error)
