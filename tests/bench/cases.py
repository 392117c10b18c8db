"""What is moved, by whom and over which link. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch

from tests.bench.contestants import CONTESTANTS, MIB, TUNED, Contestant, ours
from tests.bench.server import Link

KIB, GIB = 2**10, 2**30
PARTS = 10_000 * 100 * KIB - 1  # one byte less than whole, as oss-v2 doubles its parts when they come to 10,000
SLOW = Link(rate=30_000_000, delay=20)
TLS = Link(tls=True)
MBIT = 125_000  # bytes a second
DELAYS = (20, 200)  # milliseconds
SHARED = {1: 17, 10: 32, 100: 128}  # Mbit/s of all connections, and MiB to move: several parts each

ALL = tuple(contestant for contestant in CONTESTANTS.values() if contestant.name not in ("ours-set", "rclone"))
OFFICIAL = tuple(CONTESTANTS[name] for name in ("oss2", "oss2-tuned", "oss-v2", "oss-v2-tuned"))
DEFAULTS = tuple(CONTESTANTS[name] for name in ("oss2", "oss-v2", "boto3", "awscrt", "obstore"))
OURS, RAW = CONTESTANTS["ours"], CONTESTANTS["raw"]


@dataclass(frozen=True)
class Case:
    """One thing that the contestants do side by side.

    :param size: of each file
    :param part_size: for all contestants; by default each has its own
    :param resume: a first try, which is not measured, has moved half of the bytes
    :param callers: threads that move one file after another
    :param sparse: the source is a hole, for sizes that no memory would hold
    :param growth: this case is a point of the curve of that name, at ``size`` or the number of parts
    """

    name: str
    direction: str
    title: str
    size: int
    contestants: Sequence[Contestant]
    files: int = 1
    link: Link = field(default_factory=Link)
    part_size: int | None = None
    resume: bool = False
    callers: int = 1
    sparse: bool = False
    growth: str | None = None

    @property
    def bytes(self) -> int:
        return self.size * self.files


def both(name: str, title: str, size: int, contestants: Sequence[Contestant], **more: object) -> list[Case]:
    """Return the case as an upload and as a download."""
    case = Case(name, "", title, size, contestants)
    return [
        replace(
            case, name=f"{direction}-{name}", direction=direction, title=f"{direction.capitalize()}: {title}", **more
        )  # type: ignore[arg-type]
        for direction in ("upload", "download")
    ]


CONCURRENCIES = (4, 8, 16, 32)
STORES = (ours("store-0ms", store="memory"), ours("store-30ms", store="memory", store_delay=0.03))
PART_SIZES = tuple(
    ours(f"{workers}x{size}M", part_size=size * MIB, max_concurrency=workers)
    for size in (1, 4, 8, 16, 64)
    for workers in (4, 8)
)
RESUMED = (OURS, *OFFICIAL, ours("fresh", fresh=True))
SLOWED = (OURS, *DEFAULTS)
WORKERS = tuple(ours(f"c{count}", max_concurrency=count) for count in CONCURRENCIES)
FIXED = tuple(ours(f"c{count}", max_concurrency=count) for count in (1, 2, 4, 8))
AT_4 = (ours("c4", max_concurrency=4),)
SMALL = tuple(contestant for contestant in ALL if contestant is not RAW and contestant.settings is not TUNED)
OUR_SET = CONTESTANTS["ours-set"]
IN_SETS = (OUR_SET, *(CONTESTANTS[name] for name in ("oss2", "oss-v2", "rclone")))
FOR_PARTS = (OURS, *(CONTESTANTS[name] for name in ("oss2", "oss-v2", "oss-v2-tuned")), RAW)

CASES: list[Case] = [
    *both("1g", "1 GiB", GIB, ALL),
    *both("resume-1g", "the second half of 1 GiB", GIB, RESUMED, resume=True),
    *both("10k-parts", "10,000 parts of 100 KiB", PARTS, FOR_PARTS, part_size=100 * KIB),
    *both("2k-files", "2,000 files of 100 KiB, one after another", 100 * KIB, SMALL, files=2_000),
    *both("2k-files-8", "2,000 files of 100 KiB, eight at once", 100 * KIB, SMALL, files=2_000, callers=8),
    *both("20k-files", "20,000 files of 100 KiB, 32 at once", 100 * KIB, IN_SETS, files=20_000, callers=32),
    *both(
        "20k-files-20ms",
        "20,000 files of 100 KiB, 32 at once, 20 ms a request",
        100 * KIB,
        (OUR_SET, CONTESTANTS["rclone"]),
        files=20_000,
        callers=32,
        link=Link(delay=20),
    ),
    *both("5m", "a file of 5 MiB", 5 * MIB, ALL),
    *both("1g-tls", "1 GiB over TLS", GIB, ALL, link=TLS),
    *both("1g-slow", "1 GiB over a slow link", GIB, SLOWED, link=SLOW),
    *both("4g-slow", "4 GiB over a slow link, by workers", 4 * GIB, WORKERS, link=SLOW, sparse=True),
    *both("1g-store", "1 GiB with a slow checkpoint store", GIB, STORES),
    *both("10k-parts-store", "10,000 parts with a slow checkpoint store", PARTS, STORES, part_size=100 * KIB),
    *both("part-sizes", "1 GiB with parts of other sizes", GIB, PART_SIZES),
]
for mbit, size in SHARED.items():
    for delay in DELAYS:
        CASES += both(
            f"shared-{mbit}m-{delay}ms", f"{size} MiB over {mbit} Mbit/s that all connections share", size * MIB,
            (OURS, *(FIXED[1:2] if mbit == 1 else FIXED)), link=Link(shared=mbit * MBIT, delay=delay),
            part_size=MIB if mbit == 1 else None,
        )  # fmt: skip
CASES += both("256m", "256 MiB", 256 * MIB, ALL)  # for --quick
for size in (1, 16, 256, 1024, 4096, 8192, 16384):
    text = f"{size} MiB, sparse, 4 workers"
    CASES += both(f"grow-{size}m", text, size * MIB, AT_4, sparse=True, growth="size")
for parts in (100, 1_000, 2_500, 5_000, 10_000):
    text = f"{parts:,} parts of 100 KiB, sparse, 4 workers"
    CASES += both(
        f"grow-{parts}-parts", text, parts * 100 * KIB, AT_4, part_size=100 * KIB, sparse=True, growth="parts"
    )


def named(patterns: Sequence[str]) -> list[Case]:
    """Return the cases with these names, which may be patterns: ``*-1g``, ``*grow*``."""
    chosen = [case for case in CASES if any(fnmatch(case.name, pattern) for pattern in patterns)]
    if not chosen:
        raise SystemExit(f"no such case; there are {', '.join(case.name for case in CASES)}")
    return chosen
