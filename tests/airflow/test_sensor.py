"""The sensor in a worker, rescheduled and deferred, and its trigger."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume._airflow import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    ConnectionFailed,
    NoSuchBucket,
    OSSResumeError,
    ServiceError,
    error_from_data,
    error_to_data,
)
from airflow_provider_ossresume.hooks.asynchronous import MAX_CALLS
from airflow_provider_ossresume.hooks.thread_pools import shared_pool
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.patterns import KeyPattern
from airflow_provider_ossresume.model.waiting import FoundObject, Wanted
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.triggers.oss import CLIENT_CONFIG, OSSObjectTrigger
from tests.properties.test_values import steady
from tests.world import BUCKET, a_file

DENIED = Fault("status", status=403, code="AccessDenied")
MODES: Mapping[str, Mapping[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
SOON = 0.01  # poke_interval


def without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request be sent once, as with ``part_retries=0`` throughout."""
    of = TransferConfig.of
    monkeypatch.setattr(TransferConfig, "of", lambda value: of({"part_retries": 0} if value is None else value))


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("timeout", [0, 0.2])
@pytest.mark.parametrize(
    ("lenient", "state"),
    [
        ({}, "failed"),
        ({"soft_fail": True}, "skipped"),
        ({"never_fail": True}, "skipped"),
        ({"silent_fail": True}, "failed"),
        ({"permanent_errors": "skip"}, "failed"),
    ],
)
def test_a_timeout_ends_every_mode_the_same_and_burns_no_retry(
    wait: Any, mode: str, timeout: float, lenient: dict[str, Any], state: str
) -> None:
    """As `airflow dags test` has it: it runs a trigger without Airflow's own timeout of a deferral."""
    seen: list[BaseException] = []

    done = wait(
        "key", timeout=timeout, **lenient, **MODES[mode],
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )  # fmt: skip

    assert done.instance("wait") == (state, 1)
    assert [type(error) for error in seen] == ([AirflowSensorTimeout] if state == "failed" else [])


def test_a_check_that_always_says_no_times_out_too(wait: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"")

    done = wait("key", check_fn=lambda found: False, timeout=0.3, deferrable=True)

    assert done.instance("wait") == ("failed", 1)


def test_a_deferral_has_the_sensors_timeout_and_its_trigger_no_secret(connected: LocalOSS) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    sensor = OSSObjectSensor(
        task_id="wait", bucket_key=["a", "oss://bucket/b"], bucket_name=BUCKET, region=connected.region,
        deferrable=True, poke_interval=7, timeout=123, max_matches=3,
    )  # fmt: skip

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})

    assert timedelta(seconds=180) < deferred.value.timeout <= timedelta(seconds=183)  # after the trigger's own
    deadline = deferred.value.kwargs["deadline"]
    assert 120 < deadline - time.time() <= 123
    assert deferred.value.method_name == "execute_complete"
    assert deferred.value.trigger.serialize() == (
        "airflow_provider_ossresume.triggers.oss.OSSObjectTrigger",
        {
            "wanted": wanted("a", "b", max_matches=3) | {"patterns": [[BUCKET, "a", "key"], [BUCKET, "b", "key"]]},
            "oss_conn_id": "oss_default",
            "region": connected.region,
            "poke_interval": 7,
            "look_at_once": True,
            "silent_fail": False,
            "deadline": deadline,
            "limit": "timeout",
        },
    )


def test_an_endless_timeout_can_be_deferred(connected: LocalOSS) -> None:
    deferred = the_deferral(OSSObjectSensor(task_id="wait", bucket_key="oss://bucket/a", timeout=timedelta.max))

    assert datetime.now() + deferred.timeout < datetime(2038, 1, 1)  # MySQL's times end there
    assert deferred.trigger.deadline < time.time() + deferred.timeout.total_seconds()


def the_deferral(sensor: OSSObjectSensor, context: Mapping[str, Any] | None = None) -> Any:
    from airflow.providers.common.compat.sdk import TaskDeferred

    sensor.deferrable = True
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context or {})
    return deferred.value


