"""Removes what nobody needs any more: stale uploads, checkpoints that were left behind, and objects in batches."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol

from airflow_provider_ossresume.errors import BadAnswer, NoSuchUpload, OSSResumeError, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint
from airflow_provider_ossresume.model.cleaning import (
    MOST_NAMED,
    AbortReport,
    CheckpointReport,
    DeleteReport,
    LeftCheckpoint,
    Staleness,
    UploadFate,
    describe_upload,
    judge_checkpoint,
)
from airflow_provider_ossresume.model.objects import ListedUpload, ObjectRef, PrefixRef

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient

log = logging.getLogger(__name__)

MAX_BATCH = 1_000  # OSS: keys in one DeleteMultipleObjects


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
    log.info("Looked through %s", report)
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
    for bucket, group in itertools.groupby(targets, key=lambda target: target.bucket):
        while keys := [target.key for target in itertools.islice(group, MAX_BATCH)]:
            watch()
            gone = set(keys) if dry_run else set(oss.delete_objects(bucket, keys))
            for target in (ObjectRef(bucket, key) for key in keys):
                report.add(target, None if target.key in gone else _not_deleted(target))
            log.info("By now %s, the last of them %s", report, ObjectRef(bucket, keys[-1]))
    return report


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
    left: list[LeftCheckpoint] = []
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
    report = CheckpointReport(str(store), tuple(left))
    log.info("Looked through %s", report)
    return report


def _cleaned(
    store: ListingStore, key: str, *, older_than: timedelta, dry_run: bool, oss: OssClient | None, now: datetime
) -> LeftCheckpoint:
    found = LeftCheckpoint(store.place(key), "failed")
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


def _is_gone(oss: OssClient, checkpoint: Checkpoint | None) -> bool:
    """True when the checkpoint is of an upload whose ID OSS does not know any more."""
    if not isinstance(checkpoint, UploadCheckpoint):
        return False
    try:
        oss.list_parts(ObjectRef(checkpoint.bucket, checkpoint.key), checkpoint.upload_id)
    except NoSuchUpload:
        return True
    return False
