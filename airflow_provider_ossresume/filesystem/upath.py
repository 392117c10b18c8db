"""``oss://`` for universal-pathlib, which Airflow's ``ObjectStoragePath`` stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upath.implementations.cloud import CloudPath

from airflow_provider_ossresume.filesystem.file_system import OSSFileSystem


class OSSPath(CloudPath):
    """A path of OSS. Airflow gives it the filesystem of a connection; without one, fsspec's ``oss`` counts if there is
    one, as where ossfs is installed, and else the worker's own credentials."""

    __slots__ = ()

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> Any:
        try:
            return super()._fs_factory(urlpath, protocol, storage_options)
        except ImportError:
            return OSSFileSystem(**storage_options)
