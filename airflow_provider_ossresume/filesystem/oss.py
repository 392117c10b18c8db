"""``oss://`` for Airflow's ``ObjectStoragePath``, and for fsspec.

Airflow finds it through the provider's metadata and calls :func:`get_fs`. For fsspec, register it once in a process::

    fsspec.register_implementation("oss", OSSFileSystem, clobber=True)

Then every library that uses fsspec can open ``oss://``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.filesystem.file_system import OSSFileSystem

__all__ = ["OSSFileSystem", "get_fs", "schemes"]

schemes = ["oss"]


def get_fs(conn_id: str | None, storage_options: Mapping[str, Any] | None = None) -> OSSFileSystem:
    """Return the filesystem of an Airflow connection. The connection is not looked up yet.

    :param conn_id: None for the worker's own credentials
    :param storage_options: the arguments of :class:`OSSFileSystem`; within a task, checkpoints of large files
        are kept where the operators keep theirs, unless ``checkpoint`` is given
    :raises ArgumentError: if ``oss_conn_id`` names another connection
    """
    options = {"checkpoint": "auto", **(storage_options or {})}
    named = options.pop("oss_conn_id", None)
    if None not in (conn_id, named) and conn_id != named:
        raise ArgumentError(
            "oss_conn_id", named, f"the path names the connection {conn_id!r}; leave one of the two out"
        )
    return OSSFileSystem(oss_conn_id=conn_id if conn_id is not None else named, **options)
