"""What Content-MD5 costs an upload in one request: ``python -m tests.bench.digest``.

The same file is sent again and again over loopback, with the digest and without it by turns. Only the ratio of this
process's processor time means something.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

from airflow_provider_ossresume.transfer.part_body import PartBody
from tests.bench.compare import server
from tests.bench.transfer import ours

SIZES = {"100 KiB": (100 * 1024, 100), "15 MiB": (15 * 2**20, 10)}  # bytes, uploads in one measurement
RUNS = 11


def main() -> None:
    content_md5 = PartBody.content_md5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as connection:
            for size, (length, times) in SIZES.items():
                source = folder / "source"
                source.write_bytes(random.randbytes(length))
                move = ours(connection, "upload", "file", source)
                used: dict[bool, list[float]] = {True: [], False: []}
                for _ in range(RUNS):
                    for has_digest in (True, False):
                        PartBody.content_md5 = content_md5 if has_digest else lambda _: None  # type: ignore[method-assign]
                        began = time.process_time()
                        for _ in range(times):
                            move()
                        used[has_digest].append((time.process_time() - began) / times)
                with_it, without = (statistics.median(used[has_digest]) for has_digest in (True, False))
                print(f"{size}: {with_it / without:.2f} ({1000 * with_it:.1f} ms with, {1000 * without:.1f} without)")


if __name__ == "__main__":
    main()
