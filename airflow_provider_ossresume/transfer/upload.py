"""Uploads a file: keeps the parts that OSS has, sends those that are missing, and compares the whole."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Protocol

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE
from airflow_provider_ossresume.model.resume import Begin, Restart, Resume, decide_upload
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.file_crc64 import crc64_of_range
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.transfer_to_oss import TransferToOss, TransferToOssClient
from airflow_provider_ossresume.transfer.whole_object import PutClient, WholeObject


class UploadClient(TransferToOssClient, PutClient, Protocol):
    """The client methods that an upload needs; see ``oss.client.OssClient``."""


class Uploader(TransferToOss[UploadClient, UploadOptions, LocalFile]):
    """One upload of a local file to one object, by one try.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    direction = "upload"
    doing = "Uploading"

    def upload(self, file: str | os.PathLike[str], *, name: str = "") -> TransferResult:
        """Upload the file and return what was done. The object then holds exactly the file's bytes.

        :param name: the file's name in messages and in the log; by default the path
        :raises ArgumentError: if the file cannot be read or is too large
        :raises SourceChanged: if the file changes again after a restart, or once with ``source_changed="fail"``
        :raises AlreadyExists: if the object exists and ``if_exists="fail"``
        :raises IntegrityError: if OSS holds other bytes than the file
        :raises RequestError: if OSS does not accept it
        """
        self._file, self._name = file, name or os.fspath(file)
        return self._run(self._name)

    def _open(self, crew: Crew, opened: ExitStack) -> LocalFile:
        source = opened.enter_context(LocalFile(self._file, name=self._name))
        if source.size > MAX_OBJECT_SIZE:
            raise ArgumentError(
                "file",
                self._name,
                f"it has {source.size} bytes; OSS stores objects of up to 48.8 TiB, so split the file",
            )
        return source

    @property
    def _object_options(self) -> UploadOptions:
        return self._options

    def _takes_one_request(self, source: LocalFile) -> bool:
        return source.size < max(self._config.threshold_bytes, 1)

    def _whole(self, source: LocalFile) -> WholeObject:
        return self._put_object(self._oss)

    def _crc64(self, crew: Crew, source: LocalFile) -> int | None:
        return crc64_of_range(crew, source.crc64, 0, source.size)

    def _decision(
        self, source: LocalFile, stored: Checkpoint | None
    ) -> Begin | Resume[UploadCheckpoint] | Restart[UploadCheckpoint]:
        return decide_upload(stored, target=self._target, size=source.size, options=self._options.digest)

    @property
    def _refuses_damage(self) -> bool:  # type: ignore[override]
        """True if OSS can hold only the file's own bytes as parts, so that its stat is enough to prove them."""
        return self._options.fingerprint == "stat" and self._config.verify and content_md5(()) is not None

    def _fingerprint(self, source: LocalFile) -> str:
        return source.fingerprint if self._refuses_damage else ""