# --- the same answers in every mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bucket_key", "options", "comes", "matches"),
    [
        ("in/b", {}, "in/b", ["in/b"]),
        (["in/a", "in/b"], {}, "in/b", ["in/a", "in/b"]),
        (["in/b", "in/c"], {"require": "any"}, "in/c", ["in/c"]),
        ("in/b*", {"wildcard_match": "True", "use_regex": "false"}, "in/b/c", ["in/b/c"]),
        ("in/*/", {"wildcard_match": True, "count_folder_markers": "true"}, "in/b/", ["in/b/"]),
        ("in/b*", {"wildcard_match": True}, "in/b/c", ["in/b/c"]),
        (r"in/\d", {"use_regex": True}, "in/1", ["in/1"]),
        ("in/*", {"wildcard_match": True, "min_size": "5"}, "in/b", ["in/b"]),
        ("in/*", {"wildcard_match": True, "min_size": 5, "max_matches": 1}, "in/b", ["in/b"]),
        (
            "in/*",
            {"wildcard_match": True, "check_fn": lambda found: len(found) > 1},
            "in/b",
            ["in/a", "in/b"],
        ),
        (
            "in/b",
            {"check_fn": lambda found, **context: found[0].size == 5 and context["ti"].task_id == "wait"},
            "in/b",
            ["in/b"],
        ),
    ],
    ids=[
        "key",
        "all",
        "any",
        "flags-as-texts",
        "folder-marker",
        "wildcard",
        "regex",
        "min-size",
        "max-matches",
        "check",
        "check-with-context",
    ],
)
def test_what_is_waited_for_is_returned(
    wait: Any, connected: LocalOSS, mode: str, bucket_key: Any, options: dict[str, Any], comes: str, matches: list[str]
) -> None:
    connected.put(BUCKET, "in/a", b"1")

    def deliver(request: Any) -> None:
        if len(connected.requests) == 4:
            connected.put(BUCKET, comes, b"" if comes.endswith("/") else b"12345")

    connected.after_request = deliver

    done = wait(bucket_key, **options, **MODES[mode])

    assert done.instance("wait") == ("success", 1)
    assert done.xcom("wait") == [f"oss://{BUCKET}/{key}" for key in matches]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"wildcard_match": True}])
def test_an_object_that_must_not_exist_is_waited_for_to_go(
    wait: Any, connected: LocalOSS, mode: str, options: dict[str, Any]
) -> None:
    connected.put(BUCKET, "lock", b"")
    connected.after_request = lambda _: len(connected.requests) == 3 and connected.delete(BUCKET, "lock")

    done = wait("lock*" if options else "lock", must_not_exist=True, **options, **MODES[mode])

    assert done.instance("wait") == ("success", 1)
    assert done.xcom("wait") == []
    assert len(connected.requests) == 4


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_marker_is_no_object_that_a_pattern_waits_for(wait: Any, connected: LocalOSS, mode: str) -> None:
    connected.put(BUCKET, "in/", b"")

    there = wait("in/*", wildcard_match=True, timeout=0, **MODES[mode])

    assert there.instance("wait") == ("failed", 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_marker_does_not_keep_a_folder_from_being_empty(wait: Any, connected: LocalOSS, mode: str) -> None:
    connected.put(BUCKET, "in/", b"")

    gone = wait("in/*", wildcard_match=True, must_not_exist=True, timeout=0, **MODES[mode])

    assert gone.instance("wait") == ("success", 1)


@settings(steady, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.text("ab/", min_size=1, max_size=3).filter(lambda key: key[0] != "/"), max_size=5),
    wanted_keys=st.lists(
        st.sampled_from(["a", "b", "a/b", "a*", "*b", "?", "[ab]/*", "(a|b)", "(", "a|b/", "ab?$"]), min_size=1
    ),
    kind=st.sampled_from([{}, {"wildcard_match": True}, {"use_regex": True}]),
    options=st.fixed_dictionaries(
        {}, optional={
            "require": st.just("any"),
            "max_matches": st.integers(1, 3),
            "min_size": st.integers(0, 2),
            "modified_after": st.sampled_from(["2020-01-01", "2100-01-01"]),
        },
    ),
    more=st.sampled_from(
        [{}, {"must_not_exist": True}, {"stable_for": 600}, {"check_fn": lambda found: len(found) > 1}]
    ),
)  # fmt: skip
def test_whatever_is_there_and_whatever_is_wanted_every_mode_answers_the_same(
    database: None, connected: LocalOSS, keys: list[str], wanted_keys: list[str], kind: Any, options: Any, more: Any
) -> None:
    """The worker in each mode, and triggerer and worker together, see the same objects in the same bucket."""
    for key in connected.objects(BUCKET):
        connected.delete(BUCKET, key)
    for key in keys:
        connected.put(BUCKET, key, key.encode())

    def a_sensor(mode: str) -> OSSObjectSensor:
        return OSSObjectSensor(
            task_id="wait",
            bucket_key=wanted_keys,
            bucket_name=BUCKET,
            timeout=0,
            **MODES[mode],
            **kind,
            **options,
            **more,
        )

    expected = the_answer(a_sensor("poke"))
    assert expected is WAITS or isinstance(expected, (list, str))
    assert the_answer(a_sensor("reschedule")) == expected
    assert the_answer(a_sensor("deferrable")) == expected
    assert the_answer_by_the_triggerer(a_sensor("deferrable")) == expected


WAITS = object()


def the_answer(sensor: OSSObjectSensor, method: str = "", **arguments: Any) -> Any:
    """Return what a sensor of no patience returns, WAITS, or why it fails for good."""
    ti = SimpleNamespace(
        dag_id="dag", task_id="wait", run_id="run", map_index=-1, max_tries=0, get_first_reschedule_date=lambda _: None
    )
    try:
        context = {"ti": ti}
        return sensor.resume_execution(method, arguments, context) if method else sensor.execute(context)
    except AirflowSensorTimeout:
        return WAITS
    except AirflowFailException as error:
        return str(error)


