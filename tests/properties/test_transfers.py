"""Whatever crashes where: the next successful try leaves exactly the bytes, and moves no finished part again."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import OSSResumeError, StoreUnavailable
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, UploadCheckpoint, decode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes, touch

crashing = settings(
    derandomize=True, deadline=None, database=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
OLD = b"what stood there before"

# --- what may go wrong in a try ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerFails:
    """OSS, or the way to it, fails at the nth call of an operation, once or from there on."""

    operation: str
    nth: int
    fault: Fault
    times: int | None


@dataclass(frozen=True)
class ProcessDies:
    """kill -9 at the nth call to OSS, before or after OSS did what was asked; nothing is saved any more."""

    nth: int
    after_work: bool


@dataclass(frozen=True)
class StoreFails:
    """The checkpoint store is down from its nth call on."""

    nth: int


Trouble = ServerFails | ProcessDies | StoreFails
offsets = st.sampled_from([0, 1, 1000, PART // 2, PART - 1])
statuses = st.sampled_from([(403, "AccessDenied"), (500, "InternalError"), (503, "ServiceUnavailable"), (404, "Other")])


def troubles(*operations: str) -> st.SearchStrategy[Trouble]:
    faults = st.one_of(
        st.builds(Fault, st.sampled_from(["refuse", "answer-lost", "malformed-xml"])),
        st.builds(Fault, st.sampled_from(["reset-request", "reset-answer", "truncated", "flip"]), after_bytes=offsets),
        st.builds(
            lambda status, after: Fault("status", status=status[0], code=status[1], after_work=after),
            statuses,
            st.booleans(),
        ),
    )
    return st.one_of(
        st.builds(ServerFails, st.sampled_from(operations), st.integers(1, 6), faults, st.sampled_from([1, None])),
        st.builds(ProcessDies, st.integers(1, 9), st.booleans()),
        st.builds(StoreFails, st.integers(1, 4)),
    )


class Died(BaseException):
    """The process is no more; nobody catches this."""


class Store(MemoryCheckpointStore):
    """A store that may be down, and that a dead process cannot reach."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached = True
        self.down_from: int | None = None

    def load(self, key: str) -> str | None:
        self._ask()
        return super().load(key)

    def save(self, key: str, text: str) -> None:
        self._ask()
        super().save(key, text)

    def delete(self, key: str) -> None:
        self._ask()
        super().delete(key)

    def _ask(self) -> None:
        if not self.is_reached:
            raise Died
        if self.down_from is not None:
            self.down_from -= 1
            if self.down_from <= 0:
                raise StoreUnavailable("no answer")


class Mortal:
    """A client whose process dies at one of its calls; after that it makes no other."""

    def __init__(self, client: OssClient, store: Store, death: ProcessDies) -> None:
        self._client = client
        self._store = store
        self._death = death
        self._calls = itertools.count(1)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            number = next(self._calls)
            if number > self._death.nth or (number == self._death.nth and not self._death.after_work):
                self._die()
            result = getattr(self._client, name)(*args, **options)
            if number == self._death.nth or not self._store.is_reached:
                self._die()
            return result

        return call

    def _die(self) -> None:
        self._store.is_reached = False
        raise Died


