"""Decides whether a transfer resumes or restarts, and which parts are still good. The reasons appear in the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint, UploadCheckpoint
from airflow_provider_ossresume.model.etags import md5_of, same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part, PartPlan

C = TypeVar("C", UploadCheckpoint, DownloadCheckpoint)


@dataclass(frozen=True)
class Begin:
    """Start: there is nothing to resume."""

    reason: str


@dataclass(frozen=True)
class Resume(Generic[C]):
    """Resume what the checkpoint names."""

    checkpoint: C


@dataclass(frozen=True)
class Restart(Generic[C]):
    """Drop what the checkpoint names, because it no longer fits, and start again."""

    reason: str
    checkpoint: C


def is_upload_to(checkpoint: Checkpoint, target: ObjectRef) -> bool:
    """Return whether this is the checkpoint of an upload to that object."""
    return isinstance(checkpoint, UploadCheckpoint) and (checkpoint.bucket, checkpoint.key) == (
        target.bucket,
        target.key,
    )


def is_download_of(checkpoint: Checkpoint, target: ObjectRef, part_file: str) -> bool:
    """Return whether this is the checkpoint of a download of that object and version into that part file."""
    return isinstance(checkpoint, DownloadCheckpoint) and (
        checkpoint.bucket, checkpoint.key, checkpoint.version_id, checkpoint.part_file,
    ) == (target.bucket, target.key, target.version_id, part_file)  # fmt: skip


def decide_upload(
    checkpoint: Checkpoint | None, *, target: ObjectRef, size: int, options: str
) -> Begin | Resume[UploadCheckpoint] | Restart[UploadCheckpoint]:
    """Decide from the checkpoint alone. Afterwards OSS is asked for the parts.

    The source's path and time stamps do not matter, because parts are compared by content. The part size is the
    checkpoint's, whatever is configured now.
    """
    if checkpoint is None:
        return Begin("there is no checkpoint")
    if not isinstance(checkpoint, UploadCheckpoint) or not is_upload_to(checkpoint, target):
        return Begin(f"the checkpoint belongs to another transfer ({checkpoint.kind} of {_target_of(checkpoint)})")
    if checkpoint.size != size:
        return Restart(f"the source's size was {checkpoint.size} bytes and is now {size}", checkpoint)
    if checkpoint.options != options:
        return Restart(
            "the object's metadata or other options are not those that the upload began with",
            checkpoint,
        )
    return Resume(checkpoint)


def decide_download(
    checkpoint: Checkpoint | None,
    *,
    target: ObjectRef,
    meta: ObjectMeta,
    part_file: str,
    part_file_exists: bool,
    start: int = 0,
) -> Begin | Resume[DownloadCheckpoint] | Restart[DownloadCheckpoint]:
    """Decide from the checkpoint, from what OSS says about the object now, and from whether the part file exists.

    :param meta: the object; its size is the size of the wanted range
    :param start: where that range begins in the object
    """
    if checkpoint is None:
        return Begin("there is no checkpoint")
    if not isinstance(checkpoint, DownloadCheckpoint) or not is_download_of(checkpoint, target, part_file):
        return Begin(f"the checkpoint belongs to another transfer ({checkpoint.kind} of {_target_of(checkpoint)})")
    if not same_etag(checkpoint.etag, meta.etag):
        return Restart(f"the object on OSS changed: its ETag was {checkpoint.etag} and is now {meta.etag}", checkpoint)
    if checkpoint.start != start:
        return Restart(f"byte_range began at byte {checkpoint.start} and now begins at {start}", checkpoint)
    if checkpoint.size != meta.size:
        return Restart(
            f"the object on OSS changed: its size was {checkpoint.size} bytes and is now {meta.size}", checkpoint
        )
    if not part_file_exists:
        return Restart(f"the part file {part_file} is not on this worker", checkpoint)
    return Resume(checkpoint)


def _target_of(checkpoint: Checkpoint) -> str:
    return ObjectRef(checkpoint.bucket, checkpoint.key).uri


def candidate_parts(listed: Iterable[Receipt], plan: PartPlan) -> list[tuple[Part, Receipt]]:
    """Return the listed parts that may have the local bytes: in the plan, of the right size, and with a digest.

    Before a part is kept, :func:`proven` compares it with the local bytes. All other parts are sent again.
    """
    return [
        (part, uploaded)
        for uploaded in listed
        if (part := plan.numbered(uploaded.number))
        and part.size == uploaded.size
        and (uploaded.crc64 is not None or md5_of(uploaded.etag))
    ]


def proven(uploaded: Receipt, *, crc64: int, md5: str | None) -> Receipt | None:
    """Return a listed part with its CRC-64 if it has the local bytes; None if it does not, or if that is unknown.

    :param md5: MD5 of the local bytes in hex; None if it is not needed, or Python is built without MD5
    """
    if uploaded.crc64 is not None:
        return uploaded if uploaded.crc64 == crc64 else None
    # Some servers do not list a CRC-64; then the ETag of a part is its MD5.
    holds = md5 is not None and md5_of(uploaded.etag) == md5.upper()
    return replace(uploaded, crc64=crc64) if holds else None


def same_content(meta: ObjectMeta, *, size: int, crc64: int) -> bool:
    """Return whether OSS's CRC-64 proves that the object has those bytes."""
    return meta.size == size and meta.crc64 == crc64
