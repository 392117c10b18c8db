"""A peer of raw sockets: what it says on each of its connections is a function's."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE = 20.0  # seconds; only a test that fails waits for them


class Connection:
    """One connection of a peer.

    :ivar number: from 1
    """

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._rest = b""

    def head(self) -> str:
        """Return the next request's head; the errors of a connection that ends."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def request(self) -> str:
        """Return the next request's head, with its body read."""
        head = self.head()
        self.finish(head)
        return head

    def finish(self, head: str) -> None:
        """Read the body of the request that has this head."""
        length = re.search(r"(?im)^content-length: *([0-9]+)", head)
        left = int(length[1]) if length else 0
        while len(self._rest) < left:
            self._more()
        self._rest = self._rest[left:]

    def _more(self) -> None:
        data = self.sock.recv(2**20)
        if not data:
            raise ConnectionError("the client has gone")
        self._rest += data

    def say(self, *data: bytes) -> None:
        for each in data:
            self.sock.sendall(each)

    def requests(self) -> Iterator[str]:
        """Yield all requests, read whole."""
        with suppress(OSError):
            while True:
                yield self.request()


class RawPeer:
    """Listens on loopback, and serves each connection in a thread.

    :ivar accepted: the sockets of its connections
    :ivar served: the threads that serve them
    :ivar errors: what they ended with
    """

    def __init__(self, serve: Callable[[Connection], object], *, certificate: Path | None = None) -> None:
        self._serve = serve
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.accepted: list[socket.socket] = []
        self.errors: list[BaseException] = []
        self.served: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> RawPeer:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self.accepted:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in (self._accepting, *self.served):
            thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted.append(sock)
                thread = threading.Thread(target=self._run, args=(sock, len(self.accepted)), daemon=True)
                self.served.append(thread)
                thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self.accepted[number - 1] = sock
            with sock:
                self._serve(Connection(sock, number))
        except BaseException as error:
            self.errors.append(error)


def an_answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    lines = {"Content-Length": str(len(body)), "ETag": '"E"', **headers}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{text}\r\n".encode("latin-1") + body
