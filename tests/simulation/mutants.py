"""Planted defects: the engine with one decision taken wrongly, each with the invariants that it breaks.

A mutant that no seed catches is a hole in the simulation. ``python -m tests.simulation --mutants`` tells how many seeds
each one takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_ossresume.errors import (
    LocalFileError,
    NoSuchUpload,
    OSSResumeError,
    ServiceError,
    StoreUnavailable,
    TrySuperseded,
)
from airflow_provider_ossresume.model import checkpoint_keys
from airflow_provider_ossresume.model.checkpoint import UploadCheckpoint
from airflow_provider_ossresume.model.checkpoint import checkpoint_key as former_key
from airflow_provider_ossresume.model.checkpoint_keys import CheckpointKeys
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.resume import Restart, Resume
from airflow_provider_ossresume.oss import connections, retry
from airflow_provider_ossresume.oss.connections import Connections, OriginPool, _NoResponse
from airflow_provider_ossresume.oss.retry import Attempts
from airflow_provider_ossresume.transfer import (
    checkpointing,
    copy,
    crew,
    download,
    downloaded_file,
    part_file,
    publishing,
    target_object,
    transfer_to_oss,
    upload,
)
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.concurrency import Concurrency
from airflow_provider_ossresume.transfer.copied_object import CopiedUpload
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.descriptor import Descriptor
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.downloaded_file import DownloadedFile
from airflow_provider_ossresume.transfer.lease import Lease
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.multipart_upload import MultipartUpload
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.part_sink import PartSink
from airflow_provider_ossresume.transfer.upload import Uploader
from tests.simulation.seeds import DIRECTIONS, Report, simulate
from tests.simulation.world import Engine


@dataclass(frozen=True)
class Mutant:
    """One planted defect.

    :ivar breaks: the numbers of the invariants that may notice it, see ``ledger``
    :ivar directions: of the transfers that are run; fewer of them for what is rare
    :ivar seed: noticed it when this was written; the tests try it first, which saves up to 20 s
    """

    name: str
    breaks: str
    engine: Engine
    directions: tuple[str, ...] = DIRECTIONS
    seed: int = 0

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def is_caught_by(self, report: Report) -> bool:
        return report.violation is not None and report.violation[:3] in {f"({number})" for number in self.breaks}


def first_catch(mutant: Mutant, seeds: Iterable[int]) -> Report | None:
    """Return the run of the first seed that notices the mutant."""
    reports = (simulate(seed, engine=mutant.engine, directions=mutant.directions) for seed in seeds)
    return next(filter(mutant.is_caught_by, reports), None)


# The methods that are replaced belong to the engine's inside, so the mutants are not checked for types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, override, no-any-return"


# --- which bytes ------------------------------------------------------------------------------------------------------


class KeepsPartsUnseen(MultipartUpload):
    def compared(self, crew, source, listed):
        return self.trusted(listed)


class KeepsNoPart(MultipartUpload):
    def compared(self, crew, source, listed):
        return {}

    trusted = lambda self, listed: {}  # noqa: E731


class ComparesNoUpload(MultipartUpload):
    def publish(self, crew, source, receipts, lease):
        self._verify = False
        return super().publish(crew, source, receipts, lease)


class SeesNoChange(LocalFile):
    def _look(self):
        return self.identity


class SeesNoCtime(LocalFile):
    def _look(self):
        super()._look()
        return self.identity


def believes_what_it_reads_after_a_failed_flush(number: int, path: Path) -> None:
    try:
        part_file.os.fsync(number)
    except OSError as error:
        raise LocalFileError(str(error)) from error


class GoesOnFromTheFirstByte(PartSink):
    def resume(self):
        self.open()


class TrustsRuns(DownloadedFile):
    def receipts(self, crew, source):
        plan = self._checkpoint.plan
        return {part.number: Receipt(part.number, "", part.size, None) for part in plan if self._checkpoint.has(part)}


class KeepsNoRun(DownloadedFile):
    def receipts(self, crew, source):
        self._checkpoint = replace(self._checkpoint, runs=())
        return {}


class ComparesNoDownload(DownloadedFile):
    def _compare(self, source, crc):
        pass


class SendsNoIfMatch(Downloader):
    def __init__(self, oss, *arguments, **options):
        super().__init__(_Without(oss), *arguments, **options)


class _Without:
    """A client whose ranged GETs have no condition."""

    def __init__(self, oss):
        self._oss = oss
        self.head_object = oss.head_object

    def with_stop(self, stop):
        return self

    def get_object(self, target, sink, *, if_match=None, **which):
        return self._oss.get_object(target, sink, **which)


class CopiesWithoutIfMatch(Copier):
    def __init__(self, oss, *arguments, **options):
        super().__init__(_Unpinned(oss), *arguments, **options)


class _Unpinned:
    """A client whose copies have no condition."""

    def __init__(self, oss):
        self._oss = oss

    def __getattr__(self, name):
        return getattr(self._oss, name)

    def with_stop(self, stop):
        return self

    def copy_object(self, source, target, *, if_match=None, **which):
        return self._oss.copy_object(source, target, **which)

    def upload_part_copy(self, source, target, upload_id, number, *, if_match, **which):
        return self._oss.upload_part_copy(source, target, upload_id, number, if_match=None, **which)


class GoesOnWithAnotherContent(Copier):
    """Parts that were copied of the source as it was are kept, whatever its ETag is now."""

    def _decision(self, source, stored):
        decision = super()._decision(source, stored)
        if isinstance(decision, Restart) and "has changed since the copy began" in decision.reason:
            return Resume(decision.checkpoint)
        return decision


class KeepsNoCopiedPart(CopiedUpload):
    trusted = lambda self, listed: {}  # noqa: E731


class ComparesNoParts(CopiedUpload):
    def _check_parts(self, crew, parts, lease):
        pass


class SyncsNothing(PartFile):
    def flush(self, *, size: int, **times_and_modes: object) -> None:
        with self._file.use() as number:
            part_file.os.ftruncate(number, size)


# --- which upload -----------------------------------------------------------------------------------------------------


class AbortsNothing(MultipartUpload):
    def drop(self, crew):
        pass


class BeginsAnewAfterAnError(Uploader):
    """A server error on ListParts is taken for an upload that is gone."""

    def _resume(self, crew, source, stored):
        try:
            return super()._resume(crew, source, stored)
        except ServiceError:
            return None


class ForgetsWhatItBegan(Uploader):
    """The upload ID that comes in the grace of a stop is dropped."""

    def _initiate(self, crew, source):
        update, self._checkpointer.update = self._checkpointer.update, lambda checkpoint: None
        try:
            return super()._initiate(crew, source)
        finally:
            self._checkpointer.update = update


class BelievesAnyCheckpoint(Uploader):
    def _is_ours(self, checkpoint):
        return isinstance(checkpoint, UploadCheckpoint)


class AbortsWhatItsSuccessorHas(Uploader):
    def _yield_to_successor(self):
        if self._checkpointer.current is not None:
            with transfer_to_oss.Crew(workers=1, tick=lambda: None) as crew:
                self._oss = self._client.with_stop(crew)
                self._upload_of(self._checkpointer.current).drop(crew)


# --- in which order ---------------------------------------------------------------------------------------------------


class SavesAfterTheFirstPart(Checkpointer):
    def save(self, checkpoint):
        self.update(checkpoint)
        self.look()


class DeletesBeforeItCompletes(MultipartUpload):
    def publish(self, crew, source, receipts, lease):
        lease.delete()
        return super().publish(crew, source, receipts, lease)


class LeavesItsCheckpoint(Checkpointer):
    def delete(self):
        pass


class SavesNothingAtTheEnd(Checkpointer):
    def save_on_failure(self):
        return True


# --- whose transfer ---------------------------------------------------------------------------------------------------


class Anybody:
    """A lease that everybody has."""

    def check_owner(self):
        pass


class CompletesUnseen(MultipartUpload):
    def publish(self, crew, source, receipts, lease):
        return super().publish(crew, source, receipts, Anybody())


class CompletesCopiesUnseen(CopiedUpload):
    def publish(self, crew, source, receipts, lease):
        return super().publish(crew, source, receipts, Anybody())


class PublishesUnseen(DownloadedFile):
    def publish(self, crew, source, receipts, lease):
        return super().publish(crew, source, receipts, Anybody())


class SavesUnseen(Checkpointer):
    def save(self, checkpoint):
        self.update(checkpoint)
        self._save()


class DeletesUnseen(Checkpointer):
    def delete(self):
        self._current = None
        with suppress(StoreUnavailable):
            self._store.delete(self.key)


class GivesWayToAnybody(Lease):
    """Any other owner is taken for a newer try, an older one too."""

    def _is_successor(self, owner):
        return owner not in (self.owner, self.predecessor)


class TrustsClocks(Lease):
    """A checkpoint that was saved before this try began is an older try's, by the clocks of both workers."""

    def _is_older(self, text, *, by=0.0):
        return super()._is_older(text, by=0.0)


