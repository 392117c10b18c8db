"""What may happen to several calls, or within one answer, on the way to OSS."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import (
    ConnectionFailed,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.world import BUCKET, LONG, PART, Transfers, a_client, a_file, some_bytes

CONTENT = some_bytes(4 * PART + 17)
TARGET = ObjectRef(BUCKET, "key")


def test_workers_whose_requests_were_all_signed_with_the_old_clock_all_try_again(tmp_path: Path) -> None:
    """Only the first to notice is tried again; the others find the clock mended and give up."""
    ahead = 0.0
    with LocalOSS(buckets=(BUCKET,), clock=lambda: time.time() + ahead) as oss:
        transfers = Transfers(oss, max_concurrency=4)
        source = a_file(tmp_path, size=8 * PART)
        all_signed = threading.Barrier(4)

        def jump_when_all_are_signed(request: object) -> None:
            nonlocal ahead
            if getattr(request, "operation", None) == "UploadPart" and not ahead:
                all_signed.wait(60)
                ahead = 3600.0

        oss.on_request = jump_when_all_are_signed

        transfers.upload(source)

        assert oss.object(BUCKET, "key") == source.read_bytes()


def test_an_xml_answer_that_trickles_is_given_up_within_the_stall_timeout(oss: LocalOSS) -> None:
    """Only the bodies of GetObject are watched; a peer that sends a byte now and then holds a worker for ever."""
    oss.put(BUCKET, "key", CONTENT)
    client = a_client(oss, retry=RetryPolicy(attempts=1), read_timeout=0.5, stall_timeout=0.5, connect_timeout=5)
    oss.fail("GetBucketInfo", fault=Fault("bandwidth", bytes_per_second=100))

    with pytest.raises(ConnectionFailed, match="stalled"):  # it would come to its end otherwise
        client.get_bucket_info(BUCKET)


FEW_FILES = """
import resource, sys
from airflow_provider_ossresume.resumable import make_client, resumable_download, resumable_upload
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
endpoint, key_id, secret, region, folder = sys.argv[1:]
client = make_client(endpoint, access_key_id=key_id, access_key_secret=secret, region=region)
store, parts = MemoryCheckpointStore(), {"part_size": "100KiB", "multipart_threshold": 0, "max_concurrency": 16}
resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
resumable_upload(client, "bucket", "key", f"{folder}/source", store=store, **parts)
resumable_download(client, "bucket", "key", f"{folder}/target", store=store, **parts)
"""


def test_workers_that_may_open_few_files_share_connections(oss: LocalOSS, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(some_bytes(30 * PART))

    place = (oss.endpoint, oss.access_key_id, oss.access_key_secret, oss.region, str(tmp_path))
    subprocess.run([sys.executable, "-c", FEW_FILES, *place], check=True, timeout=LONG)

    assert (tmp_path / "target").read_bytes() == some_bytes(30 * PART)
