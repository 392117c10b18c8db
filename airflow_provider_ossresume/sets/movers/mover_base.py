"""The base of all movers: their settings, and how they handle a file that has changed since the plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from airflow_provider_ossresume.errors import NoSuchKey, ObjectChanged, OSSResumeError, SourceChanged
from airflow_provider_ossresume.model.checkpoint import Owner, options_digest
from airflow_provider_ossresume.model.entries import FILE_IDENTITY, Entry, is_touched_only, object_identity
from airflow_provider_ossresume.model.etags import opaque
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.ports import FileJob, Location
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import MIN_RATE, TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.lease import CheckpointStore, this_process

MTIME_HEADER = "x-oss-meta-ossresume-mtime"  # nanoseconds since 1970, as text


class SetClient(Protocol):
    """A client whose requests a crew can stop; see ``oss.client.OssClient``."""

    def with_stop(self: AnyClient, stop: Crew) -> AnyClient: ...


AnyClient = TypeVar("AnyClient", bound=SetClient)
AnySource = TypeVar("AnySource", bound=Location)
AnyTarget = TypeVar("AnyTarget", bound=Location)


class Backup(Protocol):
    """Copies objects before they are deleted."""

    def save(self, victims: Sequence[Victim], crew: Crew) -> None:
        """Copy the files that have not changed since the plan.

        :raises OSSResumeError: if one cannot be copied
        """

    def has(self, victim: Victim, meta: ObjectMeta, crew: Crew) -> bool:
        """Return True if the copy is proven. Workers call it.

        :param meta: of the object, from a HEAD just now
        """


@dataclass(frozen=True)
class MoverSettings:
    """How a mover moves files.

    :param options: of the transfer of many files
    :param config: how each file is moved
    :param checkpoints: makes the store for the checkpoint of one large file
    :param owner: this try
    :param headers: returns the headers of an object, by its key
    :param backup: where objects are copied before a mirror deletes them
    """

    options: SetOptions
    checkpoints: Callable[[], CheckpointStore]
    config: TransferConfig = field(default_factory=TransferConfig)
    owner: Owner = field(default_factory=this_process)
    headers: Callable[[str], Mapping[str, str]] = lambda key: {}
    backup: Backup | None = None

    def checkpointer(
        self, direction: str, row: Row, *, source: str, target: str, headers: Mapping[str, str]
    ) -> Checkpointer:
        """Return the checkpointer of one large file. Its key is the same in every plan."""
        named = [direction, target, source, _content_identity(row.identity), options_digest(headers)]
        key = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:40]
        return Checkpointer(self.checkpoints(), key, owner=self.owner, interval=self.config.checkpoint_interval)

    def config_for_large_file(self, workers: int) -> TransferConfig:
        """Return the config for one of several large files that are moved at once.

        :param workers: for this file
        """
        config = replace(self.config, max_concurrency=workers)
        if config.max_bandwidth is None:
            return config
        at_once = max(1, self.config.max_workers // workers)
        return replace(config, max_bandwidth=max(MIN_RATE, int(config.max_bandwidth) // at_once))


class Gone(OSSResumeError):
    """The file to move no longer exists."""


class ClientForCrew(Generic[AnyClient]):
    """A client whose requests end with the stop of the crew that sends them."""

    def __init__(self, client: AnyClient) -> None:
        self._client = client
        self._present: tuple[Crew | None, AnyClient] = (None, client)

    def stopped_by(self, crew: Crew) -> AnyClient:
        """Return the client for the workers of a crew."""
        known, client = self._present
        if known is not crew:
            client = self._client.with_stop(crew)
            self._present = (crew, client)
        return client


def apply_change_policy(options: SetOptions, row: Row, move: Callable[[], LedgerRow]) -> LedgerRow:
    """Move a row and return its result. If its source has changed or is gone, the options may skip it.

    :raises SourceChanged, ObjectChanged, Gone: if the options do not allow skipping it
    """
    try:
        return move()
    except Gone as error:
        if options.vanished == "fail":
            raise
        return LedgerRow(row.number, "skipped", reason="vanished", detail=str(error))
    except (SourceChanged, ObjectChanged) as error:
        if options.source_changed == "skip":
            return LedgerRow(row.number, "skipped", reason="source_changed", detail=str(error))
        raise


class MoverBase(Generic[AnyClient, AnySource, AnyTarget]):
    """The base of all movers; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def __init__(self, client: AnyClient, source: AnySource, target: AnyTarget, *, settings: MoverSettings) -> None:
        self.source = source
        self.target = target
        self._client = client
        self._oss = ClientForCrew(client)
        self._settings = settings
        self._options = settings.options

    def move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return apply_change_policy(self._options, row, lambda: self._move_small(row, job))

    def make_durable(self, crew: Crew) -> None:
        """Do nothing: an object is durable as soon as OSS has answered."""

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """Move one file as :meth:`move_small` does; raise an error if it has changed. Each mover implements it."""
        raise NotImplementedError


