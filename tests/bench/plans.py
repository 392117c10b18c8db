"""Plans of very many files that exist in no place: seconds, and memory above that of the bare process.

``python -m tests.bench.plans`` plans 250,000 to 1,000,000 files, each in a process of its own: all of them new, and all
of them proven before, of which none may be compared again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import Fact
from airflow_provider_ossresume.model.plan_layout import pair_key
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.plan.make_plan import make_plan
from airflow_provider_ossresume.sets.ports import NameRules, ScanItem, Watch
from airflow_provider_ossresume.sets.work_folder.fact_store import FactStore
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.transfer.crew import Crew

COUNTS = (250_000, 500_000, 1_000_000)
KINDS = ("new", "unchanged")
MIB = 2**20


class AnyName:
    def why_refused(self, entry: Entry) -> str:
        return ""

    def is_taken(self, name: str) -> bool:
        return False


class Listing:
    """So many files of 100 KiB, in folders of a thousand."""

    def __init__(self, uri: str, count: int, kind: str) -> None:
        self.uri = uri
        self._count = count
        self._kind = kind

    def name_rules(self) -> NameRules:
        return AnyName()

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        for number in range(self._count):
            if not number % 1_000:
                watch()
            yield Entry(name_of(number), 100 * 1024, identity_of(self._kind, number))


def name_of(number: int) -> str:
    return f"year=2026/part-{number // 1_000:05}/measurements-{number % 1_000:04}.parquet"


def identity_of(kind: str, number: int) -> str:
    scattered = number * 0x9E3779B97F4A7C15 % 2**64
    if kind == "f":
        return f"f:17{scattered % 10**17:017}:17{scattered % 10**17:017}:{scattered % 10**8}"
    return f"o:{scattered:016X}{scattered * 0xBF58476D1CE4E5B9 % 2**64:016X}"


class Mover:
    """Has two listings, and counts what it is asked."""

    def __init__(self, count: int, kind: str) -> None:
        self.source = Listing("file:///data/", count, "f")
        self.target = Listing("oss://bucket/prefix/", count if kind == "unchanged" else 0, "o")
        self.compared = 0

    def compare(self, source: Entry, target: Entry, crew: Crew) -> None:
        self.compared += 1


def proven(count: int) -> Iterator[Fact]:
    for number in range(count):
        crc = number * 0x94D049BB133111EB % 2**64
        yield Fact(name_of(number), 100 * 1024, identity_of("f", number), identity_of("o", number), crc)


def measure(count: int, kind: str) -> dict[str, Any]:
    """Plan once, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        work, mover = LocalWorkFolder(folder), Mover(count, kind)
        if kind == "unchanged":
            store = FactStore(work, pair_key(mover.source.uri, mover.target.uri))
            store.replace(proven(count), plan_id="before")
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew
        bare, began, used = peak(), time.perf_counter(), time.process_time()
        plan = make_plan(mover, work, SetOptions(max_batches=1_000))  # type: ignore[arg-type]
        seconds, used = time.perf_counter() - began, time.process_time() - used
        written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "seconds": seconds,
        "cpu": used,
        "mib": (peak() - bare) / MIB,
        "batches": len(plan.batch_uris),
        "longest": max((len(uri.removeprefix(work.uri)) for uri in plan.batch_uris), default=0),
        "compared": mover.compared,
        "written": written / MIB,
    }


def peak() -> int:
    """The most memory that this process has had since that was asked to begin anew, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("COUNT", "KIND"), help="for this module's own use")
    parser.add_argument("--most", type=int, default=COUNTS[-1])
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(int(options.one[0]), options.one[1])))
        return
    print(f"{'files':>10} {'kind':10} {'seconds':>8} {'CPU s':>7} {'MiB':>6} {'batches':>8} {'compared':>9} written")
    for kind in KINDS:
        for count in (count for count in COUNTS if count <= options.most):
            command = [sys.executable, "-m", "tests.bench.plans", "--one", str(count), kind]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{count:10,} {kind:10} {found['seconds']:8.1f} {found['cpu']:7.1f} {found['mib']:6.0f} "
                f"{found['batches']:8} {found['compared']:9} {found['written']:5.1f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
