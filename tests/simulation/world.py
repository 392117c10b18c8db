"""One run: a transfer whose tries come after and beside each other, in a world where everything fails."""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ArgumentError,
    NoSuchKey,
    OSSResumeError,
    SourceUnreadable,
    TransferStopped,
    TrySuperseded,
)
from airflow_provider_ossresume.model import checkpoint_keys as keys
from airflow_provider_ossresume.model import copying
from airflow_provider_ossresume.model.checkpoint import Checkpoint, Owner
from airflow_provider_ossresume.model.checkpoint_keys import TaskIds
from airflow_provider_ossresume.model.copy_options import Properties
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss import connections, deadlines, origin_pool, retry
from airflow_provider_ossresume.transfer import (
    concurrency,
    config,
    crew,
    descriptor,
    download,
    file_crc64,
    local_file,
    oss_object,
    part_body,
    part_file,
    part_sink,
    publishing,
    slots,
    stop,
)
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.download import Downloader
from airflow_provider_ossresume.transfer.options import CopyTransferOptions, DownloadOptions, UploadOptions
from airflow_provider_ossresume.transfer.part_names import part_file_name
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.upload import Uploader
from tests.simulation.account import Waits
from tests.simulation.chaos import Chaos
from tests.simulation.client import Client
from tests.simulation.disk import Disk
from tests.simulation.ledger import FOREVER, TOO_SHORT, Ledger
from tests.simulation.oss import BEGINNING, BUCKET, KEY, MIN_PART_SIZE, OSS, SOURCE, STEP, StoredPart
from tests.simulation.rivals import Rivals
from tests.simulation.scheduler import Killed, Process, Runtime, Scheduler, TaskTimeout, Thread
from tests.simulation.store import Shelf, Store
from tests.simulation.wires import NARROW, Link, Network, Wire

PART = MIN_PART_SIZE
ENOUGH = 300.0  # seconds of failing and waiting: the engine's default
MEMORY = Path("/dev/shm")
MAX_TRIES_AT_ONCE = 3
SUSPENDED = 40.0  # seconds that no machine does anything: longer than a connection may wait


