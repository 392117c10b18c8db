"""Server-side copies of a huge object between two buckets: requests, the client's processor time, and seconds.

``python -m tests.bench.copies`` copies 10 GiB that need no memory: by us, by us from half on, and by the official SDK's
copier. The local server runs in a process of its own, so that its processor time is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import alibabacloud_oss_v2

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import AccessDenied
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import GIB
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.resumable import make_client
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.copy import Copier
from airflow_provider_ossresume.transfer.lease import this_process
from airflow_provider_ossresume.transfer.options import CopyTransferOptions

SIZE = 10 * GIB
SOURCE, TARGET = ObjectRef("source", "huge"), ObjectRef("target", "copy")
HALF = 40  # of the 80 parts of 128 MiB that we make


def serve() -> None:
    """Serve until the input ends: "count" tells the requests since the last one, "halve" lets a copy break at half."""
    with LocalOSS(buckets=("source", "target")) as oss:
        oss.put_zeros(SOURCE.bucket, SOURCE.key, SIZE)
        print(oss.endpoint, oss.access_key_id, oss.access_key_secret, oss.region, flush=True)
        for line in sys.stdin:
            if line == "halve\n":
                fault = Fault("status", status=403, code="AccessDenied")
                oss.fail("UploadPartCopy", HALF + 1, fault=fault, times=None)
            else:
                oss.clear_faults()
            print(len(oss.requests), flush=True)
            oss.clear_requests()


class Server:
    """The local server in its process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.copies", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint, self.key_id, self.secret, self.region = self._read().split()

    def ask(self, what: str) -> int:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return int(self._read())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def ours(client: OssClient, store: MemoryCheckpointStore) -> None:
    config = TransferConfig()
    checkpointer = Checkpointer(store, "0" * 40, owner=this_process(), interval=config.checkpoint_interval)
    Copier(client, TARGET, checkpointer, config=config, options=CopyTransferOptions()).copy(SOURCE)


def theirs(server: Server) -> None:
    config = alibabacloud_oss_v2.config.load_default()
    config.credentials_provider = alibabacloud_oss_v2.credentials.StaticCredentialsProvider(
        server.key_id, server.secret
    )
    config.region, config.endpoint, config.use_path_style = server.region, server.endpoint, True
    request = alibabacloud_oss_v2.CopyObjectRequest(
        bucket=TARGET.bucket, key=TARGET.key, source_bucket=SOURCE.bucket, source_key=SOURCE.key
    )
    alibabacloud_oss_v2.Copier(alibabacloud_oss_v2.Client(config)).copy(request)


def measured(server: Server, act: Callable[[], None]) -> tuple[int, float, float]:
    server.ask("count")
    began, used = time.perf_counter(), time.process_time()
    act()
    used, seconds = time.process_time() - used, time.perf_counter() - began
    return server.ask("count"), used, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="be the server; for this module's own use")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    server = Server()
    client = make_client(
        server.endpoint, access_key_id=server.key_id, access_key_secret=server.secret, region=server.region
    )
    found: dict[str, list[tuple[int, float, float]]] = {"ours": [], "ours from half on": [], "oss-v2": []}
    for _ in range(options.rounds):
        found["ours"].append(measured(server, lambda: ours(client, MemoryCheckpointStore())))
        store = MemoryCheckpointStore()
        server.ask("halve")
        with suppress(AccessDenied):
            ours(client, store)
        found["ours from half on"].append(measured(server, partial(ours, client, store)))
        found["oss-v2"].append(measured(server, lambda: theirs(server)))
    server.close()
    print(f"{'10 GiB, medians':20} {'requests':>9} {'CPU s':>8} {'seconds':>8}")
    for name, runs in found.items():
        requests, used, seconds = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:20} {requests:9.0f} {used:8.3f} {seconds:8.2f}")


if __name__ == "__main__":
    main()
