"""Uploads, downloads and copies one file at a time, with the package's engine."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_ossresume.errors import NotCopyable
from airflow_provider_ossresume.filesystem.client_options import make_checkpointer
from airflow_provider_ossresume.model.copy_options import CopyOptions, copied_properties
from airflow_provider_ossresume.model.object_names import check_new_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.options import (
    CopyTransferOptions,
    DownloadOptions,
    IfExists,
    UploadOptions,
    split_headers,
)
from airflow_provider_ossresume.transfer.paths import local_path
from airflow_provider_ossresume.transfer.upload import Uploader

Progress = Callable[[int, int], None]
Watch = Callable[[], None]  # called at least four times a second; an exception from it ends the transfer
STREAMED_REASONS = ("region", "account", "appendable", "link")  # reasons for which OSS cannot copy, but a worker can


class FileTransfers:
    """The transfers of one filesystem.

    :param checkpoint: where checkpoints of large files are kept. None means no checkpoints: a failed transfer leaves
        nothing behind, and a killed one starts from the beginning
    """

    def __init__(self, client: OssClient, config: TransferConfig, checkpoint: Any) -> None:
        self._client = client
        self._config = config
        self._checkpoint = checkpoint
        self._watch: Watch = no_watch

    def watched(self, watch: Watch) -> FileTransfers:
        """Return these transfers with a watch, which can end them."""
        transfers = copy.copy(self)
        transfers._watch = watch
        return transfers

    def upload(
        self, file: str | os.PathLike[str], target: ObjectRef, *, if_exists: IfExists, headers: Mapping[str, str],
        progress: Progress,
    ) -> None:  # fmt: skip
        """Upload a file; see :meth:`~airflow_provider_ossresume.transfer.upload.Uploader.upload`."""
        check_new_key(target.key, argument="rpath")
        path = local_path(file, argument="lpath")
        with_requests, with_object = split_headers(headers)
        Uploader(
            self._client.with_headers(with_requests),
            target,
            options=UploadOptions(if_exists=if_exists, headers=with_object),
            progress_callback=progress,
            **self._transfer_arguments("upload", target, path, size=os.path.getsize(path)),
        ).upload(path)

    def download(self, source: ObjectRef, file: str | os.PathLike[str], *, size: int | None, progress: Progress) -> int:
        """Download an object and return its size; see
        :meth:`~airflow_provider_ossresume.transfer.download.Downloader.download`.

        :param size: of the object, if known; a small one needs no checkpoint
        """
        path = local_path(file, argument="lpath")
        result = Downloader(
            self._client,
            source,
            options=DownloadOptions(),
            progress_callback=progress,
            **self._transfer_arguments("download", source, path, size=size),
        ).download(path)
        return result.size

    def copy(self, source: ObjectRef, target: ObjectRef, *, if_exists: IfExists, copy_options: CopyOptions) -> None:
        """Let OSS copy an object of any size. If it cannot, for example between regions, copy through this process.

        A symbolic link is copied as the bytes of its target.

        See :meth:`~airflow_provider_ossresume.transfer.copy.Copier.copy`.
        """
        check_new_key(target.key, argument="path2")
        properties = copied_properties(target.key, copy_options)
        options = CopyTransferOptions(
            properties=properties, if_exists=if_exists, regions=(self._client.region, self._client.region)
        )
        try:
            self._copy(source, target, options)
        except NotCopyable as error:
            if error.reason not in STREAMED_REASONS:
                raise
            self._copy(source, target, replace(options, mode="stream"))

    def _copy(self, source: ObjectRef, target: ObjectRef, options: CopyTransferOptions) -> None:
        client = self._client.with_headers(options.properties.with_requests)
        Copier(
            client, target, options=options, **self._transfer_arguments("copy", target, source.versioned_uri, size=None)
        ).copy(source)

    def _transfer_arguments(
        self, direction: str, target: ObjectRef, other_end: str | os.PathLike[str], *, size: int | None
    ) -> Any:
        is_small = size is not None and size < self._config.threshold_bytes
        checkpoint = None if is_small or direction == "copy" else self._checkpoint
        return {
            "checkpointer": make_checkpointer(
                checkpoint, direction, target, os.fspath(other_end), interval=self._config.checkpoint_interval
            ),
            "config": self._config,
            "watch": self._watch,
            "drop_when": _never if checkpoint is not None else _always,
        }


def no_watch() -> None:
    """Do nothing: the watch of a transfer that has none."""


def _never(error: BaseException) -> bool:
    return False


def _always(error: BaseException) -> bool:
    return True
