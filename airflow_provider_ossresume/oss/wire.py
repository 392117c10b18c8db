"""One connection: it sends bytes, and reads ahead.

Every error of its socket becomes ExchangeFailed, so that it cannot be confused with the error of a local file. Only the
thread that uses the connection closes its socket; a stop only shuts it down.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.stop import Stop

READ_SIZE = 64 * 1024  # bytes that are read ahead
MAX_HEAD = 256 * 1024  # bytes of response headers; OSS sends up to 8 KiB of metadata

_HUNG_UP = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_INFORMATIONAL = re.compile(rb"HTTP/[0-9.]{1,9} 1")


class Wire:
    """A connection, while it is made and afterwards. One thread uses it at a time.

    :ivar sock: a socket, or TLS over one
    :ivar idle_since: when it was last given back
    :ivar has_answered: bytes have arrived since the exchange began
    """

    def __init__(self) -> None:
        self.sock: Any = None
        self.idle_since = 0.0
        self._socket: Any = None  # a stop shuts this one down
        self._timeout: float | None = None
        self._rest = b""  # read ahead; the bytes from _at on are still to be returned
        self._at = 0
        self._token = threading.Lock()
        self.has_answered = False

    # --- its socket ---------------------------------------------------------------------------------------------------

    def attach(self, sock: Any) -> None:
        """Use this socket from now on, or TLS over the one in use."""
        self.sock = sock
        self._timeout = None
        if isinstance(sock, socket.socket):  # else it is TLS within TLS, over the same socket
            self._socket = sock
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)

    @property
    def _is_nested(self) -> bool:
        """True for TLS within TLS, where one read may be many reads of the socket."""
        return not isinstance(self.sock, socket.socket)

    def begin(self) -> None:
        """Start another exchange."""
        self.has_answered = False

    @contextmanager
    def guarded(self, stop: Stop) -> Iterator[None]:
        """Within the block, a stop shuts the socket down, which ends every wait for it at once."""
        token = self._token = threading.Lock()
        try:
            with stop.guard(lambda: self._shut(token)):
                yield
        finally:
            # Never released: the socket may be closed from now on, and another file may get its number.
            token.acquire(timeout=1.0)

    def shut(self) -> None:
        """End every wait for the socket. Another thread calls this, while the block runs."""
        with suppress(OSError):  # PySocks closes the socket itself if the proxy does not respond
            self._shut(self._token)

    def _shut(self, token: threading.Lock) -> None:
        if not token.acquire(blocking=False):
            return
        try:
            if self._socket is not None:
                # Not SSLSocket.shutdown: it drops TLS first, and a thread in sendall would continue in clear text.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        finally:
            token.release()

    @property
    def is_silent(self) -> bool:
        """True if nothing unexpected has arrived, such as data or the end of the connection."""
        return not self.has_read and not self._has_input

    @property
    def _has_input(self) -> bool:
        return _decrypted(self.sock) or bool(self._poll.poll(0))

    def fileno(self) -> int:
        return int(self._socket.fileno()) if self._socket is not None else -1

    def close(self) -> None:
        is_guarded = self._token.acquire(blocking=False)  # a stop must not touch the number, which another file may get
        for each in (self.sock, self._socket):
            if each is not None:
                with suppress(OSError):
                    each.close()
        if is_guarded:  # the next address may be tried
            self._token.release()

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: bytes | memoryview, limit: Limit) -> bool:
        """Send all of the data. Return False if the peer has hung up, or responds and reads no more."""
        began = time.monotonic()
        try:
            self._within(limit, self.sock.sendall, data)
        except ExchangeFailed as error:
            if isinstance(error.__cause__, _HUNG_UP) or (error.is_timeout and self.is_answered()):
                return False
            raise
        limit.moved(len(data), time.monotonic() - began)
        return True

    def is_answered(self) -> bool:
        """Return whether a response has started to arrive, or the connection has ended. Does not wait."""
        if not self._has_input:
            return False
        self._timeout = 0.0
        self.sock.settimeout(0.0)
        try:
            data = self.sock.recv(READ_SIZE) or b""
        except _NOTHING_YET:  # TLS has messages of its own
            return False
        except OSError:
            return True
        self._rest = self._rest[self._at :] + data
        self._at = 0
        self.has_answered |= bool(data)
        if len(self._rest) > MAX_HEAD:
            return True
        while _INFORMATIONAL.match(self._rest) and (end := _BLANK_LINE.search(self._rest)):
            self._rest = self._rest[end.end() :]
        # The first ten characters of the status line show whether this is a final response.
        is_none_yet = _INFORMATIONAL.match(self._rest) or b"HTTP/1.1 ".startswith(self._rest)
        return not data or not is_none_yet

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def has_read(self) -> bool:
        """True if bytes have been read ahead."""
        return self._at < len(self._rest)

    def head(self, first: Limit, whole: Callable[[], Limit]) -> bytes:
        """Return the bytes up to the next blank line, including it.

        :param first: the limit for the first byte
        :param whole: makes the limit for the other bytes, once the first is there
        :raises ExchangeFailed: if the connection ends before; an incomplete head is never used
        """
        limit = whole() if self.has_read else first
        while not (end := _BLANK_LINE.search(self._rest, self._at)):
            if len(self._rest) - self._at > MAX_HEAD:
                raise ExchangeFailed(f"the response headers are longer than {MAX_HEAD} bytes")
            is_first = not self.has_read
            if not self._fill(limit):
                where = "without a response" if is_first else "inside the response headers"
                raise ExchangeFailed(f"the connection ended {where}")
            limit = whole() if is_first else limit
        return self._taken(end.end() - self._at)

    def line(self, most: int, limit: Limit) -> bytes:
        """Return the next line with its end. It is cut after ``most`` bytes, or if the connection ends."""
        while (end := self._rest.find(b"\n", self._at, self._at + most)) < 0 and len(self._rest) - self._at < most:
            if not self._fill(limit):
                break
        return self._taken(end + 1 - self._at if end >= 0 else most)

    def read(self, most: int, limit: Limit) -> bytes:
        """Return the bytes that have arrived, ``most`` at most. Wait for the first; empty at the connection's end."""
        if not self.has_read:
            self._fill(limit)
        return self._taken(most)

    def read_into(self, buffer: memoryview, limit: Limit) -> int:
        """Read into the buffer, with one call to the socket. Return the number of bytes, 0 at the end."""
        if self.has_read:
            data = self._taken(len(buffer))
            buffer[: len(data)] = data
            limit.moved(len(data), 0.0)
            return len(data)
        began = time.monotonic()
        size: int = self._within(limit, self.sock.recv_into, buffer)
        limit.moved(size, time.monotonic() - began)
        return size

    def _taken(self, most: int) -> bytes:
        data = self._rest[self._at : self._at + most]
        self._at += len(data)
        return data

    def _fill(self, limit: Limit) -> bool:
        began = time.monotonic()
        data: bytes = self._within(limit, self.sock.recv, READ_SIZE) or b""  # TLS within TLS returns 0 at the end
        limit.moved(0, time.monotonic() - began)  # it may not be part of a body
        self._rest = self._rest[self._at :] + data if self.has_read else data
        self._at = 0
        self.has_answered |= bool(data)
        return bool(data)

    def _within(self, limit: Limit, function: Callable[[Any], Any], argument: object) -> Any:
        timeout = limit.left()
        try:
            if timeout != self._timeout:
                self.sock.settimeout(timeout)
                self._timeout = timeout
            if self._is_nested:
                with shut_after(limit, self):
                    return function(argument)
            return function(argument)
        except TimeoutError as error:
            raise limit.over() from error
        except (OSError, ValueError) as error:
            raise ExchangeFailed(str(error)) from error


@contextmanager
def shut_after(limit: Limit, wire: Wire) -> Iterator[None]:
    """Shut the connection down when the limit's time is over. Needed if each byte would restart the timeout."""
    timer = threading.Timer(limit.left(), wire.shut)
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads; the timeout of each read still applies
        timer.start()
    try:
        yield
    except OSError:
        limit.left()  # raises when it is over
        raise
    finally:
        timer.cancel()


def _decrypted(sock: Any) -> bool:
    """Return whether TLS holds bytes that it has read from the socket already."""
    pending = getattr(sock, "pending", None) or getattr(getattr(sock, "sslobj", None), "pending", None)
    if pending and pending():
        return True
    # TLS within TLS (urllib3's SSLTransport): bytes that are not decrypted yet, and those of the outer TLS.
    incoming, outer = getattr(sock, "incoming", None), getattr(sock, "socket", None)
    return bool(incoming is not None and incoming.pending) or (outer is not None and _decrypted(outer))
