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
from airflow_provider_ossresume.model.checkpoint import UploadCheckpoint
from airflow_provider_ossresume.model.resume import candidate_parts
from airflow_provider_ossresume.transfer import download, part_file, upload
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.upload import Uploader
from tests.simulation.seeds import Report, simulate
from tests.simulation.world import Engine


@dataclass(frozen=True)
class Mutant:
    """One planted defect.

    :ivar breaks: the numbers of the invariants that may notice it, see ``ledger``
    """

    name: str
    breaks: str
    engine: Engine

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def is_caught_by(self, report: Report) -> bool:
        return report.violation is not None and report.violation[:3] in {f"({number})" for number in self.breaks}


def first_catch(mutant: Mutant, seeds: Iterable[int]) -> Report | None:
    """Return the run of the first seed that notices the mutant."""
    reports = (simulate(seed, engine=mutant.engine) for seed in seeds)
    return next(filter(mutant.is_caught_by, reports), None)


# The methods that are replaced belong to the engine's inside, so the mutants are not checked for types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, override, no-any-return"


# --- which bytes ------------------------------------------------------------------------------------------------------


class KeepsPartsUnseen(Uploader):
    def _keep(self, crew, source, plan, listed, *, is_trusted):
        return {part.number: uploaded for part, uploaded in candidate_parts(listed, plan)}


class KeepsNoPart(Uploader):
    def _keep(self, crew, source, plan, listed, *, is_trusted):
        return {}


class ComparesNoUpload(Uploader):
    def _complete(self, crew, checkpoint, parts):
        self._config = replace(self._config, verify=False)
        return super()._complete(crew, checkpoint, parts)


class SeesNoChange(LocalFile):
    def check_unchanged(self):
        return self.identity


class SeesNoCtime(LocalFile):
    def check_unchanged(self):
        super().check_unchanged()
        return self.identity


def believes_what_it_reads_after_a_failed_flush(number: int, path: Path) -> None:
    try:
        part_file.os.fsync(number)
    except OSError as error:
        raise LocalFileError(str(error)) from error


class TrustsRuns(Downloader):
    def _keep(self, crew, file, checkpoint):
        return checkpoint.runs


class KeepsNoRun(Downloader):
    def _keep(self, crew, file, checkpoint):
        return ()


class ComparesNoDownload(Downloader):
    def _compare(self, file, checkpoint, crc):
        pass


class SendsNoIfMatch(Downloader):
    def __init__(self, oss, *arguments, **options):
        super().__init__(_Without(oss), *arguments, **options)


class _Without:
    """A client whose ranged GETs have no condition."""

    def __init__(self, oss):
        self._oss = oss
        self.head_object = oss.head_object

    def get_object(self, target, sink, *, if_match=None, **which):
        return self._oss.get_object(target, sink, **which)


class SyncsNothing(PartFile):
    def publish(self, final: Path, *, size: int, **times_and_modes: object) -> None:
        with self._file.use() as number:
            part_file.os.ftruncate(number, size)
        part_file.os.replace(self.path, final)


# --- which upload -----------------------------------------------------------------------------------------------------


class AbortsNothing(Uploader):
    def _drop(self, crew, checkpoint):
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

    def _initiate(self, crew, plan, source):
        update, self._checkpointer.update = self._checkpointer.update, lambda checkpoint: None
        try:
            return super()._initiate(crew, plan, source)
        finally:
            self._checkpointer.update = update


class BelievesAnyCheckpoint(Uploader):
    def _is_ours(self, checkpoint):
        return isinstance(checkpoint, UploadCheckpoint)


class AbortsWhatItsSuccessorHas(Uploader):
    def _drop_what_nobody_names(self):
        with upload.Crew(workers=1, tick=lambda: None) as crew:
            self._drop(crew, self._checkpointer.current)


# --- in which order ---------------------------------------------------------------------------------------------------


class SavesAfterTheFirstPart(Checkpointer):
    def save(self, checkpoint):
        self.update(checkpoint)
        self.look()


class DeletesBeforeItCompletes(Uploader):
    def _complete(self, crew, checkpoint, parts):
        self._checkpointer.delete()
        return super()._complete(crew, checkpoint, parts)


class LeavesItsCheckpoint(Checkpointer):
    def delete(self):
        pass


class SavesNothingAtTheEnd(Checkpointer):
    def save_at_end(self):
        return True


# --- whose transfer ---------------------------------------------------------------------------------------------------


class CompletesUnseen(Uploader):
    def _complete(self, crew, checkpoint, parts):
        self._checkpointer.check_owner = lambda: None
        try:
            return super()._complete(crew, checkpoint, parts)
        finally:
            del self._checkpointer.check_owner


class PublishesUnseen(Downloader):
    def _compare(self, file, checkpoint, crc):
        super()._compare(file, checkpoint, crc)
        self._checkpointer.check_owner = lambda: None


class SavesUnseen(Checkpointer):
    def save(self, checkpoint):
        self.update(checkpoint)
        self._save()


class DeletesUnseen(Checkpointer):
    def delete(self):
        self._current = None
        with suppress(StoreUnavailable, TrySuperseded):
            self._store.delete(self.key)


class GivesWayToAnybody(Checkpointer):
    """Any other owner is taken for a newer try, an older one too."""

    def _is_successor(self, owner):
        return owner not in (self.owner, self._predecessor)


class LocksNothing(PartFile):
    def lock(self) -> bool:
        return True


