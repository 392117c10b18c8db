"""One client's connection: sends answers, waits, and ends the connection."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
from http.client import responses

from airflow_provider_ossresume.local_oss.answers import Answer, FileRange
from airflow_provider_ossresume.local_oss.body_faults import BodyFaults
from airflow_provider_ossresume.local_oss.incoming import STEP, ConnectionLost, Stream

_SENDFILE_STEP = 1 << 30  # the kernel sends less than 2 GiB a call
_LINGER_SECONDS = 5.0  # without bytes, after which the connection of a refused client is closed
_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)  # macOS has no POLLRDHUP


class Connection:
    """A connection. Its methods raise ConnectionLost if it has ended. Any thread may call ``end``."""

    def __init__(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if tls else "http"
        self._sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) if tls else sock
        with contextlib.suppress(OSError):  # macOS refuses if the client has already disconnected
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = Stream(self._sock)
        self.sent: int | None = None

    def begin(self) -> None:
        """Do the TLS handshake, if the server uses TLS."""
        if isinstance(self._sock, ssl.SSLSocket):
            try:
                self._sock.do_handshake()
            except OSError as error:  # the client does not trust the certificate, or speaks no TLS
                raise ConnectionLost from error

    def send_continue(self) -> None:
        """Tell a client that waits for it to send the body."""
        self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, answer: Answer, head: bytes, body_faults: BodyFaults) -> None:
        """Send an answer. ``sent`` counts the bytes of its body, also if this ends early; None: not even the head."""
        self.sent = None
        try:
            if body_faults:
                self._send_with_faults(answer, head, body_faults)
            elif isinstance(answer.body, bytes):
                self._send(head + answer.body)
                self.sent = len(answer.body)
            else:
                self._send(head)
                self.sent = 0
                self._send_file(answer.body)
        finally:
            answer.close()

    def _send_with_faults(self, answer: Answer, head: bytes, body_faults: BodyFaults) -> None:
        if not answer.size or body_faults.precedes_head:
            body_faults.allow(1)  # without a body, the fault applies before the head
        self._send(head)
        self.sent = 0
        body, position = answer.body, 0
        while position < answer.size:
            stop = position + body_faults.allow(min(STEP, answer.size - position))
            if isinstance(body, bytes):
                data = body[position:stop]
            else:
                data = os.pread(body.file.fileno(), stop - position, body.start + position)
            self._send(body_faults.passing(memoryview(data)))
            self.sent = position = stop

    def _send_file(self, body: FileRange) -> None:
        if isinstance(self._sock, ssl.SSLSocket):  # the kernel does not encrypt
            for step in body.steps(STEP):
                self._send(step)
                self.sent = (self.sent or 0) + len(step)
            return
        position = body.start
        while position < body.stop:
            try:
                count = min(body.stop - position, _SENDFILE_STEP)
                sent = os.sendfile(self._sock.fileno(), body.file.fileno(), position, count)
            except OSError as error:
                raise ConnectionLost from error
            if not sent:
                raise ConnectionLost
            position += sent
            self.sent = position - body.start

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise ConnectionLost from error

    def pause(self, seconds: float | None) -> None:
        """Wait; None waits forever. Raises ConnectionLost if either side ends the connection meanwhile."""
        poll = select.poll()
        poll.register(self._sock, _GONE)
        if poll.poll(None if seconds is None else seconds * 1000):
            raise ConnectionLost

    def discard(self) -> None:
        """Read what the client still sends, so that it then reads the answer."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(_LINGER_SECONDS)
            while self._sock.recv(STEP):
                pass

    def reset(self) -> None:
        """End the connection so that the client sees a reset."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def end(self) -> None:
        """End all reads, writes and waits on the connection with ConnectionLost."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(
                self._sock, socket.SHUT_RDWR
            )  # SSLSocket.shutdown would remove state that other threads use


def head_of(answer: Answer, headers: dict[str, str]) -> bytes:
    """Return the head of an answer, with further headers; the answer's own take precedence."""
    own = dict(answer.headers)
    if answer.status not in (204, 304):
        own.setdefault("Content-Length", str(answer.size))
    lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in (headers | own).items()]
    return "\r\n".join([*lines, "", ""]).encode()
