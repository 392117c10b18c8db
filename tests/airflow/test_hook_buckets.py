"""The hook makes buckets, finds them, and removes only those that are named and may go."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    NoSuchBucket,
    PartlyFailed,
    ServiceError,
    TransferStopped,
)
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.world import BUCKET

NEW = "made-by-the-hook"


@pytest.fixture
def hook(connected: LocalOSS) -> OSSResumeHook:
    return OSSResumeHook(transfer_config={"part_retries": 2})


# --- make -------------------------------------------------------------------------------------------------------------


def test_a_bucket_is_made_once_and_then_stays_as_it_is(hook: OSSResumeHook, connected: LocalOSS) -> None:
    assert not hook.check_for_bucket(NEW)
    assert hook.create_bucket(NEW, acl="private", storage_class="IA", redundancy="ZRS")
    assert not hook.create_bucket(NEW, acl="public-read")

    assert hook.check_for_bucket(NEW)
    assert hook.get_bucket_info(NEW).region == connected.region
    [request] = connected.calls("PutBucket")
    assert request.headers["x-oss-acl"] == "private"


def test_a_bucket_that_another_account_has_is_an_error(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.fail("PutBucket", 1, Fault("status", status=409, code="BucketAlreadyExists"), times=None)

    with pytest.raises(ServiceError, match=r"BucketAlreadyExists.*choose another one"):
        hook.create_bucket(NEW)


def test_a_bucket_that_may_not_be_looked_at_is_not_taken_for_missing(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.fail("GetBucketInfo", 1, Fault("status", status=403, code="AccessDenied"), times=None)

    with pytest.raises(AccessDenied, match="grant oss:GetBucketInfo"):
        hook.create_bucket(NEW)
    assert connected.calls("PutBucket") == []


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"bucket_name": ""}, "bucket_name"),
        ({"bucket_name": "Not_A_Bucket"}, "bucket_name"),
        ({"bucket_name": f"oss://{NEW}"}, "bucket_name"),
        ({"bucket_name": NEW, "acl": "default"}, "acl"),
        ({"bucket_name": NEW, "storage_class": "Glacier"}, "storage_class"),
        ({"bucket_name": NEW, "redundancy": "ALL"}, "redundancy"),
    ],
)
def test_a_bucket_that_cannot_be_made_is_refused_by_its_argument(
    hook: OSSResumeHook, connected: LocalOSS, arguments: dict[str, Any], argument: str
) -> None:
    with pytest.raises(ArgumentError) as error:
        hook.create_bucket(**arguments)

    assert error.value.argument == argument
    assert connected.requests == []


# --- remove -----------------------------------------------------------------------------------------------------------


def test_an_empty_bucket_is_removed(hook: OSSResumeHook) -> None:
    hook.create_bucket(NEW)

    hook.delete_bucket(NEW)

    assert not hook.check_for_bucket(NEW)


def test_a_bucket_that_holds_something_is_refused_with_the_numbers(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "one", b"12345")
    connected.put(BUCKET, "two", b"12345")
    hook.get_conn().initiate(hook.target("three", BUCKET))

    with pytest.raises(ArgumentError, match=r"holds 2 objects \(10 B\) and 1 unfinished upload; delete them first"):
        hook.delete_bucket(BUCKET)

    assert connected.objects(BUCKET) == ["one", "two"]
    assert connected.calls("DeleteBucket") == []


def test_a_full_bucket_is_counted_no_further_than_needed(hook: OSSResumeHook, connected: LocalOSS) -> None:
    for number in range(1001):
        connected.put(BUCKET, f"{number:04}", b"")

    with pytest.raises(ArgumentError, match="at least 1000 objects"):
        hook.delete_bucket(BUCKET)

    assert len(connected.calls("ListObjectsV2")) == 1


def test_a_bucket_goes_with_all_that_it_holds_when_that_is_said(
    hook: OSSResumeHook, connected: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(1001):
        connected.put(BUCKET, f"{number:04}", b"12")
    hook.get_conn().initiate(hook.target("upload", BUCKET))

    hook.delete_bucket(BUCKET, force_delete="true")

    assert not hook.check_for_bucket(BUCKET)
    line = f"Deleting the bucket oss://{BUCKET} and everything in it: 1001 objects (2.0 KiB) and 1 unfinished upload"
    assert line in caplog.messages
    assert caplog.messages.index(line) < caplog.messages.index(f"Deleted the bucket oss://{BUCKET}")


@pytest.mark.parametrize("name", ["", " ", None, f"oss://{BUCKET}", f"oss://{BUCKET}/", "['bucket']", "Bucket"])
def test_a_bucket_that_is_not_named_is_not_removed(hook: OSSResumeHook, connected: LocalOSS, name: Any) -> None:
    with pytest.raises(ArgumentError) as error:
        hook.delete_bucket(name, force_delete=True)

    assert error.value.argument == "bucket_name"
    assert connected.requests == []


@pytest.mark.parametrize("force", ["", None, 1, "yes"])
def test_a_flag_that_says_nothing_deletes_nothing(hook: OSSResumeHook, connected: LocalOSS, force: Any) -> None:
    connected.put(BUCKET, "one", b"1")

    with pytest.raises(ArgumentError, match="give true or false"):
        hook.delete_bucket(BUCKET, force_delete=force)
    assert connected.requests == []


def test_a_bucket_that_is_not_there_is_an_error(hook: OSSResumeHook) -> None:
    with pytest.raises(NoSuchBucket):
        hook.delete_bucket("nobody-made-this", force_delete=True)


def test_a_removal_whose_answer_was_lost_is_done(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.fail("DeleteBucket", 1, Fault("answer-lost"))

    hook.delete_bucket(BUCKET)

    assert not hook.check_for_bucket(BUCKET)


def test_objects_that_are_retained_keep_their_bucket(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "one", b"1")
    connected.retain(BUCKET, days=1)

    with pytest.raises((PartlyFailed, ServiceError)):
        hook.delete_bucket(BUCKET, force_delete=True)

    assert connected.objects(BUCKET) == ["one"]


def test_a_bucket_that_keeps_versions_is_refused_before_anything_is_deleted(
    hook: OSSResumeHook, connected: LocalOSS
) -> None:
    connected.put(BUCKET, "one", b"1")
    connected.keep_versions(BUCKET)

    with pytest.raises(ArgumentError, match=r"keeps versions.*nothing was deleted"):
        hook.delete_bucket(BUCKET, force_delete=True)

    assert hook.get_bucket_info(BUCKET).versioning == "Enabled"
    assert connected.objects(BUCKET) == ["one"]


def test_versions_that_nobody_sees_keep_their_bucket(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.keep_versions(BUCKET)
    connected.put(BUCKET, "one", b"1")
    hook.delete_objects("one", BUCKET)

    with pytest.raises(ServiceError, match=r"BucketNotEmpty.*versions of some"):
        hook.delete_bucket(BUCKET, force_delete=True)


def test_an_empty_bucket_that_keeps_versions_is_removed(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.keep_versions(BUCKET)

    hook.delete_bucket(BUCKET)

    assert not hook.check_for_bucket(BUCKET)


def test_the_counting_of_uploads_can_be_ended(hook: OSSResumeHook, connected: LocalOSS) -> None:
    hook.get_conn().initiate(hook.target("upload", BUCKET))

    def watch() -> None:
        if connected.calls("ListObjectsV2"):
            raise TransferStopped("stop")

    with pytest.raises(TransferStopped):
        hook.delete_bucket(BUCKET, force_delete=True, watch=watch)

    assert connected.calls("ListMultipartUploads") == []
