"""``python -m tests.unit.peak_of_calls URL OPERATION...``: prints the peak of memory after each call, in KiB."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.oss.client import OssClient
from tests.unit.test_client import TARGET, Bytes, Collected, a_scripted_client

CALLS: dict[str, Callable[[OssClient], object]] = {
    "HeadObject": lambda client: client.head_object(TARGET),
    "GetObject": lambda client: client.get_object(TARGET, Collected(), start=0, stop=10),
    "PutObject": lambda client: client.put_object(TARGET, Bytes(b"ten bytes.")),
    "UploadPart": lambda client: client.upload_part(TARGET, "ID", 1, Bytes(b"ten bytes.")),
    "DeleteObject": lambda client: client.delete_object(TARGET),
    "AbortMultipartUpload": lambda client: client.abort(TARGET, "ID"),
    "ListParts": lambda client: client.list_parts(TARGET, "ID"),
    "CompleteMultipartUpload": lambda client: client.complete(TARGET, "ID", []),
}


def main(url: str, *operations: str) -> None:
    client = a_scripted_client(url, stall_timeout=10)
    for operation in operations:
        try:
            CALLS[operation](client)
        except OSSResumeError as error:
            print(str(error)[:200], file=sys.stderr)
        print(peak())


def peak() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
