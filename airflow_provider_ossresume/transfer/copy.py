"""Copies an object: OSS copies the bytes, or with ``mode="stream"`` they pass through the worker.

Each request names the source's ETag, and its version if it has one, so a copy never mixes old and new bytes. The
CRC-64 of the copy has to equal the source's.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from airflow_provider_ossresume.errors import (
    AccessDenied,
    ConnectionFailed,
    IntegrityError,
    NoSuchBucket,
    NoSuchKey,
    ObjectChanged,
    OSSResumeError,
    PreconditionFailed,
)
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint
from airflow_provider_ossresume.model.copying import CopyMethod, CopyPlan, plan_copy, refuse_retained, refuse_unreadable
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import PartPlan
from airflow_provider_ossresume.model.resume import Begin, Restart, Resume, decide_upload
from airflow_provider_ossresume.transfer.copied_object import (
    CopiedUpload,
    PartCopyClient,
    PinnedUpload,
    WholeCopy,
    WholeCopyClient,
)
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.multipart_upload import MultipartUpload
from airflow_provider_ossresume.transfer.options import CopyTransferOptions, UploadOptions
from airflow_provider_ossresume.transfer.oss_object import OssObject, ReadClient
from airflow_provider_ossresume.transfer.ports import Sink, StoppableClient
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.target_object import HeadClient, TargetObject
from airflow_provider_ossresume.transfer.transfer_to_oss import TransferToOss, TransferToOssClient
from airflow_provider_ossresume.transfer.whole_object import PutClient

log = logging.getLogger(__name__)


class CopySourceClient(HeadClient, ReadClient, StoppableClient, Protocol):
    """The client methods that a copy needs for its source; see ``oss.client.OssClient``."""

    def check_readable(self, target: ObjectRef, *, if_match: str | None = None) -> None: ...


class CopyClient(CopySourceClient, TransferToOssClient, WholeCopyClient, PartCopyClient, PutClient, Protocol):
    """All client methods that a copy needs; see ``oss.client.OssClient``."""

    def get_retention_days(self, bucket: str) -> int: ...


class Copier(TransferToOss[CopyClient, CopyTransferOptions, OssObject]):
    """One copy of an object to another, by one try.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    direction = "copy"
    doing = "Copying"
    _plan: CopyPlan  # known, like the options, after HEAD of the source
    _upload_options = UploadOptions()
    _is_planned = False
    _falls_back = False  # to parts, because OSS refused to copy in one request, or did not finish it

    def copy(self, source: ObjectRef, *, oss: CopySourceClient | None = None) -> TransferResult:
        """Copy the object and return what was done. The target then holds exactly the source's bytes.

        :param oss: the client for the source, if that needs another endpoint or other credentials
        :raises NoSuchKey: if the source does not exist
        :raises NotCopyable: if OSS cannot copy it; raised before any byte moves, and the message says what to do
        :raises ObjectChanged: if the source changes again after a restart, or once with ``object_changed="fail"``
        :raises AlreadyExists: if the target exists and ``if_exists="fail"``
        :raises IntegrityError: if the copy does not equal the source
        :raises RequestError: if OSS does not copy it
        """
        self._source, self._source_client = source, oss or self._client
        try:
            return self._run(source.uri)
        except (AccessDenied, NoSuchBucket, NoSuchKey) as error:
            if oss is None or error.operation not in ("CopyObject", "UploadPartCopy"):
                raise
            raise refuse_unreadable(source, error) from error

    def _open(self, crew: Crew, opened: ExitStack) -> OssObject:
        self._source_oss = self._source_client.with_stop(crew)
        plan, self._upload_options = crew.call(self._look)
        self._plan, self._is_planned, meta = plan, True, plan.meta
        if self._config.verify and meta.crc64 is None:
            log.warning("OSS has no CRC-64 of %s, so only the size of the copy is compared", self._source)
        return OssObject(
            self._source_oss, plan.source, etag=meta.etag, start=0, size=meta.size, total=meta.size, crc64=meta.crc64
        )

    def _look(self) -> tuple[CopyPlan, UploadOptions]:
        """Return how to copy the object, and the options of the target."""
        options = self._options
        meta = self._source_oss.head_object(self._source)
        plan = plan_copy(
            self._source,
            meta,
            self._target,
            options.properties,
            mode=options.mode,
            source_region=options.regions[0],
            target_region=options.regions[1],
            part_size=self._config.part_bytes,
            threshold=options.threshold,
        )
        if self._falls_back and meta.size:  # it may be empty by now, and an upload needs at least one part
            plan = replace(plan, method=CopyMethod.PARTS)
        self._tags = self._tags_of(plan)
        self._acl = self._source_oss.get_object_acl(plan.source) if plan.asks_for_acl else None
        if plan.asks_for_a_byte:
            try:
                self._source_oss.check_readable(plan.source, if_match=meta.etag)
            except PreconditionFailed as error:
                raise ObjectChanged(f"{self._source} changed before the copy began: {error}") from error
        headers = {**plan.initiate_headers(tags=self._tags), **plan.complete_headers(acl=self._acl)}
        made_as = UploadOptions(
            if_exists=options.if_exists,
            source_changed=options.object_changed,
            headers=headers,
            earlier_try=options.earlier_try or self._is_unanswered,
        )
        return plan, made_as

    def _tags_of(self, plan: CopyPlan) -> dict[str, str] | None:
        """Return the source's tags if they have to be written or compared; else None."""
        is_compared = self._options.earlier_try or self._is_unanswered
        is_compared |= self._options.if_exists in ("skip_if_same", "fail")
        if plan.properties.tagging is not None or not (plan.asks_for_tags or is_compared):
            return None
        try:
            return self._source_oss.get_object_tagging(plan.source)
        except AccessDenied as error:
            if plan.asks_for_tags:
                raise
            log.info("Cannot compare the tags of %s: %s", self._target, error)
            return None

    def _initiate(self, crew: Crew, source: OssObject) -> UploadCheckpoint:
        crew.call(self._check_retention)
        return super()._initiate(crew, source)

    def _check_retention(self) -> None:
        """:raises NotCopyable: if a retention policy protects the target, which otherwise only Complete would report"""
        try:
            found = TargetObject(self._oss, self._target, {}).head()
            days = self._oss.get_retention_days(self._target.bucket) if found else 0
        except AccessDenied as error:
            log.info("Cannot check if a retention policy protects %s: %s", self._target, error)
            return
        if found and days:
            refuse_retained(self._target, found, days=days)

    @property
    def _object_options(self) -> UploadOptions:
        return self._upload_options

    def _takes_one_request(self, source: OssObject) -> bool:
        if self._plan.method is CopyMethod.STREAM:
            return source.size < max(self._config.threshold_bytes, 1)
        return self._plan.method is CopyMethod.WHOLE

    def _parts(self, source: OssObject) -> PartPlan:
        return self._plan.parts

    def _whole(self, source: OssObject) -> Sink[OssObject]:
        if self._plan.method is CopyMethod.STREAM:
            return self._put_object(self._oss)
        return WholeCopy(
            self._oss,
            self._target,
            existing=self._existing,
            meta=self._plan.meta,
            headers={**self._plan.whole_headers(acl=self._acl, tags=self._tags), **self._object_options.guard},
            verify=self._config.verify,
        )

    @property
    def _upload_type(self) -> type[MultipartUpload]:
        return PinnedUpload if self._is_planned and self._plan.method is CopyMethod.STREAM else CopiedUpload

    @property
    def _known_crc64(self) -> int | None:  # type: ignore[override]
        return self._plan.meta.crc64 if self._is_planned else None

    def _crc64(self, crew: Crew, source: OssObject) -> int | None:
        return self._plan.meta.crc64

    def _fingerprint(self, source: OssObject) -> str:
        return source.fingerprint

    def _decision(
        self, source: OssObject, stored: Checkpoint | None
    ) -> Begin | Resume[UploadCheckpoint] | Restart[UploadCheckpoint]:
        decision = decide_upload(stored, target=self._target, size=source.size, options=self._object_options.digest)
        if isinstance(decision, Resume) and decision.checkpoint.source != source.fingerprint:
            return Restart(f"{source} has changed since the copy began", decision.checkpoint)
        return decision

    @property
    def _refuses_damage(self) -> bool:  # type: ignore[override]
        """True if only this shows that a part is damaged, because the source has no CRC-64."""
        return self._is_planned and self._plan.method is CopyMethod.STREAM and self._plan.meta.crc64 is None

    def _restarts_after(self, error: OSSResumeError) -> bool:
        return super()._restarts_after(error) or (isinstance(error, IntegrityError) and self._is_planned)

    def _has_fallback(self, error: OSSResumeError) -> bool:
        return self._is_planned and not self._falls_back and self._plan.after(error) is not None

    def _take_fallback(self, error: OSSResumeError) -> None:
        log.warning("Copying %s in parts instead: %s", self._source, error)
        self._falls_back = True
        self._is_unanswered = isinstance(error, ConnectionFailed)  # OSS may have made the copy nevertheless
