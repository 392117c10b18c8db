"""What a plan costs where nothing is to be moved: seconds and requests, as the server has counted them.

``python -m tests.bench.unchanged`` plans 100,000 files, which are on the local OSS server already: first without a
verdict, when each is compared by one HEAD and one read, 32 at once; then once more, when all is known and only
listings are asked for. The server is a process of its own; its listings take a good part of the seconds. Let TMPDIR be
in memory, ``/dev/shm``, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import SetTransfers

BUCKET, PREFIX, SIZE = "bucket", "set/", 1024


def name_of(number: int) -> str:
    return f"part-{number // 1_000:05}/measurements-{number % 1_000:04}.parquet"


def content_of(number: int) -> bytes:
    return Random(number).randbytes(SIZE)


# --- the server -------------------------------------------------------------------------------------------------------


class AtOnce:
    """Counts the HEADs that are under way, and the most there were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0

    def begin(self, request: Request) -> None:
        with self._lock:
            self._now += request.operation == "HeadObject"
            self.most = max(self.most, self._now)

    def end(self, request: Request) -> None:
        with self._lock:
            self._now -= request.operation == "HeadObject"


def serve(root: str, files: int) -> None:
    """Serve so many objects; each line that comes is answered with what was asked of the server since the last one."""
    with LocalOSS(root, buckets=[BUCKET]) as oss:
        for number in range(files):
            oss.put(BUCKET, PREFIX + name_of(number), content_of(number))
        heads = AtOnce()
        oss.on_request, oss.after_request = heads.begin, heads.end
        print(json.dumps([oss.endpoint, oss.access_key_id, oss.access_key_secret, oss.region]), flush=True)
        for _ in sys.stdin:
            counts = Counter(request.operation for request in oss.requests)
            print(json.dumps({"requests": counts, "heads_at_once": heads.most}), flush=True)
            oss.clear_requests()
            heads.most = 0


# --- the plans --------------------------------------------------------------------------------------------------------


def measure(folder: Path, files: int) -> list[dict[str, Any]]:
    """Return what each of two plans has cost, the one without a verdict first.

    :raises ValueError: when one of them is to move anything
    """
    source = folder / "source"
    for number in range(files):
        path = source / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(number))
    time.sleep(0.1)  # a file that was just written when it was proven is compared once more
    command = [sys.executable, "-m", "tests.bench.unchanged", "--serve", str(folder / "oss"), "--files", str(files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdin
            assert server.stdout
            endpoint, key_id, secret, region = json.loads(server.stdout.readline())
            client = OssClient(parse_endpoint(endpoint), StaticCredentials(key_id, secret), region=region)
            costs = []
            for _ in range(2):
                read, used, began = bytes_read(), time.process_time(), time.perf_counter()
                plan = SetTransfers(client).plan(
                    LocalFolder(source),
                    PrefixRef(BUCKET, PREFIX),
                    options=SetOptions(),
                    work_folder=str(folder / "work"),
                )
                cost = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
                if plan.header.actions["same"] != files:
                    raise ValueError(f"not all is the same: {plan.header.actions}")
                server.stdin.write("\n")
                server.stdin.flush()
                read_now = bytes_read()
                costs.append({**cost, "read": read_now - read, **json.loads(server.stdout.readline())})
            return costs
        finally:
            server.kill()


def bytes_read() -> int:
    """What this process has read from files so far; what comes from sockets does not count."""
    [line] = [line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar")]
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--serve", metavar="FOLDER", help="for this module's own use")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.files)
        return
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder), options.files)
    for what, cost in zip(("without a verdict", "unchanged since"), costs, strict=True):
        requests = ", ".join(f"{count:,} {name}" for name, count in sorted(cost["requests"].items()))
        print(
            f"{options.files:,} files, {what}: {cost['seconds']:.1f} s, {cost['cpu']:.1f} CPU s, {requests}; "
            f"{cost['heads_at_once']} HEADs at once; {cost['read'] / options.files:.0f} bytes a file read from disk"
        )


if __name__ == "__main__":
    main()