@dataclass(frozen=True)
class Profile:
    """What stays the same during a run.

    :ivar in_airflow: tries are numbered, and a later one knows that there was an earlier one
    :ivar is_fenced: the store refuses to write for a try that is over, as Airflow's task state store does
    :ivar latency: most seconds that one request takes
    :ivar retry_total: seconds of failing and waiting after which no further attempt at a request begins
    :ivar link: bytes per second that all connections of a try share; None is as many as they like
    :ivar skew: most seconds by which the clock of a worker is wrong, either way
    """

    direction: str
    size: int
    threshold: int = PART
    concurrency: int | None = 1
    attempts: int = 2
    retry_total: float = ENOUGH
    link: float | None = None
    page_size: int = 3
    interval: float = 5.0
    latency: float = 0.1
    skew: float = 0.0
    in_airflow: bool = True
    is_fenced: bool = False
    crc_headers: bool = True
    verify: bool = True
    has_neighbour: bool = False  # another run's transfer to the same object or file, at the same time
    drops: bool = False  # half of the tries that fail drop what is done
    options: dict[str, Any] = field(default_factory=lambda: {"if_exists": "overwrite"})

    @property
    def parts(self) -> int:
        return -(-self.size // PART)


@dataclass(frozen=True)
class Engine:
    """The code under test; the mutation tests pass others.

    :ivar replacements: module, name and value of what else is another
    """

    uploader: type[Uploader] = Uploader
    downloader: type[Downloader] = Downloader
    copier: type[Copier] = Copier
    checkpointer: type[Checkpointer] = Checkpointer
    replacements: tuple[tuple[Any, str, Any], ...] = ()


class Try(Process):
    """One try of the transfer: a process of its own, and what the ledger knows of it."""

    def __init__(self, world: World, number: int, index: int) -> None:
        super().__init__(f"{world.name[0]}{index}")
        self.world = world
        self.number = number
        self.owner = Owner(number, f"{world.name}-{index}")
        self.headers: dict[str, str] = {}  # of the object that it is to make
        self.result: TransferResult | None = None
        self.error: BaseException | None = None
        self.skew = 0.0  # seconds by which the clock of its worker is wrong
        self.is_over = False
        self.was_killed = False
        self.told = ""  # to stop, by on_kill; or that it is an orphan: from there on at every look
        self.is_turned_away = False  # by its store, which knows a newer try
        self.was_timed_out = self.was_ended_twice = False
        self.rang_after = ""  # the step before the alarm
        self.drops = self.store_has_failed = False
        self.is_overlapped = False  # the scheduler of Airflow has given it up and starts the next one
        # chaos
        self.armed: dict[tuple[str, str], dict[int, str]] = {}
        self.passed: dict[tuple[str, str], int] = {}
        self.outage = self.store_outage = 0
        self.breaks = 0  # bodies that break off at their end
        self.is_garbled = False  # no answer to its Complete can be read
        self.was_denied = self.has_met_flip = self.has_met_bad_sector = False
        # connections
        self.wires: set[Wire] = set()
        self.link = Link(None)
        self.connection_failed_at = 0.0
        # ledger
        self.progress = 0  # attempts that a download which went on inside a part may make beside the others
        self.began = self.looked_at = 0
        self.ended = FOREVER
        self.began_at = 0.0
        self.calls = self.store_calls = self.sent = self.heads = self.saves = 0
        self.last_step = ("", False)
        self.has_acted = self.has_published = self.save_has_failed = self.delete_failed = False
        self.last_look_failed = False
        self.loaded: Checkpoint | None = None
        self.predecessor: Owner | None = None  # whose checkpoint it found
        self.is_loaded_tampered = False
        self.known: set[str] = set()
        self.damaged: set[str] = set()  # what was changed on its way, which may make it what OSS has
        self.listed: dict[str, tuple[int, dict[int, StoredPart]]] = {}
        self.proven: set[tuple[int, int]] = set()
        self.part_file_touched = self.has_left_part_file = self.was_held_by_disk = False
        self.seen_etag = ""
        self.fetches_since_head: set[tuple[int, int, str]] = set()

    def is_in_time(self, now: float) -> bool:
        """True unless the try has been stopped, and the grace is over."""
        return self.stopped_at is None or now < self.stopped_at + crew.GRACE


class World:
    """Everything of one transfer. Nothing in it depends on real time, real randomness or the names of real files.

    Two transfers with one target have a world each: what OSS, the disk and the clock are is the same in both, and each
    of them sees what the other one publishes.

    :ivar pair: this world, and its neighbour's where there is one
    """

    def __init__(
        self,
        profile: Profile,
        folder: Path,
        *,
        rng: random.Random,
        groups: frozenset[str],
        engine: Engine | None = None,
    ) -> None:
        self.profile = profile
        self.folder = folder
        self.engine = engine or Engine()
        self.name = "try"
        self.source, self.target = folder / "source.bin", folder / "target.bin"
        self.rng = rng
        self.pair = [self]
        self.log: list[str] = []
        self.fired: Counter[str] = Counter()
        self.tries: list[Try] = []
        self.agenda: list[tuple[int, Callable[[], None]]] = []
        self.bad_join = False
        self.link = profile.link
        self.network = Network(self)
        self.waits = Waits(rng)
        self.frozen_thaw = True  # by themselves, some time; else only when they are told to go on
        self.headers: dict[str, str] = {}
        self.part_size = PART
        self.scheduler = Scheduler(self._pick)
        self.oss = OSS()
        self.shelves: dict[str, Shelf] = {}
        self.contents = itertools.count(1)
        self.ledger = Ledger(self)
        self.chaos = Chaos(rng, profile, groups)
        self.rivals = Rivals(self, rng)
        self.disk = Disk(self.scheduler)
        content = self.rivals.new_content(profile.size)
        self.ledger.product_is(None, "")
        if profile.direction == "upload":
            self.rivals.write_source(content)
        else:
            self.rivals.put_object(content)

    def with_neighbour(self, profile: Profile, *, groups: frozenset[str]) -> World:
        """Return the world of another run's transfer to the same object or file; of the same object, where one is read.

        To be called before the first try begins.
        """
        other = copy.copy(self)
        other.name, other.profile, other.pair = "neighbour", profile, [other]
        other.tries, other.agenda = [], []
        other.headers = {}
        other.ledger = Ledger(other)
        other.chaos = Chaos(self.rng, profile, groups)
        other.rivals = Rivals(other, self.rng)
        other.ledger.product_is(None, "")
        if profile.direction == "upload":
            other.source = self.folder / "another run" / self.source.name
            other.source.parent.mkdir()
            other.rivals.write_source(other.rivals.new_content(profile.size))
        else:
            other.ledger.truth_is(self.ledger.truth)
        self.pair = other.pair = [self, other]
        return other

    attempts = property(lambda self: self.profile.attempts)
    page_size = property(lambda self: self.profile.page_size)
    newest = property(lambda self: self.tries[-1])

    @property
    def current_try(self) -> Try:
        process = self.scheduler.process
        assert isinstance(process, Try)
        return process

    @cached_property
    def shelf(self) -> Shelf:
        """Where this transfer's checkpoint lies."""
        return self.shelves.setdefault(self.checkpoint_key, Shelf())

    def everybody(self) -> list[Try]:
        """Return all tries, the neighbour's too."""
        return [process for world in self.pair for process in world.tries]

    @property
    def neighbours(self) -> list[World]:
        return [world for world in self.pair if world is not self]

    def living(self) -> list[Try]:
        return [process for process in self.tries if not process.is_over]

    def part_files(self) -> list[Path]:
        theirs = [part_file_of(world) for world in self.neighbours]
        return sorted(path for path in self.folder.glob(".*.ossresume-part") if path not in theirs)

    def note(self, what: str) -> None:
        who = self.scheduler.process
        self.log.append(f"{self.scheduler.now - 1e6:8.2f} {who.name if who else '-':>3} {what}")

    def _pick(self, able: list[Thread], me: Thread | None) -> Thread:
        if me in able and self.rng.random() < 0.7:
            return me  # type: ignore[return-value]
        return self.rng.choice(able)

    # --- points -------------------------------------------------------------------------------------------------------

    def a_while(self) -> float:
        """Return how many seconds a request takes."""
        return self.rng.random() * self.profile.latency

    def point(self, operation: str, phase: str, label: str = "") -> str | None:
        """Come to where something may go wrong; return what the caller has to make happen, if anything."""
        process = self.current_try
        if process.is_dead:
            raise Killed
        if operation not in LOCAL:
            self.scheduler.pause()
        self.ledger.moment += 1
        self._run_agenda()
        action = self.chaos.fire(process, (operation, phase))
        if action is None:
            return None
        self.fired[f"{operation} {phase}: {action}"] += 1
        self.note(f"{operation} {label} {phase}: {action.upper()}")
        if action == "crash":
            self.kill(process)
        elif action == "timeout":
            self._time_out(process)
        elif action == "freeze":
            self._freeze(process)
        elif action == "suspended":
            self.scheduler.now += SUSPENDED
        elif action == "overlap":
            process.is_overlapped = True
            self.scheduler.pause()
        elif hasattr(self.rivals, "_" + action.replace(" ", "_")):
            self.rivals.do(action)
        else:
            return action
        return None

    def _time_out(self, process: Try) -> None:
        if not process.was_timed_out:  # Airflow's alarm rings once
            process.was_timed_out = True
            process.was_ended_twice = bool(process.told or process.is_turned_away or self.ledger.newer_than(process))
            process.rang_after, process.last_step = process.last_step[0], ("timeout", True)
            raise TaskTimeout

    def kill(self, process: Try) -> None:
        process.is_dead = process.was_killed = True
        self.note(f"kill -9 of {process}")
        if self.scheduler.process is process:
            raise Killed

    def later(self, effect: Callable[[], None]) -> None:
        """Have something happen after some more steps of whoever; never, when the run ends before."""
        self.agenda.append((self.ledger.moment + self.rng.randint(2, 80), effect))

    def hurry(self) -> None:
        """Let whatever is late happen now."""
        self.agenda = [(self.ledger.moment, effect) for _, effect in self.agenda]
        self._run_agenda()

    def _run_agenda(self) -> None:
        due = [effect for when, effect in self.agenda if when <= self.ledger.moment]
        self.agenda = [(when, effect) for when, effect in self.agenda if when > self.ledger.moment]
        for effect in due:
            effect()

    def _freeze(self, process: Try) -> None:
        def thaw() -> None:
            if process.is_frozen:
                process.is_frozen = False
                self.note(f"{process} thaws")

        process.is_frozen = True
        if self.frozen_thaw:
            self.later(thaw)
        self.scheduler.pause()

    # --- tries --------------------------------------------------------------------------------------------------------

    def start_try(self) -> Try:
        index = len(self.tries) + 1
        process = Try(self, index if self.profile.in_airflow else 0, index)
        process.skew = self.rng.uniform(-self.profile.skew, self.profile.skew) if self.profile.skew else 0.0
        process.drops = self.profile.drops and self.rng.random() < 0.5
        process.link = Link(self.link)
        self.tries.append(process)
        self.ledger.moment += 1
        process.began, process.began_at = self.ledger.moment, self.scheduler.now
        thread = Thread(self.scheduler, process, lambda: self._execute(process))
        self.note(f"{process} begins; the source has {len(self.ledger.truth or b'')} bytes")
        thread.start()
        return process

    def begin(self, *faults: tuple[str, str, int, str]) -> Try:
        """Start a try and run it, for a test that scripts; a fault is (operation, phase, nth passing, what)."""
        process = self.start_try()
        for operation, phase, nth, action in faults:
            self.chaos.arm(process, (operation, phase), nth, action)
        self.run(process)
        return process

    def go_on(self, process: Try) -> None:
        """Let a try that was frozen or given up come to its end."""
        process.is_frozen = process.is_overlapped = False
        self.scheduler.run_until(lambda: process.is_over)

    def run(self, process: Try) -> None:
        """Run until the try is over, or given up by its scheduler."""
        self.scheduler.run_until(lambda: process.is_over or process.is_frozen or process.is_overlapped)
        self._check_moves(process)

    def _execute(self, process: Try) -> None:
        try:
            process.result = self._transfer(process)
        except BaseException as error:  # the run judges it
            process.error = error
        process.ended = self.ledger.moment
        process.is_over = True
        self._judge(process)
        if self.profile.in_airflow:
            process.is_dead = True  # the process ends, and with it any worker that hangs

    def _transfer(self, process: Try) -> TransferResult:
        profile = self.profile
        earlier = {"earlier_try": process.number > 1}
        process.headers = dict(self.headers)
        config = TransferConfig(
            part_size=self.part_size,
            multipart_threshold=profile.threshold,
            max_concurrency=profile.concurrency,
            checkpoint_interval=profile.interval,
            progress_interval=0,
            verify=profile.verify,
        )
        target = ObjectRef(BUCKET, KEY)
        checkpointer = self.engine.checkpointer(
            Store(self, process),
            self.checkpoint_key,
            owner=process.owner,
            interval=profile.interval,
            clock=lambda: self.scheduler.now,
            sleep=self.scheduler.sleep,
            wall_clock=lambda: self.scheduler.now + process.skew,
        )
        client = Client(self, process)
        watch = {"watch": lambda: self._watch(process), "drop_when": lambda error: process.drops}
        if profile.direction == "upload":
            options = UploadOptions(**profile.options, headers=process.headers, **earlier)
            return self.engine.uploader(client, target, checkpointer, config=config, options=options, **watch).upload(
                self.source
            )
        if profile.direction == "copy":
            copy_options = CopyTransferOptions(
                **profile.options,
                threshold=profile.threshold,
                properties=Properties(metadata=process.headers or None),
                **earlier,
            )
            return self.engine.copier(client, target, checkpointer, config=config, options=copy_options, **watch).copy(
                SOURCE
            )
        download_options = DownloadOptions(**profile.options, **earlier)
        return self.engine.downloader(
            client, target, checkpointer, config=config, options=download_options, **watch
        ).download(self.target)

    @property
    def read_object(self) -> ObjectRef:
        """The object whose bytes are moved; of an upload the one that it makes."""
        return SOURCE if self.profile.direction == "copy" else ObjectRef(BUCKET, KEY)

    @property
    def byte_range(self) -> tuple[int, int] | None:
        """What of the object a download wants; None for all of it."""
        return self.profile.options.get("byte_range")

    @cached_property
    def checkpoint_key(self) -> str:
        direction, task = self.profile.direction, TaskIds("dag", f"run of {self.name}", "task", -1)
        files = {"upload": f"/{self.source.name}", "download": f"/{self.target.name}"}  # the folder differs each time
        path = files.get(direction, SOURCE.uri)
        return keys.checkpoint_keys(
            direction, ObjectRef(BUCKET, KEY), path, task=task, byte_range=self.byte_range
        ).present

    def interrupt(self) -> None:
        """Let a signal strike the thread that waits: Airflow raises out of its handlers."""
        self.point("wait", "before")

    def _watch(self, process: Try) -> None:
        process.told = self.point("watch", "before") or process.told
        if process.told == "stop":
            raise TransferStopped("on_kill")
        if process.told == "orphan":
            raise TrySuperseded("the supervisor of this try is gone")

    # --- judging ------------------------------------------------------------------------------------------------------

    def _judge(self, process: Try) -> None:
        with contextlib.suppress(Killed):
            if process.error is None:
                assert process.result is not None
                self.note(f"returns: {process.result.outcome}, {process.result.parts_kept} parts kept")
                self.ledger.check_success(process)
            elif not process.is_dead:
                self.note(f"fails: {type(process.error).__name__}: {self._without_names(str(process.error))}")
                self._check_error(process, process.error)
                if process.drops:
                    self.ledger.check_dropped(process)
                if self.profile.direction == "download" and not isinstance(process.error, TrySuperseded):
                    self.ledger.check_kept(process)

    def _check_error(self, process: Try, error: BaseException) -> None:
        """Invariant 7."""
        if isinstance(error, TaskTimeout):
            return
        if not isinstance(error, OSSResumeError) or not str(error):
            self.ledger.violate(self._without_names(f"(7) {process} raised {error!r}"))
            return
        if not error.retryable and not self._will_stay(process, error):
            self.ledger.violate(self._without_names(f"(7) {process} calls this not retryable: {error!r}"))

    def _without_names(self, text: str) -> str:
        """Leave out what differs from run to run: names and numbers of real files, real free space."""
        text = text.replace(str(self.folder), "FOLDER")
        return re.sub(r"(device|inode)=\d+|; [\d.]+ \w+ are free in .*", "", text)

    def _will_stay(self, process: Try, error: OSSResumeError) -> bool:
        """True when a later try would meet the same error, as far as this one could know."""
        policy = self.profile.options["if_exists"]
        stood = [
            version.content
            for version in self.ledger.products
            if version.content is not None and version.was_there(process.began, process.ended)
        ]
        if isinstance(error, AccessDenied):
            return process.was_denied
        if isinstance(error, NoSuchKey):
            return self.profile.direction != "upload" and None in self.ledger.truths_of(process)
        if isinstance(error, SourceUnreadable):
            return process.was_denied or None in self.ledger.truths_of(process)
        if isinstance(error, TrySuperseded):
            return (
                process.told == "orphan"
                or process is not self.newest
                or any(not other.is_over or other.ended >= process.began for other in self.tries[:-1])
                * (not self.profile.in_airflow)
            )
        if isinstance(error, AlreadyExists):
            # Of no bytes every object holds the same, another's with other headers too.
            can_tell = self.profile.crc_headers and self.profile.verify and self.profile.size > 0
            # An object that an earlier try made with other headers is not the one that this try was asked for.
            asks_the_same = all(other.headers == process.headers for other in self.everybody())
            is_ours = process.number > 1 and len(stood) == 1 and can_tell and asks_the_same
            return policy == "fail" and bool(stood) and not (is_ours and self.ledger.truths_of(process) == stood)
        if isinstance(error, ArgumentError):
            if TOO_SHORT in self.ledger.truths_of(process):
                return True
            is_ours = process.number > 1 and len(stood) == 1 and self.profile.crc_headers and not self.byte_range
            return policy == "fail" and bool(stood) and not (is_ours and self.ledger.truths_of(process) == stood)
        return False

    def _check_moves(self, process: Try) -> None:
        for error in self.scheduler.stray_errors:
            self.ledger.violation = self.ledger.violation or f"a thread died of {error!r}"
        if not (process.is_over or process.is_frozen or process.is_overlapped):
            with contextlib.suppress(Killed):
                self.ledger.violate(f"(5) {process} waits for ever")

    # --- the calm -----------------------------------------------------------------------------------------------------

    def calm_down(self, *, kill_older: bool) -> None:
        """End all faults. Older tries are killed, or go on beside the last one; late requests land or are lost."""
        self.chaos.is_calm = True
        # With little time for failures nobody can find out what a link carries.
        self.link = NARROW if self.profile.link and self.profile.retry_total >= ENOUGH else None
        self.note("calm")
        for process in self.tries:
            process.outage = process.store_outage = process.breaks = 0
            process.is_garbled = False
            process.link.rate = self.link
        for process in self.living():
            if kill_older:
                self.kill(process)
            process.is_frozen = False
        if kill_older:
            self.agenda.clear()
        self.rivals.restore()

    def finish(self) -> None:
        """Let the older tries end, let the transfer succeed if it has not, and look at what is left."""
        kill_older = self.rng.random() < 0.5
        for world in self.pair:
            world.calm_down(kill_older=kill_older)
        for world in self.pair:
            world._end_well()

    def _end_well(self) -> None:
        for last in (False, True):
            if self.ledger.violation or (self.tries and (self._has_succeeded() or self._is_refused())):
                break
            if last:
                self._let_all_end()
            process = self.start_try()
            self.run(process)
            if last and process.error is not None and not self.ledger.violation and not self._is_refused():
                with contextlib.suppress(Killed):
                    self.ledger.violate(
                        self._without_names(f"(7) no fault is left, and {process} fails with {process.error!r}")
                    )
        self._let_all_end()
        if not self.ledger.violation:
            with contextlib.suppress(Killed):
                overlapped = any(process.ended >= self.newest.began for process in self.tries[:-1])
                self.ledger.check_left(success=self._has_succeeded(), overlapped=overlapped)

    def abandon(self) -> None:
        """End whatever still runs, so that no thread is left."""
        for process in self.everybody():
            process.is_dead = True
        self.scheduler.run_until(lambda: not self.scheduler.threads)

    def _let_all_end(self) -> None:
        for process in self.everybody():
            process.is_frozen = False
        self.scheduler.run_until(lambda: not self.scheduler.threads)
        self.abandon()

    def _has_succeeded(self) -> bool:
        """True when the newest try has; what an older one reports is heard by nobody."""
        return self.newest.result is not None

    def _is_refused(self) -> bool:
        """True when the last try met what no retry mends."""
        error = self.newest.error
        return self.chaos.is_calm and isinstance(error, (AlreadyExists, ArgumentError))


LOCAL = frozenset({"pwrite", "preadv", "ftruncate", "fsync", "unlink", "watch", "wait"})  # nobody comes in between


@contextlib.contextmanager
def a_world(profile: Profile, *, seed: int = 0, engine: Engine | None = None) -> Iterator[World]:
    """Give a world for a test's own script: nothing happens in it but what the script says."""
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(profile, Path(folder), rng=random.Random(seed), groups=frozenset(), engine=engine)
        world.frozen_thaw = False
        with virtual_engine(world):
            yield world
            world.abandon()


@contextlib.contextmanager
def virtual_engine(world: World) -> Iterator[None]:
    """Give the engine's modules the run's threads, clock and disk for as long as the run takes."""
    runtime = Runtime(world.scheduler, interrupt=lambda: world.current_try.world.interrupt())
    replacements: list[tuple[Any, str, Any]] = [
        (crew, "threading", runtime),
        (crew, "time", runtime),
        (crew, "SimpleQueue", runtime.SimpleQueue),
        (slots, "SimpleQueue", runtime.SimpleQueue),
        (stop, "Event", runtime.Event),
        (concurrency, "SAMPLE", 1),  # so that there come to be more and fewer, even where there are few parts
        (concurrency, "SHORTEST", 0.001),
        (download, "FIRST_BYTES_SIZE", BEGINNING),
        (oss_object, "READ_AHEAD", BEGINNING),
        (copying, "DEFAULT_COPY_THRESHOLD", PART // 2),  # from here on a CopyObject that breaks goes on by parts
        (connections, "time", runtime),
        (origin_pool, "time", runtime),
        (origin_pool, "select", world.network),
        (connections, "Route", world.network.Route),
        (connections, "read_head", world.network.read_head),
        (deadlines, "time", runtime),
        (retry, "random", world.waits),
        (download, "time", runtime),
        (download, "Event", runtime.Event),
        (config, "INITIAL_WORKERS", 1),
        *((module, "os", world.disk) for module in (descriptor, local_file, part_file, publishing)),
        *((module, "READ_SIZE", STEP) for module in (local_file, part_file, part_body)),
        (publishing, "rename_without_replacing", world.disk.rename_without_replacing),
        (part_sink, "WRITE_SIZE", STEP),
        (file_crc64, "SPAN", 3 * STEP),
        *world.engine.replacements,
    ]
    real = [(module, name, getattr(module, name)) for module, name, _ in replacements]
    logger = logging.getLogger("airflow_provider_ossresume")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # ten thousand runs have nothing to say to anybody
    try:
        for module, name, value in replacements:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in real:
            setattr(module, name, value)
        logger.setLevel(level)


def part_file_of(world: World) -> Path:
    return world.folder / part_file_name(world.target.name, world.checkpoint_key)
