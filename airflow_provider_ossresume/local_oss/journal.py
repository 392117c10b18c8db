"""Records the requests to the server, for tests and for a log file."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Signatures and tokens are never recorded.
_SECRETS = frozenset({"authorization", "x-oss-security-token", "security-token", "signature", "x-oss-signature"})


@dataclass(frozen=True)
class Request:
    """One request. ``status`` is 0 while there is no answer, and stays 0 if none was sent.

    ``headers`` have lower-case names. ``bytes_received`` and ``bytes_sent`` count the bodies. ``when`` is the server's
    time when it had read the head. Signatures and tokens are left out.
    """

    number: int
    operation: str
    method: str
    bucket: str | None
    key: str | None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    range: str | None = None
    part_number: int | None = None
    upload_id: str | None = None
    status: int = 0
    code: str = ""
    bytes_received: int = 0
    bytes_sent: int = 0
    when: float = 0.0


def without_secrets(fields: Mapping[str, str]) -> dict[str, str]:
    """Return headers or a query without signatures and tokens."""
    return {name: value for name, value in fields.items() if name.lower() not in _SECRETS}


class Journal:
    """All requests in the order of their answers. Every method may be called from any thread."""

    def __init__(self, log: Path | None) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._last_number = 0
        self._log = open(log, "a", buffering=1, encoding="utf-8") if log else None  # noqa: SIM115  closed in close

    def next_number(self) -> int:
        """Return the number of a new request, from 1."""
        with self._lock:
            self._last_number += 1
            return self._last_number

    def enter(self, request: Request) -> None:
        """Record a request. Called before its answer is sent, so a client never knows more than the journal."""
        with self._lock:
            self._requests.append(request)

    def settle(self, entered: Request, settled: Request) -> None:
        """Record how a request ended, and write it to the log.

        So the log is in the order in which answers ended; ``number`` is in the order in which requests began.
        """
        with self._lock:
            if settled != entered:
                self._requests = [settled if request is entered else request for request in self._requests]
            if self._log:
                self._log.write(json.dumps(asdict(settled), ensure_ascii=False) + "\n")

    def requests(self) -> list[Request]:
        """Return all requests so far."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests = []

    def close(self) -> None:
        """Close the log file."""
        with self._lock:
            if self._log:
                self._log.close()
            self._log = None
