"""A run from one integer: same seed, same run."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from airflow_provider_ossresume.transfer.lease import CLOCK_SKEW
from tests.simulation.chaos import GROUPS
from tests.simulation.wires import NARROW, WIDE
from tests.simulation.world import ENOUGH, MAX_TRIES_AT_ONCE, MEMORY, PART, Engine, Profile, World, virtual_engine

T = TypeVar("T")

DIRECTIONS = ("upload", "download", "copy")


@dataclass(frozen=True)
class Report:
    """What one run was and found.

    :ivar violation: the broken invariant, or None
    :ivar fired: which faults fired where, with counts
    :ivar counts: what the ledger counted
    """

    seed: int
    profile: Profile
    violation: str | None
    log: tuple[str, ...]
    fired: Counter[str]
    counts: Counter[str]
    tries: int

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        log = list(self.log)
        if len(log) > 160:
            log[80:-80] = [f"... {len(log) - 160} more lines"]
        return "\n".join(
            [
                f"seed {self.seed}: {self.violation or 'fine'}",
                f"  {self.profile}",
                *("  " + line for line in log),
                f"  alone again: make simulate SEED={self.seed}",
            ]
        )


def simulate(seed: int, *, engine: Engine | None = None, directions: Sequence[str] = DIRECTIONS) -> Report:
    """Run one seed; with fewer directions it is another run."""
    rng = random.Random(seed)
    profile = a_profile(rng.choice, directions=directions)
    groups = frozenset(group for group in GROUPS if rng.random() < 0.5)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(profile, Path(folder), rng=rng, groups=groups, engine=engine)
        if profile.has_neighbour:
            world.with_neighbour(a_neighbour(profile, rng.choice), groups=groups)
        with virtual_engine(world):
            run(world, tries=rng.randint(1, 7), rate=rng.choice((0.3, 0.6, 0.8, 0.9)))
            world.abandon()
    counts = Counter[str]()
    for each in world.pair:
        counts += each.ledger.counts
    tries = len(world.everybody())
    return Report(seed, profile, world.ledger.violation, tuple(world.log), world.fired, counts, tries)


def run(world: World, *, tries: int, rate: float) -> None:
    for _ in range(tries):
        if len(world.living()) >= MAX_TRIES_AT_ONCE:
            world.kill(world.living()[0])
        if world.tries:
            world.rivals.restore()
        for neighbour in world.neighbours:
            begin_beside(neighbour, rate=rate)
        for name in world.chaos.between():
            world.fired[f"between: {name}"] += 1
            world.rivals.do(name)
        process = world.start_try()
        world.chaos.arm_some(process, rate=rate)
        world.run(process)
        if process.result is not None or world.ledger.violation:
            break
    world.finish()


def begin_beside(world: World, *, rate: float) -> None:
    """Let the neighbour begin a try that runs beside what comes, unless it is done or takes its time."""
    if (world.tries and world.newest.result is not None) or world.rng.random() < 0.3:
        return
    if len(world.living()) >= MAX_TRIES_AT_ONCE - 1:
        world.kill(world.living()[0])
    world.chaos.arm_some(world.start_try(), rate=rate)


class Choose(Protocol):
    """Chooses one of several; a seed or hypothesis does it."""

    def __call__(self, options: Sequence[T], /) -> T: ...


def a_profile(choose: Choose, *, directions: Sequence[str] = DIRECTIONS) -> Profile:
    direction = choose(directions)
    in_airflow = choose((True,) * 6 + (False,))
    changed = "source_changed" if direction == "upload" else "object_changed"
    size = choose((0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART, 5 * PART + 17))
    if choose((True, True, False)):
        size = choose(range(PART, 7 * PART + 1))
    options: dict[str, Any] = {
        "if_exists": choose(("overwrite",) * 6 + ("skip", "skip_if_same", "fail", "fail")),
        changed: choose(("restart", "restart", "restart", "fail")),
    }
    if direction == "download" and size and options["if_exists"] != "skip_if_same" and choose((False,) * 5 + (True,)):
        start = choose(range(size))
        options["byte_range"] = (start, choose(range(start + 1, size + 1)))
    if direction == "copy":
        options["mode"] = choose(("server", "server", "stream"))
    if direction == "upload":
        options["fingerprint"] = choose(("content",) * 5 + ("stat",))
    profile = Profile(
        direction=direction,
        size=size,
        threshold=choose((PART, PART, PART, 4 * PART)),
        concurrency=choose((1, 1, 1, 2, 3, None)),
        attempts=choose((1, 2, 3)),
        page_size=choose((2, 3, 1000)),
        interval=choose((0.0, 5.0, 5.0)),
        latency=choose((0.02, 0.1, 0.5, 4.0)),
        skew=choose((0.0, CLOCK_SKEW / 2)),  # so two workers differ by no more than is allowed for
        in_airflow=in_airflow,
        is_fenced=in_airflow and choose((False,) * 4 + (True,)),
        crc_headers=choose((True,) * 7 + (False,)),
        verify=choose((True,) * 7 + (False,)),
        drops=choose((False,) * 3 + (True,)),
        options=options,
    )
    profile = over_a_link(profile, choose) if choose((True,) + (False,) * 9) else profile
    return replace(profile, has_neighbour=choose((True,) + (False,) * 7))


def a_neighbour(profile: Profile, choose: Choose) -> Profile:
    """Return the profile of another run's transfer to the same place: of another file, or of the same object."""
    options = {**profile.options, "if_exists": choose((profile.options["if_exists"], "overwrite"))}
    size = choose((profile.size, profile.size, 3 * PART + 1)) if profile.direction == "upload" else profile.size
    return replace(profile, options=options, size=size, drops=choose((profile.drops, False)))


def over_a_link(profile: Profile, choose: Choose) -> Profile:
    """Return the profile with a link that all connections share, and with the retries that are the default."""
    return replace(
        profile,
        link=choose((NARROW, WIDE)),
        attempts=8,
        retry_total=choose((ENOUGH, ENOUGH, 20.0)),
        concurrency=choose((None, 2, 4, 8)),
    )
