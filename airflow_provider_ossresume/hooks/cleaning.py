"""Deletes stale uploads, old checkpoints, and objects in batches."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints.file import TEMPORARY_FILE, FileCheckpointStore
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.checkpoints.variable import VariableCheckpointStore
from airflow_provider_ossresume.errors import (
    ArgumentError,
    BadAnswer,
    NoSuchUpload,
    OSSResumeError,
    StoreUnavailable,
    TrySuperseded,
)
from airflow_provider_ossresume.model.arguments import check_text, parse_texts, refuse_empty
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint
from airflow_provider_ossresume.model.cleanup_reports import MOST_NAMED, DeleteReport
from airflow_provider_ossresume.model.leftover_checkpoints import (
    CheckpointReport,
    LeftoverCheckpoint,
    judge_checkpoint,
    upload_ids_in,
)
from airflow_provider_ossresume.model.objects import MAX_KEYS_TO_DELETE, ListedUpload, ObjectRef, PrefixRef
from airflow_provider_ossresume.model.stale_uploads import AbortReport, Staleness, UploadFate, describe_upload
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.work_checkpoints import WorkFolderCheckpoints
from airflow_provider_ossresume.transfer.left_files import clean_left_files

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient
    from airflow_provider_ossresume.sets.ports import WorkFolder

log = logging.getLogger(__name__)

_NO_FOLDER = "this folder does not exist on this worker; check the path, and that its share is mounted"


def abort_uploads(
    oss: OssClient,
    where: PrefixRef,
    *,
    staleness: Staleness,
    dry_run: bool,
    count_bytes: bool = False,
    watch: Callable[[], None] = lambda: None,
) -> AbortReport:
    """Abort the stale uploads of a prefix, or report which ones would be aborted. A failure does not stop the others.

    :param count_bytes: request the parts of each stale upload, 1,000 parts per request
    :param watch: called before each upload; an exception that it raises ends the work
    :raises RequestError: if the uploads cannot be listed
    """

    def fates() -> Iterator[UploadFate]:
        for upload in oss.list_uploads(where.bucket, prefix=where.prefix):
            watch()
            spared = staleness.spares(upload)
            yield UploadFate(upload, spared) if spared else _abort(oss, where.bucket, upload, dry_run, count_bytes)

    report = AbortReport.of(_logged(fates()), where=where)
    log.info("Checked %s", str(report))
    for folder, count in itertools.islice(report.prefixes.items(), MOST_NAMED):
        log.info("%s of the stale uploads are below %s", count, PrefixRef(where.bucket, folder))
    return report


def _abort(oss: OssClient, bucket: str, upload: ListedUpload, dry_run: bool, count_bytes: bool) -> UploadFate:
    target = ObjectRef(bucket, upload.key)
    size = None
    try:
        if count_bytes:
            size = sum(part.size for part in oss.list_parts(target, upload.upload_id))
        if not dry_run:
            oss.abort(target, upload.upload_id)
    except NoSuchUpload:  # it was completed or aborted since it was listed
        return UploadFate(upload, "gone")
    except OSSResumeError as error:
        return UploadFate(upload, "failed", size, error)
    return UploadFate(upload, "would abort" if dry_run else "aborted", size)


def _logged(fates: Iterable[UploadFate]) -> Iterator[UploadFate]:
    """Yield the uploads unchanged, and log each stale one."""
    for each in fates:
        if each.fate == "failed":
            log.warning("Could not abort %s: %s", describe_upload(each), each.error)
        elif each.fate == "aborted":
            log.info("Aborted %s", describe_upload(each))
        elif each.fate == "would abort":
            log.info("Would abort %s", describe_upload(each))
        yield each


def delete_objects(
    oss: OssClient, targets: Iterable[ObjectRef], *, dry_run: bool = False, watch: Callable[[], None] = lambda: None
) -> DeleteReport:
    """Delete objects, 1,000 per request, or report which ones would be deleted.

    An object that does not exist counts as deleted.

    :param watch: called before each request; an exception that it raises ends the work
    :raises RequestError: if a request fails; the objects of the requests before it are deleted
    """
    report = DeleteReport(dry_run)
    for bucket, group in itertools.groupby(map(check_no_version, targets), key=lambda target: target.bucket):
        while keys := [target.key for target in itertools.islice(group, MAX_KEYS_TO_DELETE)]:
            watch()
            gone = set(keys) if dry_run else set(oss.delete_objects(bucket, keys))
            for target in (ObjectRef(bucket, key) for key in keys):
                report.add(target, None if target.key in gone else _not_deleted(target))
            log.info("%s so far; the last one is %s", str(report), ObjectRef(bucket, keys[-1]))
    report.seal()
    return report


def check_no_version(target: ObjectRef) -> ObjectRef:
    """:raises ArgumentError: if it names a version"""
    if target.version_id is not None:
        raise ArgumentError(
            "version_id",
            target.version_id,
            f"versions cannot be deleted or written here; remove it to use the current version of {target}",
        )
    return target


def _not_deleted(target: ObjectRef) -> BadAnswer:
    operation = "DeleteMultipleObjects"
    return BadAnswer(
        f"{operation}: OSS did not confirm that {target} is deleted", operation=operation, target=str(target)
    )


class ListingStore(Protocol):
    """A checkpoint store that can list its checkpoints."""

    def keys(self) -> list[str]: ...
    def load(self, key: str) -> str | None: ...
    def delete(self, key: str) -> None: ...
    def place(self, key: str) -> str: ...


def clean_checkpoints(
    store: ListingStore,
    *,
    keys: Iterable[str] | None = None,
    older_than: timedelta,
    dry_run: bool,
    oss: OssClient | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    watch: Callable[[], None] = lambda: None,
) -> CheckpointReport:
    """Delete the checkpoints of a store that are older than an age, or report which ones would be deleted.

    If a checkpoint cannot be read or deleted, continue with the others.

    :param keys: the checkpoints to check. Default: all
    :param oss: if set, checkpoints of any age are deleted too if their upload no longer exists there
    :param watch: called before each checkpoint; an exception that it raises ends the work
    :raises CheckpointError: if the store cannot be listed
    """
    left: list[LeftoverCheckpoint] = []
    for key in store.keys() if keys is None else keys:
        watch()
        found = _cleaned(store, key, older_than=older_than, dry_run=dry_run, oss=oss, now=now())
        if found.fate == "failed":
            log.warning("Could not clean %s: %s", found, found.error)
        elif found.fate == "deleted":
            log.info("Deleted %s", found)
        elif found.fate == "would delete":
            log.info("Would delete %s", found)
        left.append(found)
    temporary = None
    if isinstance(store, FileCheckpointStore) and keys is None and store.folder.is_dir():
        temporary = clean_left_files(
            [store.folder],
            name=TEMPORARY_FILE,
            older_than=older_than,
            dry_run=dry_run,
            now=lambda: now().timestamp(),
            watch=watch,
        )
    report = CheckpointReport(str(store), tuple(left), temporary)
    log.info("Checked %s", str(report))
    return report


def _cleaned(
    store: ListingStore, key: str, *, older_than: timedelta, dry_run: bool, oss: OssClient | None, now: datetime
) -> LeftoverCheckpoint:
    found = LeftoverCheckpoint(store.place(key), "failed")
    try:
        found = judge_checkpoint(store.place(key), store.load(key), now=now, older_than=older_than)
        if found.fate in ("young", "undated") and oss and _is_gone(oss, found.checkpoint):
            found = replace(found, fate="would delete")
        if found.fate == "would delete" and not dry_run:
            store.delete(key)
            found = replace(found, fate="deleted")
    except TrySuperseded:
        raise
    except OSSResumeError as error:
        return replace(found, fate="failed", error=error)
    return found


def checkpointed_uploads(stores: Iterable[ListingStore], *, watch: Callable[[], None] = lambda: None) -> set[str]:
    """Return the upload IDs that the checkpoints in the stores name.

    :param watch: called before each checkpoint; an exception that it raises ends the work
    :raises CheckpointError: if a store cannot be listed or read, because it is then unknown which uploads to keep
    """
    found: set[str] = set()
    for store in stores:
        keys = store.keys()
        for key in keys:
            watch()
            found |= upload_ids_in(store.load(key) or "")
        log.info("Keeping the uploads named by %s checkpoints in %s", len(keys), store)
    return found


def _is_gone(oss: OssClient, checkpoint: Checkpoint | None) -> bool:
    """True if the checkpoint names an upload that no longer exists on OSS."""
    if not isinstance(checkpoint, UploadCheckpoint):
        return False
    try:
        oss.list_parts(ObjectRef(checkpoint.bucket, checkpoint.key), checkpoint.upload_id)
    except NoSuchUpload:
        return True
    return False


WORK_FOLDER = "work_folder:"  # the prefix of a work folder's name as a checkpoint store

_CANNOT_BE_LISTED = {
    "auto": "name the store: variable, file or file:FOLDER",
    "task_state": "a task can only see its own entries in the task state store; `airflow db clean` removes them with "
    "their runs",
    "xcom": "a task can only find an XCom by its run and task; `airflow db clean` removes those of old runs",
    "memory": "these checkpoints end with their process; there is nothing to clean",
    "configured": "a store of your own cannot be cleaned here; delete its old checkpoints in the store itself",
}


def listable_store(
    argument: str, choice: str, *, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]
) -> ListingStore:
    """Return the store of that name.

    :param oss: returns the client for a work folder on OSS
    :raises ArgumentError: for a store that a task cannot list
    """
    check_text(argument, choice)
    if reason := _CANNOT_BE_LISTED.get(choice):
        raise ArgumentError(argument, choice, reason)
    if choice.startswith(WORK_FOLDER):
        return WorkFolderCheckpoints(work_folder(argument, choice.removeprefix(WORK_FOLDER), oss))
    is_listable = choice in ("variable", "file") or choice.startswith("file:")
    if choice.startswith("file:") and not choice.startswith(("file:/", "file:~")):
        raise ArgumentError(argument, choice, "give an absolute path: a task's working directory is set by Airflow")
    store = select_store(choice, context=context) if is_listable else None
    if not isinstance(store, (FileCheckpointStore, VariableCheckpointStore)):
        raise ArgumentError(argument, choice, "choose variable, file, file:FOLDER or work_folder:FOLDER")
    return store


def work_folder(argument: str, where: str, oss: Callable[[], OssClient]) -> WorkFolder:
    """Return the work folder at a URL or path.

    :raises ArgumentError: for anything except an ``oss://bucket/prefix/`` URL and an absolute path
    """
    check_text(argument, where)
    refuse_empty(argument, where)
    return open_work_folder(where, oss() if where.startswith("oss://") else None)


def stores_to_spare(
    choices: str | Sequence[str], *, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]
) -> list[ListingStore]:
    """Return the stores whose checkpoints protect uploads from being aborted.

    :param choices: ``auto`` for the stores that a task can read: Variables, except on Airflow 3.0 to 3.2. Or
        ``variable``, ``file``, ``file:FOLDER`` or ``work_folder:FOLDER``, or a list of them. Empty means no store
    :param oss: returns the client for a work folder on OSS
    :raises ArgumentError: for a store that a task cannot list
    :raises StoreUnavailable: for a folder that does not exist on this worker, because its checkpoints are unknown
    """
    stores: list[ListingStore] = []
    for choice in parse_texts("spare_checkpoints", choices):
        if choice != "auto":
            stores.append(_store_to_spare(choice, context, oss))
        elif context is not None and _airflow.can_list_variables():
            stores.append(VariableCheckpointStore())
    if stores:
        read = ", ".join(map(str, stores))
        log.info("Only older_than protects uploads whose checkpoints are not in %s", read)
    else:
        log.info("No checkpoints were read; only older_than protects uploads")
    return stores


def _store_to_spare(choice: str, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]) -> ListingStore:
    store = listable_store("spare_checkpoints", choice, context=context, oss=oss)
    if choice.startswith(f"{WORK_FOLDER}/") and not os.path.isdir(choice.removeprefix(WORK_FOLDER)):
        raise StoreUnavailable(f"spare_checkpoints={choice!r}: {_NO_FOLDER}")
    if isinstance(store, FileCheckpointStore) and not store.folder.is_dir():
        raise StoreUnavailable(f"spare_checkpoints={choice!r}: {_NO_FOLDER}")
    if isinstance(store, VariableCheckpointStore) and not _airflow.can_list_variables():
        raise ArgumentError(
            "spare_checkpoints", choice, "on Airflow 3.0 to 3.2 a task cannot list Variables; remove it, and set "
            "older_than above the age of any upload that a task may still resume"
        )  # fmt: skip
    return store
