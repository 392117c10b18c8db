"""Removes what nobody needs any more: stale uploads, checkpoints that were left behind, and objects in batches."""

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


def abort_uploads(
    oss: OssClient,
    where: PrefixRef,
    *,
    staleness: Staleness,
    dry_run: bool,
    count_bytes: bool = False,
    watch: Callable[[], None] = lambda: None,
) -> AbortReport:
    """Abort the stale uploads of a prefix, or say which ones would be; an abort that fails does not stop the others.

    :param count_bytes: ask OSS for the parts of each stale upload, one request for every 1,000 of them
    :param watch: called before each upload; what it raises ends the work
    :raises RequestError: when the uploads cannot be listed
    """

    def fates() -> Iterator[UploadFate]:
        for upload in oss.list_uploads(where.bucket, prefix=where.prefix):
            watch()
            spared = staleness.spares(upload)
            yield UploadFate(upload, spared) if spared else _abort(oss, where.bucket, upload, dry_run, count_bytes)

    report = AbortReport.of(_logged(fates()), where=where)
    log.info("Looked through %s", str(report))
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
    except NoSuchUpload:  # completed or aborted by another hand since it was listed
        return UploadFate(upload, "gone")
    except OSSResumeError as error:
        return UploadFate(upload, "failed", size, error)
    return UploadFate(upload, "would abort" if dry_run else "aborted", size)


def _logged(fates: Iterable[UploadFate]) -> Iterator[UploadFate]:
    """Pass them on, with a line for each that is stale: what is deleted stands in the log."""
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
    """Delete objects, 1,000 a request, or say which ones would be; one that does not exist counts as deleted.

    :param watch: called before each request; what it raises ends the work
    :raises RequestError: when a request fails; what went before it is deleted
    """
    report = DeleteReport(dry_run)
    for bucket, group in itertools.groupby(map(current_version, targets), key=lambda target: target.bucket):
        while keys := [target.key for target in itertools.islice(group, MAX_KEYS_TO_DELETE)]:
            watch()
            gone = set(keys) if dry_run else set(oss.delete_objects(bucket, keys))
            for target in (ObjectRef(bucket, key) for key in keys):
                report.add(target, None if target.key in gone else _not_deleted(target))
            log.info("By now %s, the last of them %s", str(report), ObjectRef(bucket, keys[-1]))
    report.seal()
    return report


def current_version(target: ObjectRef) -> ObjectRef:
    """:raises ArgumentError: when it names a version, as what is deleted or aborted has none"""
    if target.version_id is not None:
        raise ArgumentError(
            "version_id", target.version_id, f"no version can be deleted here, only {target} as it is now; leave it out"
        )
    return target


def _not_deleted(target: ObjectRef) -> BadAnswer:
    operation = "DeleteMultipleObjects"
    return BadAnswer(f"{operation}: OSS did not say that {target} is deleted", operation=operation, target=str(target))


