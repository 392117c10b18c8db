"""Uploads a file: what OSS has already is kept, what is missing is sent, and the whole is proven equal.

The order is the promise: initiate, save the checkpoint, send parts, complete, compare, delete the checkpoint. OSS is
the ledger: the checkpoint names the upload ID, and ListParts says which parts exist.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeVar, get_args

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    CredentialsError,
    IntegrityError,
    InvalidPart,
    NoSuchKey,
    NoSuchUpload,
    RequestError,
    ServiceError,
    SourceChanged,
    StoreUnavailable,
    TrySuperseded,
)
from airflow_provider_ossresume.model.checkpoint import Checkpoint, UploadCheckpoint, options_digest
from airflow_provider_ossresume.model.crc64 import combine_all
from airflow_provider_ossresume.model.md5 import content_md5, md5_hex
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, UploadedPart, check_choice
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE, Part, PartPlan, format_size, plan_parts
from airflow_provider_ossresume.model.resume import (
    Begin,
    Restart,
    Resume,
    candidate_parts,
    decide_upload,
    is_upload_to,
    proven,
    same_content,
)
from airflow_provider_ossresume.model.sameness import difference
from airflow_provider_ossresume.transfer.checkpointing import DROP_TIME
from airflow_provider_ossresume.transfer.crew import Crew, Deadline
from airflow_provider_ossresume.transfer.file_crc64 import crc64_of_range
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.result import Settled, Stopwatch, TransferResult
from airflow_provider_ossresume.transfer.transfer import Transfer

log = logging.getLogger(__name__)

T = TypeVar("T")
IfExists = Literal["overwrite", "skip", "skip_if_same", "fail"]
OnChange = Literal["restart", "fail"]
Fingerprint = Literal["content", "stat"]

REQUEST_HEADERS = frozenset({"x-oss-request-payer", "x-oss-traffic-limit"})  # they count for one request each
COMPLETE_HEADERS = frozenset({"x-oss-object-acl", "x-oss-callback", "x-oss-callback-var"})
ABORTS = 3  # OSS: "abort it again" when parts were on their way; the last answer is that there is no such upload
LOOKS = 3  # at a source whose ctime changes while its bytes are compared


class UploadClient(Protocol):
    """What an upload needs of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_object_acl(self, target: ObjectRef) -> str: ...
    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]: ...
    def put_object(
        self, target: ObjectRef, body: PartBody, *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta: ...
    def initiate(self, target: ObjectRef, *, headers: Mapping[str, str] | None = None) -> str: ...
    def upload_part(
        self, target: ObjectRef, upload_id: str, number: int, body: PartBody, *, refuse_damage: bool = False
    ) -> UploadedPart: ...
    def list_parts(self, target: ObjectRef, upload_id: str) -> list[UploadedPart]: ...
    def complete(
        self,
        target: ObjectRef,
        upload_id: str,
        parts: Iterable[UploadedPart],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> ObjectMeta: ...
    def abort(self, target: ObjectRef, upload_id: str) -> None: ...


@dataclass(frozen=True)
class UploadOptions:
    """What an upload is to do besides moving bytes.

    :param if_exists: what to do when the object exists: ``overwrite`` it; ``skip`` the upload; ``skip_if_same`` when
        size and CRC-64 are equal; ``fail``, which OSS itself guards
    :param source_changed: what to do when the file changes under the upload: ``restart`` once, or ``fail``
    :param fingerprint: how a part that OSS has is known to hold the file's bytes: by ``content``, for which they are
        read again; or by ``stat``: inode, size, mtime and ctime of the file are those of when it was sent
    :param headers: the object's headers and metadata, as OSS takes them
    :param earlier_try: an earlier try may have finished: an object with these very bytes then counts as this upload's
    """

    if_exists: IfExists = "overwrite"
    source_changed: OnChange = "restart"
    fingerprint: Fingerprint = "content"
    headers: Mapping[str, str] = field(default_factory=dict)
    earlier_try: bool = False

    def __post_init__(self) -> None:
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_choice("source_changed", self.source_changed, get_args(OnChange))
        check_choice("fingerprint", self.fingerprint, get_args(Fingerprint))

    @property
    def guard(self) -> dict[str, str]:
        return {FORBID_OVERWRITE: "true"} if self.if_exists == "fail" else {}

    @property
    def initiate_headers(self) -> dict[str, str]:
        """What InitiateMultipartUpload fixes for the object."""
        fixed = {name: value for name, value in self.headers.items() if name.lower() not in COMPLETE_HEADERS}
        return {**fixed, **self.guard}

    @property
    def digest(self) -> str:
        """What stands for ``initiate_headers`` in a checkpoint."""
        return options_digest(self.initiate_headers)

    @property
    def complete_headers(self) -> dict[str, str]:
        """What OSS takes only when the object comes to be."""
        late = {name: value for name, value in self.headers.items() if name.lower() in COMPLETE_HEADERS}
        return {**late, **self.guard}


class Uploader(Transfer[UploadClient, UploadOptions]):
    """One upload to one object, by one try; dropped, it is aborted within three seconds.

    Its arguments are those of :class:`~airflow_provider_ossresume.transfer.transfer.Transfer`.
    """

    direction = "upload"
    _is_unnamed = False  # this try has begun an upload, and has not offered it to the store yet

    def upload(self, file: str | os.PathLike[str]) -> TransferResult:
        """Upload the file and return what was done; the object then holds exactly its bytes.

        :raises ArgumentError: when the file cannot be read or is too large
        :raises SourceChanged: when it changes again after a restart, or at all under ``source_changed="fail"``
        :raises AlreadyExists: under ``if_exists="fail"``
        :raises IntegrityError: when OSS holds other bytes than the file
        :raises RequestError: when OSS cannot be made to take it
        """
        stopwatch = Stopwatch(self._target, os.fspath(file))
        self._checkpointer.is_ours = self._is_ours
        try:
            settled = self._upload_or_restart(file)
        except TrySuperseded:
            self._drop_what_nobody_names()
            raise
        except BaseException as error:  # whatever ends the try, a timeout or SIGTERM too, its checkpoint is kept
            if isinstance(error, (NoSuchUpload, InvalidPart)):
                error.retryable = True  # in vain within this try, but the next one begins with what OSS has then
            if not (self._drop_when(error) and self._drop_all()):
                self._save_at_end()
            self._progress.fail()
            raise
        return self._finish(stopwatch, settled)

    def _upload_or_restart(self, file: str | os.PathLike[str]) -> Settled:
        try:
            return self._upload(file)
        except SourceChanged as error:
            if self._options.source_changed == "fail":
                raise
            reason: Exception = error
        except NoSuchUpload as error:
            if error.operation != "UploadPart":
                raise
            reason = error
        self._progress.restart()
        log.warning("Restarting the upload to %s, once: %s", self._target, reason)
        self._checkpointer.check_owner()
        return self._upload(file)

    def _upload(self, file: str | os.PathLike[str]) -> Settled:
        with LocalFile(file) as source, self._crew() as crew:
            if source.size > MAX_OBJECT_SIZE:
                raise ArgumentError("file", os.fspath(file), f"{source.size} bytes; OSS holds objects up to 48.8 TiB")
            try:
                checkpoint = self._checkpointer.load(watch=self._watch)
                settled = self._settle(crew, source, checkpoint)
                if settled or self._takes_one_request(source, checkpoint):
                    self._checkpointer.check_owner()  # to compare the bytes may have taken long
                    self._drop(crew, checkpoint)
                    return settled or self._put(crew, source)
                return self._multipart(crew, source, checkpoint)
            except (SourceChanged, NoSuchUpload):
                crew.join()  # parts that are still on their way must not land behind those of the restart
                raise

    # --- what may already be there ------------------------------------------------------------------------------------

    def _settle(self, crew: Crew, source: LocalFile, checkpoint: Checkpoint | None) -> Settled | None:
        """Return how the transfer ends when the object that is there decides it; None when bytes have to move."""
        policy = self._options.if_exists
        # A finished try has deleted its checkpoint; one that could not is found out when it is resumed.
        may_be_ours = self._options.earlier_try and (checkpoint is None or policy == "fail")
        wants_same = may_be_ours or policy == "skip_if_same"
        if policy == "overwrite" and not wants_same:
            return None
        meta = self._head(crew)
        if meta is None:
            return None
        if policy == "skip":
            log.info("%s exists, skipped", self._target)
            return "skipped", meta, meta.crc64
        crc = crc64_of_range(crew, source.crc64, 0, source.size) if wants_same and meta.size == source.size else None
        if crc is not None and self._is_what_we_send(crew, meta, size=source.size, crc64=crc):
            if may_be_ours:
                log.info("%s holds these bytes already: an earlier try had finished", self._target)
                return "already there", meta, crc
            log.info("%s holds these bytes already, skipped", self._target)
            return "skipped", meta, crc
        if policy == "fail":
            raise AlreadyExists(
                operation="HeadObject", target=self._target.uri, status=409, code="FileAlreadyExists",
                hint="it exists, and if_exists='fail' forbids to overwrite it",
            )  # fmt: skip
        return None

    def _is_what_we_send(self, crew: Crew, meta: ObjectMeta, *, size: int, crc64: int) -> bool:
        """True when the object has these bytes, and all that this upload sets and nothing else."""
        if not same_content(meta, size=size, crc64=crc64):
            return False

        def ask(call: Callable[[ObjectRef], T]) -> T | None:
            try:
                return crew.call(lambda: call(self._target))
            except ServiceError as error:
                if error.retryable:
                    raise
                log.info("Not compared, %s: %s", self._target, error)
                return None

        differs = difference(
            meta.headers,
            self._options.headers,
            acl=lambda: ask(self._oss.get_object_acl),
            tags=lambda: ask(self._oss.get_object_tagging),
        )
        if differs:
            log.info("%s holds these bytes, but %s", self._target, differs)
        return not differs

    def _head(self, crew: Crew) -> ObjectMeta | None:
        try:
            return crew.call(lambda: self._oss.head_object(self._target))
        except NoSuchKey:
            return None

    # --- one request --------------------------------------------------------------------------------------------------

    def _takes_one_request(self, source: LocalFile, checkpoint: Checkpoint | None) -> bool:
        """True for a small file, unless parts of it may have been sent: with another threshold, or adopted."""
        is_small = source.size < max(self._config.threshold_bytes, 1)
        return is_small and not isinstance(self._decision(source, checkpoint), Resume)

    def _put(self, crew: Crew, source: LocalFile) -> Settled:
        self._progress.begin(total=source.size, parts=1)
        log.info("Uploading %s (%s) to %s in one request", source.path, format_size(source.size), self._target)
        body = self._body(crew, source, Part(1, 0, source.size), parts=1)
        headers = {**self._options.headers, **self._options.guard}
        try:
            meta = crew.call(lambda: self._oss.put_object(self._target, body, headers=headers))
        except AlreadyExists as error:
            meta = self._head_if_ours(crew, error, size=source.size, crc64=body.crc64())
        self._progress.finish_part(source.size)
        self._progress.tick()
        return "transferred", meta, body.crc64()

    # --- part by part -------------------------------------------------------------------------------------------------

    def _multipart(self, crew: Crew, source: LocalFile, stored: Checkpoint | None) -> Settled:
        plan = plan_parts(source.size, part_size=self._config.part_bytes)
        resumed = self._resume(crew, source, stored)
        if isinstance(resumed, ObjectMeta):
            return "already there", resumed, resumed.crc64
        try:
            checkpoint, listed = resumed or (self._initiate(crew, plan, source), [])
        except AlreadyExists as error:
            if not self._options.earlier_try:
                raise
            crc = crc64_of_range(crew, source.crc64, 0, source.size)
            return "already there", self._head_if_ours(crew, error, size=source.size, crc64=crc), crc
        is_trusted = self._goes_by_stat and source.confirms(checkpoint.source)
        if not is_trusted:
            checkpoint = replace(checkpoint, source="")  # from here on there are parts that its stat does not prove
        self._checkpointer.save(checkpoint)
        self._is_unnamed = False
        try:
            return self._send_and_complete(crew, source, checkpoint, listed, is_trusted=is_trusted)
        except InvalidPart as error:
            log.warning("Another writer replaced parts of %s; comparing them again, once: %s", self._target, error)
            listed = crew.call(lambda: self._oss.list_parts(self._target, checkpoint.upload_id))
            return self._send_and_complete(crew, source, checkpoint, listed, is_trusted=False)

    def _resume(
        self, crew: Crew, source: LocalFile, stored: Checkpoint | None
    ) -> tuple[UploadCheckpoint, list[UploadedPart]] | ObjectMeta | None:
        """Return the upload to go on with and its parts, or the object when it is finished, or None to begin."""
        decision = self._decision(source, stored)
        if isinstance(decision, Begin):
            log.info("A new upload to %s: %s (%s)", self._target, decision.reason, self._checkpointer)
            return None
        checkpoint = decision.checkpoint
        if isinstance(decision, Restart):
            self._progress.beginning = "restarted"
            log.warning("Restarting the upload to %s: %s", self._target, decision.reason)
            self._drop(crew, checkpoint)
            return None
        try:
            listed = crew.call(lambda: self._oss.list_parts(self._target, checkpoint.upload_id))
        except NoSuchUpload:
            return self._finished_object(crew, source, checkpoint)
        self._progress.beginning = "resumed"
        log.info(
            "Resuming the upload to %s: the checkpoint of try %s names upload ID %s (%s)",
            self._target, checkpoint.owner.try_number, checkpoint.upload_id, self._checkpointer,
        )  # fmt: skip
        return checkpoint, listed

    def _decision(
        self, source: LocalFile, stored: Checkpoint | None
    ) -> Begin | Resume[UploadCheckpoint] | Restart[UploadCheckpoint]:
        return decide_upload(stored, target=self._target, size=source.size, options=self._options.digest)

    def _finished_object(self, crew: Crew, source: LocalFile, checkpoint: UploadCheckpoint) -> ObjectMeta | None:
        meta = self._head(crew)
        crc = crc64_of_range(crew, source.crc64, 0, source.size) if meta and meta.size == source.size else None
        if meta and crc is not None and self._is_what_we_send(crew, meta, size=source.size, crc64=crc):
            log.info("%s holds these bytes already: the last try had finished it", self._target)
            return meta
        self._progress.beginning = "restarted"
        log.warning(
            "Restarting the upload to %s: its upload ID %s is gone (aborted, or removed by a lifecycle rule)",
            self._target, checkpoint.upload_id,
        )  # fmt: skip
        return None

    def _initiate(self, crew: Crew, plan: PartPlan, source: LocalFile) -> UploadCheckpoint:
        """Begin an upload. An answer that comes in the grace of a stop counts too, and is saved at the end."""
        answered: list[str] = []  # by the worker, as a signal may strike before this thread has the result

        def initiate() -> None:
            answered.append(self._oss.initiate(self._target, headers=self._options.initiate_headers))

        def begun(upload_id: str) -> UploadCheckpoint:
            checkpoint = UploadCheckpoint(
                bucket=self._target.bucket,
                key=self._target.key,
                upload_id=upload_id,
                size=plan.object_size,
                part_size=plan.part_size,
                options=self._options.digest,
                owner=self._checkpointer.owner,
                source=source.fingerprint if self._goes_by_stat else "",
            )
            self._checkpointer.update(checkpoint)
            self._is_unnamed = True
            return checkpoint

        try:
            crew.call(initiate)
            return begun(answered[0])
        except ServiceError:
            raise  # OSS began none
        except BaseException:
            if answered:
                begun(answered[0])
            else:
                log.warning(
                    "Nobody knows whether OSS has begun an upload to %s: no answer came in time. It holds no parts; "
                    "a lifecycle rule removes it", self._target,
                )  # fmt: skip
            raise

    def _send_and_complete(
        self,
        crew: Crew,
        source: LocalFile,
        checkpoint: UploadCheckpoint,
        listed: list[UploadedPart],
        *,
        is_trusted: bool,
    ) -> Settled:
        plan = checkpoint.plan
        uploaded = self._keep(crew, source, plan, listed, is_trusted=is_trusted)
        self._progress.begin(
            total=source.size, parts=len(plan), kept=(plan[number - 1].size for number in uploaded)
        )  # not before it is known what is kept: a resumed transfer would look like one that has nothing yet
        missing = [part for part in plan if part.number not in uploaded]
        log.info(
            "Uploading %s (%s) to %s: %s of %s parts of %s are kept, %s to send",
            source.path, format_size(source.size), self._target, len(uploaded), len(plan),
            format_size(plan.part_size), len(missing),
        )  # fmt: skip

        def send(part: Part) -> UploadedPart:
            body = self._body(crew, source, part, parts=len(missing))
            return self._oss.upload_part(
                self._target, checkpoint.upload_id, part.number, body, refuse_damage=self._goes_by_stat
            )

        for sent in crew.run(send, missing):
            uploaded[sent.number] = sent
            self._progress.finish_part(plan[sent.number - 1].size)
        self._progress.tick()
        self._check_source(crew, source, plan, uploaded)
        return self._complete(crew, checkpoint, [uploaded[part.number] for part in plan])

    def _check_source(self, crew: Crew, source: LocalFile, plan: PartPlan, uploaded: dict[int, UploadedPart]) -> None:
        """:raises SourceChanged: when the file is another one by now; when only its ctime is, its bytes decide"""

        def check(part: Part) -> None:
            source.check_bytes(part, crew.stop, expected=uploaded[part.number].crc64)

        for _ in range(LOOKS):
            now = source.check_unchanged()
            if now == source.identity:
                return
            log.info("%s was written, or got a link or other permissions; comparing its bytes again", source.path)
            for _ in crew.run(check, plan):
                pass
            source.identity = now
        raise SourceChanged(f"{source.path} is changed all the time; upload a file that nobody works on")

    def _keep(
        self, crew: Crew, source: LocalFile, plan: PartPlan, listed: list[UploadedPart], *, is_trusted: bool
    ) -> dict[int, UploadedPart]:
        """Return the listed parts that hold the local bytes, by number.

        Each candidate is read from disk once, unless all are trusted, since the file is the one that they were sent of.
        """
        if not self._config.verify:
            return {}
        candidates = candidate_parts(listed, plan)
        if is_trusted:
            return {part.number: uploaded for part, uploaded in candidates}
        kept: dict[int, UploadedPart] = {}

        def compare(pair: tuple[Part, UploadedPart]) -> tuple[Part, UploadedPart | None]:
            part, uploaded = pair
            crc = source.crc64(part, crew.stop)
            is_needed = uploaded.crc64 is None
            md5 = md5_hex(source.read(part, crew.stop)) if is_needed else None
            return part, proven(uploaded, crc64=crc, md5=md5)

        for part, found in crew.run(compare, candidates):
            if found:
                kept[part.number] = found
            else:
                log.info("Part %s of %s holds other bytes than the file; it is sent again", part.number, self._target)
        return kept

    def _complete(self, crew: Crew, checkpoint: UploadCheckpoint, parts: list[UploadedPart]) -> Settled:
        crc = _whole_crc64(parts)
        self._checkpointer.check_owner()
        try:
            meta = self._join(crew, checkpoint, parts)
        except NoSuchUpload as error:
            meta = self._head_if_ours(crew, error, size=checkpoint.size, crc64=crc)
        except AlreadyExists as error:
            meta = self._head_if_ours(crew, error, size=checkpoint.size, crc64=crc)
            self._drop(crew, checkpoint)  # another try made the object, of an upload of its own
        if self._config.verify and meta.crc64 is None:
            log.warning("OSS sent no CRC-64 of %s, so the whole could not be compared", self._target)
        elif self._config.verify and crc is not None and crc != meta.crc64:
            raise IntegrityError(
                f"{self._target} has the CRC-64 {meta.crc64}, {checkpoint.size} bytes with {crc} were sent; do not use "
                "the object, the next try replaces it"
            )
        return "transferred", meta, crc

    def _join(self, crew: Crew, checkpoint: UploadCheckpoint, parts: list[UploadedPart]) -> ObjectMeta:
        """Return what Complete answers.

        :raises NoSuchUpload: when the upload is over, also when only ListParts can tell so
        """
        upload_id, headers = checkpoint.upload_id, self._options.complete_headers
        try:
            return crew.call(lambda: self._oss.complete(self._target, upload_id, parts, headers=headers))
        except RequestError as error:
            if not _may_be_done(error):
                raise
            try:
                # Not HEAD alone: the same bytes may stand there from before, with this upload still open.
                crew.call(lambda: self._oss.list_parts(self._target, upload_id))
            except NoSuchUpload:
                raise
            except RequestError:
                error.retryable = True  # nobody can tell now; the next try can
            raise

    def _head_if_ours(self, crew: Crew, error: ServiceError, *, size: int, crc64: int | None) -> ObjectMeta:
        """Return the object when it holds what was sent, as it does when an answer was lost; else raise the error."""
        meta = self._head(crew)
        if meta and crc64 is not None and self._is_what_we_send(crew, meta, size=size, crc64=crc64):
            log.info("%s holds what was sent: an earlier attempt or try had finished it (%s)", self._target, error.code)
            return meta
        raise error

    def _drop(self, crew: Crew, checkpoint: Checkpoint | None) -> None:
        """Abort the upload that a checkpoint names; what cannot be aborted is named in the log."""
        if not isinstance(checkpoint, UploadCheckpoint):
            return
        target = ObjectRef(checkpoint.bucket, checkpoint.key)
        try:
            crew.call(lambda: self._oss.abort(target, checkpoint.upload_id))
        except NoSuchUpload:
            pass
        except (RequestError, CredentialsError) as error:
            log.warning(
                "The parts of upload ID %s of %s could not be removed and go on costing storage: %s",
                checkpoint.upload_id, target, error,
            )  # fmt: skip

    def _drop_all(self) -> bool:
        """Abort the upload of this try or an earlier one, then forget the checkpoint; False when all is kept."""
        try:
            checkpoint = self._checkpointer.claim()
            if isinstance(checkpoint, UploadCheckpoint):
                with Crew(workers=1, tick=Deadline(DROP_TIME)) as crew:
                    self._abort(crew, checkpoint)
                log.warning(
                    "Nothing is kept of the upload to %s: upload ID %s is aborted", self._target, checkpoint.upload_id
                )
                self._checkpointer.delete()
        except TrySuperseded as error:
            log.warning("%s", error)
            self._drop_what_nobody_names()
        except (RequestError, CredentialsError, StoreUnavailable, TimeoutError) as error:
            log.warning(
                "The upload to %s could not be aborted, so it and its checkpoint are kept: %s", self._target, error
            )
            return False
        return True

    def _abort(self, crew: Crew, checkpoint: UploadCheckpoint) -> None:
        """Abort until OSS knows the upload no more: a part that was on its way may have come after the first time."""
        with suppress(NoSuchUpload):
            for _ in range(ABORTS):
                crew.call(lambda: self._oss.abort(self._target, checkpoint.upload_id))

    def _save_at_end(self) -> None:
        if not self._checkpointer.save_at_end():
            self._drop_what_nobody_names()
        elif isinstance(ours := self._checkpointer.current, UploadCheckpoint) and not self._checkpointer.is_saved:
            # Not aborted: a save whose answer was lost may have been kept, and then the next try goes on from there.
            log.warning(
                "No checkpoint may name upload ID %s of %s; if the next try begins anew, its parts go on costing "
                "storage until it is aborted, by hand or by a lifecycle rule", ours.upload_id, self._target,
            )  # fmt: skip

    def _drop_what_nobody_names(self) -> None:
        """Abort the upload of this try, which is superseded, when no checkpoint leads to it: none has been offered to
        the store, or the successor has begun an upload of its own."""
        ours, theirs = self._checkpointer.current, self._checkpointer.successor
        if not isinstance(ours, UploadCheckpoint):
            return
        is_named = theirs.upload_id == ours.upload_id if isinstance(theirs, UploadCheckpoint) else not self._is_unnamed

        def tick() -> None:
            with suppress(TrySuperseded):  # known already; only a stop is in a hurry
                self._watch()

        if not is_named:
            with Crew(workers=1, tick=tick) as crew:
                self._drop(crew, ours)

    # --- shared -------------------------------------------------------------------------------------------------------

    @property
    def _goes_by_stat(self) -> bool:
        """True when nothing but the file's bytes can have come to OSS as a part, so that its stat proves them."""
        return self._options.fingerprint == "stat" and self._config.verify and content_md5(()) is not None

    def _body(self, crew: Crew, source: LocalFile, part: Part, *, parts: int) -> PartBody:
        return PartBody(
            source,
            part,
            meter=self._progress.meter(),
            rate=self._config.rate_per_worker(parts),
            stop=crew.stop,
            verify=self._config.verify,
        )

    def _is_ours(self, checkpoint: Checkpoint) -> bool:
        return (
            isinstance(checkpoint, UploadCheckpoint)
            and is_upload_to(checkpoint, self._target)
            and checkpoint.is_possible
        )


def split_headers(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what goes with every request, and what belongs to the object."""
    with_requests = {name: value for name, value in headers.items() if name.lower() in REQUEST_HEADERS}
    return with_requests, {name: value for name, value in headers.items() if name not in with_requests}


def _may_be_done(error: RequestError) -> bool:
    """True when OSS may have done what was asked for: nothing that it said tells that it did not."""
    return error.retryable or (isinstance(error, ServiceError) and not error.code)


def _whole_crc64(parts: list[UploadedPart]) -> int | None:
    crcs = [(part.crc64, part.size) for part in parts if part.crc64 is not None]
    return combine_all(crcs) if len(crcs) == len(parts) else None
