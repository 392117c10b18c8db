"""Moves one file once with one client, and prints what it cost as JSON. Run by ``compare`` in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUCKET = "bench"


def ours(options: dict[str, Any], direction: str, key: str, file: Path) -> Callable[[], object]:
    from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
    from airflow_provider_ossresume.resumable import make_client, resumable_download, resumable_upload

    client = make_client(
        options["endpoint"],
        access_key_id=options["access_key_id"],
        access_key_secret=options["access_key_secret"],
        region=options["region"],
    )
    config = {name: options[name] for name in ("part_size", "max_concurrency") if options.get(name)}
    move = resumable_upload if direction == "upload" else resumable_download
    return lambda: move(client, BUCKET, key, file, store=MemoryCheckpointStore(), **config)


def oss2(options: dict[str, Any], direction: str, key: str, file: Path) -> Callable[[], object]:
    import oss2

    auth = oss2.AuthV4(options["access_key_id"], options["access_key_secret"])
    bucket = oss2.Bucket(auth, options["endpoint"], BUCKET, region=options["region"])
    store: dict[str, Any] = {"root": os.environ["BENCH_FOLDER"]}
    config: dict[str, Any] = {}
    if options.get("part_size"):
        config = {"part_size": options["part_size"], "num_threads": options["max_concurrency"]}
    if direction == "upload":
        return lambda: oss2.resumable_upload(
            bucket, key, str(file), store=oss2.ResumableStore(**store), multipart_threshold=1, **config
        )
    return lambda: oss2.resumable_download(
        bucket, key, str(file), store=oss2.ResumableDownloadStore(**store), multiget_threshold=1, **config
    )


def oss_v2(options: dict[str, Any], direction: str, key: str, file: Path) -> Callable[[], object]:
    import alibabacloud_oss_v2 as v2

    config = v2.config.load_default()
    config.credentials_provider = v2.credentials.StaticCredentialsProvider(
        options["access_key_id"], options["access_key_secret"]
    )
    config.region, config.endpoint = options["region"], options["endpoint"]
    client = v2.Client(config)
    how: dict[str, Any] = {}
    if options.get("part_size"):
        how = {"part_size": options["part_size"], "parallel_num": options["max_concurrency"]}
    if direction == "upload":
        return lambda: client.uploader(**how).upload_file(
            v2.PutObjectRequest(bucket=BUCKET, key=key), filepath=str(file)
        )
    return lambda: client.downloader(**how).download_file(
        v2.GetObjectRequest(bucket=BUCKET, key=key), filepath=str(file)
    )


CLIENTS = {"ours": ours, "oss2": oss2, "oss-v2": oss_v2}


def main() -> None:
    options = json.loads(sys.argv[1])
    move = CLIENTS[options["client"]](options, options["direction"], options["key"], Path(options["file"]))
    bare = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    move()
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - bare.ru_utime - bare.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": (used.ru_maxrss - bare.ru_maxrss) / 1024}))


if __name__ == "__main__":
    main()