class ListingStore(Protocol):
    """A home of checkpoints that can name all of them."""

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
    """Delete a store's checkpoints that are older than an age, or say which ones would be.

    One that cannot be looked at or deleted stops no other.

    :param keys: of those that are looked at; by default all
    :param oss: asked which uploads are gone; their checkpoints are deleted whatever their age
    :param watch: called before each; what it raises ends the work
    :raises CheckpointError: when the store cannot be listed
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
    log.info("Looked through %s", str(report))
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
    """Return the upload IDs that the checkpoints in some stores name.

    :param watch: called before each checkpoint; what it raises ends the work
    :raises CheckpointError: when one of them cannot be listed or read: nobody knows then which uploads are to be spared
    """
    found: set[str] = set()
    for store in stores:
        keys = store.keys()
        for key in keys:
            watch()
            found |= upload_ids_in(store.load(key) or "")
        log.info("Keeping the uploads that the %s checkpoints in %s name", len(keys), store)
    return found


def _is_gone(oss: OssClient, checkpoint: Checkpoint | None) -> bool:
    """True when the checkpoint is of an upload whose ID OSS does not know any more."""
    if not isinstance(checkpoint, UploadCheckpoint):
        return False
    try:
        oss.list_parts(ObjectRef(checkpoint.bucket, checkpoint.key), checkpoint.upload_id)
    except NoSuchUpload:
        return True
    return False


WORK_FOLDER = "work_folder:"  # begins the name of one, as a store of checkpoints

_CANNOT_BE_LISTED = {
    "auto": "name the store: variable, file or file:FOLDER",
    "task_state": "a task sees its own entries of the task state store only; they go with their runs, which "
    "`airflow db clean` removes",
    "xcom": "a task finds an XCom only by its run and task; `airflow db clean` removes those of old runs",
    "memory": "nothing is left of a process that has ended",
    "configured": "a class of your own is not cleaned here; delete its old checkpoints where it keeps them",
}


def listable_store(
    argument: str, choice: str, *, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]
) -> ListingStore:
    """Return the store of that name.

    :param oss: returns the client for a work folder on OSS
    :raises ArgumentError: for one whose checkpoints no task can list
    """
    check_text(argument, choice)
    if reason := _CANNOT_BE_LISTED.get(choice):
        raise ArgumentError(argument, choice, reason)
    if choice.startswith(WORK_FOLDER):
        return WorkFolderCheckpoints(work_folder(argument, choice.removeprefix(WORK_FOLDER), oss))
    is_listable = choice in ("variable", "file") or choice.startswith("file:")
    if choice.startswith("file:") and not choice.startswith(("file:/", "file:~")):
        raise ArgumentError(argument, choice, "give an absolute folder, as a task's working folder is not yours")
    store = select_store(choice, context=context) if is_listable else None
    if not isinstance(store, (FileCheckpointStore, VariableCheckpointStore)):
        raise ArgumentError(argument, choice, "choose variable, file, file:FOLDER or work_folder:FOLDER")
    return store


def work_folder(argument: str, where: str, oss: Callable[[], OssClient]) -> WorkFolder:
    """Return the work folder that a text names.

    :raises ArgumentError: for anything but an ``oss://bucket/prefix/`` URL and an absolute path
    """
    check_text(argument, where)
    refuse_empty(argument, where)
    return open_work_folder(where, oss() if where.startswith("oss://") else None)


def stores_that_spare(
    choices: str | Sequence[str], *, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]
) -> list[ListingStore]:
    """Return the stores whose checkpoints keep the uploads that they name from being aborted.

    :param choices: ``auto`` for what can be read from here: Variables in a task, but for Airflow 3.0 to 3.2; else
        ``variable``, ``file``, ``file:FOLDER`` or ``work_folder:FOLDER``, or a list of them; none when it is empty
    :param oss: returns the client for a work folder on OSS
    :raises ArgumentError: for one that no task can list
    :raises StoreUnavailable: for a folder that is not on this worker: nobody knows then what lies in it
    """
    stores: list[ListingStore] = []
    for choice in parse_texts("spare_checkpoints", choices):
        if choice != "auto":
            stores.append(_store_that_spares(choice, context, oss))
        elif context is not None and _airflow.can_list_variables():
            stores.append(VariableCheckpointStore())
    if stores:
        read = ", ".join(map(str, stores))
        log.info("Uploads with checkpoints elsewhere than in %s are kept only by their age (older_than)", read)
    else:
        log.info("No checkpoints are read: all uploads are kept only by their age (older_than)")
    return stores


def _store_that_spares(choice: str, context: Mapping[str, Any] | None, oss: Callable[[], OssClient]) -> ListingStore:
    store = listable_store("spare_checkpoints", choice, context=context, oss=oss)
    if choice.startswith(f"{WORK_FOLDER}/") and not os.path.isdir(choice.removeprefix(WORK_FOLDER)):
        raise StoreUnavailable(f"spare_checkpoints={choice!r}: there is no such folder on this worker")
    if isinstance(store, FileCheckpointStore) and not store.folder.is_dir():
        raise StoreUnavailable(f"spare_checkpoints={choice!r}: there is no such folder on this worker")
    if isinstance(store, VariableCheckpointStore) and not _airflow.can_list_variables():
        raise ArgumentError(
            "spare_checkpoints", choice, "this Airflow lets no task list Variables, as 3.0 to 3.2 do not; leave it "
            "out, and choose older_than so long that it keeps every upload that a task may go on with"
        )  # fmt: skip
    return store
