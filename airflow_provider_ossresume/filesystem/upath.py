"""``oss://`` for universal-pathlib, which Airflow's ``ObjectStoragePath`` stands on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from upath._flavour import WrappedFileSystemFlavour
from upath.implementations.cloud import CloudPath

from airflow_provider_ossresume.filesystem.file_system import OSSFileSystem


class _Parser:
    """Reads paths as of S3: the bucket is their anchor, and keys may hold ``//``. universal-pathlib knows that of
    S3, GCS and Azure only, and of OSS that paths have no anchor."""

    def __get__(self, path: object, kind: type | None = None) -> WrappedFileSystemFlavour:
        return _flavour()


@cache
def _flavour() -> WrappedFileSystemFlavour:
    return WrappedFileSystemFlavour(OSSFileSystem, netloc_is_anchor=True, supports_empty_parts=True)


class OSSPath(CloudPath):
    """A path of OSS. Airflow gives it the filesystem of a connection; without one, fsspec's ``oss`` counts if there is
    one, as where ossfs is installed, and else the worker's own credentials."""

    __slots__ = ()

    parser = _Parser()

    def __init__(self, *args: Any, **options: Any) -> None:
        """Read a path as universal-pathlib does."""
        super().__init__(*args, **options)
        # As ossfs has paths, whose rules universal-pathlib knows, they begin with a slash.
        self._chain = self._chain.replace(path=self._chain.active_path.lstrip("/"))

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> Any:
        try:
            return super()._fs_factory(urlpath, protocol, storage_options)
        except ImportError:
            return OSSFileSystem(**storage_options)
