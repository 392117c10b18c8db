"""What the operators share that look at both sides of a transfer of many files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import Duration, Flag, parse_texts
from airflow_provider_ossresume.model.object_options import ObjectOptions
from airflow_provider_ossresume.model.parts import GIB
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.operators._base import OSSOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.manifest import Compare, Mode
    from airflow_provider_ossresume.model.object_options import (
        Acl,
        DataEncryption,
        Encryption,
        RequestPayer,
        StorageClass,
    )
    from airflow_provider_ossresume.model.set_options import (
        EmptyFolders,
        FailOrSkip,
        SourceChangedInSet,
        Symlinks,
        TargetChangedInSet,
        VanishedInSet,
    )
    from airflow_provider_ossresume.transfer.config import TransferConfig

log = logging.getLogger(__name__)

_OBJECT_OPTIONS = tuple(ObjectOptions.__annotations__)
_SET_OPTIONS = tuple(each.name for each in fields(SetOptions) if each.init and each.name != "object_options")
SET_FIELDS = ("work_folder", "is_dry_run", "transfer_config", "region", "oss_conn_id", *_SET_OPTIONS, *_OBJECT_OPTIONS)


class SetOperator(OSSOperator):
    """What those share that look at both sides: what is to be moved, and how; each a template field of theirs."""

    def __init__(
        self,
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        mode: Mode = "copy",
        compare: Compare = "crc64",
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        min_size: int | str | None = None,
        max_size: int | str | None = None,
        newer_than: Duration | None = None,
        older_than: Duration | None = None,
        symlinks: Symlinks = "fail",
        special_files: FailOrSkip = "fail",
        empty_folders: EmptyFolders = "ignore",
        bad_names: FailOrSkip = "fail",
        archived: FailOrSkip = "fail",
        batch_bytes: int | str = 16 * GIB,
        batch_files: int | str = 5_000,
        max_batches: int | str = 256,
        max_files: int | str = 1_000_000,
        max_delete: int | str = 1_000,
        max_delete_share: float | str = 0.1,
        allow_empty_source: Flag = False,
        source_changed: SourceChangedInSet = "skip",
        vanished: VanishedInSet = "skip",
        target_changed: TargetChangedInSet = "overwrite",
        max_failures: int | str = 100,
        keep_mtime: Flag = False,
        files_from: str | None = None,
        backup_prefix: str | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        content_disposition: str | None = None,
        content_language: str | None = None,
        cache_control: str | None = None,
        expires: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: StorageClass | None = None,
        acl: Acl | None = None,
        server_side_encryption: Encryption | None = None,
        sse_kms_key_id: str | None = None,
        sse_data_encryption: DataEncryption | None = None,
        headers: Mapping[str, str] | None = None,
        request_payer: RequestPayer | None = None,
        traffic_limit: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.work_folder = work_folder
        self.is_dry_run = is_dry_run
        self.transfer_config = transfer_config
        self.mode = mode
        self.compare = compare
        self.include = include
        self._asks_for_some = include not in ((), [], None)
        self.exclude = exclude
        self.min_size = min_size
        self.max_size = max_size
        self.newer_than = newer_than
        self.older_than = older_than
        self.symlinks = symlinks
        self.special_files = special_files
        self.empty_folders = empty_folders
        self.bad_names = bad_names
        self.archived = archived
        self.batch_bytes = batch_bytes
        self.batch_files = batch_files
        self.max_batches = max_batches
        self.max_files = max_files
        self.max_delete = max_delete
        self.max_delete_share = max_delete_share
        self.allow_empty_source = allow_empty_source
        self.source_changed = source_changed
        self.vanished = vanished
        self.target_changed = target_changed
        self.max_failures = max_failures
        self.keep_mtime = keep_mtime
        self.files_from = files_from
        self.backup_prefix = backup_prefix
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.content_disposition = content_disposition
        self.content_language = content_language
        self.cache_control = cache_control
        self.expires = expires
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.acl = acl
        self.server_side_encryption = server_side_encryption
        self.sse_kms_key_id = sse_kms_key_id
        self.sse_data_encryption = sse_data_encryption
        self.headers = headers
        self.request_payer = request_payer
        self.traffic_limit = traffic_limit

    def _options(self) -> dict[str, Any]:
        """Return what the hook's methods take; they check it.

        :raises ArgumentError: when the globs come from a template or a task, and there are none
        """
        self.include = parse_texts("include", self.include)
        if self._asks_for_some and not self.include:
            raise ArgumentError(
                "include", [], "its template or XCom has no glob, and no glob means all files; skip this task when "
                "there is nothing to move, or leave the argument out"
            )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in (*_SET_OPTIONS, *_OBJECT_OPTIONS)},
            "work_folder": self.work_folder,
            "is_dry_run": self.is_dry_run,
            "watch": self._watch,
        }

    def _left_to_next_try(self) -> str:
        return "what has been moved stays, and the next try moves only the rest"


def shown_place(uri: str) -> str:
    """Return where a transfer went as the next task takes it: an ``oss://`` URL as it is, a folder as its path."""
    if not uri.startswith("file://"):
        return uri
    path = unquote(uri.removeprefix("file://"), errors="surrogateescape").rstrip("/")
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if shown != path:
        log.warning("The name of the folder is not UTF-8, which no XCom takes; the task returns it as %s", shown)
    return shown
