"""Base class of uploads and copies: checks the existing object, chooses one request or parts, and resumes an upload.

The order matters: initiate, save the checkpoint, put parts, complete, compare, delete the checkpoint. The checkpoint
names the upload ID. OSS's ListParts returns the parts that exist.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import ClassVar, Protocol, TypeVar

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    NoSuchUpload,
    ObjectChanged,
    OSSResumeError,
    SourceChanged,
    TrySuperseded,
)
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint
from airflow_provider_ossresume.model.objects import ObjectMeta, Receipt
from airflow_provider_ossresume.model.parts import Part, PartPlan, format_size, plan_parts
from airflow_provider_ossresume.model.resume import Begin, Restart, Resume, is_upload_to
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.multipart_upload import MultipartClient, MultipartUpload, begin_upload
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.ports import Sink, Source, StoppableClient, TransferPlan
from airflow_provider_ossresume.transfer.result import Settled
from airflow_provider_ossresume.transfer.target_object import HeadClient, TargetObject
from airflow_provider_ossresume.transfer.transfer import Options, Prepared, Transfer
from airflow_provider_ossresume.transfer.whole_object import PutClient, WholeObject

log = logging.getLogger(__name__)


class TransferToOssClient(HeadClient, MultipartClient, StoppableClient, Protocol):
    """The client methods that uploads and copies need; see ``oss.client.OssClient``."""


Client = TypeVar("Client", bound=TransferToOssClient)
AnySource = TypeVar("AnySource", bound=Source)


class TransferToOss(Transfer[Client, Options, AnySource]):
    """One transfer to one object, by one try.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    doing: ClassVar[str]  # for the log
    _is_upload_id_unsaved = False  # this try has started an upload, and has not tried to save its upload ID yet
    _is_unanswered = False  # a request of this try, which was not answered, may have created the object
    _refuses_damage = False
    _known_crc64: int | None = None  # of all bytes, if it is known before the first one is sent

    # --- what each kind decides ---------------------------------------------------------------------------------------

    @abstractmethod
    def _open(self, crew: Crew, opened: ExitStack) -> AnySource:
        """Open the source and return it. Raise all errors that can be found before a byte moves."""

    @property
    @abstractmethod
    def _object_options(self) -> UploadOptions:
        """The object's headers, and what to do if it exists. Known when the source is open."""

    @abstractmethod
    def _takes_one_request(self, source: AnySource) -> bool: ...

    def _parts(self, source: AnySource) -> PartPlan:
        """Return the parts of a new upload."""
        return plan_parts(source.size, part_size=self._config.part_bytes)

    @abstractmethod
    def _whole(self, source: AnySource) -> Sink[AnySource]:
        """Return the sink that creates the object by one request."""

    @abstractmethod
    def _crc64(self, crew: Crew, source: AnySource) -> int | None:
        """Return the CRC-64 of the whole source; None if it is not available."""

    @abstractmethod
    def _decision(
        self, source: AnySource, stored: Checkpoint | None
    ) -> Begin | Resume[UploadCheckpoint] | Restart[UploadCheckpoint]: ...

    @abstractmethod
    def _fingerprint(self, source: AnySource) -> str:
        """Return a text for the checkpoint that proves the parts of this try to be the source's; else empty."""

    # --- prepare ------------------------------------------------------------------------------------------------------

    def _prepare(self, crew: Crew, opened: ExitStack, *, is_second: bool) -> Settled | Prepared[AnySource]:
        source = self._open(crew, opened)
        stored = self._checkpointer.load(watch=self._watch)
        settled = self._settle(crew, source, stored)
        # Not by one request if OSS may hold parts already: the threshold was changed, or the upload was adopted.
        is_resumed = stored is not None and isinstance(self._decision(source, stored), Resume)
        is_whole = self._takes_one_request(source) and not is_resumed
        if not settled and not is_whole:
            return self._prepare_parts(crew, source, stored)
        self._checkpointer.check_owner()  # because comparing the bytes may have taken long
        if isinstance(stored, UploadCheckpoint):
            self._upload_of(stored).drop(crew)
        if settled:
            return settled
        log.info("%s %s (%s) to %s in one request", self.doing, source, format_size(source.size), self._target)
        return Prepared(TransferPlan((Part(1, 0, source.size),)), source, self._whole(source))

    def _settle(self, crew: Crew, source: AnySource, stored: Checkpoint | None) -> Settled | None:
        """Return the result if the existing object decides it; None if bytes have to move."""
        policy = self._object_options.if_exists
        # A finished try has deleted its checkpoint. If it could not, that is found when the upload is resumed.
        may_be_ours = self._object_options.earlier_try and (stored is None or policy == "fail")
        wants_same = may_be_ours or policy == "skip_if_same"
        if policy == "overwrite" and not wants_same:
            return None
        meta = crew.call(self._existing.head)
        if meta is None:
            return None
        if policy == "skip" and not self._is_unanswered:
            log.info("%s exists, skipped", self._target)
            return "skipped", meta, meta.crc64
        crc = self._crc64_if_same(crew, source, meta) if wants_same else None
        if crc is not None:
            if may_be_ours:
                log.info("%s holds these bytes already: an earlier try had finished", self._target)
                return "already there", meta, crc
            log.info("%s holds these bytes already, skipped", self._target)
            return "skipped", meta, crc
        if policy == "skip":
            log.info("%s exists, skipped", self._target)
            return "skipped", meta, meta.crc64
        if policy == "fail":
            raise AlreadyExists(
                operation="HeadObject", target=self._target.uri, status=409, code="FileAlreadyExists",
                hint="the object exists, and if_exists='fail' forbids overwriting it",
            )  # fmt: skip
        return None

    def _crc64_if_same(self, crew: Crew, source: AnySource, meta: ObjectMeta) -> int | None:
        """Return the CRC-64 of the source if the existing object equals what this transfer would write; else None."""
        crc = self._crc64(crew, source) if meta.size == source.size else None
        if crc is None or not crew.call(lambda: self._existing.matches(meta, size=source.size, crc64=crc)):
            return None
        return crc

    def _prepare_parts(self, crew: Crew, source: AnySource, stored: Checkpoint | None) -> Settled | Prepared[AnySource]:
        resumed = self._resume(crew, source, stored)
        if isinstance(resumed, ObjectMeta):
            return "already there", resumed, resumed.crc64
        try:
            checkpoint, listed = resumed or (self._initiate(crew, source), [])
        except AlreadyExists as error:
            if not self._object_options.earlier_try:
                raise
            failed, crc = error, self._crc64(crew, source)
            meta = crew.call(lambda: self._existing.equal_or_raise(failed, size=source.size, crc64=crc))
            return "already there", meta, crc
        is_trusted = bool(checkpoint.source) and checkpoint.source == self._fingerprint(source)
        if not is_trusted:
            checkpoint = replace(checkpoint, source="")  # it would not prove the parts that are sent from now on
        self._checkpointer.save(checkpoint)
        self._is_upload_id_unsaved = False
        sink, parts = self._upload_of(checkpoint), checkpoint.plan
        kept = sink.trusted(listed) if is_trusted else sink.compared(crew, source, listed)
        log.info(
            "%s %s (%s) to %s: %s of %s parts of %s are kept, %s to send",
            self.doing, source, format_size(source.size), self._target, len(kept), len(parts),
            format_size(parts.part_size), len(parts) - len(kept),
        )  # fmt: skip
        return Prepared(TransferPlan(parts, kept), source, sink)

    def _resume(
        self, crew: Crew, source: AnySource, stored: Checkpoint | None
    ) -> tuple[UploadCheckpoint, list[Receipt]] | ObjectMeta | None:
        """Return the upload to resume and its parts, or the object if it is finished, or None for a new upload."""
        decision = self._decision(source, stored)
        if isinstance(decision, Begin):
            log.info("A new %s to %s: %s (%s)", self.direction, self._target, decision.reason, self._checkpointer)
            return None
        checkpoint = decision.checkpoint
        if isinstance(decision, Restart):
            self._progress.started_as = "restarted"
            log.warning("Restarting the %s to %s: %s", self.direction, self._target, decision.reason)
            self._checkpointer.check_owner()  # a newer try may have resumed this upload meanwhile
            self._upload_of(checkpoint).drop(crew)
            return None
        try:
            listed = crew.call(lambda: self._oss.list_parts(self._target, checkpoint.upload_id))
        except NoSuchUpload:
            return self._finished_object(crew, source, checkpoint)
        self._progress.started_as = "resumed"
        log.info(
            "Resuming the %s to %s: the checkpoint of try %s names upload ID %s (%s)",
            self.direction, self._target, checkpoint.owner.try_number, checkpoint.upload_id, self._checkpointer,
        )  # fmt: skip
        return checkpoint, listed

    def _finished_object(self, crew: Crew, source: AnySource, checkpoint: UploadCheckpoint) -> ObjectMeta | None:
        meta = crew.call(self._existing.head)
        if meta and self._crc64_if_same(crew, source, meta) is not None:
            log.info("%s holds these bytes already: the last try had finished it", self._target)
            return meta
        self._progress.started_as = "restarted"
        log.warning(
            "Restarting the %s to %s: its upload ID %s is gone (aborted, or removed by a lifecycle rule)",
            self.direction, self._target, checkpoint.upload_id,
        )  # fmt: skip
        return None

    def _initiate(self, crew: Crew, source: AnySource) -> UploadCheckpoint:
        """Start an upload. An answer that arrives in the grace after a stop counts too, and is saved at the end."""
        plan = self._parts(source)

        def begun(upload_id: str) -> UploadCheckpoint:
            checkpoint = UploadCheckpoint(
                bucket=self._target.bucket,
                key=self._target.key,
                upload_id=upload_id,
                size=plan.object_size,
                part_size=plan.part_size,
                options=self._object_options.digest,
                owner=self._checkpointer.owner,
                source=self._fingerprint(source),
            )
            self._checkpointer.update(checkpoint)
            self._is_upload_id_unsaved = True
            return checkpoint

        return begin_upload(crew, self._oss, self._target, headers=self._object_options.initiate_headers, begun=begun)

    # --- its end ------------------------------------------------------------------------------------------------------

    def _restarts_after(self, error: OSSResumeError) -> bool:
        if isinstance(error, NoSuchUpload):
            return error.operation in ("UploadPart", "UploadPartCopy")
        return isinstance(error, (SourceChanged, ObjectChanged)) and self._object_options.source_changed == "restart"

    def _discard(self, crew: Crew, checkpoint: Checkpoint | None) -> None:
        if isinstance(checkpoint, UploadCheckpoint):
            self._upload_of(checkpoint).abort(crew)
            log.warning(
                "The finished parts of the %s to %s are removed: upload ID %s is aborted",
                self.direction, self._target, checkpoint.upload_id,
            )  # fmt: skip

    @property
    def _keeps_parts(self) -> bool:
        return self._config.verify  # otherwise nothing proves the parts, and all are sent again

    def _after_keeping(self) -> None:
        ours = self._checkpointer.current
        if isinstance(ours, UploadCheckpoint) and not self._checkpointer.is_saved:
            # Not aborted: perhaps only the answer to a save was lost, and then the next try resumes this upload.
            log.warning(
                "The checkpoint with upload ID %s of %s may not be saved. If the next try does not resume the upload, "
                "its parts cost storage until you or a lifecycle rule abort it", ours.upload_id, self._target,
            )  # fmt: skip

    def _yield_to_successor(self) -> None:
        """Abort the upload of this try if no checkpoint names it: this try has not tried to save one, or the newer try
        has started an upload of its own."""
        ours, theirs = self._checkpointer.current, self._checkpointer.lease.successor
        if not isinstance(ours, UploadCheckpoint):
            return
        is_named = (
            theirs.upload_id == ours.upload_id
            if isinstance(theirs, UploadCheckpoint)
            else not self._is_upload_id_unsaved
        )

        def tick() -> None:
            with suppress(TrySuperseded):  # known already; only a stop has to end this
                self._watch()

        if not is_named:
            with Crew(workers=1, tick=tick) as crew:
                self._oss = self._client.with_stop(crew)
                self._upload_of(ours).drop(crew)

    def _is_ours(self, checkpoint: Checkpoint) -> bool:
        return (
            isinstance(checkpoint, UploadCheckpoint)
            and is_upload_to(checkpoint, self._target)
            and checkpoint.is_possible
        )

    # --- shared -------------------------------------------------------------------------------------------------------

    @property
    def _existing(self) -> TargetObject:
        return TargetObject(self._oss, self._target, self._object_options.headers)

    def _put_object(self, oss: PutClient) -> WholeObject:
        """Return the sink that creates the object by one PutObject."""
        return WholeObject(
            oss,
            self._target,
            existing=self._existing,
            headers=self._object_options.put_headers,
            verify=self._config.verify,
        )

    @property
    def _upload_type(self) -> type[MultipartUpload]:
        return MultipartUpload

    def _upload_of(self, checkpoint: UploadCheckpoint) -> MultipartUpload:
        return self._upload_type(
            self._oss,
            self._target,
            checkpoint.upload_id,
            checkpoint.plan,
            existing=self._existing,
            headers=self._object_options.complete_headers,
            verify=self._config.verify,
            refuses_damage=self._refuses_damage,
            crc64=self._known_crc64,
        )