# --- how often, and what it says --------------------------------------------------------------------------------------


class AsksAllTheTime(Checkpointer):
    def tick(self):
        for _ in range(4):
            self.check_owner()
        super().tick()


class ListsBeforeEachPart(Uploader):
    def _body(self, crew, source, part, **options):
        if self._checkpointer.current is not None:
            for _ in range(8):
                with suppress(NoSuchUpload):
                    self._oss.list_parts(self._target, self._checkpointer.current.upload_id)
        return super()._body(crew, source, part, **options)


class GivesUpForEver(Uploader):
    def upload(self, file):
        try:
            return super().upload(file)
        except OSSResumeError as error:
            error.retryable = False
            raise


class ForgetsWhatItShouldAbort(Uploader):
    def _abort(self, crew, checkpoint):
        pass


class ForgetsBeforeItAborts(Uploader):
    def _abort(self, crew, checkpoint):
        self._checkpointer.delete()
        super()._abort(crew, checkpoint)


class ClaimsUnseen(Checkpointer):  # so rare that a script has to bring it about: test_dropped_tries
    def claim(self):
        try:
            return super().claim()
        except TrySuperseded:
            return self._current


class DropsNoPartFile(Downloader):
    def _drop_all(self, path):
        self._checkpointer.claim()
        self._checkpointer.delete()
        return True


class KeepsWhatItIsToDrop(Uploader):
    def _drop_all(self):
        return False


def _a_downloader_with(part_file: type[PartFile]) -> Engine:
    return Engine(replacements=((download, "PartFile", part_file),))


MUTANTS = (
    Mutant("keeps a listed part without comparing its CRC-64", "2", Engine(uploader=KeepsPartsUnseen)),
    Mutant("sends again what OSS has", "3", Engine(uploader=KeepsNoPart)),
    Mutant("does not compare the whole of an upload", "16", Engine(uploader=ComparesNoUpload)),
    Mutant(
        "never checks that the source is unchanged", "12", Engine(replacements=((upload, "LocalFile", SeesNoChange),))
    ),
    Mutant(
        "takes an object of the same size for the same",
        "16",
        Engine(replacements=((upload, "same_content", lambda meta, *, size, crc64: meta.size == size),)),
    ),
    Mutant("trusts runs without reading them back", "2", Engine(downloader=TrustsRuns)),
    Mutant("fetches again what the disk has", "3", Engine(downloader=KeepsNoRun)),
    Mutant("publishes without comparing the whole", "2", Engine(downloader=ComparesNoDownload)),
    Mutant("does not send If-Match", "2", Engine(downloader=SendsNoIfMatch)),
    Mutant("publishes without a flush to the disk", "2", _a_downloader_with(SyncsNothing)),
    Mutant(
        "sees no write whose time stamp was set back", "12", Engine(replacements=((upload, "LocalFile", SeesNoCtime),))
    ),
    Mutant(
        "believes what it reads after a failed flush",
        "2",
        Engine(replacements=((part_file, "flush", believes_what_it_reads_after_a_failed_flush),)),
    ),
    Mutant("restarts without aborting", "4", Engine(uploader=AbortsNothing)),
    Mutant("takes an error of ListParts for a fresh start", "34", Engine(uploader=BeginsAnewAfterAnError)),
    Mutant("drops the upload ID that comes in the grace of a stop", "4", Engine(uploader=ForgetsWhatItBegan)),
    Mutant("takes the checkpoint of another transfer for its own", "67", Engine(uploader=BelievesAnyCheckpoint)),
    Mutant("aborts the upload that its successor goes on with", "6", Engine(uploader=AbortsWhatItsSuccessorHas)),
    Mutant("saves the checkpoint after the first part", "6", Engine(checkpointer=SavesAfterTheFirstPart)),
    Mutant("deletes the checkpoint before it completes", "6", Engine(uploader=DeletesBeforeItCompletes)),
    Mutant("leaves its checkpoint after a success", "4", Engine(checkpointer=LeavesItsCheckpoint)),
    Mutant("saves nothing on its way out", "3", Engine(checkpointer=SavesNothingAtTheEnd)),
    Mutant("completes without a look for a newer try", "6", Engine(uploader=CompletesUnseen)),
    Mutant("publishes without a look for a newer try", "6", Engine(downloader=PublishesUnseen)),
    Mutant("saves for the first time without a look for a newer try", "6", Engine(checkpointer=SavesUnseen)),
    Mutant("deletes without a look for a newer try", "6", Engine(checkpointer=DeletesUnseen)),
    Mutant("gives way to an older try", "7", Engine(checkpointer=GivesWayToAnybody)),
    Mutant("writes into a part file that another try holds", "6", _a_downloader_with(LocksNothing)),
    Mutant("asks the store all the time", "5", Engine(checkpointer=AsksAllTheTime)),
    Mutant("lists the parts before each part", "5", Engine(uploader=ListsBeforeEachPart)),
    Mutant("forgets the upload that it should abort", "6", Engine(uploader=ForgetsWhatItShouldAbort)),
    Mutant("forgets the upload before it aborts it", "6", Engine(uploader=ForgetsBeforeItAborts)),
    Mutant("drops the checkpoint and not the part file", "6", Engine(downloader=DropsNoPartFile)),
    Mutant("keeps what it is to drop", "4", Engine(uploader=KeepsWhatItIsToDrop)),
    Mutant("calls every failure permanent", "7", Engine(uploader=GivesUpForEver)),
)
