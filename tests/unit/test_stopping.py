"""A client that has a stop: once it is given, no request is begun, and whatever is under way ends at once."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ServiceError, TransferStopped
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.dialing import Route
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.oss.temporary_credentials import RefreshingCredentials, TemporaryCredentials
from airflow_provider_ossresume.transfer.stop import Stop
from tests.unit import raw_peer
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.unit.test_client import TARGET, Bytes, Collected, a_certificate, a_scripted_client, failure

LONG = {"connect_timeout": 60, "read_timeout": 60, "stall_timeout": 60, "retry": RetryPolicy(attempts=3)}


class Endless(Bytes):
    """More than any socket takes, of one plain mark.

    :ivar begun: some of it was asked for
    """

    MARK = b"in the clear "

    def __init__(self) -> None:
        super().__init__(b"", verified=False)
        self.size = 2**30
        self.begun = threading.Event()

    def open(self) -> Iterator[bytes]:
        while True:
            yield self.MARK * 50_000
            self.begun.set()


def stopped(stop: Stop, call: Callable[[], object], *, when: Callable[[], object]) -> None:
    """Make the call in a thread, give the stop then, and see it end with that."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    when()
    stop.give()
    thread.join(raw_peer.PATIENCE)  # every timeout is three times as long
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [TransferStopped]


