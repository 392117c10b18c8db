"""The operators that list and delete objects, inside real tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import BaseOperator
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.operators.objects import OSSDeleteObjectsOperator, OSSListOperator
from tests.airflow.test_janitor import endings
from tests.world import BUCKET

pytestmark = pytest.mark.usefixtures("database", "connected")

DENIED = Fault("status", status=403, code="AccessDenied")
KEYS = ("a.csv", "in/1.csv", "in/2.csv", "in/2.txt", "in/old/3.csv", "inbox")


@pytest.fixture
def filled(connected: LocalOSS) -> LocalOSS:
    for key in KEYS:
        connected.put(BUCKET, key, b"x")
    connected.clear_requests()
    return connected


@pytest.fixture
def run(dag: Any) -> Callable[..., Any]:
    """Runs one of the operators as the task ``task``."""
    from tests.airflow import runs

    def run_it(operator: type, *, conf: dict[str, Any] | None = None, **options: Any) -> Any:
        with dag:
            operator(**{"task_id": "task", "bucket_name": BUCKET, "retries": 0, **options})
        return runs.run(dag, **(conf or {}))

    return run_it


# --- listing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, KEYS),
        ({"prefix": "in"}, KEYS[1:]),
        ({"prefix": "in/"}, KEYS[1:5]),
        ({"prefix": "in/", "delimiter": "/"}, KEYS[1:4]),
        ({"delimiter": "/"}, ("a.csv", "inbox")),
        ({"prefix": f"oss://{BUCKET}/in/old/", "bucket_name": None}, ("in/old/3.csv",)),
        ({"prefix": f"oss://{BUCKET}", "bucket_name": None}, KEYS),
        ({"wildcard": "in/*.csv"}, ("in/1.csv", "in/2.csv", "in/old/3.csv")),
        ({"wildcard": "in/*.csv", "delimiter": "/"}, ("in/1.csv", "in/2.csv")),
        ({"wildcard": "in/[!1].*"}, ("in/2.csv", "in/2.txt")),
        ({"wildcard": "inbox"}, ("inbox",)),
        ({"wildcard": f"oss://{BUCKET}/*.csv", "bucket_name": None}, ("a.csv", "in/1.csv", "in/2.csv", "in/old/3.csv")),
        ({"regex": r"in/\d\.csv$"}, ("in/1.csv", "in/2.csv")),
        ({"prefix": "nothing"}, ()),
    ],
)
def test_the_keys_that_are_meant_are_returned_in_order(
    run: Any, filled: LocalOSS, options: dict[str, Any], keys: tuple[str, ...]
) -> None:
    assert run(OSSListOperator, **options).xcom("task") == list(keys)


def test_a_pattern_is_listed_by_its_literal_prefix(run: Any, filled: LocalOSS) -> None:
    run(OSSListOperator, regex="in/old/.*")
    assert [request.query["prefix"] for request in filled.calls("ListObjectsV2")] == ["in/old/"]


def test_more_keys_than_may_be_returned_fail_the_task(run: Any, filled: LocalOSS) -> None:
    seen: list[BaseException] = []
    assert run(OSSListOperator, max_keys=5, retries=3, **endings(seen)).instance("task") == ("failed", 1)
    assert "max_keys=5: there are more keys" in str(seen[0])


def test_exactly_as_many_keys_as_may_be_returned_are(run: Any, filled: LocalOSS) -> None:
    assert run(OSSListOperator, max_keys=6).xcom("task") == list(KEYS)


def test_the_first_keys_are_returned_where_the_rest_may_be_missed(
    run: Any, filled: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert run(OSSListOperator, max_keys="2", truncate=True).xcom("task") == list(KEYS[:2])
    assert "There are more keys than the 2 that are returned" in caplog.messages


def test_no_more_pages_are_listed_than_are_needed(run: Any, connected: LocalOSS) -> None:
    for number in range(2_001):
        connected.put(BUCKET, f"k{number:04}", b"")
    connected.clear_requests()

    assert len(run(OSSListOperator, max_keys=500, truncate=True).xcom("task")) == 500

    assert len(connected.calls("ListObjectsV2")) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prefix": "a", "regex": "b"}, "prefix='a': give only one of prefix, wildcard and regex"),
        ({"wildcard": "a", "regex": "b"}, "prefix=None: give only one of prefix, wildcard and regex"),
        ({"regex": "("}, "regex='('"),
        ({"wildcard": ""}, "wildcard=''"),
        ({"prefix": "/a"}, "prefix='/a'"),
        ({"prefix": "oss://other/a"}, "bucket_name='bucket'"),
        ({"max_keys": 0}, "max_keys=0"),
        ({"delimiter": None}, "delimiter=None"),
    ],
)
def test_a_wrong_argument_of_a_listing_fails_at_once(
    run: Any, filled: LocalOSS, options: dict[str, Any], named: str
) -> None:
    seen: list[BaseException] = []
    done = run(OSSListOperator, **{**options, "retries": 2, **endings(seen)})
    assert done.instance("task") == ("failed", 1)
    assert str(seen[0]).startswith(named)
    assert filled.requests == []


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_objects_are_deleted_by_their_keys_and_absent_ones_count_too(run: Any, filled: LocalOSS) -> None:
    keys = ["in/1.csv", f"oss://{BUCKET}/inbox", "never was"]

    report = run(OSSDeleteObjectsOperator, keys=keys).xcom("task")

    assert set(filled.objects(BUCKET)) == set(KEYS) - {"in/1.csv", "inbox"}
    assert (report["deleted"], report["would_delete"], report["failed"]) == (3, 0, 0)
    assert report["uris"] == [f"oss://{BUCKET}/in/1.csv", f"oss://{BUCKET}/inbox", f"oss://{BUCKET}/never was"]


def test_objects_are_deleted_by_a_prefix(run: Any, filled: LocalOSS) -> None:
    assert run(OSSDeleteObjectsOperator, prefix="in/").xcom("task")["deleted"] == 4
    assert filled.objects(BUCKET) == ["a.csv", "inbox"]


def test_a_dry_run_deletes_nothing(run: Any, filled: LocalOSS) -> None:
    report = run(OSSDeleteObjectsOperator, prefix="in/", dry_run="{{ true }}").xcom("task")

    assert (report["deleted"], report["would_delete"]) == (0, 4)
    assert filled.objects(BUCKET) == list(KEYS)


def test_what_another_task_lists_is_deleted(run: Any, filled: LocalOSS, dag: Any) -> None:
    with dag:
        listed = OSSListOperator(task_id="list", bucket_name=BUCKET, wildcard="*.txt").output

    assert run(OSSDeleteObjectsOperator, keys=listed).xcom("task")["deleted"] == 1

    assert "in/2.txt" not in filled.objects(BUCKET)


def test_mapped_tasks_delete_a_list_each(run: Any, filled: LocalOSS, dag: Any) -> None:
    from tests.airflow import runs

    with dag:
        OSSDeleteObjectsOperator.partial(task_id="task", bucket_name=BUCKET, dry_run="{{ false }}").expand(
            keys=[["a.csv", "inbox"], ["in/2.txt"]]
        )
    done = runs.run(dag)

    assert [done.xcom("task", map_index=index)["deleted"] for index in (0, 1)] == [2, 1]
    assert set(filled.objects(BUCKET)) == set(KEYS) - {"a.csv", "inbox", "in/2.txt"}


@pytest.mark.skipif(not hasattr(BaseOperator, "dry_run"), reason="tasks of Airflow 3.0 have no dry run of their own")
def test_airflows_own_dry_run_renders_the_templates_and_deletes_nothing(filled: LocalOSS, dag: Any) -> None:
    task = OSSDeleteObjectsOperator(task_id="task", prefix="in/", dag=dag)

    task.dry_run()  # as `airflow tasks test --dry-run` of 2.11 does

    assert filled.requests == []


def test_objects_of_several_buckets_are_deleted_by_their_urls(run: Any, filled: LocalOSS) -> None:
    filled.create_bucket("other")
    filled.put("other", "key", b"")

    run(OSSDeleteObjectsOperator, keys=["oss://other/key", f"oss://{BUCKET}/inbox"], bucket_name=None)

    assert filled.objects("other") == []
    assert "inbox" not in filled.objects(BUCKET)


def test_no_key_is_nothing_to_do(run: Any, filled: LocalOSS) -> None:
    assert run(OSSDeleteObjectsOperator, keys=[]).xcom("task")["deleted"] == 0
    assert filled.requests == []


def test_a_thousand_keys_go_into_one_request(run: Any, connected: LocalOSS) -> None:
    for number in range(2_001):
        connected.put(BUCKET, f"k{number:04}", b"")
    connected.clear_requests()

    report = run(OSSDeleteObjectsOperator, prefix="k").xcom("task")

    assert (report["deleted"], len(report["uris"])) == (2_001, 100)
    assert len(connected.calls("DeleteMultipleObjects")) == 3
    assert connected.objects(BUCKET) == []


def test_keys_that_xml_cannot_carry_are_deleted_too(run: Any, connected: LocalOSS) -> None:
    for key in ("in/line\nbreak", "in/return\r", "in/bell\x07", "in/plain & <tagged>"):
        connected.put(BUCKET, key, b"")

    assert run(OSSDeleteObjectsOperator, prefix="in/").xcom("task")["deleted"] == 4

    assert connected.objects(BUCKET) == []


@pytest.mark.parametrize("empty", ["", "{{ '' }}", f"oss://{BUCKET}", f"oss://{BUCKET}/", None])
def test_everything_is_deleted_only_where_that_is_said(run: Any, filled: LocalOSS, empty: str | None) -> None:
    seen: list[BaseException] = []
    done = run(OSSDeleteObjectsOperator, prefix=empty, retries=2, **endings(seen))
    assert done.instance("task") == ("failed", 1)
    assert "this would delete every object" in str(seen[0])
    assert filled.objects(BUCKET) == list(KEYS)


def test_a_whole_bucket_can_be_emptied(run: Any, filled: LocalOSS) -> None:
    assert run(OSSDeleteObjectsOperator, whole_bucket=True).xcom("task")["deleted"] == len(KEYS)
    assert filled.objects(BUCKET) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"keys": "a", "prefix": "b"}, "keys='a': give keys, or a prefix"),
        ({"keys": "a", "whole_bucket": True}, "keys='a': give keys, or a prefix"),
        ({"keys": ["a", None]}, "keys=['a', None]"),
        ({"keys": ["a", "/b"]}, "key='/b'"),
        ({"keys": "oss://other/key"}, "bucket_name='bucket'"),
        ({"prefix": "in/", "dry_run": "maybe"}, "dry_run='maybe'"),
    ],
)
def test_a_wrong_argument_deletes_nothing(run: Any, filled: LocalOSS, options: dict[str, Any], named: str) -> None:
    seen: list[BaseException] = []
    done = run(OSSDeleteObjectsOperator, **{**options, "retries": 2, **endings(seen)})
    assert done.instance("task") == ("failed", 1)
    assert str(seen[0]).startswith(named)
    assert filled.requests == []


def test_a_key_that_oss_does_not_delete_is_named_and_tried_again(
    run: Any, filled: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(OSSResumeHook):
        """Its client takes two keys for one, at its first call."""

        def get_conn(self) -> Any:
            client, whole = super().get_conn(), super().get_conn().delete_objects
            if not filled.calls("DeleteMultipleObjects"):
                client.delete_objects = lambda bucket, keys: whole(bucket, keys[1:])
            return client

    monkeypatch.setattr(OSSDeleteObjectsOperator, "hook", property(lambda _: Forgetful()))
    seen: list[BaseException] = []

    done = run(OSSDeleteObjectsOperator, keys=["a.csv", "inbox"], retries=1, **endings(seen))

    assert done.instance("task") == ("success", 2)
    assert f"1 objects were not deleted: oss://{BUCKET}/a.csv" in str(seen[0])
    assert "a.csv" not in filled.objects(BUCKET)


def test_a_missing_permission_to_delete_fails_at_once(run: Any, filled: LocalOSS) -> None:
    filled.fail("DeleteMultipleObjects", fault=DENIED)
    seen: list[BaseException] = []

    done = run(OSSDeleteObjectsOperator, prefix="in/", retries=3, **endings(seen))

    assert done.instance("task") == ("failed", 1)
    assert "grant oss:DeleteObject" in str(seen[0])


def test_a_task_that_is_stopped_deletes_no_further_batch(run: Any, connected: LocalOSS) -> None:
    for number in range(1_500):
        connected.put(BUCKET, f"k{number:04}", b"")
    running: list[Any] = []

    def stop(request: Request) -> None:
        if request.operation == "DeleteMultipleObjects":
            running[0].on_kill()

    connected.on_request = stop
    done = run(OSSDeleteObjectsOperator, prefix="k", pre_execute=lambda context: running.append(context["ti"].task))

    assert done.instance("task") == ("failed", 1)
    assert len(connected.objects(BUCKET)) == 500
