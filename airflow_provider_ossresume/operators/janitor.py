"""Operators that clean up after failed tasks: unfinished uploads, checkpoints, part files and old plans."""

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
    """Abort unfinished uploads of a bucket that are older than a given age, so that you stop paying for their parts.

    OSS cannot say which uploads a task will still resume. Uploads that a checkpoint names are kept, if the operator can
    read it (see ``spare_checkpoints``); only ``older_than`` protects the others. Choose it longer than the longest
    transfer takes, with all its retries, plus the time until someone clears a failed task. OSS's clock decides the age.
    If OSS does not report an upload's age, the upload is kept.

    Returns a report, which is also logged: found, aborted, would_abort, gone (already ended), failed, kept_young,
    kept_named, kept_checkpointed, kept_undated, bytes, oldest, prefixes, uploads and errors. The last three have at
    most 100 entries each. If an abort fails, the operator does the others first, then fails and names it.

    :param older_than: an age: a timedelta, seconds, or a string such as ``"7d"`` or ``"1d12h"`` (templated)
    :param bucket_name: the bucket. Default: the bucket of a prefix URL, else of the connection (templated)
    :param prefix: the start of the keys, or an ``oss://bucket/prefix`` URL. Default: the whole bucket. An empty prefix
        is an error, because a template may have rendered to nothing (templated)
    :param keep_upload_ids: upload IDs to keep, whatever their age (templated)
    :param spare_checkpoints: keep the uploads that checkpoints in these stores name: ``variable``, ``file``,
        ``file:FOLDER`` or ``work_folder:FOLDER``, or a list of them. ``auto`` means Variables, on 2.11 and from 3.3 on.
        If one of the stores cannot be read, nothing is aborted (templated)
    :param count_bytes: count the bytes of the stale uploads, with one request for each of them (templated)
    :param is_dry_run: abort nothing, and report what would be aborted (templated)
    :param region: overrides the connection's region (templated)
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
    """Delete old checkpoints, of runs that were deleted or that never succeeded.

    The operator cannot know which checkpoints a task will still use. Only ``older_than`` protects them. The workers'
    clocks decide the age, because the checkpoint holds the time. A transfer that is running saves its checkpoint again.
    A transfer that waits for its retry starts from the beginning. The uploads are not touched:
    :class:`OSSAbortMultipartUploadsOperator` aborts them.

    Only Variables and files can be cleaned. A task cannot see the entries of other tasks in the task state store, and
    cannot find XComs by their names. On Airflow 3.0 to 3.2 a task cannot list Variables, so set ``names`` there.

    Returns a report, which is also logged: store, found, deleted, would_delete, vanished, failed, kept_young,
    kept_undated, kept_unreadable, and the first 100 checkpoints and errors.

    :param older_than: an age: a timedelta, seconds, or a string such as ``"30d"`` or ``"1d12h"`` (templated)
    :param checkpoint: the store: ``variable``, ``file`` (``~/.ossresume`` on this worker), ``file:FOLDER``, or
        ``work_folder:FOLDER``, which may be on OSS (templated)
    :param names: the checkpoints to check: names of Variables, or keys. Default: all (templated)
    :param gone_uploads: also delete checkpoints of any age whose upload no longer exists on OSS, with one request for
        each of them (templated)
    :param is_dry_run: delete nothing, and report what would be deleted (templated)
    :param region: overrides the connection's region (templated)
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
    """Return the key of a checkpoint from its name in Airflow or in a folder. Never accepts another Variable's name."""
    if match := re.fullmatch(rf"(?:{PREFIX})?({KEY})(?:\.json)?", name.strip()):
        return match[1]
    raise ArgumentError("names", name, f"give the name of a checkpoint: {PREFIX} and 40 hex digits, or only the digits")


class OSSPartFileCleanupOperator(StoppableOperator):
    """Remove the part files that failed downloads have left on this worker's disk, hidden next to their targets.

    Run it on the worker with that disk: choose the worker with ``queue=``. Only files with the name of a part file are
    removed, and symbolic links are not followed. A part file that a running try has locked is kept, and also a part
    file whose lock cannot be tested. A task that waits for its retry holds no lock, so only ``older_than`` protects its
    part file. Choose it longer than the longest wait between two tries, plus the time until someone clears a failed
    task. The age of a part file is the time since its last change.

    Returns a report, which is also logged: found, removed, would_remove, vanished, failed, kept_young, kept_locked,
    bytes, the first 100 files, unread_folders, unread and errors. If a removal fails, the operator does the others
    first, then fails and names it.

    :param folder: the target folder of the downloads, or a list of folders: absolute paths (templated)
    :param older_than: an age: a timedelta, seconds, or a string such as ``"7d"`` or ``"1d12h"`` (templated)
    :param recursive: clean the subfolders too (templated)
    :param is_dry_run: remove nothing, and report what would be removed (templated)
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
    """Remove old plans from a work folder, with their batches, ledgers and verdicts, and facts that are not used.

    A plan's ID holds the time at which it was made, which decides its age. Choose ``older_than`` longer than the
    longest run takes, with all its retries, plus the time until someone clears a failed task: a batch fails if its plan
    is gone. The facts of a source and a target are removed with their last plan; the next plan then compares all files
    again. The checkpoints of large files are not touched: :class:`OSSCheckpointCleanupOperator` deletes them, with
    ``checkpoint="work_folder:FOLDER"``.

    Returns a report, which is also logged: removed, would_remove, kept_young, pairs, files, foreign, and the first 100
    plans.

    :param work_folder: an ``oss://bucket/prefix/`` URL, or an absolute path (templated)
    :param older_than: an age: a timedelta, seconds, or a string such as ``"30d"`` or ``"1d12h"`` (templated)
    :param is_dry_run: remove nothing, and report what would be removed (templated)
    :param region: overrides the connection's region (templated)
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
