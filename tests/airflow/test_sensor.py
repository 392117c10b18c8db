"""The sensor in a worker, rescheduled and deferred, and its trigger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from airflow_provider_ossresume.triggers.oss import OSSObjectTrigger
from tests.world import BUCKET, a_file

DENIED = Fault("status", status=403, code="AccessDenied")
MODES: Mapping[str, Mapping[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
SOON = 0.01  # poke_interval


@pytest.fixture
def wait(dag: Any, database: None, connected: LocalOSS) -> Callable[..., Any]:
    """Runs a sensor to its end, as the task ``wait``."""
    from tests.airflow import runs

    def run(bucket_key: Any, *, conf: Mapping[str, Any] | None = None, **options: Any) -> Any:
        with dag:
            OSSObjectSensor(
                **{"task_id": "wait", "bucket_name": BUCKET, "poke_interval": SOON, **options}, bucket_key=bucket_key
            )
        return runs.run(dag, **(conf or {}))

    return run


def appear(oss: LocalOSS, key: str, *, after_looks: int) -> None:
    """Let an object appear once the server has been asked for so many."""

    def put(_: Any) -> None:
        if len(oss.calls("HeadObject")) == after_looks:
            oss.put(BUCKET, key, b"")

    oss.after_request = put


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_an_object_that_exists_is_not_waited_for(wait: Any, connected: LocalOSS, mode: str) -> None:
    connected.put(BUCKET, "key", b"")

    assert wait("key", **MODES[mode]).instance("wait") == ("success", 1)

    assert len(connected.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_object_is_waited_for(wait: Any, connected: LocalOSS, mode: str) -> None:
    appear(connected, "key", after_looks=3)

    assert wait("key", **MODES[mode]).instance("wait") == ("success", 1)

    assert len(connected.calls("HeadObject")) == 4


@pytest.mark.parametrize("mode", MODES)
def test_of_several_all_are_waited_for(wait: Any, connected: LocalOSS, mode: str) -> None:
    connected.create_bucket("other")
    connected.put(BUCKET, "a", b"")
    connected.put("other", "日本 語?#", b"")
    appear(connected, "b", after_looks=6)

    done = wait([f"oss://{BUCKET}/a", f"oss://{BUCKET}/b", "oss://other/日本 語?#"], bucket_name=None, **MODES[mode])

    assert done.instance("wait") == ("success", 1)
    assert {request.key for request in connected.calls("HeadObject")} == {"a", "b", "日本 語?#"}


@pytest.mark.parametrize("mode", ["poke", "reschedule"])  # dag.test runs triggers without a timeout
def test_a_missing_key_is_waited_for_until_the_timeout(wait: Any, mode: str) -> None:
    assert wait("key", timeout=0, **MODES[mode]).instance("wait") == ("failed", 1)


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_under_soft_fail_a_timeout_is_a_skip(wait: Any, mode: str) -> None:
    assert wait("key", timeout=0, soft_fail=True, **MODES[mode]).instance("wait") == ("skipped", 1)


def test_a_deferral_has_the_sensors_timeout_and_its_trigger_no_secret(connected: LocalOSS) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    sensor = OSSObjectSensor(
        task_id="wait", bucket_key=["a", "oss://bucket/b"], bucket_name=BUCKET, region=connected.region,
        deferrable=True, poke_interval=7, timeout=123,
    )  # fmt: skip

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})

    assert (deferred.value.timeout, deferred.value.method_name) == (timedelta(seconds=123), "execute_complete")
    assert deferred.value.trigger.serialize() == (
        "airflow_provider_ossresume.triggers.oss.OSSObjectTrigger",
        {
            "targets": [[BUCKET, "a"], [BUCKET, "b"]],
            "oss_conn_id": "oss_default",
            "region": connected.region,
            "poke_interval": 7,
        },
    )


# --- waiting in vain --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soft_fail", [False, True], ids=["", "soft_fail"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("options", "denied", "says"),
    [
        ({}, True, "grant oss:GetObject"),
        ({"bucket_name": "no-such-bucket"}, False, "check the bucket's name"),
        ({"bucket_name": "Bad_Bucket"}, False, "3 to 63"),
        ({"bucket_key": ""}, False, "1 to 1023 bytes"),
        ({"bucket_key": ["key", "oss://other/key"]}, False, "leave one of the two out"),
        ({"bucket_key": []}, False, "give a key, or a list of keys"),
        ({"oss_conn_id": "without_key"}, False, "the Access Key ID is missing"),
    ],
    ids=["denied", "no-bucket", "bad-bucket", "bad-key", "two-buckets", "no-key", "no-credentials"],
)
def test_what_no_waiting_mends_fails_at_the_first_look(
    wait: Any, connected: LocalOSS, connections: Any,
    options: dict[str, Any], denied: bool, says: str, mode: str, soft_fail: bool,
) -> None:  # fmt: skip
    connections.add("without_key", extra={"region": "cn-hangzhou"})
    if denied:
        connected.fail("HeadObject", fault=DENIED, times=None)
    seen: list[BaseException] = []

    done = wait(
        **{"bucket_key": "key", **options}, soft_fail=soft_fail, **MODES[mode],
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )  # fmt: skip

    assert done.instance("wait") == ("failed", 1)  # neither waited for, nor tried again, nor skipped
    assert len(connected.requests) <= 1
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert says in str(seen[0])


@pytest.mark.parametrize(
    ("fault", "says"),
    [(DENIED, "grant oss:GetObject"), (Fault("status", status=404, code="NoSuchBucket"), "check the bucket's name")],
)
def test_what_goes_wrong_while_deferred_fails_too(wait: Any, connected: LocalOSS, fault: Fault, says: str) -> None:
    connected.fail_after("HeadObject", 2, fault)
    seen: list[BaseException] = []

    done = wait("key", deferrable=True, on_failure_callback=lambda context: seen.append(context["exception"]))

    assert done.instance("wait") == ("failed", 1)
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert says in str(seen[0])


def test_a_permission_that_is_lost_while_deferred_is_a_failure_under_soft_fail_too(
    wait: Any, connected: LocalOSS
) -> None:
    """Airflow turns whatever AirflowException a resumed sensor raises into a skip."""
    connected.fail_after("HeadObject", 2, DENIED)
    seen: list[BaseException] = []

    done = wait(
        "key", deferrable=True, soft_fail=True, on_failure_callback=lambda context: seen.append(context["exception"])
    )

    assert done.instance("wait") == ("failed", 1)
    assert "grant oss:GetObject" in str(seen[0])


@pytest.mark.parametrize("options", [{"mode": "poke"}, {"mode": "reschedule"}])
def test_a_missing_permission_fails_at_the_first_look_under_silent_fail_too(
    wait: Any, connected: LocalOSS, options: dict[str, Any]
) -> None:
    """Airflow's silent_fail looks on after every exception but AirflowFailException."""
    connected.fail("HeadObject", fault=DENIED, times=None)
    seen: list[BaseException] = []

    done = wait(
        "key", silent_fail=True, timeout=0, on_failure_callback=lambda context: seen.append(context["exception"]),
        **options,
    )  # fmt: skip

    assert done.instance("wait") == ("failed", 1)
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert "grant oss:GetObject" in str(seen[0])