@pytest.fixture(params=[False, True], ids=["TCP", "TLS"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return a_certificate(tmp_path / "server.pem", address="127.0.0.1") if request.param else None


def options(certificate: Path | None) -> dict[str, Any]:
    return {**LONG, "verify_tls": str(certificate) if certificate else True}


WAITS: dict[str, Callable[[Connection], object]] = {
    "an answer": lambda connection: connection.request(),
    "the rest of a head": lambda connection: (connection.request(), connection.say(b"HTTP/1.1 200 OK\r\nA: ")),
    "a body": lambda connection: (connection.request(), connection.say(an_answer(body=bytes(5000))[:-10])),
    "a chunk": lambda connection: (
        connection.request(),
        connection.say(b'HTTP/1.1 200 OK\r\nETag: "E"\r\nTransfer-Encoding: chunked\r\n\r\n5'),
    ),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_stop_ends_the_wait_for(wait: Callable[[Connection], object], certificate: Path | None) -> None:
    waiting, stop = threading.Event(), Stop()

    def serve(connection: Connection) -> None:
        wait(connection)
        waiting.set()
        connection.request()

    with RawPeer(serve, certificate=certificate) as peer:
        client = a_scripted_client(peer.url, **options(certificate)).with_stop(stop)
        stopped(stop, lambda: client.list_parts(TARGET, "id"), when=lambda: waiting.wait(30))

        assert len(peer.accepted) == 1


def test_a_stop_ends_a_body_that_nobody_takes(certificate: Path | None) -> None:
    stop, body, has_come, released = Stop(), Endless(), threading.Event(), threading.Event()

    def serve(connection: Connection) -> None:
        connection.head()
        has_come.set()
        released.wait(60)

    with RawPeer(serve, certificate=certificate) as peer:
        client = a_scripted_client(peer.url, **options(certificate)).with_stop(stop)
        stopped(stop, lambda: client.put_object(TARGET, body), when=lambda: body.begun.wait(30) and has_come.wait(30))
        released.set()

        assert len(peer.accepted) == 1


def test_nothing_is_sent_in_clear_when_a_stop_ends_tls(tmp_path: Path) -> None:
    certificate = a_certificate(tmp_path / "server.pem", address="127.0.0.1")
    flows = threading.Event()

    class Flowing(Endless):
        def open(self) -> Iterator[bytes]:
            for number, piece in enumerate(super().open()):
                yield piece
                if number == 20:  # what TLS says after its handshake is read by now
                    flows.set()

    stop, body, taken = Stop(), Flowing(), bytearray()

    def serve(connection: Connection) -> None:
        connection.head()
        while connection.sock.recv(2**16):
            pass

    with RawPeer(serve, certificate=certificate) as peer, recorder(peer.port, taken) as there:
        client = a_scripted_client(f"https://127.0.0.1:{there.port}", **options(certificate)).with_stop(stop)
        stopped(stop, lambda: client.put_object(TARGET, body), when=lambda: flows.wait(30))
        for thread in there.served:  # until it has read what was on its way
            thread.join(raw_peer.PATIENCE)

    assert len(taken) > 100_000
    assert Endless.MARK not in taken


@contextmanager
def recorder(port: int, taken: bytearray) -> Iterator[RawPeer]:
    """Passes bytes on to the port, and keeps those that the client sent."""

    def serve(connection: Connection) -> None:
        with socket.create_connection(("127.0.0.1", port)) as there:
            back = threading.Thread(target=pump, args=(there, connection.sock, None), daemon=True)
            back.start()
            pump(connection.sock, there, taken)

    with RawPeer(serve) as peer:
        yield peer


def pump(near: socket.socket, far: socket.socket, taken: bytearray | None) -> None:
    try:
        while data := near.recv(2**16):
            if taken is not None:
                taken += data
            far.sendall(data)
    except OSError:
        return


def test_a_stop_ends_a_connection_under_way() -> None:
    stop, begun = Stop(), threading.Event()
    with full_listener() as port:
        client = a_scripted_client(f"http://127.0.0.1:{port}", **LONG).with_stop(Told(stop, begun))
        stopped(stop, lambda: client.head_object(TARGET), when=lambda: begun.wait(30))


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose listener takes no further connection: the kernel lets whoever asks for one wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        try:
            yield port
        finally:
            for sock in waiting:
                sock.close()


class Told:
    """A stop that tells when the client has looked at it for the third time: that is when it connects."""

    def __init__(self, stop: Stop, begun: threading.Event) -> None:
        self._stop = stop
        self._begun = begun
        self._looks = 0
        self.wait, self.guard = stop.wait, stop.guard

    def check(self) -> None:
        self._looks += 1
        if self._looks >= 4:
            self._begun.set()
        self._stop.check()


def test_a_stop_ends_the_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, asked, answered = Stop(), threading.Event(), threading.Event()

    def never(*_: object) -> list[object]:
        asked.set()
        answered.wait(60)
        return []

    client = a_scripted_client("http://silent.invalid", proxies={"no_proxy": "*"}, **LONG).with_stop(stop)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    stopped(stop, lambda: client.head_object(TARGET), when=lambda: asked.wait(30))
    answered.set()


def test_a_stop_ends_the_wait_for_credentials_and_no_other_clients() -> None:
    """Both are copies of one client, so they share one request to the service that issues them."""
    asked, issue = threading.Event(), threading.Event()

    class Slow:
        def fetch(self) -> TemporaryCredentials:
            asked.set()
            issue.wait(60)
            return TemporaryCredentials(Credentials("id", "secret"), 3600.0)

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer())

    with RawPeer(serve) as peer, ThreadPoolExecutor(1) as other:
        client = a_scripted_client(peer.url, credentials=RefreshingCredentials(Slow()), **LONG)
        stop = Stop()
        try:
            stopped(stop, lambda: client.with_stop(stop).head_object(TARGET), when=lambda: asked.wait(30))
            going_on = other.submit(client.with_stop(Stop()).put_object, TARGET, Bytes(b"x"))
        finally:
            issue.set()
        going_on.result()

    assert len(peer.accepted) == 1


def test_a_stop_ends_a_tls_handshake() -> None:
    stop, begun = Stop(), threading.Event()

    def serve(connection: Connection) -> None:
        connection.sock.recv(1)
        begun.set()
        connection.sock.recv(2**20)
        connection.sock.recv(2**20)

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url.replace("http:", "https:"), **LONG).with_stop(stop)
        stopped(stop, lambda: client.head_object(TARGET), when=lambda: begun.wait(30))

        assert len(peer.accepted) == 1


def test_a_stop_ends_the_wait_for_a_proxy() -> None:
    stop, begun = Stop(), threading.Event()

    def serve(connection: Connection) -> None:
        connection.head()
        connection.say(b"HTTP/1.1 200 OK\r\nA: ")
        begun.set()
        connection.request()

    with RawPeer(serve) as proxy:
        client = a_scripted_client("https://oss.example", proxies={"https": proxy.url}, **LONG).with_stop(stop)
        stopped(stop, lambda: client.head_object(TARGET), when=lambda: begun.wait(30))

        assert len(proxy.accepted) == 1


def test_after_a_stop_nothing_is_asked() -> None:
    stop = Stop()
    with RawPeer(lambda connection: connection.request()) as peer:
        client = a_scripted_client(peer.url).with_stop(stop)
        stop.give()
        failure(TransferStopped, lambda: client.head_object(TARGET))

        assert peer.accepted == []


def test_a_stop_that_comes_while_a_connection_is_made_lets_nothing_be_sent() -> None:
    heads: list[str] = []

    def serve(connection: Connection) -> None:
        heads.extend(connection.requests())

    class GivenOnceConnected(Stop):
        guards = 0

        def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
            self.guards += 1
            if self.guards == 2:  # after the one for making the connection
                self.give()
            return super().guard(shut)

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, read_timeout=1).with_stop(GivenOnceConnected())
        failure(TransferStopped, lambda: client.put_object(TARGET, Bytes(b"x")))

    assert heads == []


