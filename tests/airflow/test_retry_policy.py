"""The retry policy of Airflow 3.3: what it decides, and what a real task then does."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    ConnectionFailed,
    CredentialsError,
    IntegrityError,
    PartlyFailed,
    ServiceError,
)
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from tests.airflow.test_operators import has_task_state
from tests.airflow.test_sensor import without_retries
from tests.world import BUCKET

needs_policies = pytest.mark.skipif(not has_task_state(), reason="retry policies come with Airflow 3.3")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def a_policy(**options: Any) -> Any:
    from airflow_provider_ossresume.policies.retry import OSSRetryPolicy

    return OSSRetryPolicy(**options)


def answered(status: int, *, retry_after: float | None = None, kind: type[ServiceError] = ServiceError) -> ServiceError:
    return kind(operation="UploadPart", target="oss://b/k", status=status, retry_after=retry_after)


def no_answer() -> ConnectionFailed:
    return ConnectionFailed("reset", operation="UploadPart", target="oss://b/k")


def raised_from(cause: BaseException) -> BaseException:
    error = RuntimeError("of the task's author")
    error.__cause__ = cause
    return error


# --- decisions --------------------------------------------------------------------------------------------------------


@needs_policies
@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (answered(403, kind=AccessDenied), "fail", None),
        (ArgumentError("key", "/a", "drop the slash"), "fail", None),
        (CredentialsError("no key"), "fail", None),
        (PartlyFailed("1 of 2", {"a": answered(403, kind=AccessDenied)}), "fail", None),
        (answered(429), "retry", 5 * MINUTE),
        (answered(503), "retry", 5 * MINUTE),
        (answered(503, retry_after=600), "retry", 10 * MINUTE),
        (answered(503, retry_after=1e20), "retry", HOUR),
        (no_answer(), "retry", timedelta(seconds=10)),
        (answered(500), "default", None),
        (IntegrityError("CRC-64"), "default", None),
        (ValueError("not ours"), "default", None),
        (raised_from(no_answer()), "retry", timedelta(seconds=10)),
        (raised_from(raised_from(answered(403, kind=AccessDenied))), "fail", None),
    ],
    ids=repr,
)
def test_the_error_decides(error: BaseException, action: str, delay: timedelta | None) -> None:
    decision = a_policy().evaluate(error, 1, 3)
    assert (decision.action.value, decision.retry_delay) == (action, delay)
    assert (decision.reason is None) == (action == "default")


@needs_policies
def test_throttling_waits_twice_as_long_at_each_try_but_no_longer_than_an_hour() -> None:
    policy = a_policy(throttled_delay=10 * MINUTE)
    delays = [policy.evaluate(answered(503), number, 99).retry_delay for number in (1, 2, 3, 4, 90)]
    assert delays == [10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, HOUR]
    assert a_policy(throttled_delay=2 * HOUR).evaluate(answered(503), 9, 99).retry_delay == 2 * HOUR


@needs_policies
def test_an_error_that_was_hidden_on_purpose_does_not_count() -> None:
    hidden = RuntimeError("of the task's author")
    hidden.__context__, hidden.__suppress_context__ = answered(403, kind=AccessDenied), True
    assert a_policy().evaluate(hidden, 1, 3).action.value == "default"


@needs_policies
def test_errors_that_were_raised_from_each_other_are_looked_through_once() -> None:
    first, second = RuntimeError("1"), RuntimeError("2")
    first.__cause__, second.__cause__ = second, first
    assert a_policy().evaluate(first, 1, 3).action.value == "default"


@needs_policies
def test_a_policy_comes_back_from_json_as_it_was() -> None:
    policy = a_policy(throttled_delay=HOUR, network_delay=timedelta(seconds=0.5))
    assert type(policy).deserialize(json.loads(json.dumps(policy.serialize()))) == policy


def test_an_airflow_without_policies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_airflow.retry_policies, "AIRFLOW_VERSION", "2.11.2")
    monkeypatch.setitem(sys.modules, "airflow.sdk.definitions.retry_policy", None)
    monkeypatch.delitem(sys.modules, "airflow_provider_ossresume.policies.retry", raising=False)
    with pytest.raises(ImportError, match=r"retry policies need Airflow 3\.3.*this is 2\.11\.2"):
        importlib.import_module("airflow_provider_ossresume.policies.retry")


# --- real tasks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(dag: Any, connected: LocalOSS) -> Callable[..., Any]:
    """Runs a function as the task ``task``, with two retries that are hours away."""
    from tests.airflow import runs

    def run_it(function: Callable[[Mapping[str, Any]], Any], **options: Any) -> Any:
        with dag:
            runs.Call(
                task_id="task",
                function=function,
                **{"retries": 2, "retry_delay": 9 * HOUR, "retry_policy": a_policy(), **options},
            )
        return runs.run(dag)

    return run_it


def head(_: Mapping[str, Any]) -> None:
    OSSResumeHook(transfer_config={"part_retries": 0}).head_object("key", BUCKET)


@needs_policies
def test_a_task_of_ones_own_fails_at_once_for_what_no_retry_mends(run: Any, connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=Fault("status", status=403, code="AccessDenied"), times=None)

    assert run(head).instance("task") == ("failed", 1)

    assert len(connected.calls("HeadObject")) == 1


@needs_policies
def test_after_a_failed_connection_the_retry_comes_soon(run: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"")
    connected.fail("HeadObject", fault=Fault("refuse"))

    done = run(head, retry_policy=a_policy(network_delay=timedelta(0)))

    assert done.instance("task") == ("success", 2)  # and not after nine hours


@needs_policies
def test_after_throttling_the_retry_comes_as_the_policy_says(run: Any, connected: LocalOSS, dag: Any) -> None:
    from tests.airflow import runs

    connected.put(BUCKET, "key", b"")
    connected.fail("HeadObject", fault=Fault("status", status=503, code="ServiceUnavailable"))

    done = run(head, retry_policy=a_policy(throttled_delay=timedelta(0)))

    assert done.instance("task") == ("success", 2)
    reasons = runs.rows("SELECT retry_reason FROM task_instance_history WHERE dag_id = :dag_id", dag_id=dag.dag_id)
    assert reasons
    assert reasons[0][0].startswith("OSS throttles: HeadObject")


@needs_policies
@pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])
def test_a_sensor_is_tried_again_in_every_mode(
    dag: Any, connected: LocalOSS, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    from tests.airflow import runs

    without_retries(monkeypatch)
    connected.fail("HeadObject", 2, Fault("status", status=503, code="ServiceUnavailable"), times=2)
    connected.after_request = lambda _: len(connected.requests) == 3 and connected.put(BUCKET, "key", b"")
    with dag:
        OSSObjectSensor(
            task_id="wait", bucket_key="key", bucket_name=BUCKET, poke_interval=0.01, deferrable=deferrable,
            retries=3, retry_delay=9 * HOUR, retry_policy=a_policy(throttled_delay=timedelta(0)),
        )  # fmt: skip

    done = runs.run(dag)

    assert done.instance("wait") == ("success", 3)
    assert len(connected.requests) == 4
    reasons = runs.rows("SELECT retry_reason FROM task_instance_history WHERE dag_id = :dag_id", dag_id=dag.dag_id)
    assert [reason.partition(":")[0] for (reason,) in reasons] == ["OSS throttles"] * 2


@needs_policies
def test_the_number_of_retries_is_the_tasks(run: Any, connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=Fault("refuse"), times=None)

    assert run(head, retry_policy=a_policy(network_delay=timedelta(0))).instance("task") == ("failed", 3)


@needs_policies
def test_other_errors_are_retried_as_without_a_policy(run: Any) -> None:
    def fail(_: Mapping[str, Any]) -> None:
        raise OSError("not of OSS")

    assert run(fail, retry_delay=timedelta(0)).instance("task") == ("failed", 3)
