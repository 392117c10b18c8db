"""Defects that the Airflow tests found, each as the behaviour that was missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.errors import ArgumentError, CheckpointUnreadable
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import decode
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from tests.airflow.store_contract import key_of
from tests.world import BUCKET, a_file

DENIED = Fault("status", status=403, code="AccessDenied")

# That a mapped task is no holder, on 2.11 too, and a downstream task is one, on 3.3 too: test_xcom_holder.py.


# --- the sensor -------------------------------------------------------------------------------------------------------


def run_sensor(dag: Any, **options: Any) -> tuple[Any, list[BaseException]]:
    from tests.airflow.runs import run

    seen: list[BaseException] = []
    with dag:
        OSSObjectSensor(
            task_id="wait",
            bucket_key="key",
            bucket_name=BUCKET,
            poke_interval=0.01,
            on_failure_callback=lambda context: seen.append(context["exception"]),
            **options,
        )
    return run(dag).instance("wait"), seen


def test_a_permission_that_is_lost_while_deferred_is_a_failure_under_soft_fail_too(
    dag: Any, connected: LocalOSS
) -> None:
    """Airflow turns whatever AirflowException a resumed sensor raises into a skip."""
    connected.fail_after("HeadObject", 2, DENIED)

    ended, seen = run_sensor(dag, deferrable=True, soft_fail=True)

    assert ended == ("failed", 1)
    assert "grant oss:GetObject" in str(seen[0])


@pytest.mark.parametrize("options", [{"mode": "poke"}, {"mode": "reschedule"}])
def test_a_missing_permission_fails_at_the_first_look_under_silent_fail_too(
    dag: Any, connected: LocalOSS, options: dict[str, Any]
) -> None:
    """Airflow's silent_fail looks on after every exception but AirflowFailException."""
    connected.fail("HeadObject", fault=DENIED, times=None)

    ended, seen = run_sensor(dag, silent_fail=True, timeout=0, **options)

    assert ended == ("failed", 1)
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert "grant oss:GetObject" in str(seen[0])


def test_both_hold_together(dag: Any, connected: LocalOSS) -> None:
    connected.fail("HeadObject", fault=DENIED, times=None)

    ended, _ = run_sensor(dag, silent_fail=True, soft_fail=True, timeout=0)

    assert ended == ("failed", 1)


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [datetime(2024, 1, 1, tzinfo=timezone.utc), [datetime(2024, 1, 1, tzinfo=timezone.utc)], {1, 2}]
)
def test_an_xcom_that_json_does_not_know_is_refused_as_no_checkpoint(dag: Any, value: Any) -> None:
    """XComs hold more than JSON: a datetime comes back as one."""
    from airflow_provider_ossresume import _airflow
    from tests.airflow.runs import Call, call_in_a_task

    def put_and_load(context: Mapping[str, Any]) -> str | None:
        ti = context["ti"]
        row = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": "holder", "map_index": -1}
        _airflow.set_xcom(f"ossresume-{key_of('garbage')}", value, row)
        return select_store("xcom", context=context, xcom_holder_task_id="holder").load(key_of("garbage"))

    text = call_in_a_task(dag, put_and_load, then=Call(task_id="holder", function=lambda _: None, dag=dag))

    assert isinstance(text, str)
    with pytest.raises(CheckpointUnreadable):
        decode(text)


def test_a_task_that_may_start_before_our_success_is_no_holder_however_far_down(dag: Any) -> None:
    """``middle`` waits for any one of its two, so that ``last`` may start, and lose its XComs, before our success."""
    from airflow_provider_ossresume.checkpoints.xcom import find_holder
    from tests.airflow.runs import Call

    with dag:
        above, transfer, quick = (Call(task_id=name, function=print) for name in ("above", "transfer", "quick"))
        middle = Call(task_id="middle", function=print, trigger_rule="one_success")
        above >> transfer >> middle >> Call(task_id="last", function=print)
        quick >> middle

    assert find_holder(transfer) == "above"


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert str(select_store("file:~/checkpoints", context=None)) == f"file {tmp_path / 'checkpoints'}"


class NeedsAnArgument(MemoryCheckpointStore):
    def __init__(self, url: str) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (f"{__name__}.NeedsAnArgument", "NeedsAnArgument.*missing 1 required positional argument: 'url'"),
        ("os.path", "not callable"),
        ("os.sep", "not callable"),
        ("..relative.Store", "cannot be imported"),
        (MemoryCheckpointStore, "the methods load, save and delete"),
    ],
)
def test_a_class_that_gives_no_store_is_refused_by_name(choice: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as error:
        select_store(choice, context=None)

    assert error.value.argument == "checkpoint"


# --- values that are no text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"key": None}, "key"),
        ({"key": 7}, "key"),
        ({"key": ["a", "b"]}, "key"),
        ({"file": None}, "file"),
        ({"file": 7}, "file"),
        ({"bucket_name": 7}, "bucket_name"),
        ({"metadata": "{'who': 'we'}"}, "metadata"),
        ({"headers": ["x-oss-storage-class"]}, "headers"),
        ({"content_type": 7}, "content_type"),
    ],
)
def test_what_another_task_returned_by_mistake_is_one_clear_error(
    connected: LocalOSS, tmp_path: Path, arguments: dict[str, Any], argument: str
) -> None:
    """An XComArg whose task returned nothing is None; a rendered dict that is no native one is a text."""
    given = {"file": str(a_file(tmp_path)), "key": "key", "bucket_name": BUCKET, "checkpoint": "memory", **arguments}

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().upload_file(**given)

    assert error.value.argument == argument
    assert connected.requests == []


def task_of(kind: str, path: Path, key: Any) -> Any:
    if kind == "upload":
        return OSSResumableUploadOperator(task_id="task", file=str(a_file(path)), key=key, bucket_name=BUCKET)
    if kind == "download":
        return OSSResumableDownloadOperator(task_id="task", file=str(path / "target"), key=key, bucket_name=BUCKET)
    return OSSObjectSensor(task_id="task", bucket_key=key, bucket_name=BUCKET)


@pytest.mark.parametrize("kind", ["upload", "download", "sensor"])
def test_a_key_from_a_task_that_returned_nothing_fails_at_once(
    dag: Any, connected: LocalOSS, tmp_path: Path, kind: str
) -> None:
    from tests.airflow.runs import Call, run

    with dag:
        nothing = Call(task_id="nothing", function=lambda _: None)
        task_of(kind, tmp_path, nothing.output)

    assert run(dag).instance("task") == ("failed", 1)


# --- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault("refuse"), Fault("status", status=503, code="ServiceUnavailable")], ids=["refused", "503"]
)
def test_testing_a_connection_asks_at_most_twice(connected: LocalOSS, connections: Any, fault: Fault) -> None:
    """It runs in Airflow's API server while a person waits: eight attempts, each with its timeout, are minutes."""
    connections.add(**{**json.loads(connected.airflow_connection()), "schema": BUCKET})
    asked: list[Any] = []
    connected.on_request = asked.append
    connected.fail("GetBucketInfo", fault=fault, times=None)

    works, _ = OSSResumeHook().test_connection()

    assert not works
    assert len(asked) <= 2


@pytest.mark.parametrize("method", ["FROB", "", "GET /other", "LIST"])
def test_a_url_for_a_method_that_oss_has_not_is_refused(connected: LocalOSS, method: str) -> None:
    with pytest.raises(ArgumentError, match=f"method={method!r}.*GET, HEAD, PUT or DELETE"):
        OSSResumeHook().generate_presigned_url("key", BUCKET, method=method)