def test_a_stop_that_comes_while_a_connection_turns_to_tls_ends_it() -> None:
    """The socket that it knows is none any more, and the one that takes its place is not known yet."""
    stop = Stop()

    class Giving(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
            wrapped = super().wrap_socket(*args, **more)
            stop.give()
            return wrapped

    with RawPeer(lambda connection: connection.request()) as peer:
        url, context = f"https://127.0.0.1:{peer.port}", Giving(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(TransferStopped):
            Route(url, proxy=None, tls=lambda: context, timeout=raw_peer.PATIENCE).dial(stop)


def test_a_stop_that_is_late_shuts_no_connection_that_others_use() -> None:
    shuts: list[Callable[[], None]] = []

    class Late(Stop):
        def guard(self, shut: Callable[[], None]) -> AbstractContextManager[None]:
            shuts.append(shut)
            return super().guard(shut)

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer())

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url)
        client.with_stop(Late()).put_object(TARGET, Bytes(b"x", verified=False))
        for shut in shuts:
            with suppress(OSError):
                shut()
        client.put_object(TARGET, Bytes(b"x", verified=False))

        assert len(peer.accepted) == 1


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    waits = threading.Event()

    class Waited(Stop):
        def wait(self, seconds: float) -> None:
            waits.set()
            super().wait(seconds)

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer("503 Busy", Retry_After="50"))

    with RawPeer(serve) as peer:
        stop = Waited()
        client = a_scripted_client(peer.url, **LONG).with_stop(stop)
        stopped(stop, lambda: client.head_object(TARGET), when=lambda: waits.wait(30))

        assert len(peer.accepted) == 1


class Slowed(Stop):
    """Waits for nothing, and counts how often it is told to slow down."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def slow_down(self) -> None:
        self.told += 1

    def wait(self, seconds: float) -> None:
        """Not in a test."""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (an_answer("503 Busy", Connection="close"), 1),
        (an_answer("429 Busy", Connection="close"), 1),
        (an_answer("200 OK", x_oss_qos_delay_time="100"), 1),
        (b"", 1),
        (an_answer("500 Broken", Connection="close"), 0),
        (b"HTTP/1.1 200 OK\r\nno end", 0),
    ],
    ids=["503", "429", "a delay that is told", "no answer in time", "500", "a broken connection"],
)
def test_the_stop_is_told_of_throttling_and_of_timeouts(answer: bytes, told: int) -> None:
    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            if connection.number == 1:
                connection.say(answer)
                if answer.endswith(b"no end"):
                    return
            else:
                connection.say(an_answer())

    stop = Slowed()
    patience = 30 if answer else 1  # seconds; a busy machine may take long to say what it has to
    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url, read_timeout=patience, retry=RetryPolicy(attempts=2)).with_stop(stop)
        client.put_object(TARGET, Bytes(b"x"))

    assert stop.told == told


def test_copies_of_a_client_share_its_stop_and_what_was_learnt_of_oss_clock() -> None:
    skewed = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer("403 Forbidden", skewed, Date="Wed, 01 Jan 2020 00:00:00 GMT"))

    with RawPeer(serve) as peer:
        client = a_scripted_client(peer.url)
        copies = [client.with_stop(Stop()), client.with_headers({"x-oss-request-payer": "requester"})]
        failure(ServiceError, lambda: copies[0].get_object(TARGET, Collected()))

    assert client.clock_offset != 0
    assert len({each.clock_offset for each in (client, *copies)}) == 1