class ClosesUnderItsUsers(Descriptor):  # so rare that a script has to bring it about: test_delayed_threads
    def close(self):
        self.is_closing = True
        self._close()


class FlushesByItself(DownloadedFile):
    def publish(self, crew, source, receipts, lease):
        crew.call = lambda function: function()
        return super().publish(crew, source, receipts, lease)


class LocksNothing(PartFile):
    def lock(self) -> bool:
        return True


# --- beside another transfer to the same place ------------------------------------------------------------------------


def key_without_task(direction, target, path, *, task=None, byte_range=None):
    return CheckpointKeys(former_key(direction, target.uri, path.rpartition("/")[2], str(byte_range)), "")


def one_part_file(final, key):
    return final.with_name(f".{final.name}.ossresume-part")


class RemovesAllPartFiles(DownloadedFile):
    def publish(self, crew, source, receipts, lease):
        published = super().publish(crew, source, receipts, lease)
        for path in self._final.path.parent.glob(".*.ossresume-part"):
            part_file.os.unlink(path)
        return published


class CompletesOverAnything(MultipartUpload):
    def _complete(self, parts):
        self._headers = {}
        return super()._complete(parts)


# --- over which connections -------------------------------------------------------------------------------------------


class HasNeverFewer(Concurrency):
    def shrink(self, now, *, failed):
        pass


