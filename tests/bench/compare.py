"""Compares this engine with the official SDKs over loopback: ``make bench``.

Each measurement is a fresh process, the variants take turns in random order, and the figures are medians. The server is
a process of its own. On a noisy machine only the ratios within one run mean something.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

MIB = 2**20
SDKS = [
    {"name": "ours, defaults", "client": "ours"},
    {"name": "oss2, defaults", "client": "oss2"},
    {"name": "oss2, 8 x 8 MiB", "client": "oss2", "part_size": 8 * MIB, "max_concurrency": 8},
    {"name": "oss-v2, defaults", "client": "oss-v2"},
    {"name": "oss-v2, 8 x 8 MiB", "client": "oss-v2", "part_size": 8 * MIB, "max_concurrency": 8},
]
SIZES = [
    {"name": f"ours, {workers} x {size} MiB", "client": "ours", "part_size": size * MIB, "max_concurrency": workers}
    for size in (1, 4, 8, 16, 64)
    for workers in (4, 8)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="MiB of the file (default 512)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each variant (default 5)")
    parser.add_argument("--part-sizes", action="store_true", help="compare part sizes and workers instead of SDKs")
    asked = parser.parse_args()
    variants = SIZES if asked.part_sizes else SDKS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(asked.size):
                file.write(random.randbytes(MIB))
        with server(folder) as connection:
            measured = measure(variants, connection, folder, source, runs=asked.runs)
    print(table(measured, gib=asked.size / 1024))


class server:
    """The local OSS server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "airflow_provider_ossresume.local_oss", "--bucket", "bench"]
        self._process = subprocess.Popen(
            [*command, "--root", str(self._folder / "server")], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        ready = self._process.stdout.readline()
        return dict(field.split("=", 1) for field in ready.split() if "=" in field)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def measure(
    variants: list[dict[str, Any]], connection: dict[str, Any], folder: Path, source: Path, *, runs: int
) -> dict[tuple[str, str], list[dict[str, float]]]:
    measured: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    digest = sha256(source)
    for _ in range(runs):
        for variant in random.sample(variants, len(variants)):
            for direction in ("upload", "download"):
                target = folder / "target"
                options = {
                    **connection,
                    **variant,
                    "direction": direction,
                    "key": "file",
                    "file": str(source if direction == "upload" else target),
                }
                measured[variant["name"], direction].append(one_run(options, folder))
                if direction == "download":
                    if sha256(target) != digest:
                        raise SystemExit(f"{variant['name']} downloaded other bytes")
                    target.unlink()
    return measured


def sha256(file: Path) -> str:
    with file.open("rb") as stream:  # in pieces: a child's peak memory begins at that of its parent
        digest = hashlib.sha256()
        while piece := stream.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


def one_run(options: dict[str, Any], folder: Path) -> dict[str, float]:
    environment = {**os.environ, "BENCH_FOLDER": str(folder)}
    command = [sys.executable, "-m", "tests.bench.transfer", json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(measured: dict[tuple[str, str], list[dict[str, float]]], *, gib: float) -> str:
    lines = [f"{'client':<22}{'':10}{'CPU s/GiB':>10}{'GiB/s':>8}{'peak MiB':>10}{'CPU, ours = 1':>15}"]
    for direction in ("upload", "download"):
        rows = {
            name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for (name, way), runs in measured.items()
            if way == direction
        }
        base = next(row["cpu"] for name, row in rows.items() if name.startswith("ours"))
        for name, row in sorted(rows.items(), key=lambda item: item[1]["cpu"]):
            lines.append(
                f"{name:<22}{direction:<10}{row['cpu'] / gib:>10.2f}{gib / row['wall']:>8.2f}"
                f"{row['peak']:>10.0f}{row['cpu'] / base:>15.2f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
