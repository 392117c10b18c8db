"""A fresh local OSS server for each test, and the judges in front of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import alibabacloud_oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import Access, Judge
from .judge_ali_oss import AliOssProcess, NodeMissing
from .judge_oss2 import Oss2
from .judge_oss_v2 import OssV2
from .seats import BUCKET, SEATS, Seat


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[LocalOSS]:
    with LocalOSS(root=tmp_path / "oss", buckets=(BUCKET,)) as oss:
        yield oss


@pytest.fixture
def access(oss: LocalOSS) -> Access:
    return Access(
        endpoint=oss.endpoint,
        region=oss.region,
        bucket=BUCKET,
        access_key_id=oss.access_key_id,
        access_key_secret=oss.access_key_secret,
    )


@pytest.fixture(params=SEATS, ids=str)
def judge(request: pytest.FixtureRequest, access: Access) -> Iterator[Judge]:
    """Each SDK with each signature version; ``judges_that_can`` narrows them."""
    seat: Seat = request.param
    process = request.getfixturevalue("ali_oss_process") if seat.needs_node else None
    judge = seat.judge(access, process=process)
    yield judge
    judge.close()


@pytest.fixture
def bucket(access: Access) -> Iterator[oss2.Bucket]:
    """``oss2`` itself."""
    judge = Oss2(access, signature="v4")
    yield judge.bucket
    judge.close()


@pytest.fixture
def client(access: Access) -> Iterator[alibabacloud_oss_v2.Client]:
    """``alibabacloud-oss-v2`` itself."""
    judge = OssV2(access, signature="v4")
    yield judge.client
    judge.close()


@pytest.fixture(scope="session")
def ali_oss_process() -> Iterator[AliOssProcess]:
    """The npm client. Without node its tests are skipped; on CI, where nobody reads skips, they fail."""
    try:
        process = AliOssProcess()
    except NodeMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    yield process
    process.close()
