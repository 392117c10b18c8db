"""A filesystem on the local OSS server, as plain fsspec makes it."""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from tests.world import LONG


def options_of(oss: LocalOSS) -> dict[str, Any]:
    """The storage options of a server."""
    return {
        "endpoint": oss.endpoint,
        "region": oss.region,
        "access_key_id": oss.access_key_id,
        "access_key_secret": oss.access_key_secret,
    }


def a_filesystem(oss: LocalOSS, **options: Any) -> OSSFileSystem:
    """A filesystem of its own, whose requests are tried again at once or not at all."""
    config = {"part_retries": 1, "retry_max_time": 5, "connect_timeout": 5, "read_timeout": 5, "progress_interval": 0}
    config |= options.pop("transfer_config", {})
    return OSSFileSystem(**options_of(oss), transfer_config=config, skip_instance_cache=True, **options)


class Meeting:
    """Holds requests at a server until so many are there at once; all later ones go on.

    :ivar took_place: so many were there at once
    """

    def __init__(self, size: int) -> None:
        self.took_place = False
        self._left = size
        self._lock = threading.Lock()
        self._is_full = threading.Event()

    def attend(self, request: Request) -> None:
        """For a server's ``on_request``."""
        if request.operation not in ("GetObject", "PutObject"):
            return
        with self._lock:
            self._left -= 1
            if not self._left:
                self.took_place = True
                self._is_full.set()
        self._is_full.wait(LONG)
