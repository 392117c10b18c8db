"""The operators that make and remove buckets, and the one that deletes one object, inside real tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.operators.buckets import OSSCreateBucketOperator, OSSDeleteBucketOperator
from airflow_provider_ossresume.operators.objects import OSSDeleteObjectOperator
from tests.world import BUCKET

pytestmark = pytest.mark.usefixtures("database", "connected")

NEW = "made-by-a-task"


@pytest.fixture
def run(dag: Any) -> Callable[..., Any]:
    """Runs one of the operators as the task ``task``."""
    from tests.airflow import runs

    def run_it(operator: type, *, conf: dict[str, Any] | None = None, **options: Any) -> Any:
        with dag:
            operator(**{"task_id": "task", "retries": 0, **options})
        return runs.run(dag, **(conf or {}))

    return run_it


def test_a_bucket_is_made_and_its_uri_returned(run: Any, connected: LocalOSS) -> None:
    ran = run(OSSCreateBucketOperator, bucket_name="{{ dag_run.conf['bucket'] }}", conf={"bucket": NEW})

    assert ran.xcom("task") == f"oss://{NEW}"
    assert connected.objects(NEW) == []


def test_a_bucket_that_is_there_is_a_success(run: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"x")

    assert run(OSSCreateBucketOperator, bucket_name=BUCKET).xcom("task") == f"oss://{BUCKET}"
    assert connected.objects(BUCKET) == ["key"]


def test_an_empty_bucket_is_removed(run: Any, connected: LocalOSS) -> None:
    assert run(OSSDeleteBucketOperator, bucket_name=BUCKET).instance("task")[0] == "success"
    assert connected.calls("DeleteBucket")


def test_a_bucket_with_objects_fails_the_task_at_once(run: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"x")

    ran = run(OSSDeleteBucketOperator, bucket_name=BUCKET, retries=2)

    assert ran.instance("task") == ("failed", 1)
    assert connected.objects(BUCKET) == ["key"]


def test_a_bucket_goes_with_its_objects_when_that_is_said(run: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"x")

    ran = run(
        OSSDeleteBucketOperator, bucket_name=BUCKET, force_delete="{{ dag_run.conf['force'] }}", conf={"force": "true"}
    )

    assert ran.instance("task")[0] == "success"
    assert len(connected.calls("DeleteMultipleObjects")) == 1


@pytest.mark.parametrize("name", ["", "{{ dag_run.conf.get('bucket', '') }}", None, f"oss://{BUCKET}"])
def test_a_name_that_a_template_did_not_find_removes_nothing(run: Any, connected: LocalOSS, name: str | None) -> None:
    ran = run(OSSDeleteBucketOperator, bucket_name=name, force_delete=True)

    assert ran.instance("task")[0] == "failed"
    assert connected.requests == []


def test_a_retry_after_the_bucket_was_removed_is_a_success(
    run: Any, connected: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OSSDeleteBucketOperator, "transfer_config", {"part_retries": 0})
    connected.fail("DeleteBucket", 1, Fault("answer-lost"))
    connected.fail("DeleteBucket", 2, Fault("status", status=503, code="ServiceUnavailable"), times=None)

    ran = run(OSSDeleteBucketOperator, bucket_name=BUCKET, retries=1)

    assert ran.instance("task") == ("success", 2)


def test_a_bucket_that_is_not_there_fails_the_first_try(run: Any) -> None:
    assert run(OSSDeleteBucketOperator, bucket_name="nobody-made-this").instance("task")[0] == "failed"


def test_one_object_is_deleted_and_a_missing_one_counts(run: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"x")
    connected.put(BUCKET, "other", b"x")

    assert run(OSSDeleteObjectOperator, key="key", bucket_name=BUCKET).xcom("task")["uris"] == [f"oss://{BUCKET}/key"]
    assert connected.objects(BUCKET) == ["other"]


@pytest.mark.parametrize("key", ["", "{{ dag_run.conf.get('key', '') }}", None, f"oss://{BUCKET}/"])
def test_a_key_that_a_template_did_not_find_deletes_nothing(run: Any, connected: LocalOSS, key: str | None) -> None:
    connected.put(BUCKET, "key", b"x")
    options = {} if str(key).startswith("oss:") else {"bucket_name": BUCKET}

    assert run(OSSDeleteObjectOperator, key=key, **options).instance("task")[0] == "failed"
    assert connected.objects(BUCKET) == ["key"]