class CountsWorkAsFailing(Attempts):
    def moved(self):
        pass


class ForgetsHowFarItCame(Attempts):
    def progressed(self):
        pass


class KeepsTheOld(OriginPool):
    def sweep(self):
        pass


class KeepsTheOthers(OriginPool):
    def drop_idle(self):
        pass


class CountsDeadConnections(Connections):
    def _exchange(self, *arguments):
        try:
            return super()._exchange(*arguments)
        except _NoResponse as error:
            raise error.failure from error


# --- how often, and what it says --------------------------------------------------------------------------------------


class AsksAllTheTime(Checkpointer):
    def tick(self):
        for _ in range(4):
            self.check_owner()
        super().tick()


class ListsBeforeEachPart(MultipartUpload):
    def put(self, part, source, job):
        for _ in range(8):
            with suppress(NoSuchUpload):
                self._oss.list_parts(self._target, self._upload_id)
        return super().put(part, source, job)


class GivesUpForEver(Uploader):
    def upload(self, file):
        try:
            return super().upload(file)
        except OSSResumeError as error:
            error.retryable = False
            raise


class ForgetsWhatItShouldAbort(MultipartUpload):
    def abort(self, crew):
        pass


class ForgetsBeforeItAborts(Uploader):
    def _discard(self, crew, checkpoint):
        self._checkpointer.delete()
        super()._discard(crew, checkpoint)


