"""The socket that clients connect to, and a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable

from airflow_provider_ossresume.local_oss.connection import Connection

_ACCEPT_PAUSE = 0.05  # seconds, if the process has no file descriptor left until another connection ends
_END_SECONDS = 2.0  # to wait for the threads of connections; a test's hook may delay one for longer


class Listener:
    """Listens on an address, and calls ``serve`` for each connection in its own thread.

    :ivar port: the port; 0 before the first start if any free port was requested
    """

    def __init__(
        self, host: str, port: int, *, serve: Callable[[Connection], None], tls: ssl.SSLContext | None
    ) -> None:
        self.port = port
        self._host = host
        self._serve = serve
        self._tls = tls
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}

    def start(self) -> None:
        """Start listening. After ``stop``, it uses the same port."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self.port), family=family, backlog=1024)
        self.port = listening.getsockname()[1]
        self._socket = listening
        threading.Thread(target=self._accept, args=(listening,), name="local-oss", daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and end all connections at once."""
        listening, self._socket = self._socket, None
        if listening is None:
            return
        with contextlib.suppress(OSError):  # macOS refuses, and wakes the accept on close
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.end()
        deadline = time.monotonic() + _END_SECONDS
        for thread in connections.values():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                if self._socket is not listening:
                    return
                time.sleep(_ACCEPT_PAUSE)
                continue
            try:
                connection = Connection(sock, tls=self._tls)
            except (OSError, ValueError):  # TLS setup fails if the client is gone
                sock.close()
                continue
            thread = threading.Thread(target=self._answer, args=(connection,), name="local-oss-connection", daemon=True)
            with self._lock:
                if self._socket is not listening:  # stopped meanwhile
                    connection.close()
                    return
                self._connections[connection] = thread
                thread.start()

    def _answer(self, connection: Connection) -> None:
        try:
            self._serve(connection)
        finally:
            with self._lock:
                del self._connections[connection]