def test_a_missing_permission_is_a_failure_under_silent_fail_and_soft_fail_together(
    wait: Any, connected: LocalOSS
) -> None:
    connected.fail("HeadObject", fault=DENIED, times=None)

    assert wait("key", silent_fail=True, soft_fail=True, timeout=0).instance("wait") == ("failed", 1)


@pytest.mark.parametrize("soft_fail", [False, True], ids=["", "soft_fail"])
def test_a_look_that_fails_for_now_is_left_to_the_next_try(connected: LocalOSS, soft_fail: bool) -> None:
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET, soft_fail=soft_fail)
    event = {"status": "error", "message": "down", "retryable": True}

    with pytest.raises(OSSResumeError, match="down"):
        sensor.resume_execution("execute_complete", {"event": event}, {})


# --- arguments --------------------------------------------------------------------------------------------------------


def test_every_argument_is_templated(wait: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "a", b"")
    connected.put(BUCKET, "b", b"")
    values = {
        "bucket_key": ["a", "b"],
        "bucket_name": BUCKET,
        "region": connected.region,
        "oss_conn_id": "oss_default",
    }
    assert values.keys() == set(OSSObjectSensor.template_fields)
    names = [name for name in values if name != "bucket_key"]

    done = wait(
        ["{{ dag_run.conf['bucket_key'][0] }}", "{{ dag_run.conf['bucket_key'][1] }}"],
        **{name: f"{{{{ dag_run.conf['{name}'] }}}}" for name in names},
        conf=values,
    )

    assert done.state == "success"
    assert done.rendered("wait") == values


