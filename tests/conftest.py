from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.world import BUCKET, Transfers


@pytest.fixture
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=(BUCKET,)) as server:
        yield server


@pytest.fixture
def transfers(oss: LocalOSS) -> Transfers:
    return Transfers(oss)
