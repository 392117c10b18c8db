"""Buckets: made, found, described and removed."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import BucketFacts, Judge, Refused
from .seats import BUCKET

ACCOUNT = "1234567890"


def test_a_bucket_is_made_listed_and_removed(judge: Judge) -> None:
    another = judge.with_access(bucket="another-bucket")

    another.make_bucket()
    assert judge.list_buckets() == ["another-bucket", BUCKET]
    another.put("key", b"x")
    another.delete("key")
    another.remove_bucket()

    assert judge.list_buckets() == [BUCKET]
    another.close()


def test_a_bucket_tells_its_region_and_owner(judge: Judge, oss: LocalOSS) -> None:
    assert judge.bucket_location() == f"oss-{oss.region}"
    assert judge.bucket_info() == BucketFacts(BUCKET, f"oss-{oss.region}", "Standard", ACCOUNT)
    assert judge.account() == ACCOUNT


def test_a_bucket_with_an_object_is_not_removed(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"x")

    with pytest.raises(Refused) as refused:
        judge.remove_bucket()

    assert (refused.value.status, refused.value.code) == (409, "BucketNotEmpty")


def test_a_missing_bucket_has_no_region(judge: Judge) -> None:
    elsewhere = judge.with_access(bucket="nobody-made-this")

    with pytest.raises(Refused) as refused:
        elsewhere.bucket_info()

    assert (refused.value.status, refused.value.code) == (404, "NoSuchBucket")
    elsewhere.close()
