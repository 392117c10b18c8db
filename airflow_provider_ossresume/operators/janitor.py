"""Operators that remove what failed tasks have left behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.checkpoints import KEY, PREFIX
from airflow_provider_ossresume.errors import ArgumentError, PartlyFailed
from airflow_provider_ossresume.model.arguments import parse_duration, parse_flag, parse_texts
from airflow_provider_ossresume.model.stale_uploads import Staleness
from airflow_provider_ossresume.operators._base import OSSOperator, StoppableOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.arguments import Duration, Flag


class OSSAbortMultipartUploadsOperator(OSSOperator):
    """Abort the unfinished uploads of a bucket that are older than an age, so that their parts cost nothing any more.

    It cannot tell an upload that a task is going to resume from one that nobody needs: ``older_than`` is what guards
    the former. Choose more than the longest transfer takes, with all its retries and the weekend before somebody clears
    its task. Ages are told by OSS's clock; an upload whose age OSS does not tell is kept.

    Returns a report, which the log shows too: found, aborted, would_abort, gone (over already), failed, kept_young,
    kept_named, kept_checkpointed, kept_undated, bytes, oldest, prefixes, uploads and errors, of these three at most
    100 each. When single aborts fail the others go on, and the task fails at its end and names them.

    :param older_than: an age: a timedelta, seconds, or a text such as ``"7d"`` or ``"1d12h"`` (templated)
    :param bucket_name: the bucket; by default the prefix's when that is a URL, else the connection's (templated)
    :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; the whole bucket when it is left out. An
        empty one, as a template leaves it that found nothing, is an error (templated)
    :param keep_upload_ids: upload IDs that are kept whatever their age (templated)
    :param spare_checkpoints: stores whose checkpoints keep the uploads that they name: ``variable``, ``file``,
        ``file:FOLDER`` or ``work_folder:FOLDER``, or a list of them; ``auto`` is what a task can read: Variables on
        2.11 and from 3.3 on. Nothing is aborted when one of them cannot be read (templated)
    :param count_bytes: count the bytes of the stale uploads; takes one request for each (templated)
    :param is_dry_run: abort nothing and report what would be (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = (
        "older_than",
        "bucket_name",
        "prefix",
        "keep_upload_ids",
        "spare_checkpoints",
        "count_bytes",
        "is_dry_run",
        "region",
        "oss_conn_id",
    )
    ui_color = "#e8e0f2"

    def __init__(
        self,
        *,
        older_than: Duration,
        bucket_name: str | None = None,
        prefix: str | None = None,
        keep_upload_ids: str | Sequence[str] = (),
        spare_checkpoints: str | Sequence[str] = "auto",
        count_bytes: Flag = False,
        is_dry_run: Flag = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.older_than = older_than
        self.bucket_name = bucket_name
        self.prefix = prefix
        self.keep_upload_ids = keep_upload_ids
        self.spare_checkpoints = spare_checkpoints
        self.count_bytes = count_bytes
        self.is_dry_run = is_dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        report = self.hook.abort_stale_uploads(
            self.bucket_name,
            prefix=self.prefix,
            staleness=Staleness.of(self.older_than, self.keep_upload_ids),
            spare_checkpoints=self.spare_checkpoints,
            context=context,
            count_bytes=self.count_bytes,
            dry_run=parse_flag("is_dry_run", self.is_dry_run),
            watch=self._watch,
        )
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} of {report.found} uploads were not aborted", report.errors)
        return report.report()


class OSSCheckpointCleanupOperator(OSSOperator):
    """Delete checkpoints that tasks have left behind: of runs that were deleted, or that never succeeded.

    A checkpoint whose task is going to resume looks the same as one that nobody needs: ``older_than`` is what guards
    it. Ages are told by the time that stands in the checkpoint, so by the workers' clocks. A transfer that runs
    meanwhile puts its checkpoint back; one that waits for its retry begins anew. The uploads themselves are left alone:
    :class:`OSSAbortMultipartUploadsOperator` aborts them.

    Only Variables and files can be cleaned so: a task sees no other task's entries in the task state store, nor XComs
    by their names alone. Airflow 3.0 to 3.2 let no task list Variables: there they are to be named.

    Returns a report, which the log shows too: store, found, deleted, would_delete, vanished, failed, kept_young,
    kept_undated, kept_unreadable, and the first 100 checkpoints and errors.

    :param older_than: an age: a timedelta, seconds, or a text such as ``"30d"`` or ``"1d12h"`` (templated)
    :param checkpoint: the store: ``variable``, ``file`` (``~/.ossresume`` on this worker), ``file:FOLDER``, or
        ``work_folder:FOLDER``, which may be on OSS (templated)
    :param names: the checkpoints that are looked at: names of Variables, or keys; by default all (templated)
    :param gone_uploads: delete, whatever their age, those too whose upload OSS does not know any more; takes one
        request for each, by the connection (templated)
    :param is_dry_run: delete nothing and report what would be (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection, for ``gone_uploads`` and a work folder on OSS (templated)
    """

    template_fields: Sequence[str] = (
        "older_than",
        "checkpoint",
        "names",
        "gone_uploads",
        "is_dry_run",
        "region",
        "oss_conn_id",
    )
    ui_color = "#e8e0f2"

    def __init__(
        self,
        *,
        older_than: Duration,
        checkpoint: str = "variable",
        names: str | Sequence[str] | None = None,
        gone_uploads: Flag = False,
        is_dry_run: Flag = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.older_than = older_than
        self.checkpoint = checkpoint
        self.names = names
        self.gone_uploads = gone_uploads
        self.is_dry_run = is_dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        report = self.hook.clean_checkpoints(
            self.checkpoint,
            context=context,
            keys=None if self.names is None else [_key(name) for name in parse_texts("names", self.names)],
            older_than=parse_duration("older_than", self.older_than),
            gone_uploads=self.gone_uploads,
            dry_run=parse_flag("is_dry_run", self.is_dry_run),
            watch=self._watch,
        )
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} checkpoints were not cleaned", report.errors)
        return report.report()


def _key(name: str) -> str:
    """Return the key of a checkpoint that is named as Airflow, or the folder, shows it; never another Variable's."""
    if match := re.fullmatch(rf"(?:{PREFIX})?({KEY})(?:\.json)?", name.strip()):
        return match[1]
    raise ArgumentError("names", name, f"a checkpoint's name is {PREFIX} and 40 hex digits, or those alone")


class OSSPartFileCleanupOperator(StoppableOperator):
    """Remove the part files that failed downloads have left on this worker's disk, hidden beside their targets.

    Run it on the worker that has the disk: choose it with ``queue=``. Only files with a part file's name are looked at,
    and never behind a symbolic link. A part file that a running try has locked is kept, and so is one whose lock cannot
    be tested. A task that waits for its retry holds no lock: ``older_than`` is what guards its part file. Choose more
    than the longest wait between two tries, and the weekend before somebody clears the task. The age of a part file is
    the time since its last change.

    Returns a report, which the log shows too: found, removed, would_remove, vanished, failed, kept_young, kept_locked,
    bytes, the first 100 files, unread_folders, unread and errors. When single removals fail the others go on, and the
    task fails at its end and names them.

    :param folder: the folder that downloads go to, or a list of them: absolute paths (templated)
    :param older_than: an age: a timedelta, seconds, or a text such as ``"7d"`` or ``"1d12h"`` (templated)
    :param recursive: look into the folders below too (templated)
    :param is_dry_run: remove nothing and report what would be (templated)
    """

    template_fields: Sequence[str] = ("folder", "older_than", "recursive", "is_dry_run")
    ui_color = "#e8e0f2"

    def __init__(
        self,
        *,
        folder: str | Sequence[str],
        older_than: Duration,
        recursive: Flag = False,
        is_dry_run: Flag = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.older_than = older_than
        self.recursive = recursive
        self.is_dry_run = is_dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        from airflow_provider_ossresume.transfer.left_files import clean_left_files

        report = clean_left_files(
            parse_texts("folder", self.folder),
            older_than=parse_duration("older_than", self.older_than),
            recursive=parse_flag("recursive", self.recursive),
            dry_run=parse_flag("is_dry_run", self.is_dry_run),
            watch=self._watch,
        )
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} part files or folders were not cleaned", report.errors)
        return report.report()


class OSSWorkFolderCleanupOperator(OSSOperator):
    """Remove old plans from a work folder, with their batches, ledgers and verdicts, and facts that nobody uses.

    Ages are told by the IDs of the plans, which have the time at which they were made. Choose more than the longest
    run takes, with all its retries and the weekend before somebody clears it: a batch whose plan is gone fails. The
    facts of a source and a target go when their last plan is so old; the next plan then compares all files again. The
    checkpoints of large files are left alone: :class:`OSSCheckpointCleanupOperator` deletes them, with
    ``checkpoint="work_folder:FOLDER"``.

    Returns a report, which the log shows too: removed, would_remove, kept_young, pairs, files, foreign, and the first
    100 plans.

    :param work_folder: an ``oss://bucket/prefix/`` URL, or an absolute path (templated)
    :param older_than: an age: a timedelta, seconds, or a text such as ``"30d"`` or ``"1d12h"`` (templated)
    :param is_dry_run: remove nothing and report what would be (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection, for a work folder on OSS (templated)
    """

    template_fields: Sequence[str] = ("work_folder", "older_than", "is_dry_run", "region", "oss_conn_id")
    ui_color = "#e8e0f2"

    def __init__(self, *, work_folder: str, older_than: Duration, is_dry_run: Flag = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work_folder = work_folder
        self.older_than = older_than
        self.is_dry_run = is_dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        return self.hook.clean_work_folder(
            self.work_folder, older_than=self.older_than, dry_run=self.is_dry_run, watch=self._watch
        ).report()