class World:
    """One transfer, try after try, in one place."""

    def __init__(self, oss: LocalOSS, folder: Path, *, workers: int) -> None:
        self.oss = oss
        self.file = folder / "file.bin"
        self.store = Store()
        self.transfers = Transfers(oss, store=self.store, max_concurrency=workers, checkpoint_interval=0)
        self._client = a_client(oss, retry=RetryPolicy(attempts=2, sleep=lambda _: None))
        self._tries = 0

    def attempt(self, direction: str, trouble: Trouble | None) -> bool:
        """Make a try and tell whether it succeeded; what it asked of the server stands in the journal."""
        self._tries += 1
        self.began = time.time()
        others = set(threading.enumerate())  # such as those that tests of a triggerer leave waiting
        self.store.is_reached, self.store.down_from = True, None
        self.transfers.client = self._client
        self.oss.clear_requests()
        if isinstance(trouble, ServerFails):
            self.oss.fail(trouble.operation, trouble.nth, trouble.fault, times=trouble.times)
        elif isinstance(trouble, ProcessDies):
            self.transfers.client = Mortal(self._client, self.store, trouble)  # type: ignore[assignment]
        elif isinstance(trouble, StoreFails):
            self.store.down_from = trouble.nth
        try:
            getattr(self.transfers, direction)(self.file, earlier_try=self._tries > 1)
        except (OSSResumeError, Died):
            if trouble is None:
                raise
            return False
        finally:
            self.oss.clear_faults()
            for thread in set(threading.enumerate()) - others:
                if thread.name.startswith("ossresume-"):
                    thread.join(30)
        return True

    def calls(self, operation: str) -> list[Request]:
        """The calls of this try; one that the try before gave up may come into the journal late."""
        return [request for request in self.oss.calls(operation) if request.when >= self.began]

    @property
    def checkpoint(self) -> UploadCheckpoint | DownloadCheckpoint | None:
        return next((decode(text) for text in self.store.texts.values()), None)


SIZES = st.sampled_from([0, 1, PART - 1, PART, PART + 1, 3 * PART, 4 * PART + 17])
WORKERS = st.sampled_from([1, 3])

# --- uploads ----------------------------------------------------------------------------------------------------------

UPLOAD_CALLS = (
    "InitiateMultipartUpload", "UploadPart", "UploadPart", "UploadPart", "ListParts", "CompleteMultipartUpload",
    "HeadObject", "PutObject",
)  # fmt: skip
BETWEEN_UPLOADS = ["nothing", "nothing", "touched", "a part changed", "the upload removed"]


@crashing
@given(
    size=SIZES,
    workers=WORKERS,
    tries=st.lists(st.tuples(troubles(*UPLOAD_CALLS), st.sampled_from(BETWEEN_UPLOADS)), min_size=1, max_size=4),
)
@example(4 * PART + 17, 1, [(ProcessDies(4, True), "touched"), (ProcessDies(3, False), "a part changed")])
@example(3 * PART, 1, [(ServerFails("CompleteMultipartUpload", 1, Fault("answer-lost"), None), "nothing")])
@example(
    3 * PART,
    3,
    [(ServerFails("UploadPart", 3, Fault("status", status=403), None), "touched"), (StoreFails(1), "nothing")],
)
def test_an_upload_survives_whatever_crashes(size: int, workers: int, tries: list[tuple[Trouble, str]]) -> None:
    """Whatever crashes where and however often, and whatever happens to file and upload in between, the next try that
    succeeds leaves exactly the file's bytes and no checkpoint, and no try sends a part that OSS holds already.
    """
    with LocalOSS(buckets=(BUCKET,)) as oss, tempfile.TemporaryDirectory() as folder:
        world = World(oss, Path(folder), workers=workers)
        world.file.write_bytes(some_bytes(size))
        for trouble, between in [*tries, (None, "nothing")]:
            finished = finished_parts(world)
            succeeded = world.attempt("upload", trouble)

            sent = {request.part_number for request in world.calls("UploadPart")}
            assert finished & sent == set(), f"{trouble} sent them again"
            if succeeded:
                assert oss.object(BUCKET, "key") == world.file.read_bytes()
            happen_to_upload(world, between)

        assert world.store.texts == {}


def finished_parts(world: World) -> set[int]:
    """The parts of the upload under way that OSS holds with the file's present bytes."""
    checkpoint, content = world.checkpoint, world.file.read_bytes()
    if not isinstance(checkpoint, UploadCheckpoint):
        return set()
    if (checkpoint.key, checkpoint.upload_id) not in world.oss.uploads(BUCKET):
        return set()
    parts = world.oss.parts(BUCKET, checkpoint.key, checkpoint.upload_id)
    return {part.number for part in checkpoint.plan if parts.get(part.number) == content[part.start : part.stop]}


