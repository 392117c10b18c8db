"""How an object is copied, in which parts, and what OSS cannot copy.

Within a region, OSS copies by itself: an object with one CopyObject, or its bytes as parts of a multipart upload with
UploadPartCopy. Anything else is copied through the worker, but only if ``copy_mode`` asks for that.

The limits of CopyObject are those of its documentation since 2025. The 1 GB of older pages applies only if OSS has to
rewrite the bytes, for another storage class or encryption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Literal

from airflow_provider_ossresume.errors import ConnectionFailed, IntegrityError, NotCopyable, ObjectTooLarge
from airflow_provider_ossresume.model.copy_options import Properties
from airflow_provider_ossresume.model.objects import ARCHIVED_CLASSES, ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import (
    GIB,
    MAX_OBJECT_SIZE,
    MIB,
    PartPlan,
    determine_part_size,
    format_size,
    plan_parts,
)

CopyMode = Literal["server", "stream"]

MAX_COPY_BETWEEN_BUCKETS = 5 * GIB  # OSS: CopyObject into another bucket; within one there is no limit
MAX_CONVERTING_COPY = GIB  # OSS: CopyObject that changes storage class or encryption
# Within a bucket OSS copies no bytes. Elsewhere it does, and above this size one request takes long: as in SDK v2.
DEFAULT_COPY_THRESHOLD = 200 * MIB
COPY_PART_SIZES = {0: 64 * MIB, 8 * GIB: 128 * MIB, 64 * GIB: 256 * MIB}  # from an object's size on

_STREAM = "set copy_mode='stream' to copy it through the worker"


class CopyMethod(Enum):
    """How the bytes are copied."""

    WHOLE = "CopyObject"
    PARTS = "UploadPartCopy"
    STREAM = "through the worker"


@dataclass(frozen=True)
class CopyPlan:
    """A copy as it will be made.

    :ivar source: the source, with the version that is copied if OSS has named one
    :ivar meta: what HEAD says about the source; each request has its ETag
    :ivar parts: the parts for PARTS and STREAM, and for WHOLE if CopyObject fails
    """

    method: CopyMethod
    source: ObjectRef
    target: ObjectRef
    meta: ObjectMeta
    properties: Properties
    parts: PartPlan
    is_itself: bool = False

    @property
    def asks_for_tags(self) -> bool:
        """Whether the source's tags must be read. HEAD shows their number only to callers that may read them."""
        return self.properties.tagging is None and (self.method is not CopyMethod.WHOLE or self.is_itself)

    @property
    def asks_for_acl(self) -> bool:
        """Whether the source's ACL must be read."""
        return self.properties.keeps_acl

    @property
    def asks_for_a_byte(self) -> bool:
        """Whether to read one byte of an archived source, before an upload starts, to see if it can be read.

        HEAD does not show that a bucket allows real-time access to archived objects. CopyObject needs no such check.
        """
        is_archived = self.meta.headers.get("x-oss-storage-class") in ARCHIVED_CLASSES
        return is_archived and self.method is not CopyMethod.WHOLE and self.meta.size > 0

    def whole_headers(self, *, acl: str | None = None, tags: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers of CopyObject.

        :param acl: the source's ACL, if it was read
        :param tags: the source's tags, if they were read
        """
        return self.properties.of_one_request(self.meta, acl=acl, tags=(tags or {}) if self.is_itself else None)

    def initiate_headers(self, *, tags: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers of InitiateMultipartUpload. ``tags`` are the source's, if they were read."""
        return self.properties.of_initiate(self.meta, tags=tags)

    def complete_headers(self, *, acl: str | None = None) -> dict[str, str]:
        """Return the headers of CompleteMultipartUpload. ``acl`` is the source's, if it was read."""
        return self.properties.of_complete(acl=acl)

    def after(self, error: Exception) -> CopyPlan | None:
        """Return the plan to continue with after CopyObject failed; None if the copy fails.

        :raises NotCopyable: if parts would be needed, and OSS cannot copy this source in parts
        """
        if self.method is not CopyMethod.WHOLE or getattr(error, "operation", "") != "CopyObject":
            return None
        is_slow = isinstance(error, ConnectionFailed) and self.meta.size > DEFAULT_COPY_THRESHOLD
        is_slow &= not _is_appendable(self.meta)
        if not (is_slow or isinstance(error, ObjectTooLarge)):
            return None
        _refuse_parts_of_appendable(self.source, self.meta)
        return replace(self, method=CopyMethod.PARTS)


def plan_copy(
    source: ObjectRef,
    meta: ObjectMeta,
    target: ObjectRef,
    properties: Properties,
    *,
    mode: CopyMode = "server",
    source_region: str = "",
    target_region: str = "",
    part_size: int | None = None,
    threshold: int = DEFAULT_COPY_THRESHOLD,
) -> CopyPlan:
    """Return how an object is copied, decided from what HEAD says about it.

    :param source_region: the region of the source's bucket, or empty if unknown
    :param target_region: the region of the target's bucket, or empty if unknown
    :param part_size: by default 64 MiB, from 8 GiB on 128 MiB, and from 64 GiB on 256 MiB; through the worker, an
        upload's part sizes
    :param threshold: the size above which OSS copies in parts, if it has to move bytes
    :raises NotCopyable: if OSS cannot make the copy, or nothing would change
    """
    is_itself = (source.bucket, source.key) == (target.bucket, target.key) and source.version_id in (None, "null")
    if is_itself:
        if properties.changes_nothing:
            raise NotCopyable(
                f"{source} is source and target, and nothing would change; set another target, or an option to change",
                reason="itself",
            )  # fmt: skip
        properties = properties.onto_itself()
    _refuse_restoring(source, meta)
    pinned = replace(source, version_id=source.version_id or meta.version_id)
    if mode == "stream":
        method, parts = CopyMethod.STREAM, plan_parts(meta.size, part_size=part_size)
    else:
        _refuse_for_server(source, meta, target, regions=(source_region, target_region))
        is_whole = _takes_one_request(source, meta, target, properties, threshold=threshold)
        method, parts = (
            (CopyMethod.WHOLE if is_whole else CopyMethod.PARTS),
            plan_copied_parts(meta.size, part_size=part_size),
        )
        if method is CopyMethod.PARTS:
            _refuse_parts_of_appendable(source, meta)
    return CopyPlan(method, pinned, target, meta, properties, parts, is_itself)


def plan_copied_parts(size: int, *, part_size: int | None = None) -> PartPlan:
    """Cut an object into parts for OSS to copy. They may be large, because no byte passes through the worker."""
    default = max(each for least, each in COPY_PART_SIZES.items() if size >= least)
    return PartPlan(size, determine_part_size(size, part_size or default))


def largest_copy(source: ObjectRef, meta: ObjectMeta, target: ObjectRef, properties: Properties) -> int:
    """Return how many bytes OSS copies with one CopyObject."""
    if properties.converts(meta):
        return MAX_CONVERTING_COPY
    return MAX_OBJECT_SIZE if source.bucket == target.bucket else MAX_COPY_BETWEEN_BUCKETS


def _takes_one_request(
    source: ObjectRef, meta: ObjectMeta, target: ObjectRef, properties: Properties, *, threshold: int
) -> bool:
    largest = largest_copy(source, meta, target, properties)
    if largest == MAX_OBJECT_SIZE or _is_appendable(meta):
        return meta.size <= largest
    return meta.size <= min(threshold, largest)


def is_proven(source: ObjectMeta, *, target: ObjectRef, size: int, crc64: int | None) -> bool:
    """Return whether a copy's bytes are proven equal; False if OSS has no CRC-64 of source or copy.

    :raises IntegrityError: if they differ
    """
    if size != source.size:
        raise IntegrityError(f"the copy {target} has {size} bytes, but its source has {source.size}")
    if crc64 is None or source.crc64 is None:
        return False
    if crc64 != source.crc64:
        raise IntegrityError(f"the copy {target} has the CRC-64 {crc64}, but its source has {source.crc64}")
    return True


# --- what OSS does not copy -------------------------------------------------------------------------------------------


def refuse_retained(target: ObjectRef, there: ObjectMeta, *, days: int) -> None:
    """Check that the retention policy of the target's bucket does not protect the target now, by OSS's clock.

    :param there: what HEAD says about the object that would be overwritten
    :param days: for how many days the policy protects each object of the bucket
    :raises NotCopyable: if it protects the target
    """
    if there.last_modified and there.answered_at and there.last_modified + timedelta(days=days) > there.answered_at:
        until = there.last_modified + timedelta(days=days)
        raise NotCopyable(
            f"{target} cannot be overwritten before {until:%Y-%m-%d %H:%M} UTC: the bucket's retention policy (WORM) "
            "protects it; choose another key", reason="retained",
        )  # fmt: skip


def refuse_unreadable(source: ObjectRef, error: Exception) -> NotCopyable:
    """Return the error for a source that its own connection can read, but the copy's connection cannot.

    :param error: OSS's error for the copy's connection
    """
    return NotCopyable(
        f"the source's connection can read {source}, but OSS copies with the credentials of the copy's connection. "
        "They have no permission to read the source, or none to write the copy: grant it (with a bucket policy if the "
        f"source is in another account), or {_STREAM}; {error}", reason="account",
    )  # fmt: skip


def _refuse_for_server(source: ObjectRef, meta: ObjectMeta, target: ObjectRef, *, regions: tuple[str, str]) -> None:
    of_source, of_target = regions
    if of_source and of_target and of_source != of_target:
        raise NotCopyable(
            f"{source} is in {of_source} and {target} in {of_target}, and OSS copies within a region only; {_STREAM}",
            reason="region",
        )
    if meta.is_link:
        raise NotCopyable(
            f"{source} is a symbolic link, and OSS would copy only the link; name the object that it points to, "
            f"or {_STREAM}", reason="link",
        )  # fmt: skip
    if _is_appendable(meta) and meta.version_id is not None:
        raise NotCopyable(
            f"{source} is an appendable object in a bucket with versions, and OSS does not copy those; {_STREAM}",
            reason="appendable",
        )


def _refuse_parts_of_appendable(source: ObjectRef, meta: ObjectMeta) -> None:
    if _is_appendable(meta):
        raise NotCopyable(
            f"{source} is an appendable object of {format_size(meta.size)}; OSS does not copy these in parts, and in "
            f"one request no more than {format_size(MAX_COPY_BETWEEN_BUCKETS)}, or {format_size(MAX_CONVERTING_COPY)} "
            f"into another storage class or encryption; {_STREAM}", reason="appendable",
        )  # fmt: skip


def _refuse_restoring(source: ObjectRef, meta: ObjectMeta) -> None:
    # OSS, HeadObject: present while the object is being restored, and after that until it is archived again.
    if 'ongoing-request="true"' in meta.headers.get("x-oss-restore", ""):
        raise NotCopyable(
            f"{source} is archived and being restored; run the task again when that is done", reason="restoring"
        )


def _is_appendable(meta: ObjectMeta) -> bool:
    return meta.headers.get("x-oss-object-type") == "Appendable"