class HeadClient(Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...


def head_source(oss: HeadClient, source: ObjectRef, row: Row, options: SetOptions) -> ObjectMeta:
    """Return the metadata of a source object, by a HEAD. Workers call it.

    :raises Gone: if it no longer exists
    :raises ObjectChanged: if it has changed since the plan, unless ``source_changed`` is ``take``
    """
    try:
        meta = oss.head_object(source)
    except NoSuchKey as error:
        raise Gone(f"{source} no longer exists") from error
    is_planned = (meta.size, identity_of_etag(meta.etag)) == (row.size, row.identity)
    if not is_planned and options.source_changed != "take":
        raise source_changed_error(ObjectChanged, source)
    return meta


def is_as_planned(row: Row, *, size: int, identity: str) -> bool:
    """Return True if a source has not changed since the plan. A new mode or hard link does not count as a change."""
    return row.size == size and (row.identity == identity or is_touched_only(row.identity, identity))


def source_changed_error(kind: type[SourceChanged] | type[ObjectChanged], what: object) -> OSSResumeError:
    """Return the error for a source that has changed since the plan. Only a new plan helps."""
    error = kind(f"{what} changed after the plan was made; make a new plan")
    error.retryable = False
    return error


def target_changed_error(what: object) -> OSSResumeError:
    """Return the error for a target that has changed since the plan and must not be overwritten."""
    return OSSResumeError(
        f"{what} changed after the plan was made, and target_changed='fail' does not allow overwriting it"
    )


def fact_by_mtime(source: Entry, target: Entry, mtimes: Collection[str]) -> Fact | None:
    """Return the fact for ``compare="size_mtime"`` if all mtimes are known and equal; else None."""
    [mtime, *others] = set(mtimes)
    if others or not mtime:
        return None
    return Fact(source.name, source.size, source.identity, target.identity, None)


def mtime_of(known: ObjectMeta | str) -> str:
    """Return the mtime that an upload stored with an object, or that is in a file's identity; empty if none."""
    if isinstance(known, ObjectMeta):
        return known.headers.get(MTIME_HEADER, "")
    return known.split(":")[1] if known.startswith(f"{FILE_IDENTITY}:") else ""


def etag_of(identity: str) -> str:
    """Return the ETag in an object's identity."""
    return identity.split(":")[1]


def identity_of_etag(etag: str) -> str:
    """Return an object's identity, as a listing would give it, from the ETag of an answer."""
    return object_identity(opaque(etag))


def _content_identity(identity: str) -> str:
    """Return the identity without the ctime: after a new mode or hard link, the file still has the same checkpoint."""
    if identity.startswith(f"{FILE_IDENTITY}:"):
        kind, mtime_ns, _, inode = identity.split(":")
        return f"{kind}:{mtime_ns}:{inode}"
    return identity
