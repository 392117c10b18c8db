"""The filesystem beside ossfs, s3fs and the engine: seconds, processor time, and the bytes that moved.

``python -m tests.bench.filesystems`` reads and writes 1 GiB by open files, fetches 10,000 ranges of 64 KiB by
``cat_ranges`` where each request takes 20 ms, and reads two of twenty columns of a parquet file of 500 MiB by pyarrow.
Each run is a process of its own; they take turns in random order, and medians count. ossfs fetches one range after
another: it is given the first 250, and its time is taken forty times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastcrc import crc64

from tests.bench.contestants import KEY_ID, REGION, SECRET, Sampler, cpu_seconds, forget_peak, memory
from tests.bench.server import BUCKET, Link, Server, build

ROOT = Path(__file__).parents[2]
KIB, MIB, GIB = 2**10, 2**20, 2**30
PIECE = 8 * MIB  # what is read and written at once
RANGES, RANGE, FEW = 10_000, 64 * KIB, 250
STRIDE = GIB // RANGES  # so far apart that none are fetched together
DELAY = 20  # milliseconds
COLUMNS, WANTED = 20, ("c3", "c12")
LONGEST = 600  # seconds of one run
SLOW = Link(rate=30_000_000, delay=DELAY)  # of each connection: one is about what OSS gives to one

Run = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What the contestants do side by side."""

    name: str
    title: str
    contestants: tuple[str, ...]
    link: Link = field(default_factory=Link)


CASES = (
    Case("read-1g", "read 1 GiB", ("ours", "ossfs", "s3fs", "engine")),
    Case("write-1g", "write 1 GiB", ("ours", "ossfs", "s3fs", "engine")),
    Case("read-1g-slow", "read 1 GiB over a slow link", ("ours", "ours-256m", "ossfs", "engine"), SLOW),
    Case("write-1g-slow", "write 1 GiB over a slow link", ("ours", "ours-256m", "ossfs", "engine"), SLOW),
    Case("ranges", "10,000 ranges of 64 KiB, 20 ms a request", ("ours", "ossfs", "s3fs"), Link(delay=DELAY)),
    Case("parquet", "two of twenty columns of 500 MiB of parquet", ("ours", "s3fs", "ossfs")),
)


# --- in the child -----------------------------------------------------------------------------------------------------


def filesystem(name: str, endpoint: str) -> Any:
    """Return a filesystem as its users make it; a module is imported before any clock runs."""
    if name.startswith("ours"):
        from airflow_provider_ossresume.filesystem.oss import OSSFileSystem

        more = {"file_memory": "256MiB"} if name == "ours-256m" else {}
        return OSSFileSystem(endpoint=endpoint, region=REGION, access_key_id=KEY_ID, access_key_secret=SECRET, **more)
    if name == "ossfs":
        import ossfs

        return ossfs.OSSFileSystem(endpoint=endpoint, key=KEY_ID, secret=SECRET)
    import s3fs

    return s3fs.S3FileSystem(
        key=KEY_ID,
        secret=SECRET,
        endpoint_url=endpoint,
        client_kwargs={"region_name": REGION},
        config_kwargs={
            "s3": {"addressing_style": "path", "payload_signing_enabled": False},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "max_pool_connections": 32,
        },
    )


def read(fs: Any, folder: Path) -> int:
    """Return the CRC-64 of all that is read."""
    crc = 0
    with fs.open(f"{BUCKET}/large", "rb") as file:
        while piece := file.read(PIECE):
            crc = int(crc64.xz(piece, crc))
    return crc


def write(fs: Any, folder: Path) -> int:
    """Copy a file, as shutil.copyfileobj does."""
    with (folder / "large").open("rb", buffering=0) as source, fs.open(f"{BUCKET}/written", "wb") as file:
        while piece := source.read(PIECE):
            file.write(piece)
    return GIB