def test_the_keys_may_be_what_mapped_uploads_return(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    from tests.airflow.runs import run

    with dag:
        uris = OSSResumableUploadOperator.partial(task_id="up", file=str(a_file(tmp_path)), bucket_name=BUCKET).expand(
            key=["1", "2", "3"]
        )
        OSSObjectSensor(task_id="wait", bucket_key=uris.output, poke_interval=SOON)

    done = run(dag)

    assert done.instance("wait") == ("success", 1)
    assert [request.key for request in connected.calls("HeadObject")] == ["1", "2", "3"]


def test_a_connection_in_the_database_serves_task_and_trigger(
    dag: Any, oss: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other than one in the environment, it comes over Airflow's own channel on 3.x."""
    from tests.airflow import runs

    monkeypatch.delenv("AIRFLOW_CONN_OSS_DEFAULT", raising=False)
    with dag:
        up = OSSResumableUploadOperator(task_id="up", file=str(a_file(tmp_path)), key="key", bucket_name=BUCKET)
        up >> OSSObjectSensor(
            task_id="wait", bucket_key="later", bucket_name=BUCKET, poke_interval=SOON, deferrable=True
        )
    oss.after_request = lambda request: request.key == "later" and oss.put(BUCKET, "later", b"")

    with runs.connection_in_the_database("oss_default", oss.connection_uri()):
        done = runs.run(dag)

    assert done.state == "success"
    assert len(oss.calls("HeadObject")) == 2


def test_a_key_from_a_task_that_returned_nothing_fails_at_once(dag: Any, connected: LocalOSS) -> None:
    from tests.airflow.runs import Call, run

    with dag:
        nothing = Call(task_id="nothing", function=lambda _: None)
        OSSObjectSensor(task_id="wait", bucket_key=nothing.output, bucket_name=BUCKET)

    assert run(dag).instance("wait") == ("failed", 1)


# --- the trigger ------------------------------------------------------------------------------------------------------


def first_event(trigger: OSSObjectTrigger) -> Any:
    async def wait_for_it() -> Any:
        return [event.payload async for event in trigger.run()]

    [payload] = asyncio.run(wait_for_it())
    return payload


def a_trigger(*keys: str, **options: Any) -> OSSObjectTrigger:
    return OSSObjectTrigger(targets=[(BUCKET, key) for key in keys], **{"poke_interval": SOON, **options})


def test_a_trigger_fires_when_all_are_there(connected: LocalOSS) -> None:
    connected.put(BUCKET, "a", b"")
    appear(connected, "b", after_looks=4)

    assert first_event(a_trigger("a", "b")) == {"status": "success"}


@pytest.mark.parametrize(
    ("fault", "says"),
    [(DENIED, "grant oss:GetObject"), (Fault("status", status=404, code="NoSuchBucket"), "check the bucket's name")],
)
def test_a_trigger_fires_when_waiting_is_in_vain(connected: LocalOSS, fault: Fault, says: str) -> None:
    connected.fail_after("HeadObject", 2, fault)

    event = first_event(a_trigger("key"))

    assert (event["status"], event["retryable"]) == ("error", False)
    assert says in event["message"]
    json.dumps(event)


def test_a_trigger_looks_at_its_connection_when_it_runs(connections: Any) -> None:
    connections.add(extra={"region": "cn-hangzhou"})

    event = first_event(a_trigger("key"))

    assert (event["status"], event["retryable"]) == ("error", False)
    assert "the Access Key ID is missing" in event["message"]


@pytest.mark.parametrize(
    "trigger",
    [
        OSSObjectTrigger(targets=[("bucket", "key")]),
        OSSObjectTrigger(targets=[["bucket", "日本 語"], ("other", "b")], oss_conn_id="c", region="r", poke_interval=7),
    ],
)
def test_a_trigger_is_the_same_after_a_trip_through_the_database(trigger: OSSObjectTrigger) -> None:
    path, arguments = trigger.serialize()

    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    assert again.serialize() == (path, arguments)
    assert again.targets == trigger.targets
