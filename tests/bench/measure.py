"""Takes turns: each run is a fresh process, in random order, and its bytes are checked when the clock has stopped."""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcrc import crc64

from tests.bench.cases import Case
from tests.bench.contestants import Contestant, Job, write_job
from tests.bench.server import BUCKET, Programs, Server

MIB = 2**20
ROOT = Path(__file__).parents[2]
LONGEST = 1_200  # seconds of one run

Run = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How often and where.

    :param folder: sources, targets and checkpoints; best in memory (tmpfs), so that no disk is measured
    :param patience: a contestant that has taken that many seconds in a case is not measured again in it
    """

    rounds: int
    folder: Path
    patience: float
    profile: bool = False
    log: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)


def measure(case: Case, contestants: list[Contestant], programs: Programs, plan: Plan) -> Iterator[Run]:
    """Yield a run for each contestant and round.

    :raises Unavailable: when the case needs what is not there
    """
    with Server(programs, case.link, plan.folder) as server, Material(case, plan.folder) as material:
        material.register(server)
        spent: Counter[str] = Counter()
        for number in range(plan.rounds):
            for contestant in random.sample(contestants, len(contestants)):
                if spent[contestant.name] > plan.patience:
                    continue
                run = one_run(case, contestant, server, material, programs, plan)
                spent[contestant.name] += plan.patience + 1 if "left_out" in run else run["wall"]
                plan.log(f"{case.name} {number + 1}/{plan.rounds} {contestant.name}: {brief(run)}")
                yield {"case": case.name, "contestant": contestant.name, "round": number, **run}


def brief(run: Run) -> str:
    if "left_out" in run:
        return f"left out: {run['left_out']}"
    return (
        f"{run['wall']:.3f} s, CPU {run['cpu']:.3f} s, server's CPU {run['server_cpu']:.3f} s, "
        f"peak {run['peak_mib'] - run['bare_mib']:.0f} MiB, {sum(run['requests'].values())} requests"
    )


def one_run(
    case: Case, contestant: Contestant, server: Server, material: Material, programs: Programs, plan: Plan
) -> Run:
    checkpoints = plan.folder / "checkpoints"
    shutil.rmtree(checkpoints, ignore_errors=True)
    checkpoints.mkdir()
    if contestant.client == "raw":
        command = raw_command(case, contestant, server, material, programs)
    else:
        job = job_of(case, contestant, server, material, checkpoints, plan)
        command = [sys.executable, "-m", "tests.bench.contestants", str(write_job(job, plan.folder))]
    material.clear_target()
    try:
        resumes = case.resume and not contestant.fresh
        if resumes:
            server.reset(limit=case.bytes // 2)
            run_child(command, server, plan.folder, wants_result=False)
        if case.direction == "download":
            touch_memory(case.bytes)
        before = server.reset(keep_uploads=resumes)
        run = run_child(command, server, plan.folder)
        after = server.stats()
        if "left_out" in run:
            return run
        run |= {
            "server_cpu": after["cpu"] - before["cpu"],
            "moved": after["moved"],
            "connections": after["connections"],
        }
        run["requests"] = {name: count for name, count in after["requests"].items() if count}
        material.verify(server)
        return run
    finally:
        material.clear_target()


def job_of(
    case: Case, contestant: Contestant, server: Server, material: Material, checkpoints: Path, plan: Plan
) -> Job:
    settings = {**contestant.settings, **({"part_size": case.part_size} if case.part_size else {})}
    return Job(
        client=contestant.client,
        direction=case.direction,
        endpoint=server.endpoint,
        bucket=BUCKET,
        files=[(key, str(file)) for key, file in material.pairs()],
        folder=str(checkpoints),
        authority=str(server.authority) if server.authority else None,
        callers=case.callers,
        resume=case.resume,
        profile=plan.profile and contestant.client == "ours",
        **settings,
    )


def raw_command(
    case: Case, contestant: Contestant, server: Server, material: Material, programs: Programs
) -> list[str]:
    [(key, file)] = material.pairs()
    part_size = case.part_size or contestant.settings.get("part_size") or 8 * MIB
    workers = contestant.settings["max_concurrency"]
    command = [str(programs.raw_client), case.direction, str(server.port), f"/{BUCKET}/{key}", str(file)]
    return [*command, str(part_size), str(workers), *([str(server.authority)] if server.authority else [])]


def run_child(command: list[str], server: Server, folder: Path, *, wants_result: bool = True) -> Run:
    """Run it to its end; a first half of a resumed transfer fails, and is ended when it does not end itself."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}
    if server.authority:  # where a client takes its authorities from the environment
        environment |= dict.fromkeys(("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"), str(server.authority))
    child = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, complaints = child.communicate(timeout=LONGEST) if wants_result else _until_refused(child, server)
    finally:
        child.kill()
        child.wait()
    if not wants_result:
        return {}
    if child.returncode or not out:
        raise RuntimeError(f"{command[:3]} failed:\n{complaints[-4000:]}")
    run: Run = json.loads(out.splitlines()[-1])
    if complaints:  # the profile, where one was asked for
        print(complaints, file=sys.stderr)
    return run


