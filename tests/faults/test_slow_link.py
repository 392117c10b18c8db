"""A link that all connections share: what two of them can do works by default, and what many overload recovers.

Timeouts and samples are scaled: two seconds stand for a minute.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.transfer import concurrency, crew
from tests.world import BUCKET, Transfers, a_client, a_file

KIB = 1024
PART = 256 * KIB
RATE = 800 * KIB  # bytes per second; a part of each of 16 connections would take 5 seconds, one of each of 4 1.3
TIMEOUTS = {"read_timeout": 2, "stall_timeout": 2}


class SlowLink:
    """Relays connections to a server; all of them together move so many bytes per second, up and down."""

    def __init__(self, oss: LocalOSS, *, rate: float) -> None:
        self.region, self.security_token = oss.region, oss.security_token
        self.access_key_id, self.access_key_secret = oss.access_key_id, oss.access_key_secret
        self.connections = 0
        self._there = ("127.0.0.1", oss.port)
        self._rate = rate
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        # What the kernel takes in ahead of the pace is little, as over a real link with its small packets.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KIB)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_460)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                self.connections += 1
                there = socket.create_connection(self._there)
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(8 * KIB):
                with self._lock:
                    self._free_at = max(self._free_at, time.monotonic()) + len(data) / self._rate
                    wait = self._free_at - time.monotonic()
                threading.Event().wait(max(0.0, wait))
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowLink]:
    for module in (concurrency, crew):
        monkeypatch.setattr(module, "SAMPLE", 512 * KIB)  # a socket takes in 100 to 200 KiB at once
    with LocalOSS(buckets=[BUCKET]) as oss:
        slow = SlowLink(oss, rate=RATE)
        slow.oss = oss  # type: ignore[attr-defined]
        yield slow
        slow.close()


def transfers_over(link: SlowLink, **config: Any) -> Transfers:
    transfers = Transfers(link.oss, part_size=PART, **config)  # type: ignore[attr-defined]
    transfers.client = a_client(link, **TIMEOUTS)
    return transfers


def test_an_upload_by_default_never_runs_into_its_own_timeouts(link: SlowLink, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=16 * PART)

    result = transfers_over(link, max_concurrency=None).upload(source)

    assert (result.parts_sent, result.retries) == (16, 0)
    assert link.connections <= 4


def test_a_download_by_default_never_runs_into_its_own_timeouts(link: SlowLink, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=16 * PART)
    link.oss.put(BUCKET, "key", source.read_bytes())  # type: ignore[attr-defined]

    result = transfers_over(link, max_concurrency=None).download(tmp_path / "target.bin")

    assert (result.parts_sent, result.retries) == (16, 0)
    assert (tmp_path / "target.bin").read_bytes() == source.read_bytes()