class ClaimsUnseen(Checkpointer):  # so rare that a script has to bring it about: test_dropped_tries
    def claim(self):
        try:
            return super().claim()
        except TrySuperseded:
            return self._current


class RestartsUnseen(Copier):  # the same: test_superseded_tries
    def _resume(self, crew, source, stored):
        self._checkpointer.check_owner = lambda: None
        try:
            return super()._resume(crew, source, stored)
        finally:
            del self._checkpointer.check_owner


class DropsNoPartFile(Downloader):
    def _discard(self, crew, checkpoint):
        pass


class KeepsWhatItIsToDrop(Uploader):
    def _drop(self):
        return False


def _with_part_file(part_file: type[PartFile]) -> Engine:
    return Engine(replacements=((download, "PartFile", part_file),))


def _into(sink: type[MultipartUpload] | type[DownloadedFile]) -> Engine:
    if issubclass(sink, CopiedUpload):
        return Engine(replacements=((copy, "CopiedUpload", sink),))
    if issubclass(sink, MultipartUpload):
        return Engine(replacements=((transfer_to_oss, "MultipartUpload", sink),))
    return Engine(replacements=((download, "DownloadedFile", sink),))


MUTANTS = (
    Mutant("keeps a listed part without comparing its CRC-64", "2", _into(KeepsPartsUnseen)),
    Mutant("sends again what OSS has", "3", _into(KeepsNoPart)),
    Mutant("does not compare the whole of an upload", "16", _into(ComparesNoUpload)),
    Mutant(
        "never checks that the source is unchanged", "12", Engine(replacements=((upload, "LocalFile", SeesNoChange),))
    ),
    Mutant(
        "takes an object of the same size for the same",
        "16",
        Engine(replacements=((target_object, "same_content", lambda meta, *, size, crc64: meta.size == size),)),
    ),
    Mutant("trusts runs without reading them back", "2", _into(TrustsRuns), seed=301),
    Mutant("fetches again what the disk has", "3", _into(KeepsNoRun)),
    Mutant(
        "writes what follows a break to the beginning of the part",
        "2",
        Engine(replacements=((downloaded_file, "PartSink", GoesOnFromTheFirstByte),)),
    ),
    Mutant("publishes without comparing the whole", "2", _into(ComparesNoDownload)),
    Mutant("does not send If-Match", "2", Engine(downloader=SendsNoIfMatch), seed=109),
    Mutant("copies without the source's If-Match", "2", Engine(copier=CopiesWithoutIfMatch)),
    Mutant("copies again what OSS has copied", "3", _into(KeepsNoCopiedPart)),
    Mutant("goes on with a copy of another content", "2", Engine(copier=GoesOnWithAnotherContent)),
    Mutant(
        "does not compare the parts of a copy before it completes", "2", _into(ComparesNoParts), ("copy",), seed=240
    ),
    Mutant("completes a copy without a look for a newer try", "6", _into(CompletesCopiesUnseen), ("copy",)),
    Mutant("publishes without a flush to the disk", "2", _with_part_file(SyncsNothing)),
    Mutant(
        "sees no write whose time stamp was set back",
        "12",
        Engine(replacements=((upload, "LocalFile", SeesNoCtime),)),
        seed=1981,
    ),
    Mutant(
        "believes what it reads after a failed flush",
        "2",
        Engine(replacements=((part_file, "flush", believes_what_it_reads_after_a_failed_flush),)),
        seed=293,
    ),
    Mutant("restarts without aborting", "4", _into(AbortsNothing)),
    Mutant("takes an error of ListParts for a fresh start", "34", Engine(uploader=BeginsAnewAfterAnError), seed=475),
    Mutant("drops the upload ID that comes in the grace of a stop", "4", Engine(uploader=ForgetsWhatItBegan), seed=164),
    Mutant("takes the checkpoint of another transfer for its own", "67", Engine(uploader=BelievesAnyCheckpoint)),
    Mutant(
        "aborts the upload that its successor goes on with",
        "6",
        Engine(uploader=AbortsWhatItsSuccessorHas),
        ("upload",),
    ),
    Mutant("saves the checkpoint after the first part", "6", Engine(checkpointer=SavesAfterTheFirstPart)),
    Mutant("deletes the checkpoint before it completes", "6", _into(DeletesBeforeItCompletes)),
    Mutant("leaves its checkpoint after a success", "4", Engine(checkpointer=LeavesItsCheckpoint)),
    Mutant("saves nothing on its way out", "3", Engine(checkpointer=SavesNothingAtTheEnd)),
    Mutant("completes without a look for a newer try", "6", _into(CompletesUnseen)),
    Mutant("publishes without a look for a newer try", "6", _into(PublishesUnseen), seed=381),
    Mutant("saves for the first time without a look for a newer try", "6", Engine(checkpointer=SavesUnseen)),
    Mutant("deletes without a look for a newer try", "6", Engine(checkpointer=DeletesUnseen), seed=137),
    Mutant(
        "gives way to an older try", "7", Engine(replacements=((checkpointing, "Lease", GivesWayToAnybody),)), seed=266
    ),
    Mutant("trusts the clocks of workers", "6", Engine(replacements=((checkpointing, "Lease", TrustsClocks),))),
    Mutant("writes into a part file that another try holds", "6", _with_part_file(LocksNothing)),
    Mutant("flushes in the thread that hears of a stop", "5", _into(FlushesByItself), seed=115),
    Mutant("asks the store all the time", "5", Engine(checkpointer=AsksAllTheTime)),
    Mutant("lists the parts before each part", "5", _into(ListsBeforeEachPart)),
    Mutant("forgets the upload that it should abort", "6", _into(ForgetsWhatItShouldAbort), seed=117),
    Mutant("forgets the upload before it aborts it", "6", Engine(uploader=ForgetsBeforeItAborts), seed=117),
    Mutant("drops the checkpoint and not the part file", "6", Engine(downloader=DropsNoPartFile), seed=295),
    Mutant("keeps what it is to drop", "4", Engine(uploader=KeepsWhatItIsToDrop)),
    Mutant(
        "names checkpoints without the task instance",
        "6",
        Engine(replacements=((checkpoint_keys, "checkpoint_keys", key_without_task),)),
    ),
    Mutant(
        "has one part file for all downloads into a file",
        "6",
        Engine(replacements=((download, "part_file_path", one_part_file),)),
    ),
    Mutant("removes the part files of other downloads", "6", _into(RemovesAllPartFiles)),
    Mutant("completes over what stands there", "2", _into(CompletesOverAnything), seed=308),
    Mutant(
        "renames over what stands there",
        "2",
        Engine(
            replacements=(
                (publishing, "rename_without_replacing", lambda source, final: publishing.os.replace(source, final)),
            )
        ),
        ("download",),
        seed=1167,
    ),
    Mutant(
        "has as many connections as ever on a link that cannot carry them",
        "7",
        Engine(replacements=((crew, "Concurrency", HasNeverFewer),)),
    ),
    Mutant(
        "counts the time in which bytes move as failing",
        "8",
        Engine(replacements=((retry, "Attempts", CountsWorkAsFailing),)),
        seed=278,
    ),
    Mutant(
        "gives up a download that goes on inside a part",
        "8",
        Engine(replacements=((retry, "Attempts", ForgetsHowFarItCame),)),
        seed=261,
    ),
    Mutant(
        "uses connections however long they have waited",
        "8",
        Engine(replacements=((connections, "OriginPool", KeepsTheOld),)),
    ),
    Mutant(
        "keeps the connections that waited when one failed",
        "8",
        Engine(replacements=((connections, "OriginPool", KeepsTheOthers),)),
    ),
    Mutant(
        "lets a connection that died while it waited cost an attempt",
        "8",
        Engine(replacements=((connections, "Connections", CountsDeadConnections),)),
    ),
    Mutant("calls every failure permanent", "7", Engine(uploader=GivesUpForEver)),
)