def _until_refused(child: subprocess.Popen[str], server: Server) -> tuple[str, str]:
    while child.poll() is None and not server.stats()["refused"]:
        time.sleep(0.01)
    try:
        return child.communicate(timeout=10)
    except subprocess.TimeoutExpired:  # a client may try again for ever
        child.kill()
        return child.communicate()


class Material:
    """The files of a case, and what they must be like at the other end; a context manager."""

    def __init__(self, case: Case, folder: Path) -> None:
        self._case = case
        self._sources = folder / "sources"
        self._target = folder / "target"

    def __enter__(self) -> Material:
        self.clear_target()
        shutil.rmtree(self._sources, ignore_errors=True)
        self._sources.mkdir()
        for key in self.keys:
            with (self._sources / key).open("wb") as file:
                if self._case.sparse:
                    file.truncate(self._case.size)
                else:
                    for start in range(0, self._case.size, MIB):
                        file.write(random.randbytes(min(MIB, self._case.size - start)))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._sources, ignore_errors=True)
        shutil.rmtree(self._target, ignore_errors=True)

    @property
    def keys(self) -> list[str]:
        return [f"file-{number:05}" for number in range(self._case.files)]

    def register(self, server: Server) -> None:
        """Let the server know the files, to serve them or to compare uploads with them."""
        self._upload_prefix = "" if self._case.direction == "download" else "uploaded/"
        for key in self.keys:
            server.serve(key, self._sources / key)
        self._expected = server.stored(self.keys)

    def pairs(self) -> list[tuple[str, Path]]:
        """Return the keys and files of a transfer."""
        if self._case.direction == "upload":
            return [(f"uploaded/{key}", self._sources / key) for key in self.keys]
        return [(key, self._target / key) for key in self.keys]

    def clear_target(self) -> None:
        shutil.rmtree(self._target, ignore_errors=True)
        self._target.mkdir()

    def verify(self, server: Server) -> None:
        """:raises ValueError: when what is at the other end is not what was sent"""
        if self._case.direction == "upload":
            arrived = server.stored([key for key, _ in self.pairs()])
        else:
            arrived = [crc64_of(file) for _, file in self.pairs()]
        if arrived != self._expected:
            raise ValueError(f"{self._case.name}: other bytes arrived than were sent")


def crc64_of(file: Path) -> tuple[int, int]:
    """Return size and CRC-64."""
    size = crc = 0
    with file.open("rb") as stream:
        while piece := stream.read(MIB):
            size, crc = size + len(piece), int(crc64.xz(piece, crc))
    return size, crc


def touch_memory(size: int) -> None:
    """Use as much memory as a download will, and give it back.

    A virtual machine gets its memory from its host at the first touch, which would cost the first contestant seconds.
    """
    if size := min(size + 64 * MIB, available_memory() // 2):
        with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            for page in range(0, size, mmap.PAGESIZE):
                memory[page] = 1


def available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
