"""Connections that wait for the next exchange: how old they get, and what becomes of one that is dead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from tests.unit import raw_peer
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.unit.test_client import TARGET, Bytes, a_certificate, a_scripted_client

HELLO = an_answer(body=b"hello")


@contextmanager
def connections(*, longest_idle: float = 30.0, verify_tls: bool | str = True) -> Iterator[Connections]:
    settings = environment_settings("http://127.0.0.1", proxies={"no_proxy": "*"}, verify_tls=verify_tls)
    made = Connections(
        settings,
        max_connections=32,
        connect_timeout=10.0,
        send_timeout=10.0,
        read_timeout=10.0,
        stall_timeout=10.0,
        longest_idle=longest_idle,
    )
    try:
        yield made
    finally:
        made.close()


def ask(ours: Connections, url: str, path: str = "/") -> bytes:
    with ours.exchange("GET", url, path, {}) as answer:
        return b"".join(answer.pieces(1024, Limit("nothing came", silence=10.0)))


def fill(ours: Connections, url: str, number: int) -> None:
    """Leave so many connections waiting."""
    all_are_made = threading.Barrier(number)

    def hold(_: int) -> None:
        with ours.exchange("GET", url, "/fill", {}) as answer:
            all_are_made.wait(30)
            assert b"".join(answer.pieces(1024, Limit("nothing came", silence=10.0))) == b"hello"

    with ThreadPoolExecutor(number) as threads:
        list(threads.map(hold, range(number)))


def polite(connection: Connection) -> None:
    for _ in connection.requests():
        connection.say(HELLO)


def test_a_connection_that_waited_too_long_is_not_used_again() -> None:
    with RawPeer(polite) as peer, connections(longest_idle=0.0) as ours:
        assert [ask(ours, peer.url) for _ in range(2)] == [b"hello"] * 2

    assert len(peer.accepted) == 2


def test_all_that_their_peer_has_closed_are_closed_with_the_next_exchange() -> None:
    """None is left in CLOSE_WAIT, however many wait and whichever is used next."""
    hang_up, ended, closed = threading.Event(), threading.Barrier(6), []

    def serve(connection: Connection) -> None:
        if connection.number == 6:
            polite(connection)
            return
        connection.request()
        connection.say(HELLO)
        hang_up.wait(30)
        connection.sock.shutdown(socket.SHUT_WR)
        ended.wait(30)
        closed.append(connection.sock.recv(1))  # returns when the client has closed it too

    with RawPeer(serve) as peer, connections() as ours:
        fill(ours, peer.url, 5)
        hang_up.set()
        ended.wait(30)
        assert ask(ours, peer.url) == b"hello"
        for thread in peer.served[:5]:
            thread.join(30)

        assert closed == [b""] * 5


def test_those_that_their_peer_has_closed_are_closed_though_another_one_is_used() -> None:
    hang_up, ended, closed = threading.Event(), threading.Barrier(4), []

    def serve(connection: Connection) -> None:
        if connection.number == 4:
            polite(connection)
            return
        connection.request()
        connection.say(HELLO)
        hang_up.wait(30)
        connection.sock.shutdown(socket.SHUT_WR)
        ended.wait(30)
        closed.append(connection.sock.recv(1))

    with RawPeer(serve) as peer, connections() as ours:
        answers = [ours.exchange("GET", peer.url, "/", {}) for _ in range(4)]
        for answer in answers:  # the last one is the first to be used again
            with answer:
                assert b"".join(answer.pieces(1024, Limit("nothing came", silence=10.0))) == b"hello"
        hang_up.set()
        ended.wait(30)
        assert ask(ours, peer.url) == b"hello"
        for thread in peer.served[:3]:
            thread.join(raw_peer.PATIENCE)

        assert closed == [b""] * 3
        assert len(peer.accepted) == 4


def silent_once_told(silent: threading.Event) -> Callable[[Connection], None]:
    """As when a firewall forgets the connections that wait: nothing more comes over them, no end either."""

    def serve(connection: Connection) -> None:
        is_old = not silent.is_set()
        for head in connection.requests():
            if not (is_old and silent.is_set()):
                connection.say(HELLO.removesuffix(b"hello") if head.startswith("HEAD") else HELLO)

    return serve


def test_a_dead_connection_that_waited_costs_no_attempt_and_the_others_are_dropped() -> None:
    silent = threading.Event()
    with RawPeer(silent_once_told(silent)) as peer:
        client = a_scripted_client(peer.url, read_timeout=1)  # one attempt
        both = threading.Barrier(4)

        def head(_: int) -> int:
            both.wait(30)
            return client.head_object(TARGET).size

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(head, range(4))) == [5] * 4
        before = len(peer.accepted)
        silent.set()

        assert [client.head_object(TARGET).size for _ in range(3)] == [5] * 3
        assert len(peer.accepted) == before + 1


def test_a_body_is_opened_again_for_the_new_connection() -> None:
    silent = threading.Event()
    with RawPeer(silent_once_told(silent)) as peer:
        client = a_scripted_client(peer.url, read_timeout=1)
        body = Bytes(b"x" * 1000)
        client.put_object(TARGET, body)
        silent.set()
        client.put_object(TARGET, body)

    assert body.opened == 3


def test_what_fails_within_an_answer_is_not_sent_again_unasked() -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(HELLO)
        connection.request()
        connection.say(HELLO[:-20])

    with RawPeer(serve) as peer, connections() as ours:
        assert ask(ours, peer.url) == b"hello"
        with pytest.raises(ExchangeFailed, match="inside the response headers"):
            ask(ours, peer.url)

        assert len(peer.accepted) == 1


def test_a_break_in_a_body_drops_those_that_wait() -> None:
    def serve(connection: Connection) -> None:
        for head in connection.requests():
            if "/broken" in head:
                connection.say(HELLO[:-2])
                return
            connection.say(HELLO)

    with RawPeer(serve) as peer, connections() as ours:
        fill(ours, peer.url, 4)
        with pytest.raises(ExchangeFailed, match="2 bytes before the end of the body"):
            ask(ours, peer.url, "/broken")
        assert ask(ours, peer.url) == b"hello"

        assert len(peer.accepted) == 5


@pytest.mark.parametrize("is_tls", [False, True], ids=["TCP", "TLS"])
def test_what_nobody_asked_for_never_becomes_the_next_answer(tmp_path: Path, is_tls: bool) -> None:
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1") if is_tls else None

    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(HELLO + (an_answer(body=b"wrong") if connection.number == 1 else b""))
        connection.request()

    with (
        RawPeer(serve, certificate=certificate) as peer,
        connections(verify_tls=str(certificate) if certificate else True) as ours,
    ):
        assert [ask(ours, peer.url) for _ in range(2)] == [b"hello"] * 2

        assert len(peer.accepted) == 2


def test_nor_does_what_tls_has_decrypted_already(tmp_path: Path) -> None:
    """The socket says nothing of it: it came in one message with the end of the body."""
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1")

    def serve(connection: Connection) -> None:
        connection.request()
        connection.say(HELLO.removesuffix(b"hello"))
        connection.say(b"hello" + (an_answer(body=b"wrong") if connection.number == 1 else b""))
        connection.request()

    with RawPeer(serve, certificate=certificate) as peer, connections(verify_tls=str(certificate)) as ours:
        assert [ask(ours, peer.url) for _ in range(2)] == [b"hello"] * 2

        assert len(peer.accepted) == 2


def test_a_client_that_is_closed_leaves_none_open() -> None:
    with RawPeer(polite) as peer:
        client: OssClient = a_scripted_client(peer.url)
        client.put_object(TARGET, Bytes(b"x", verified=False))
        assert peer.served[0].is_alive()
        client.close()
        for thread in peer.served:
            thread.join(raw_peer.PATIENCE)
            assert not thread.is_alive()
