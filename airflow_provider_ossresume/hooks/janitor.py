"""The hook's methods that clean up after failed tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.hooks.cleaning import (
    abort_uploads,
    check_no_version,
    checkpointed_uploads,
    clean_checkpoints,
    listable_store,
    stores_to_spare,
)
from airflow_provider_ossresume.hooks.cleaning import work_folder as open_work_folder
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.model.arguments import Duration, check_text, parse_duration, parse_flag, refuse_empty
from airflow_provider_ossresume.model.cleanup_reports import WorkFolderReport
from airflow_provider_ossresume.model.leftover_checkpoints import CheckpointReport
from airflow_provider_ossresume.model.leftover_files import LeftoverFilesReport
from airflow_provider_ossresume.model.object_names import refuse_whole_bucket
from airflow_provider_ossresume.model.objects import ListedUpload, ObjectRef
from airflow_provider_ossresume.model.stale_uploads import AbortReport, Staleness
from airflow_provider_ossresume.sets.work_folder.clean_work_folder import clean_work_folder
from airflow_provider_ossresume.transfer.left_files import clean_left_files


class JanitorMethods(ConnectedHook):
    """The methods of the hook that find and remove unfinished uploads, checkpoints, part files and old plans."""

    def list_multipart_uploads(
        self, bucket_name: str | None = None, *, prefix: str | None = None
    ) -> list[ListedUpload]:
        """Return all unfinished multipart uploads of a bucket, also those of other tools.

        :param prefix: the start of the keys, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        """
        where = self.prefix(prefix, bucket_name)
        return list(self.get_conn().list_uploads(where.bucket, prefix=where.prefix))

    def abort_multipart_upload(self, key: str | ObjectRef, upload_id: str, bucket_name: str | None = None) -> None:
        """Abort an unfinished upload and delete its parts.

        :raises NoSuchUpload: if it has already ended
        :raises ArgumentError: for an empty upload ID or an invalid key
        """
        check_text("upload_id", upload_id)
        refuse_empty("upload_id", upload_id)
        self.get_conn().abort(check_no_version(self.target(key, bucket_name)), upload_id)

    def abort_stale_uploads(
        self,
        bucket_name: str | None = None,
        *,
        staleness: Staleness,
        prefix: str | None = None,
        count_bytes: bool | str = False,
        spare_checkpoints: str | Sequence[str] = "auto",
        dry_run: bool | str = True,
        context: Mapping[str, Any] | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> AbortReport:
        """Abort the stale unfinished uploads of a bucket, also those of other tools.

        See :func:`~airflow_provider_ossresume.hooks.cleaning.abort_uploads`.

        :param prefix: the start of the keys, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param spare_checkpoints: keep the uploads that checkpoints in these stores name; see
            :func:`~airflow_provider_ossresume.hooks.cleaning.stores_to_spare`
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`, and for a URL without a prefix, such as ``oss://bucket/``
        """
        where = self.prefix(prefix, bucket_name)
        refuse_whole_bucket(prefix, where, instead="set bucket_name and remove prefix")
        stores = stores_to_spare(spare_checkpoints, context=context or current_context(), oss=self.get_conn)
        staleness = replace(staleness, checkpointed_ids=checkpointed_uploads(stores, watch=watch))
        return abort_uploads(
            self.get_conn(),
            where,
            staleness=staleness,
            count_bytes=parse_flag("count_bytes", count_bytes),
            dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )

    def clean_checkpoints(
        self,
        checkpoint: str = "variable",
        *,
        older_than: Duration,
        keys: Iterable[str] | None = None,
        gone_uploads: bool | str = False,
        dry_run: bool | str = True,
        context: Mapping[str, Any] | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> CheckpointReport:
        """Delete old checkpoints; see :func:`~airflow_provider_ossresume.hooks.cleaning.clean_checkpoints`.

        :param checkpoint: the store: ``variable``, ``file``, ``file:FOLDER`` or ``work_folder:FOLDER``
        :param gone_uploads: also delete checkpoints of any age whose upload no longer exists on OSS
        :raises ArgumentError: for a store that a task cannot list
        """
        return clean_checkpoints(
            listable_store("checkpoint", checkpoint, context=context or current_context(), oss=self.get_conn),
            keys=keys,
            older_than=parse_duration("older_than", older_than),
            dry_run=parse_flag("dry_run", dry_run),
            oss=self.get_conn() if parse_flag("gone_uploads", gone_uploads) else None,
            watch=watch,
        )

    def clean_work_folder(
        self,
        work_folder: str,
        *,
        older_than: Duration,
        dry_run: bool | str = True,
        watch: Callable[[], None] = lambda: None,
    ) -> WorkFolderReport:
        """Remove old plans from a work folder.

        See :func:`~airflow_provider_ossresume.sets.work_folder.clean_work_folder.clean_work_folder`.

        :param work_folder: an ``oss://bucket/prefix/`` URL, or an absolute path
        """
        return clean_work_folder(
            open_work_folder("work_folder", work_folder, self.get_conn),
            older_than=parse_duration("older_than", older_than),
            is_dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )

    def clean_part_files(
        self,
        folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        older_than: Duration,
        recursive: bool | str = False,
        dry_run: bool | str = True,
        watch: Callable[[], None] = lambda: None,
    ) -> LeftoverFilesReport:
        """Remove the part files that downloads have left on this worker. This needs no connection.

        See :func:`~airflow_provider_ossresume.transfer.left_files.clean_left_files`.

        :param folder: an absolute path, or a list of them
        """
        return clean_left_files(
            [folder] if isinstance(folder, (str, os.PathLike)) else folder,
            older_than=parse_duration("older_than", older_than),
            recursive=parse_flag("recursive", recursive),
            dry_run=parse_flag("dry_run", dry_run),
            watch=watch,
        )
