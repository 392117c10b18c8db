"""A proxy before the local OSS server that changes what goes through it, as CDNs and proxies do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from airflow_provider_ossresume.local_oss import LocalOSS


@dataclass
class Passing:
    """A request and its answer. Headers have lower-case names.

    :ivar port: from which it was sent
    """

    method: str
    target: str
    headers: dict[str, str]
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    port: int = 0


class Relay:
    """Reached as an OSS is; the changes are applied to each request, and to each answer.

    :ivar passed: what went through
    """

    def __init__(
        self,
        oss: LocalOSS,
        *,
        request: Callable[[Passing], object] = lambda passing: None,
        answer: Callable[[Passing], object] = lambda passing: None,
    ) -> None:
        self.region, self.security_token = oss.region, oss.security_token
        self.access_key_id, self.access_key_secret = oss.access_key_id, oss.access_key_secret
        self.passed: list[Passing] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                passing = Passing(self.command, self.path, headers, port=self.client_address[1])
                body = self.rfile.read(int(passing.headers.get("content-length", 0)))
                request(passing)
                there = http.client.HTTPConnection("127.0.0.1", oss.port, timeout=30)
                there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in passing.headers.items():
                    there.putheader(name, value)
                there.endheaders(body)
                found = there.getresponse()
                passing.status, passing.body = found.status, found.read()
                passing.answer = {name.lower(): value for name, value in found.getheaders()}
                there.close()
                answer(passing)
                relay.passed.append(passing)
                if self.command != "HEAD":
                    passing.answer["content-length"] = str(len(passing.body))
                self.send_response_only(passing.status)
                for name, value in passing.answer.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(passing.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
