"""The hook lists keys, prefixes and objects, as narrow as it is asked to."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError, NoSuchBucket
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.object_names import unambiguous_name
from tests.world import BUCKET

KEYS = ["a.csv", "b/1.csv", "b/2.csv", "b/c/3.csv", "d/4.txt", "oss://x/y", "z"]


@pytest.fixture
def hook(connected: LocalOSS) -> OSSResumeHook:
    for key in KEYS:
        connected.put(BUCKET, key, key.encode())
    return OSSResumeHook()


def test_a_listing_is_no_longer_than_is_wanted_and_asks_for_no_more(hook: OSSResumeHook, connected: LocalOSS) -> None:
    assert hook.list_keys(BUCKET, max_items=3) == KEYS[:3]
    [request] = connected.calls("ListObjectsV2")
    assert request.query["max-keys"] == "3"

    connected.clear_requests()
    assert hook.list_keys(BUCKET, page_size=2, max_items=3) == KEYS[:3]
    assert [request.query["max-keys"] for request in connected.calls("ListObjectsV2")] == ["2", "2"]


def test_the_order_of_arguments_is_that_of_s3hook(hook: OSSResumeHook) -> None:
    assert hook.list_keys(BUCKET, "b/", "/", 100, 100, "b/1.csv", None, None) == ["b/2.csv"]
    assert hook.list_prefixes(BUCKET, "b/", "/", 100, 100) == ["b/c/"]
    assert [each.key for each in hook.get_file_metadata("b/", BUCKET, 100, 1)] == ["b/1.csv"]
    assert hook.check_for_prefix("b", "/", BUCKET)
    assert hook.check_for_wildcard_key("b/*.csv", BUCKET, "/")


def test_a_whole_bucket_is_looked_into_for_any_object(hook: OSSResumeHook, connected: LocalOSS) -> None:
    assert hook.check_for_prefix(f"oss://{BUCKET}/")
    hook.create_bucket("with-nothing")
    assert not hook.check_for_prefix("oss://with-nothing/")


def test_keys_are_listed_by_the_time_of_their_last_change(hook: OSSResumeHook, connected: LocalOSS) -> None:
    changed = [each.last_modified for each in hook.iter_file_metadata(bucket_name=BUCKET)]
    oldest, newest = min(filter(None, changed)), max(filter(None, changed))
    second = timedelta(seconds=1)

    assert hook.list_keys(BUCKET, from_datetime=oldest - second, to_datetime=newest) == [
        unambiguous_name(hook.target(f"oss://{BUCKET}/{key}")) for key in KEYS
    ]
    assert hook.list_keys(BUCKET, from_datetime=newest) == []
    assert hook.list_keys(BUCKET, to_datetime=oldest - second) == []
    assert hook.list_keys(BUCKET, from_datetime=oldest - second, max_items=2) == KEYS[:2]


def test_keys_are_listed_by_a_wildcard(hook: OSSResumeHook) -> None:
    assert hook.list_keys(BUCKET, "b/*.csv", apply_wildcard=True) == ["b/1.csv", "b/2.csv", "b/c/3.csv"]
    assert hook.list_keys(BUCKET, "b/*.csv", "/", apply_wildcard=True) == ["b/1.csv", "b/2.csv"]
    with pytest.raises(ArgumentError, match="prefix=None"):
        hook.list_keys(BUCKET, apply_wildcard=True)


def test_objects_are_listed_with_sizes_and_dates_as_a_task_may_return_them(hook: OSSResumeHook) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=5)

    [first, second] = hook.get_file_metadata("b/", BUCKET, max_items=2)

    meta = hook.head_object("b/1.csv", BUCKET)
    assert (first.key, first.size, first.etag, first.target) == (
        "b/1.csv",
        7,
        meta.etag,
        hook.target("b/1.csv", BUCKET),
    )
    assert first.last_modified == meta.last_modified
    assert first.last_modified > before
    assert json.loads(json.dumps(second)) == second.report()
    assert second["uri"] == f"oss://{BUCKET}/b/2.csv"


def test_pages_are_fetched_as_they_are_asked_for(hook: OSSResumeHook, connected: LocalOSS) -> None:
    found = hook.iter_file_metadata(bucket_name=BUCKET, page_size=2)

    assert [next(found).key, next(found).key] == KEYS[:2]
    assert len(connected.calls("ListObjectsV2")) == 1


def test_folders_are_listed_one_level_deep(hook: OSSResumeHook) -> None:
    assert hook.list_prefixes(BUCKET) == ["b/", "d/", f"oss://{BUCKET}/oss:/"]
    assert hook.list_prefixes(BUCKET, "b/") == ["b/c/"]
    assert hook.list_prefixes(BUCKET, max_items=1) == ["b/"]
    assert hook.list_prefixes(BUCKET, page_size=1) == ["b/", "d/", f"oss://{BUCKET}/oss:/"]
    assert hook.list_prefixes(BUCKET, delimiter=".") == ["a.", "b/1.", "b/2.", "b/c/3.", "d/4."]


def test_a_folder_is_there_when_an_object_is_in_it(hook: OSSResumeHook) -> None:
    assert hook.check_for_prefix("b", bucket_name=BUCKET)
    assert hook.check_for_prefix("b/c/", bucket_name=BUCKET)
    assert hook.check_for_prefix(f"oss://{BUCKET}/b")
    assert not hook.check_for_prefix("b/1", bucket_name=BUCKET)
    assert not hook.check_for_prefix("z", bucket_name=BUCKET)


def test_a_key_is_found_by_a_wildcard(hook: OSSResumeHook) -> None:
    found = hook.get_wildcard_key("b/*3.csv", BUCKET)

    assert found is not None
    assert (found.key, found.size) == ("b/c/3.csv", 9)
    assert hook.get_wildcard_key("b/*3.csv", BUCKET, delimiter="/") is None
    assert hook.check_for_wildcard_key(f"oss://{BUCKET}/d/?.txt")
    assert not hook.check_for_wildcard_key("D/*", BUCKET)
    assert hook.check_for_key("z", BUCKET)
    assert not hook.check_for_key("Z", BUCKET)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 1001}, "page_size"),
        ({"max_items": 0}, "max_items"),
        ({"max_items": "many"}, "max_items"),
        ({"delimiter": 5}, "delimiter"),
        ({"start_after_key": 5}, "start_after_key"),
        ({"from_datetime": datetime(2026, 1, 1)}, "from_datetime"),
        ({"to_datetime": "2026-01-01"}, "to_datetime"),
        ({"prefix": ""}, "prefix"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_named(
    hook: OSSResumeHook, connected: LocalOSS, arguments: dict[str, Any], argument: str
) -> None:
    with pytest.raises(ArgumentError) as error:
        hook.list_keys(BUCKET, **arguments)

    assert error.value.argument == argument
    assert connected.requests == []


def test_an_empty_name_is_not_the_whole_bucket(hook: OSSResumeHook) -> None:
    for call in (
        lambda: hook.check_for_prefix("", bucket_name=BUCKET),
        lambda: hook.list_prefixes(BUCKET, delimiter=""),
        lambda: hook.get_wildcard_key("", BUCKET),
        lambda: hook.get_file_metadata("", BUCKET),
    ):
        with pytest.raises(ArgumentError):
            call()


def test_a_missing_bucket_is_an_error_and_no_empty_listing(hook: OSSResumeHook) -> None:
    with pytest.raises(NoSuchBucket):
        hook.list_prefixes("nobody-made-this")
