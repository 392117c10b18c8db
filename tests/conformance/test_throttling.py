"""Keys below a prefix that come too fast: what clients see, and how they go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import alibabacloud_oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.world import BytesBody, a_client

from .judge import Access, Judge, Refused
from .seats import BUCKET


class Clock:
    def __init__(self) -> None:
        self.now = time.time()  # as the SDK's, whose signatures have a date

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow(tmp_path: Path, clock: Clock) -> Iterator[LocalOSS]:
    """A server whose clock stands still but for who waits."""
    with LocalOSS(tmp_path / "slow", buckets=[BUCKET], clock=clock) as oss:
        yield oss


def test_every_sdk_reads_that_it_is_throttled(judge: Judge, oss: LocalOSS) -> None:
    oss.throttle("hot/", per_second=0.001)
    judge.put("hot/first", b"bytes")

    with pytest.raises(Refused) as refused:
        judge.put("hot/second", b"bytes")

    assert (refused.value.status, refused.value.code) == (503, "QpsLimitExceeded")
    judge.put("cold", b"bytes")
    assert oss.objects(BUCKET) == ["cold", "hot/first"]


def test_the_sdks_read_the_delay(bucket: oss2.Bucket, client: alibabacloud_oss_v2.Client, oss: LocalOSS) -> None:
    oss.throttle("hot/", per_second=0.001)
    bucket.put_object("hot/first", b"bytes")

    with pytest.raises(oss2.exceptions.ServerError) as first:
        bucket.head_object("hot/first")
    with pytest.raises(alibabacloud_oss_v2.exceptions.OperationError) as second:
        client.head_object(alibabacloud_oss_v2.HeadObjectRequest(bucket=BUCKET, key="hot/first"))

    for headers in (first.value.headers, second.value.unwrap().headers):
        assert 0 < int(headers["x-oss-qos-delay-time"]) <= 1_000_000


def test_an_sdk_comes_again_and_gets_through(access: Access, slow: LocalOSS, clock: Clock) -> None:
    slow.throttle("hot/", per_second=2)
    slow.after_request = lambda request: clock.sleep(0.5 if request.status == 503 else 0)
    client = alibabacloud_oss_v2.Client(
        alibabacloud_oss_v2.config.Config(
            endpoint=slow.endpoint,
            region=slow.region,
            credentials_provider=alibabacloud_oss_v2.credentials.StaticCredentialsProvider(
                access.access_key_id, access.access_key_secret
            ),
        )
    )
    for number in range(5):
        client.put_object(alibabacloud_oss_v2.PutObjectRequest(bucket=BUCKET, key=f"hot/{number}", body=b"bytes"))

    assert len(slow.objects(BUCKET)) == 5
    assert [request.status for request in slow.requests] == [200, 200, 503, 200, 503, 200, 503, 200]


def test_our_client_waits_as_long_as_it_is_told(slow: LocalOSS, clock: Clock) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.sleep(seconds)

    slow.throttle("hot/", per_second=0.1)
    client = a_client(slow, clock=clock, retry=RetryPolicy(attempts=4, total=600, sleep=sleep))
    for number in range(4):
        client.put_object(ObjectRef(BUCKET, f"hot/{number}"), BytesBody(b"bytes"), headers={})

    assert waits == pytest.approx([10.0] * 3, abs=0.01)
    assert [request.status for request in slow.requests] == [200, 503, 200, 503, 200, 503, 200]
