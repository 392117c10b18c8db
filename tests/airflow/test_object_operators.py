"""The operators that list and delete objects, inside real tasks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
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


def uris(keys: Iterable[str]) -> list[str]:
    return [f"oss://{BUCKET}/{key}" for key in keys]


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
def test_the_uris_of_what_is_meant_are_returned_in_order(
    run: Any, filled: LocalOSS, options: dict[str, Any], keys: tuple[str, ...]
) -> None:
    assert run(OSSListOperator, **options).xcom("task") == uris(keys)


def test_a_pattern_is_listed_by_its_literal_prefix(run: Any, filled: LocalOSS) -> None:
    run(OSSListOperator, regex="in/old/.*")
    assert [request.query["prefix"] for request in filled.calls("ListObjectsV2")] == ["in/old/"]


def test_more_keys_than_may_be_returned_fail_the_task(run: Any, filled: LocalOSS) -> None:
    seen: list[BaseException] = []
    assert run(OSSListOperator, max_keys=5, retries=3, **endings(seen)).instance("task") == ("failed", 1)
    assert "max_keys=5: there are more objects" in str(seen[0])


def test_exactly_as_many_keys_as_may_be_returned_are(run: Any, filled: LocalOSS) -> None:
    assert run(OSSListOperator, max_keys=6).xcom("task") == uris(KEYS)


def test_the_first_keys_are_returned_where_the_rest_may_be_missed(
    run: Any, filled: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert run(OSSListOperator, max_keys="2", truncate="{{ true }}").xcom("task") == uris(KEYS[:2])
    assert "Returning only the first 2 URIs; there are more objects" in caplog.messages


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
        ({"wildcard": ""}, "wildcard='': the key is empty"),
        ({"prefix": ""}, "prefix='': it is empty, perhaps because a template rendered to nothing"),
        ({"bucket_name": ""}, "bucket_name='': it is empty, perhaps because a template rendered to nothing"),
        ({"truncate": ""}, "truncate=''"),
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
    report = run(OSSDeleteObjectsOperator, prefix="in/", is_dry_run="{{ true }}").xcom("task")

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
        OSSDeleteObjectsOperator.partial(task_id="task", bucket_name=BUCKET, is_dry_run="{{ false }}").expand(
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prefix": ""}, "prefix='': it is empty, perhaps because a template rendered to nothing"),
        ({"prefix": "{{ '' }}"}, "prefix='': it is empty"),
        ({"prefix": f"oss://{BUCKET}"}, "this URL means the whole bucket"),
        ({"prefix": f"oss://{BUCKET}/{{{{ '' }}}}"}, "this URL means the whole bucket"),
        ({"prefix": None}, "set exactly one of keys, prefix and whole_bucket=True"),
        ({"whole_bucket": "{{ false }}"}, "set exactly one of keys, prefix and whole_bucket=True"),
        ({"whole_bucket": "false"}, "set exactly one of keys, prefix and whole_bucket=True"),
        ({"whole_bucket": ""}, "whole_bucket='': give true or false"),
        ({"prefix": "", "whole_bucket": True}, "set exactly one of keys"),
        ({"keys": ""}, "keys='': it is empty"),
        ({"keys": ["a.csv", ""]}, "it is empty"),
        ({"keys": "{{ ['a.csv', 'inbox'] }}"}, "turned a list into this string"),
        ({"keys": {"a.csv": 1}}, "give a string, or a list of strings"),
    ],
)
def test_everything_is_deleted_only_where_that_is_said(
    run: Any, filled: LocalOSS, options: dict[str, Any], said: str
) -> None:
    seen: list[BaseException] = []
    done = run(OSSDeleteObjectsOperator, **options, retries=2, **endings(seen))
    assert done.instance("task") == ("failed", 1)
    assert said in str(seen[0])
    assert filled.requests == []


@pytest.mark.parametrize("whole_bucket", [True, "{{ true }}", "TRUE"])
def test_a_whole_bucket_can_be_emptied(run: Any, filled: LocalOSS, whole_bucket: bool | str) -> None:
    assert run(OSSDeleteObjectsOperator, whole_bucket=whole_bucket).xcom("task")["deleted"] == len(KEYS)
    assert filled.objects(BUCKET) == []


def test_flags_that_mapped_tasks_give_as_texts_are_read(run: Any, filled: LocalOSS, dag: Any) -> None:
    from tests.airflow import runs

    with dag:
        OSSDeleteObjectsOperator.partial(task_id="task", bucket_name=BUCKET, retries=0).expand_kwargs(
            [{"whole_bucket": "false"}, {"prefix": "in/", "is_dry_run": "true"}, {"whole_bucket": "false", "keys": []}]
        )
    done = runs.run(dag)

    assert [done.instance("task", map_index=index)[0] for index in range(3)] == ["failed", "success", "success"]
    assert filled.objects(BUCKET) == list(KEYS)


@pytest.mark.parametrize("prefix", ["oss://bucket/", "oss://bucket", "oss://bucket/in/"])
def test_a_prefix_that_looks_like_a_url_behind_the_bucket_is_no_url(run: Any, filled: LocalOSS, prefix: str) -> None:
    """It is resolved once: what stands behind the bucket is the prefix, whatever it looks like."""
    filled.put(BUCKET, f"{prefix}left", b"x")

    report = run(OSSDeleteObjectsOperator, prefix=f"oss://{BUCKET}/{prefix}", bucket_name=None).xcom("task")

    assert report["uris"] == uris([f"{prefix}left"])
    assert filled.objects(BUCKET) == list(KEYS)


def test_an_object_whose_key_looks_like_a_url_is_listed_and_deleted_as_itself(
    run: Any, filled: LocalOSS, dag: Any
) -> None:
    odd = f"oss://{BUCKET}/a.csv"
    filled.put(BUCKET, odd, b"x")
    with dag:
        listed = OSSListOperator(task_id="list", prefix=f"oss://{BUCKET}/oss://").output

    assert run(OSSDeleteObjectsOperator, keys=listed, bucket_name=None).xcom("task")["uris"] == uris([odd])

    assert filled.objects(BUCKET) == list(KEYS)


def test_an_empty_bucket_name_is_not_the_connections_bucket(
    run: Any, filled: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(filled.airflow_connection())
    connection["extra"]["bucket"] = BUCKET
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", json.dumps(connection))
    seen: list[BaseException] = []

    done = run(OSSDeleteObjectsOperator, bucket_name="{{ dag_run.conf.get('b', '') }}", prefix="in/", **endings(seen))

    assert done.instance("task") == ("failed", 1)
    assert "bucket_name='': it is empty, perhaps because a template rendered to nothing" in str(seen[0])
    assert filled.objects(BUCKET) == list(KEYS)


@pytest.mark.parametrize("field", ["bucket_name", "prefix", "keys", "oss_conn_id", "region"])
def test_a_name_that_a_native_template_made_none_is_not_left_out(
    filled: LocalOSS, dag: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    from tests.airflow import runs

    connection = json.loads(filled.airflow_connection())
    connection["extra"]["bucket"] = BUCKET
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", json.dumps(connection))
    dag.render_template_as_native_obj = True
    seen: list[BaseException] = []
    named = {"prefix": "in/"} if field not in ("prefix", "keys") else {}
    with dag:
        OSSDeleteObjectsOperator(task_id="task", retries=2, **{**named, field: "{{ none }}"}, **endings(seen))

    assert runs.run(dag).instance("task") == ("failed", 1)
    assert str(seen[0]).startswith(f"{field}=None: its template or XCom is None")
    assert filled.objects(BUCKET) == list(KEYS)


def test_a_name_that_another_task_did_not_return_is_not_left_out(run: Any, filled: LocalOSS, dag: Any) -> None:
    from airflow.providers.common.compat.sdk import task

    with dag:
        nothing = task(task_id="nothing")(lambda: None)()
    seen: list[BaseException] = []

    done = run(OSSDeleteObjectsOperator, prefix="in/", bucket_name=nothing, retries=2, **endings(seen))

    assert done.instance("task") == ("failed", 1)
    assert str(seen[0]).startswith("bucket_name=None: its template or XCom is None")


def test_a_dry_run_that_another_task_decides_waits_for_that_task(dag: Any) -> None:
    from airflow.providers.common.compat.sdk import task

    with dag:
        decide = task(task_id="decide")(lambda: "true")()
        OSSDeleteObjectsOperator.partial(task_id="mapped", is_dry_run=decide).expand(keys=["a", "b"])
        plain = OSSDeleteObjectsOperator(task_id="plain", is_dry_run=decide, keys="a")

    assert dag.get_task("mapped").upstream_task_ids == plain.upstream_task_ids == {"decide"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"keys": "a", "prefix": "b"}, "keys='a': set exactly one of keys, prefix"),
        ({"keys": "a", "whole_bucket": True}, "keys='a': set exactly one of keys, prefix"),
        ({"keys": ["a", None]}, "keys=['a', None]"),
        ({"keys": ["a", "/b"]}, "key='/b'"),
        ({"keys": "oss://other/key"}, "bucket_name='bucket'"),
        ({"prefix": "in/", "is_dry_run": "maybe"}, "is_dry_run='maybe'"),
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
