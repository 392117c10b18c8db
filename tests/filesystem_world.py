"""A filesystem on the local OSS server, as plain fsspec makes it."""

from __future__ import annotations

from typing import Any

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS


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