def happen_to_upload(world: World, between: str) -> None:
    if between == "touched":
        touch(world.file)
    elif between == "a part changed" and world.file.stat().st_size:
        content = bytearray(world.file.read_bytes())
        content[len(content) // 2] ^= 1
        world.file.write_bytes(content)
    elif between == "the upload removed":
        for key, upload_id in world.oss.uploads(BUCKET):
            world.oss.abort(BUCKET, key, upload_id)


# --- downloads --------------------------------------------------------------------------------------------------------

BETWEEN_DOWNLOADS = ["nothing", "nothing", "part file damaged", "part file cut", "part file gone", "object replaced"]


@crashing
@given(
    size=SIZES,
    workers=WORKERS,
    tries=st.lists(
        st.tuples(troubles("HeadObject", "GetObject", "GetObject"), st.sampled_from(BETWEEN_DOWNLOADS)),
        min_size=1,
        max_size=4,
    ),
)
@example(4 * PART + 17, 1, [(ProcessDies(4, True), "nothing"), (ProcessDies(3, False), "part file damaged")])
@example(3 * PART, 1, [(ServerFails("GetObject", 2, Fault("flip", after_bytes=9), None), "nothing")])
@example(
    3 * PART,
    3,
    [(ServerFails("GetObject", 3, Fault("status", status=403), None), "nothing"), (StoreFails(1), "nothing")],
)
def test_a_download_survives_whatever_crashes(size: int, workers: int, tries: list[tuple[Trouble, str]]) -> None:
    """Whatever crashes where and however often, and whatever happens to part file and object in between, what stood
    under the final name stays until the whole is there; the next try that succeeds leaves exactly the object's bytes
    and nothing beside them; and no try fetches a part that the checkpoint proves, but after bytes came damaged.
    """
    with LocalOSS(buckets=(BUCKET,)) as oss, tempfile.TemporaryDirectory() as folder:
        world = World(oss, Path(folder), workers=workers)
        world.file.write_bytes(OLD)
        contents = [some_bytes(size)]
        oss.put(BUCKET, "key", contents[-1])
        for trouble, between in [*tries, (None, "nothing")]:
            proven = proven_parts(world, contents[-1])
            succeeded = world.attempt("download", trouble)

            brings_damage = isinstance(trouble, ServerFails) and trouble.fault.kind == "flip"
            assert brings_damage or proven & fetched_parts(world) == set(), f"{trouble} fetched them again"
            assert world.file.read_bytes() in ([contents[-1]] if succeeded else [OLD, *contents])
            happen_to_download(world, between, contents)

        assert os.listdir(folder) == [world.file.name]
        assert world.store.texts == {}


def proven_parts(world: World, content: bytes) -> set[int]:
    """The parts of the runs that the part file really holds."""
    checkpoint = world.checkpoint
    if not isinstance(checkpoint, DownloadCheckpoint) or checkpoint.etag != etag_of(world):
        return set()
    part_file = world.file.with_name(checkpoint.part_file)
    held = part_file.read_bytes() if part_file.exists() else b""
    proven: set[int] = set()
    for run in checkpoint.runs:
        start, stop = checkpoint.plan[run.first - 1].start, checkpoint.plan[run.last - 1].stop
        if held[start:stop] == content[start:stop]:
            proven |= set(range(run.first, run.last + 1))
    return proven


def etag_of(world: World) -> str:
    return a_client(world.oss).head_object(ObjectRef(BUCKET, "key")).etag


def fetched_parts(world: World) -> set[int]:
    ranges = [request.range for request in world.calls("GetObject") if request.range]
    return {int(text.removeprefix("bytes=").partition("-")[0]) // PART + 1 for text in ranges}


def happen_to_download(world: World, between: str, contents: list[bytes]) -> None:
    if between == "object replaced":
        contents.append(some_bytes(len(contents[-1]), seed=len(contents) + 1))
        world.oss.put(BUCKET, "key", contents[-1])
    for part_file in world.file.parent.glob(".*ossresume-part"):
        size = part_file.stat().st_size
        if between == "part file gone":
            part_file.unlink()
        elif between == "part file cut":
            os.truncate(part_file, size // 2)
        elif between == "part file damaged" and size:
            held = bytearray(part_file.read_bytes())
            held[size // 2] ^= 1
            part_file.write_bytes(held)
