"""An S3 server of moto's on loopback, behind a store of Airflow's that ``s3://`` paths name as their connection."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_ossresume._airflow import AIRFLOW_3

ABSENT = "only the environments of `make test` have it"
s3fs = pytest.importorskip("s3fs", reason=ABSENT)
ThreadedMotoServer = pytest.importorskip("moto.server", reason=ABSENT).ThreadedMotoServer

if AIRFLOW_3:
    from airflow.sdk.io import attach
else:
    from airflow.io.store import attach

_numbers = itertools.count(1)


@contextmanager
def s3_bucket() -> Iterator[ObjectStoragePath]:
    """Start a server and give the path of its empty bucket.

    The filesystem is s3fs's, which Airflow's provider for Amazon uses; attached by hand, as that provider is not here.
    """
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        fs = s3fs.S3FileSystem(
            key="an-id",
            secret="a-secret",
            client_kwargs={"endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1"},
            skip_instance_cache=True,
        )
        name = f"s3-{next(_numbers)}"  # moto's servers of one process share their buckets, and Airflow keeps each store
        fs.mkdir(name)
        attach("s3", name, fs=fs)  # noqa: AIR311  where 3.x has it, it is taken from there
        yield ObjectStoragePath(f"s3://{name}@{name}")
    finally:
        server.stop()