def the_answer_by_the_triggerer(sensor: OSSObjectSensor) -> Any:
    """As the_answer; the first look is the trigger's, and what goes to it and comes from it is JSON."""
    from airflow.providers.common.compat.sdk import TaskDeferred

    try:
        with pytest.raises(TaskDeferred) as deferred:
            sensor._defer({}, 0, deadline=time.time(), limit="timeout", check_at_once=True)
    except ArgumentError:
        return the_answer(sensor)  # it never gets to a trigger
    arguments = json.loads(json.dumps(deferred.value.trigger.serialize()[1]))
    event = first_event(OSSObjectTrigger(**arguments))
    return the_answer(sensor, "execute_complete", event=json.loads(json.dumps(event)), **deferred.value.kwargs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bucket_key", ["in/a", "in/*"])
def test_an_object_that_changes_is_waited_for_to_rest(
    wait: Any, connected: LocalOSS, mode: str, bucket_key: str
) -> None:
    connected.put(BUCKET, "in/a", b"")

    def let_time_pass(request: Any) -> None:
        if request.operation == "HeadObject" and len(connected.calls("HeadObject")) == 3:
            connected.fail("HeadObject", fault=Fault("skewed-clock", seconds=600), times=None)

    connected.after_request = let_time_pass

    done = wait(bucket_key, wildcard_match=True, stable_for=timedelta(minutes=5), **MODES[mode])

    assert done.instance("wait") == ("success", 1)
    assert done.xcom("wait") == ["oss://bucket/in/a"]
    assert len(connected.calls("HeadObject")) == 4


@pytest.mark.parametrize(
    ("mode", "is_there"),
    [("poke", True), ("reschedule", True), ("deferrable", True), ("deferrable", False)],
    ids=["poke", "reschedule", "deferrable", "deferred"],
)
@pytest.mark.parametrize(
    ("lenient", "error", "state", "looks"),
    [
        ({}, AirflowException, "failed", 2),  # and a retry
        ({}, AirflowFailException, "failed", 1),
        ({}, AirflowSkipException, "skipped", 1),
        ({"soft_fail": True}, ValueError, "failed", 2),
        ({"soft_fail": True}, AirflowException, "failed", 2),
        ({"soft_fail": True}, AirflowFailException, "skipped", 1),
        ({"never_fail": True}, ValueError, "skipped", 1),
        ({"silent_fail": True}, ValueError, "success", 2),
        ({"silent_fail": True}, AirflowFailException, "failed", 1),
    ],
)
def test_a_check_that_raises_ends_the_task_as_airflow_has_it(
    wait: Any, connected: LocalOSS, mode: str, is_there: bool,
    lenient: dict[str, Any], error: type[Exception], state: str, looks: int,
) -> None:  # fmt: skip
    calls: list[Any] = []

    def check(found: list[FoundObject]) -> bool:
        calls.append(found)
        if len(calls) == 1 or "silent_fail" not in lenient:
            raise error("the check's own")
        return True

    if is_there:
        connected.put(BUCKET, "key", b"")
    else:
        appear(connected, "key", after_looks=2)

    done = wait("key", check_fn=check, **lenient, **MODES[mode])

    assert done.instance("wait")[0] == state
    assert len(calls) == looks


@pytest.mark.parametrize(
    ("mode", "first"),
    [("poke", 1), ("reschedule", 1), ("deferrable", 1), ("deferrable", 2)],
    ids=["poke", "reschedule", "deferrable", "deferred"],
)
@pytest.mark.parametrize(
    ("lenient", "state"),
    [("soft_fail", ("failed", 2)), ("silent_fail", ("success", 1)), ("never_fail", ("skipped", 1))],
)
def test_a_look_that_fails_for_now_ends_the_task_as_airflow_has_it(
    wait: Any, connected: LocalOSS, monkeypatch: pytest.MonkeyPatch, mode: str, first: int, lenient: str,
    state: tuple[str, int],
) -> None:  # fmt: skip
    without_retries(monkeypatch)
    appear(connected, "key", after_looks=first + 2)
    connected.fail("HeadObject", first, Fault("status", status=503), times=None if lenient == "soft_fail" else 1)

    assert wait("key", **{lenient: True}, **MODES[mode]).instance("wait") == state


@pytest.mark.parametrize("lenient", ["", "soft_fail"])
@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_airflow_does_not_find_fails_the_task_at_once(wait: Any, mode: str, lenient: str) -> None:
    done = wait("key", oss_conn_id="nowhere", **({lenient: True} if lenient else {}), **MODES[mode])

    assert done.instance("wait") == ("failed", 1)


def test_a_trigger_that_cannot_run_is_no_skip(connected: LocalOSS) -> None:
    """As where the triggerer lacks this package."""
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET, soft_fail=True)
    told = {"error": "Trigger failure", "traceback": ["ModuleNotFoundError: airflow_provider_ossresume"]}

    with pytest.raises(
        OSSResumeError, match=r"install the same version of airflow-provider-ossresume.*ModuleNotFoundError"
    ):
        sensor.resume_execution("__fail__", told, {})


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"])
@pytest.mark.parametrize(
    ("lenient", "raised"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
)
def test_a_deferral_that_airflow_ends_is_a_timeout_on_every_version(
    connected: LocalOSS, error: str, lenient: dict[str, Any], raised: type[Exception]
) -> None:
    """As where no triggerer runs."""
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET, **lenient)

    with pytest.raises(raised):
        sensor.resume_execution("__fail__", {"error": error}, {})


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("__fail__", {"error": "Trigger timeout"}),
        ("execute_complete", {"event": {"status": "timeout", "message": "OSS did not answer in time"}}),
        ("execute_complete", {"event": {"status": "timeout", "message": "m", "has_looked": False}}),
    ],
)
def test_no_deferral_times_out_without_a_last_look(connected: LocalOSS, method: str, arguments: Any) -> None:
    """As where the triggerer is down, busy, or of an older version."""
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET)

    with pytest.raises(AirflowSensorTimeout):
        sensor.resume_execution(method, arguments, {})
    connected.put(BUCKET, "key", b"")

    assert sensor.resume_execution(method, arguments, {}) == ["oss://bucket/key"]
    assert len(connected.requests) == 2


def test_a_retry_on_airflow_3_0_forgets_the_failed_deferral_of_the_try_before_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.exceptions import AirflowRescheduleException

    monkeypatch.setattr(_airflow.task, "RELEASE", (3, 0))
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET)

    def resume(try_number: int, reschedules: int) -> None:
        context = {"ti": SimpleNamespace(try_number=try_number), "task_reschedule_count": reschedules}
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, context)

    with pytest.raises(AirflowRescheduleException):
        resume(try_number=2, reschedules=0)
    for try_number, reschedules in ((1, 0), (2, 1)):  # its own
        with pytest.raises(OSSResumeError, match="the triggerer could not run the trigger"):
            resume(try_number, reschedules)


def test_an_execution_timeout_counts_in_the_triggerer_on_every_version(connected: LocalOSS) -> None:
    sensor = OSSObjectSensor(
        task_id="wait", bucket_key="key", bucket_name=BUCKET, soft_fail=True,
        timeout=600, execution_timeout=timedelta(seconds=60),
    )  # fmt: skip

    trigger = the_deferral(sensor).trigger
    assert 55 < trigger.deadline - time.time() <= 60
    trigger.deadline = time.time()
    event = json.loads(json.dumps(first_event(trigger)))

    with pytest.raises(AirflowTaskTimeout, match=r"0:01:00, its execution_timeout: .*key does not exist"):
        sensor.resume_execution("execute_complete", {"event": event}, {})


def test_a_timeout_that_is_shorter_than_the_execution_timeout_is_the_limit(connected: LocalOSS) -> None:
    sensor = OSSObjectSensor(
        task_id="wait", bucket_key="key", bucket_name=BUCKET, timeout=60, execution_timeout=timedelta(seconds=61)
    )

    assert the_deferral(sensor).trigger.limit == "timeout"


@pytest.mark.parametrize(
    "event",
    [
        None,
        "success",
        {},
        {"status": "running", "message": "m"},
        {"status": "success"},
        {"status": "error"},
        {"status": "error", "error": None},
        {"status": "error", "message": "m", "error": {"kinds": ["ServiceError"]}},
        {"status": "error", "error": {"kinds": "x", "message": 1, "facts": []}},
    ],
)
def test_an_event_that_cannot_be_read_is_left_to_the_next_try(event: Any) -> None:
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET)

    with pytest.raises(OSSResumeError, match="same version") as raised:
        sensor.resume_execution("execute_complete", {"event": event}, {})

    assert raised.value.retryable


def test_an_execution_timeout_that_ends_a_deferral_is_left_to_the_next_try(connected: LocalOSS) -> None:
    """2.11 counts it while a task is deferred."""
    sensor = OSSObjectSensor(
        task_id="wait", bucket_key="key", bucket_name=BUCKET, soft_fail=True,
        timeout=600, execution_timeout=timedelta(seconds=60),
    )  # fmt: skip

    with pytest.raises(AirflowTaskTimeout):
        sensor.resume_execution("__fail__", {"error": "Trigger/execution timeout"}, {})


def test_a_retry_that_gets_the_event_of_the_try_before_looks_anew(connected: LocalOSS) -> None:
    """As Airflow 3.0 gives it."""
    connected.put(BUCKET, "key", b"")
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET, deferrable=True)
    arguments = {"event": {"status": "error", "message": "down", "retryable": True}, "try_number": 1}

    with pytest.raises(OSSResumeError, match="down"):
        sensor.resume_execution("execute_complete", arguments, {"ti": SimpleNamespace(try_number=1)})

    assert sensor.resume_execution("execute_complete", arguments, {"ti": SimpleNamespace(try_number=2)}) == [
        "oss://bucket/key"
    ]


def test_a_check_in_the_worker_does_not_begin_the_timeout_anew(connected: LocalOSS) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    connected.put(BUCKET, "key", b"")
    sensor = OSSObjectSensor(
        task_id="wait", bucket_key="key", bucket_name=BUCKET, deferrable=True, check_fn=lambda _: False, timeout=100
    )
    with pytest.raises(TaskDeferred) as first:
        sensor.execute({})
    arguments = {**first.value.kwargs, "event": {"status": "success", "matches": []}}

    with pytest.raises(TaskDeferred) as second:
        sensor.resume_execution("execute_complete", arguments, {})

    assert second.value.kwargs == first.value.kwargs
    assert second.value.timeout < first.value.timeout
    assert second.value.trigger.look_at_once is False  # else worker and triggerer would play ping-pong

    with pytest.raises(AirflowSensorTimeout, match="timed out after 100"):
        sensor.resume_execution("execute_complete", {**arguments, "deadline": arguments["deadline"] - 100}, {})


# --- waiting in vain --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lenient", ["", "soft_fail"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("options", "denied", "says"),
    [
        ({}, True, "grant oss:GetObject"),
        ({"bucket_name": "no-such-bucket"}, False, "check the bucket's name"),
        ({"bucket_name": "Bad_Bucket"}, False, "3 to 63"),
        ({"bucket_key": ""}, False, "the key is empty"),
        ({"bucket_key": "['a', 'b']"}, False, "render_template_as_native_obj"),
        ({"wildcard_match": "yes"}, False, "wildcard_match='yes': give true or false"),
        ({"permanent_errors": "hide"}, False, "choose one of 'fail', 'skip'"),
        ({"bucket_key": ["key", "oss://other/key"]}, False, "leave one of the two out"),
        ({"bucket_key": []}, False, "give a key, or a list of keys"),
        ({"oss_conn_id": "without_key"}, False, "the Access Key ID is missing"),
    ],
    ids=[
        "denied",
        "no-bucket",
        "bad-bucket",
        "bad-key",
        "text-of-list",
        "bad-flag",
        "bad-choice",
        "two-buckets",
        "no-key",
        "no-credentials",
    ],
)
def test_what_no_waiting_mends_fails_at_the_first_look(
    wait: Any, connected: LocalOSS, connections: Any,
    options: dict[str, Any], denied: bool, says: str, mode: str, lenient: str,
) -> None:  # fmt: skip
    connections.add("without_key", extra={"region": "cn-hangzhou"})
    if denied:
        connected.fail("HeadObject", fault=DENIED, times=None)
    seen: list[BaseException] = []

    done = wait(
        **{"bucket_key": "key", **options}, **({lenient: True} if lenient else {}), **MODES[mode],
        on_failure_callback=lambda context: seen.append(context["exception"]),
    )  # fmt: skip

    assert done.instance("wait") == ("failed", 1)  # neither waited for, nor tried again, nor skipped
    assert len(connected.requests) <= 1
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert says in str(seen[0])


@pytest.mark.parametrize("lenient", ["silent_fail", "never_fail"])
@pytest.mark.parametrize("mode", MODES)
def test_no_leniency_hides_it(wait: Any, connected: LocalOSS, mode: str, lenient: str) -> None:
    connected.fail("HeadObject", fault=DENIED, times=None)

    assert wait("key", **{lenient: True}, **MODES[mode]).instance("wait") == ("failed", 1)
    assert len(connected.requests) == 1


@pytest.mark.parametrize("lenient", ["", "soft_fail", "silent_fail", "never_fail"])
@pytest.mark.parametrize(("mode", "looks"), [("poke", 1), ("reschedule", 1), ("deferrable", 1), ("deferrable", 3)])
def test_what_no_waiting_mends_can_end_as_skipped(
    wait: Any, connected: LocalOSS, mode: str, looks: int, lenient: str
) -> None:
    connected.fail_after("HeadObject", looks - 1, DENIED)

    done = wait("key", permanent_errors="skip", **({lenient: True} if lenient else {}), **MODES[mode])

    assert done.instance("wait") == ("skipped", 1)
    assert len(connected.requests) == looks


def test_a_subclass_sees_what_poke_raises(connected: LocalOSS) -> None:
    seen: list[Exception] = []

    class Mine(OSSObjectSensor):
        def poke(self, context: Any) -> Any:
            try:
                return super().poke(context)
            except Exception as error:
                seen.append(error)
                return True

    for mode in ("poke", "deferrable"):
        assert Mine(task_id="wait", bucket_key="key", bucket_name="no-such-bucket", **MODES[mode]).execute({}) is None

    assert type(seen[0]) is AirflowFailException
    assert type(seen[0].__cause__) is NoSuchBucket


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bucket_key": "a(", "use_regex": True}, "bucket_key='a(': it is not a regular expression"),
        ({"wildcard_match": True, "use_regex": True}, "use_regex=True: wildcard_match is set too"),
        ({"must_not_exist": True, "check_fn": len}, "there is no object to check"),
        (
            {"must_not_exist": True, "stable_for": 5},
            "stable_for=5: an object that must not exist cannot stay unchanged",
        ),
        ({"check_fn": "len"}, "check_fn='len': give a function"),
        ({"require": "some"}, "require='some': choose all or any"),
        ({"min_size": "big"}, "min_size='big': give bytes"),
        ({"modified_after": "soon"}, "modified_after='soon': give a datetime"),
        ({"stable_for": "long"}, "stable_for='long': give a duration"),
        ({"max_matches": "0"}, "max_matches='0': give a whole number"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_any_request(
    connected: LocalOSS, options: dict[str, Any], says: str, mode: str
) -> None:
    sensor = OSSObjectSensor(
        **{"task_id": "wait", "bucket_key": "key", "bucket_name": BUCKET, "soft_fail": True, **options}, **MODES[mode]
    )

    with pytest.raises(AirflowFailException) as refused:
        sensor.execute({})

    assert says in str(refused.value)
    assert connected.requests == []


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
    cause = seen[0].__cause__
    assert isinstance(cause, ServiceError)  # as in a worker
    assert (type(cause).__name__, cause.status, cause.code) == (fault.code, fault.status, fault.code)


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
    event = {"status": "error", "message": "down", "retryable": True}  # of version 0.1

    with pytest.raises(OSSResumeError, match="down") as raised:
        sensor.resume_execution("execute_complete", {"event": event}, {})

    assert raised.value.retryable


@pytest.mark.parametrize("permanent_errors", ["fail", "skip"])
def test_an_event_of_version_0_1_that_no_retry_mends_is_understood(permanent_errors: Any) -> None:
    sensor = OSSObjectSensor(
        task_id="wait", bucket_key="key", bucket_name=BUCKET, soft_fail=True, permanent_errors=permanent_errors
    )
    event = {"status": "error", "message": "denied", "retryable": False}

    with pytest.raises(AirflowFailException if permanent_errors == "fail" else AirflowSkipException, match="denied"):
        sensor.resume_execution("execute_complete", {"event": event, "of_a_newer_version": 1}, {})


# --- arguments --------------------------------------------------------------------------------------------------------


def test_every_argument_is_templated(wait: Any, connected: LocalOSS) -> None:
    connected.put(BUCKET, "a", b"")
    connected.put(BUCKET, "b", b"")
    connected.fail("HeadObject", fault=Fault("skewed-clock", seconds=60), times=None)  # so that they are old enough
    values = {
        "bucket_key": ["a", "b"],
        "bucket_name": BUCKET,
        "region": connected.region,
        "oss_conn_id": "oss_default",
        "require": "any",
        "min_size": "0",
        "modified_after": "2026-01-31T00:00:00+00:00",
        "stable_for": "0.001",
        "max_matches": "1.0",
        "wildcard_match": "False",
        "use_regex": "false",
        "must_not_exist": "FALSE",
        "count_folder_markers": "True",
        "permanent_errors": "skip",
        "deferrable": "False",
        "soft_fail": "True",
        "silent_fail": "False",
        "never_fail": "False",
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
    assert done.xcom("wait") == ["oss://bucket/a"]


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

    with runs.connection_in_the_database("oss_default", oss.airflow_connection()):
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


async def drain(trigger: OSSObjectTrigger) -> None:
    async for _ in trigger.run():
        pass


def wanted(*keys: str, **options: Any) -> dict[str, Any]:
    return Wanted.of([KeyPattern(BUCKET, key, "wildcard") for key in keys], **options).to_json()


def a_trigger(*keys: str, **options: Any) -> OSSObjectTrigger:
    return OSSObjectTrigger(wanted(*keys), **{"poke_interval": SOON, **options})


def test_a_trigger_fires_when_all_are_there(connected: LocalOSS) -> None:
    connected.put(BUCKET, "a", b"")
    appear(connected, "b", after_looks=4)

    assert first_event(a_trigger("a", "b", deadline=9e9)) == {
        "status": "success", "matches": ["oss://bucket/a", "oss://bucket/b"], "deadline": 9e9, "limit": "timeout"
    }  # fmt: skip


def test_a_trigger_may_wait_before_its_first_look(connected: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    connected.put(BUCKET, "a", b"")
    looks_before_each_sleep = []

    async def sleep(seconds: float) -> None:
        looks_before_each_sleep.append((seconds, len(connected.requests)))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    first_event(a_trigger("a", look_at_once=False, poke_interval=60))

    assert looks_before_each_sleep == [(60, 0)]


@pytest.mark.parametrize(
    ("fault", "says"),
    [(DENIED, "grant oss:GetObject"), (Fault("status", status=404, code="NoSuchBucket"), "check the bucket's name")],
)
def test_a_trigger_fires_when_waiting_is_in_vain(connected: LocalOSS, fault: Fault, says: str) -> None:
    connected.fail_after("HeadObject", 2, fault)

    event = first_event(a_trigger("key"))

    assert (event["status"], event["retryable"]) == ("error", False)
    assert says in event["message"]
    error = error_from_data(json.loads(json.dumps(event))["error"])
    assert isinstance(error, ServiceError)
    assert (type(error).__name__, error.status, error.code, str(error)) == (
        fault.code, fault.status, fault.code, event["message"]
    )  # fmt: skip


@pytest.mark.parametrize("silent_fail", [False, True])
def test_a_trigger_leaves_a_passing_failure_to_its_next_look(connected: LocalOSS, silent_fail: bool) -> None:
    connected.fail("HeadObject", 2, Fault("status", status=503), times=4)
    connected.fail("HeadObject", 6, Fault("refuse"))
    appear(connected, "key", after_looks=7)

    event = first_event(a_trigger("key", silent_fail=silent_fail))

    assert event["status"] == "success"
    assert len(connected.calls("HeadObject")) == 8  # one request a look


def test_a_trigger_looks_no_more_when_as_many_looks_have_failed_as_a_worker_sends_requests(
    connected: LocalOSS,
) -> None:
    connected.fail("HeadObject", fault=Fault("status", status=503, code="ServiceUnavailable"), times=None)

    event = first_event(a_trigger("key", deadline=time.time() + 600))

    assert len(connected.requests) == TransferConfig().part_retries + 1
    error = error_from_data(event["error"])
    assert isinstance(error, ServiceError)
    assert (error.status, error.code, error.retryable, event["retryable"]) == (503, "ServiceUnavailable", True, True)


def test_a_trigger_waits_as_long_as_oss_asks_for(connected: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    connected.put(BUCKET, "key", b"")
    connected.fail("HeadObject", fault=Fault("status", status=503, retry_after=99))
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    first_event(a_trigger("key"))

    assert pauses == [0, 99]


def test_a_trigger_leaves_a_long_wait_that_oss_asks_for_to_airflow(connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=Fault("status", status=503, retry_after=3_600))

    error = error_from_data(first_event(a_trigger("key"))["error"])

    assert isinstance(error, ServiceError)
    assert error.retry_after == 3_600


def test_a_trigger_has_the_deadline_itself(connected: LocalOSS) -> None:
    deadline = time.time() + 2

    event = first_event(a_trigger("key", poke_interval=60, deadline=deadline))

    assert (event["status"], event["retryable"], event["deadline"]) == ("timeout", False, deadline)
    assert event["has_looked"]
    assert "key does not exist" in event["message"]
    assert len(connected.requests) == 2  # the last look is that of the deadline


def test_what_comes_while_a_look_outlasts_the_deadline_is_seen(connected: LocalOSS) -> None:
    trigger = a_trigger("key", deadline=9e9, poke_interval=60)

    def let_the_time_be_over(_: Any) -> None:
        if trigger.deadline:
            trigger.deadline = 0.0
        else:  # the second look begins
            connected.put(BUCKET, "key", b"")

    connected.on_request = let_the_time_be_over

    assert first_event(trigger)["status"] == "success"


def test_the_look_at_the_deadline_has_its_time_from_when_its_turn_comes(
    connected: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.triggers.oss.LAST_START", 3.0)
    connected.put(BUCKET, "key", b"")
    connected.fail("HeadObject", fault=Fault("latency", seconds=4.0))

    assert first_event(a_trigger("key", deadline=time.time() - 60))["status"] == "success"


def test_a_look_whose_turn_does_not_come_is_left_to_the_worker_and_delays_no_other_connection(
    connected: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.hooks.asynchronous.MAX_CALLS", 1)
    monkeypatch.setattr("airflow_provider_ossresume.triggers.oss.LAST_START", 0.5)
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connected.airflow_connection())
    connected.put(BUCKET, "key", b"")
    go = threading.Event()
    busy = shared_pool("calls-oss_default", most=1).submit(go.wait, 30)

    stuck = first_event(a_trigger("key", deadline=time.time()))
    other = first_event(a_trigger("key", deadline=time.time() + 30, oss_conn_id="other"))
    go.set()
    busy.result(30)

    assert (stuck["status"], stuck["has_looked"], other["status"]) == ("timeout", False, "success")


def test_a_look_ends_when_its_trigger_is_cancelled(connected: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.hooks.asynchronous.MAX_CALLS", 1)
    for number in range(4_500):
        connected.put(BUCKET, f"in/{number}", b"")
    asked, go = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        asked.set()
        go.wait(30)

    connected.after_request = hold

    async def cancel_amid() -> None:
        waiting = asyncio.create_task(drain(a_trigger("in/*.done")))
        await asyncio.to_thread(asked.wait, 30)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(cancel_amid())
    go.set()
    shared_pool("calls-oss_default", most=1).submit(len, "").result(30)  # its turn comes behind the look

    assert len(connected.requests) <= 2  # of five pages: one was held, and one may have been asked for by then


def test_a_look_that_takes_too_long_fails_for_now_and_says_what_to_do(
    connected: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ossresume.triggers.oss.CHECK_TIMEOUT", -1.0)
    connected.put(BUCKET, "in/a", b"")

    event = first_event(a_trigger("in/*.done", deadline=time.time()))

    assert (event["status"], event["retryable"]) == ("error", True)
    assert "deferrable=False" in event["message"]


def test_what_is_not_ours_tells_the_task_no_text(connected: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leak(*_: Any, **__: Any) -> None:
        raise ValueError("vault said s3cr3t")

    monkeypatch.setattr("airflow_provider_ossresume.hooks.asynchronous.read_connection", leak)

    event = first_event(a_trigger("key"))

    assert "s3cr3t" not in json.dumps(event)
    assert event["retryable"]
    assert "ValueError in the triggerer, with the connection 'oss_default'" in event["message"]


def test_a_last_look_that_fails_is_a_failure_and_under_silent_fail_a_timeout(connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=Fault("refuse"), times=None)

    failed = first_event(a_trigger("key", deadline=time.time()))
    timed_out = first_event(a_trigger("key", deadline=time.time(), silent_fail=True))

    assert type(error_from_data(failed["error"])) is ConnectionFailed
    assert timed_out["status"] == "timeout"


def test_a_trigger_looks_its_connection_up_once(connected: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    appear(connected, "key", after_looks=3)
    put = connected.after_request

    def change_the_connection(request: Any) -> None:
        put(request)
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", "{}")

    connected.after_request = change_the_connection

    assert first_event(a_trigger("key"))["status"] == "success"


def test_a_connection_that_airflow_does_not_find_is_left_to_the_next_try(connected: LocalOSS) -> None:
    event = first_event(a_trigger("key", oss_conn_id="nowhere"))

    assert (event["status"], event["retryable"]) == ("error", True)
    assert "nowhere" in event["message"]
    assert type(error_from_data(event["error"])) is OSSResumeError


def test_sensors_on_a_silent_oss_delay_nobody_and_end_at_once_when_they_are_cancelled(connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=Fault("stall"), times=None)

    async def beside_them() -> tuple[float, int]:
        waiting = [asyncio.create_task(drain(a_trigger(f"key{number}"))) for number in range(3 * MAX_CALLS)]
        while len(connected.requests) < MAX_CALLS:
            await asyncio.sleep(SOON)
        began = time.monotonic()
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await asyncio.to_thread(time.monotonic)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return time.monotonic() - began, len(connected.requests)

    began = time.monotonic()
    seconds, requests = asyncio.run(beside_them())

    assert seconds < 5  # a silent look takes ten
    assert time.monotonic() - began < CLIENT_CONFIG["read_timeout"]  # the loop's end waits for no look
    assert requests == MAX_CALLS  # what had not begun never does


def test_a_trigger_looks_at_its_connection_when_it_runs(connections: Any) -> None:
    connections.add(extra={"region": "cn-hangzhou"})

    event = first_event(a_trigger("key"))

    assert (event["status"], event["retryable"]) == ("error", False)
    assert "the Access Key ID is missing" in event["message"]


@pytest.mark.parametrize(
    "trigger",
    [
        OSSObjectTrigger(wanted("key")),
        OSSObjectTrigger(
            wanted("日本 語*", require="any", min_size="1KiB", modified_after="2026-01-31", stable_for=60),
            oss_conn_id="c", region="r", poke_interval=7, look_at_once=False, silent_fail=True, deadline=9e9,
            limit="execution_timeout",
        ),
        OSSObjectTrigger(wanted("key"), oss_conn_id=None),
    ],
)  # fmt: skip
def test_a_trigger_is_the_same_after_a_trip_through_the_database(trigger: OSSObjectTrigger) -> None:
    path, arguments = trigger.serialize()

    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    assert again.serialize() == (path, arguments)
    assert vars(again) == vars(trigger)


def test_a_trigger_that_another_version_has_stored_can_run(connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"")
    of_0_1 = {
        "wanted": {
            "patterns": [[BUCKET, "key", "key"]], "any_key": False, "must_not_exist": False, "min_size": 0,
            "modified_after": None, "stable_for": 0, "max_matches": 1000,
        },
        "oss_conn_id": "oss_default", "region": None, "poke_interval": 60.0, "look_at_once": True, "silent_fail": False,
    }  # fmt: skip
    newer: dict[str, Any] = {**of_0_1, "wanted": {**of_0_1["wanted"], "sort_by": "age"}, "priority": 1}

    for arguments in (of_0_1, newer):
        assert first_event(OSSObjectTrigger(**arguments))["matches"] == ["oss://bucket/key"]


def test_an_event_names_a_class_that_this_version_does_not_know() -> None:
    sensor = OSSObjectSensor(task_id="wait", bucket_key="key", bucket_name=BUCKET)
    data = error_to_data(AccessDenied(operation="HeadObject", target="oss://b/k", status=403))
    event = {"status": "error", "error": {**data, "kinds": ["os.system", "Newer", *data["kinds"][1:]]}}

    with pytest.raises(AirflowFailException) as raised:
        sensor.resume_execution("execute_complete", {"event": event}, {})

    assert type(raised.value.__cause__) is ServiceError