def ranges(fs: Any, folder: Path) -> int:
    """Return how many came whole."""
    count = FEW if "ossfs" in type(fs).__module__ else RANGES
    starts = [number * STRIDE for number in range(count)]
    found = fs.cat_ranges([f"{BUCKET}/large"] * count, starts, [start + RANGE for start in starts], on_error="raise")
    return sum(len(data) in (RANGE, RANGE + 1) for data in found)  # ossfs gives a byte too many


def parquet(fs: Any, folder: Path) -> int:
    """Return how many numbers there are."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(f"{BUCKET}/table", filesystem=fs, columns=list(WANTED))
    return int(table.num_rows * table.num_columns)


ACTS: Mapping[str, Callable[[Any, Path], int]] = {
    "read-1g": read, "read-1g-slow": read, "write-1g": write, "write-1g-slow": write,
    "ranges": ranges, "parquet": parquet,
}  # fmt: skip


def by_the_engine(case: str, endpoint: str, folder: Path) -> int:
    """Move the same bytes from or to a file in memory."""
    from airflow_provider_ossresume import resumable

    client = resumable.make_client(endpoint, access_key_id=KEY_ID, access_key_secret=SECRET, region=REGION)
    if case.startswith("write"):
        resumable.resumable_upload(client, BUCKET, "written", folder / "large")
    else:
        resumable.resumable_download(client, BUCKET, "large", folder / "engine")
    return 0


def child(case: str, name: str, endpoint: str, folder: Path, *, profile: bool) -> None:
    if case == "parquet":
        import pyarrow.parquet  # noqa: F401
    fs = None if name == "engine" else filesystem(name, endpoint)
    if name == "engine":
        import airflow_provider_ossresume.resumable  # noqa: F401
    bare = memory("VmRSS")
    forget_peak()
    with Sampler(active=profile) as sampler:
        used, began = cpu_seconds(), time.monotonic()
        answer = by_the_engine(case, endpoint, folder) if fs is None else ACTS[case](fs, folder)
        wall, used = time.monotonic() - began, cpu_seconds() - used
    print(json.dumps({"wall": wall, "cpu": used, "answer": answer, "peak": memory("VmHWM") - bare}), flush=True)
    if profile:
        print(sampler, file=sys.stderr)
    os._exit(0)


# --- in the parent ----------------------------------------------------------------------------------------------------


def make_material(folder: Path) -> dict[str, int]:
    """Make the files that are served, and return what is needed of the table."""
    import pyarrow
    import pyarrow.parquet

    with (folder / "large").open("wb") as file:
        for _ in range(GIB // MIB):
            file.write(random.randbytes(MIB))
    rows = 500 * MIB // COLUMNS // 8
    arrays = [
        pyarrow.Array.from_buffers(pyarrow.int64(), rows, [None, pyarrow.py_buffer(random.randbytes(8 * rows))])
        for _ in range(COLUMNS)
    ]
    names = [f"c{number}" for number in range(COLUMNS)]
    pyarrow.parquet.write_table(pyarrow.table(arrays, names), folder / "table", use_dictionary=False)
    metadata = pyarrow.parquet.read_metadata(folder / "table")
    columns = sum(
        metadata.row_group(group).column(names.index(name)).total_compressed_size
        for group in range(metadata.num_row_groups)
        for name in WANTED
    )
    return {"needed": columns + metadata.serialized_size + 8, "rows": rows}


def measure(
    case: Case, only: list[str] | None, rounds: int, folder: Path, programs: Any, profile: bool
) -> Iterator[Run]:
    names = [name for name in case.contestants if not only or name in only]
    with Server(programs, case.link, folder) as server:
        for key in ("large", "table"):
            server.serve(key, folder / key)
        for number in range(rounds):
            for name in random.sample(names, len(names)):
                server.reset()
                command = [sys.executable, "-m", "tests.bench.filesystems", "--child", case.name, name]
                command += [server.endpoint, str(folder), *(["--profile"] if profile and name == "ours" else [])]
                done = subprocess.run(
                    command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, env=environment(folder)
                )
                (folder / "engine").unlink(missing_ok=True)
                if done.returncode or not done.stdout:
                    raise RuntimeError(f"{case.name} {name}:\n{done.stderr[-3000:]}")
                run: Run = json.loads(done.stdout.splitlines()[-1])
                stats = server.stats()
                run |= {"contestant": name, "moved": stats["moved"], "requests": stats["requests"]}
                check(case.name, run, server, folder)
                if case.name == "ranges" and name == "ossfs":
                    run["wall"] *= RANGES / FEW
                if profile and name == "ours":
                    print(done.stderr, file=sys.stderr)
                asked = {operation: count for operation, count in stats["requests"].items() if count}
                print(
                    f"{case.name} {number + 1}/{rounds} {name}: {run['wall']:.2f} s, CPU {run['cpu']:.2f} s, "
                    f"moved {run['moved']:,}, peak {run['peak']:.0f} MiB, {asked}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                yield run


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}


def check(case: str, run: Run, server: Server, folder: Path) -> None:
    """:raises ValueError: when other bytes arrived than were sent"""
    name = run["contestant"]
    if case.startswith("write"):
        right = server.stored(["written"])[0][0] == GIB
    elif case.startswith("read"):
        right = name == "engine" or run["answer"] == server.stored(["large"])[0][1]
    elif case == "ranges":
        right = run["answer"] == (FEW if name == "ossfs" else RANGES)
    else:
        right = run["answer"] == 2 * (500 * MIB // COLUMNS // 8)
    if not right:
        raise ValueError(f"{case} {name}: other bytes arrived than were sent: {run}")


def report(found: dict[str, list[Run]], needed: int) -> list[str]:
    """Return the bars: what was measured, what it has to be, and whether it is."""

    def median(case: str, name: str, figure: str = "wall") -> float | None:
        runs = [run[figure] for run in found.get(case, ()) if run["contestant"] == name]
        return statistics.median(runs) if runs else None

    def ratio(above: float | None, below: float | None) -> float | None:
        return None if above is None or below is None else above / below

    bars: list[tuple[str, float | None, float, bool]] = []
    for case in ("read-1g", "write-1g", "read-1g-slow", "write-1g-slow"):
        ours = median(case, "ours")
        bars += [
            (f"{case}: times as fast as ossfs", ratio(median(case, "ossfs"), ours), 3, True),
            (f"{case}: wall, of the engine's own", ratio(ours, median(case, "engine")), 1.3, False),
        ]
    ours = median("ranges", "ours")
    bars += [
        ("ranges: times as fast as ossfs", ratio(median("ranges", "ossfs"), ours), 5, True),
        ("ranges: share of 32 connections / 20 ms", ratio(RANGES * DELAY / 1000 / 32, ours), 0.8, True),
        ("parquet: bytes moved, of those needed", ratio(median("parquet", "ours", "moved"), needed), 1.1, False),
        ("parquet: wall, of s3fs's", ratio(median("parquet", "ours"), median("parquet", "s3fs")), 1.0, False),
    ]
    lines = []
    for title, figure, limit, at_least in bars:
        if figure is not None:
            holds = figure >= limit if at_least else figure <= limit
            sign = "at least" if at_least else "at most"
            lines.append(f"{'pass' if holds else 'FAIL'}  {title}: {figure:.2f} ({sign} {limit:g})")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="names of cases, with commas between")
    parser.add_argument("--only", help="names of contestants, with commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="show where our threads are, by sampling")
    parser.add_argument("--child", nargs=4, help="for this module's own use")
    asked = parser.parse_args()
    if asked.child:
        case, name, endpoint, folder = asked.child
        child(case, name, endpoint, Path(folder), profile=asked.profile)
    chosen = [case for case in CASES if not asked.case or case.name in asked.case.split(",")]
    only = asked.only.split(",") if asked.only else None
    programs = build(ROOT / "build" / "bench")
    where = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="bench-") as name:
        folder = Path(name)
        material = make_material(folder)
        found = {case.name: list(measure(case, only, asked.rounds, folder, programs, asked.profile)) for case in chosen}
    print(f"load {os.getloadavg()[0]:.1f}")
    print("\n".join(report(found, material["needed"])))


if __name__ == "__main__":
    main()
