"""What all movers have in common: how they are set up, and what becomes of a file that is not as the plan saw it."""

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
from airflow_provider_ossresume.sets.ports import End, FileJob
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import MIN_RATE, TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.lease import CheckpointStore, this_process

MTIME_HEADER = "x-oss-meta-ossresume-mtime"  # nanoseconds since 1970, as text


class SetClient(Protocol):
    """A client whose requests a crew can end; see ``oss.client.OssClient``."""

    def with_stop(self: AnyClient, stop: Crew) -> AnyClient: ...


AnyClient = TypeVar("AnyClient", bound=SetClient)
AnySource = TypeVar("AnySource", bound=End)
AnyTarget = TypeVar("AnyTarget", bound=End)


class Backup(Protocol):
    """Where objects are copied to before they are deleted."""

    def save(self, victims: Sequence[Victim], crew: Crew) -> None:
        """Copy those that still are what the plan saw.

        :raises OSSResumeError: when one cannot be copied
        """

    def has(self, victim: Victim, meta: ObjectMeta, crew: Crew) -> bool:
        """True when the copy is proven; workers call it.

        :param meta: what HEAD says of the object now
        """


@dataclass(frozen=True)
class MoverSettings:
    """How files are moved.

    :param options: what the transfer of many files is to do
    :param config: how each file is moved
    :param checkpoints: makes a store for the checkpoint of one large file
    :param owner: this try
    :param headers: returns those of an object, by its key
    :param backup: where objects are copied to before a mirror deletes them
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
        """Return what keeps the checkpoint of one large file, under a key that is the same in each plan of it."""
        named = [direction, target, source, _content(row.identity), options_digest(headers)]
        key = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:40]
        return Checkpointer(self.checkpoints(), key, owner=self.owner, interval=self.config.checkpoint_interval)

    def config_of(self, workers: int) -> TransferConfig:
        """Return how one of several large files is moved, with so many workers."""
        config = replace(self.config, max_concurrency=workers)
        if config.max_bandwidth is None:
            return config
        at_once = max(1, self.config.max_workers // workers)
        return replace(config, max_bandwidth=max(MIN_RATE, int(config.max_bandwidth) // at_once))


class Gone(OSSResumeError):
    """The file that is to be moved is not there any more."""


class Stopping(Generic[AnyClient]):
    """A client, as the workers of each crew use it."""

    def __init__(self, client: AnyClient) -> None:
        self._client = client
        self._present: tuple[Crew | None, AnyClient] = (None, client)

    def by(self, stop: Crew) -> AnyClient:
        """Return the client with the crew for its stop."""
        known, client = self._present
        if known is not stop:
            client = self._client.with_stop(stop)
            self._present = (stop, client)
        return client


def as_options_say(options: SetOptions, row: Row, move: Callable[[], LedgerRow]) -> LedgerRow:
    """Return what became of a row; one whose source is not as the plan saw it may be left.

    :raises SourceChanged, ObjectChanged, Gone: where the options forbid to leave it
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
    """What all movers are made of; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def __init__(self, client: AnyClient, source: AnySource, target: AnyTarget, *, settings: MoverSettings) -> None:
        self.source = source
        self.target = target
        self._client = client
        self._oss = Stopping(client)
        self._settings = settings
        self._options = settings.options

    def move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return as_options_say(self._options, row, lambda: self._move_small(row, job))

    def settle(self, crew: Crew) -> None:
        """What OSS has answered is there to stay."""

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """The same as :meth:`move_small`, and what is not as the plan saw it is an error; each mover has its own."""
        raise NotImplementedError


class HeadClient(Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...


def look_at_source(oss: HeadClient, source: ObjectRef, row: Row, options: SetOptions) -> ObjectMeta:
    """Return what an object is that is to be moved; workers call it.

    :raises Gone: when there is none any more
    :raises ObjectChanged: when it is not what the plan saw, and may not be taken as it is
    """
    try:
        meta = oss.head_object(source)
    except NoSuchKey as error:
        raise Gone(f"{source} is not there any more") from error
    is_planned = (meta.size, identity_by(meta.etag)) == (row.size, row.identity)
    if not is_planned and options.source_changed != "take":
        raise refuse_changed(ObjectChanged, source)
    return meta


def is_as_planned(row: Row, *, size: int, identity: str) -> bool:
    """True when a source is what the plan saw; a file with another mode or hard link is."""
    return row.size == size and (row.identity == identity or is_touched_only(row.identity, identity))


def refuse_changed(kind: type[SourceChanged] | type[ObjectChanged], what: object) -> OSSResumeError:
    """Return the error of what is not what the plan saw; only another plan mends it."""
    error = kind(f"{what} is not what the plan saw; run the plan again")
    error.retryable = False
    return error


def refuse_target(what: object) -> OSSResumeError:
    """Return the error of a target that is not what the plan saw, where the options forbid to overwrite it."""
    return OSSResumeError(f"{what} is not what the plan saw, and target_changed='fail' forbids to overwrite it")


def fact_by_mtime(source: Entry, target: Entry, mtimes: Collection[str]) -> Fact | None:
    """Return what counts as proof where mtimes are compared: one and the same is known of both sides."""
    [mtime, *others] = set(mtimes)
    if others or not mtime:
        return None
    return Fact(source.name, source.size, source.identity, target.identity, None)


def mtime_of(known: ObjectMeta | str) -> str:
    """Return the mtime that an upload has left with an object, or that a file's identity has; empty for none."""
    if isinstance(known, ObjectMeta):
        return known.headers.get(MTIME_HEADER, "")
    return known.split(":")[1] if known.startswith(f"{FILE_IDENTITY}:") else ""


def etag_of(identity: str) -> str:
    """Return the ETag that an object's identity has."""
    return identity.split(":")[1]


def identity_by(etag: str) -> str:
    """Return an object's identity as a listing gives it, by the ETag that an answer has."""
    return object_identity(opaque(etag))


def _content(identity: str) -> str:
    """Return what of an identity tells of the bytes: a new mode or hard link is no reason to begin anew."""
    if identity.startswith(f"{FILE_IDENTITY}:"):
        kind, mtime_ns, _, inode = identity.split(":")
        return f"{kind}:{mtime_ns}:{inode}"
    return identity
