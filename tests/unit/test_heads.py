"""Heads of answers that contradict themselves, or come when nobody waits for them any more."""

from __future__ import annotations

import logging
import threading

import pytest

from airflow_provider_ossresume.errors import ArgumentError, ConnectionFailed, ServiceError, TransferStopped
from airflow_provider_ossresume.oss.proxies import parse_proxy
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.transfer.stop import Stop
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.unit.test_client import TARGET, a_scripted_client

ONCE = RetryPolicy(attempts=1)


@pytest.mark.parametrize(
    "lengths",
    [b"Content-Length: 0\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"],
)
def test_an_answer_that_tells_its_length_in_two_ways_is_none(lengths: bytes) -> None:
    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(b'HTTP/1.1 200 OK\r\nETag: "E"\r\n' + lengths + b"\r\nhello")

    with RawPeer(serve) as peer, pytest.raises(ConnectionFailed, match="in two ways"):
        a_scripted_client(peer.url, retry=ONCE).head_object(TARGET)


def test_a_status_line_that_is_none_does_not_leave_its_answer_to_the_next_request() -> None:
    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(b"HTTP/1.1  103 Early Hints\r\n\r\n" + an_answer())

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, retry=ONCE, read_timeout=5)
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                client.head_object(TARGET)

        assert len(peer.accepted) == 2


def test_a_field_that_is_folded_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(
                b'HTTP/1.1 200 OK\r\nETag: "E"\r\nContent-Length: 1\r\nx-oss-request-id: 1\r\n ERROR forged\r\n\r\n'
            )

    with RawPeer(serve) as peer:
        meta = a_scripted_client(peer.url, retry=ONCE).head_object(TARGET)

    assert meta.headers["x-oss-request-id"] == "1 ERROR forged"
    assert "\n ERROR" not in caplog.text


def test_who_is_stopped_within_an_errors_body_hears_of_the_stop() -> None:
    stop, has_begun = Stop(), threading.Event()

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 500\r\n\r\n<Error>")
            has_begun.set()
            connection.sock.recv(1)

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, retry=ONCE).with_stop(stop)
        stopping = threading.Thread(target=lambda: (has_begun.wait(), stop.give()))
        stopping.start()
        with pytest.raises(TransferStopped):
            client.list_parts(TARGET, "id")
        stopping.join()


def test_a_post_that_is_not_answered_in_time_is_not_sent_again_behind_the_callers_back() -> None:
    asked: list[str] = []

    def serve(connection: Connection) -> None:
        for head in connection.requests():
            asked.append(head.split(" ", 1)[0])
            if asked[-1] == "POST":
                connection.sock.recv(1)
                return
            connection.say(an_answer())

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, retry=ONCE, read_timeout=1)
        client.head_object(TARGET)  # the connection has waited then
        with pytest.raises(ConnectionFailed):
            client.initiate(TARGET)

    assert asked == ["HEAD", "POST"]


def test_a_redirect_is_shown_without_the_password_in_it() -> None:
    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://u:s3cr3t@other/x?y\r\n\r\n")

    with RawPeer(serve) as peer, pytest.raises(ServiceError, match="https://other/x") as caught:
        a_scripted_client(peer.url, retry=ONCE).head_object(TARGET)

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("password", ["пароль", "%D0%BF"])
def test_a_password_that_no_proxy_can_be_sent_is_refused_unseen(password: str) -> None:
    with pytest.raises(ArgumentError, match="choose others") as caught:
        parse_proxy("proxy", f"http://user:{password}@host:3128")

    assert password not in str(caught.value)
