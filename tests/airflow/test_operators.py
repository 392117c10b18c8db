"""The operators inside real tasks: a try that fails, and the retry that goes on from its last finished part."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3, CLEAR_KEEPS_TASK_STATE
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Owner, UploadCheckpoint, decode, encode
from airflow_provider_ossresume.model.checkpoint_keys import CheckpointKeys, TaskIds, checkpoint_keys
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.world import BUCKET, PART, a_file, some_bytes

pytestmark = pytest.mark.usefixtures("database", "connected")

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
DOWN = Fault("status", status=503, code="ServiceUnavailable")
DENIED = Fault("status", status=403, code="AccessDenied")
SIZE = 5 * PART + 17  # six parts
SOURCE = f"oss://{BUCKET}/source"  # of a copy
HOMES = ("auto", "variable", "xcom", "task_state", "file")
DIRECTIONS = ("upload", "download", "copy")  # a copy through the worker; OSS's own are in test_copy_operator.py
OF_A_PART = {"upload": "UploadPart", "download": "GetObject", "copy": "UploadPart"}


@pytest.fixture
def transfer(dag: Any, connected: LocalOSS, tmp_path: Path) -> Callable[..., Any]:
    """Adds a task ``transfer`` to the DAG, with a file or an object to move, and a task downstream of it."""
    from tests.airflow.runs import Call

    def add(direction: str = "upload", **options: Any) -> Any:
        given = {"task_id": "transfer", "key": "key", "bucket_name": BUCKET, "transfer_config": CONFIG, **options}
        with dag:
            if direction == "upload":
                task = OSSResumableUploadOperator(**{"file": str(a_file(tmp_path, size=SIZE)), **given})
            elif direction == "download":
                connected.put(BUCKET, "key", some_bytes(SIZE))
                task = OSSResumableDownloadOperator(**{"file": str(tmp_path / "target"), **given})
            else:
                connected.put(BUCKET, "source", some_bytes(SIZE))
                target = given.pop("key")
                task = OSSCopyObjectOperator(source=SOURCE, target=target, **{"copy_mode": "stream", **given})
            task >> Call(task_id="holder", function=lambda _: None)
        return task

    return add


@pytest.fixture
def arrived(connected: LocalOSS, tmp_path: Path) -> Callable[[str], bytes]:
    """Returns what a transfer of that direction brought to its end."""

    def read(direction: str) -> bytes:
        return (tmp_path / "target").read_bytes() if direction == "download" else connected.object(BUCKET, "key")

    return read


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    return caplog


def a_home(home: str, tmp_path: Path) -> str:
    if home == "task_state" and not has_task_state():
        pytest.skip("the task state store comes with Airflow 3.3")
    return f"file:{tmp_path / 'checkpoints'}" if home == "file" else home


def has_task_state() -> bool:
    from airflow import __version__

    return tuple(map(int, __version__.split(".")[:2])) >= (3, 3)


def keys_of(ti: Any, direction: str, folder: Path) -> CheckpointKeys:
    """Return the keys of what the task ``transfer`` keeps."""
    path = SOURCE if direction == "copy" else folder / {"upload": "source.bin", "download": "target"}[direction]
    task = TaskIds(ti.dag_id, ti.run_id, ti.task_id, -1)
    return checkpoint_keys(direction, ObjectRef(BUCKET, "key"), str(path), task=task)


def run(dag: Any, **conf: Any) -> Any:
    from tests.airflow import runs

    return runs.run(dag, **conf)


def last_run(dag: Any) -> Any:
    from tests.airflow import runs

    return runs.last_run(dag)


def checkpoints() -> list[str]:
    from tests.airflow import runs

    return runs.checkpoints()


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("home", HOMES)
def test_a_retry_goes_on_from_the_last_finished_part(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, tmp_path: Path, direction: str, home: str
) -> None:
    folder = tmp_path / "checkpoints"
    transfer(direction, checkpoint=a_home(home, tmp_path))
    connected.fail(OF_A_PART[direction], nth=4, fault=DOWN)
    between: list[str] = []
    connected.after_request = lambda request: (
        any(earlier.status == 503 for earlier in connected.requests)
        and between.extend(checkpoints() + [f"file {file.stem}" for file in folder.glob("*.json")])
    )

    done = run(dag)

    assert done.instance("transfer") == ("success", 2)
    assert arrived(direction) == some_bytes(SIZE)
    report = done.xcom("transfer", "report")
    assert (report["parts"], report["parts_kept"], report["parts_sent"]) == (6, 3, 3)
    assert report["bytes"] == SIZE - 3 * PART
    assert len(connected.calls(OF_A_PART[direction])) == 7  # the failed one is sent twice, no other one
    [place] = {entry.split()[0] for entry in between}
    assert place == {
        "auto": "task_state_store" if CLEAR_KEEPS_TASK_STATE else "variable",
        "task_state": "task_state_store",
    }.get(home, home)
    assert checkpoints() == []
    assert not folder.exists() or list(folder.iterdir()) == []
    assert connected.uploads(BUCKET) == []


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_memory_survives_no_retry_and_the_transfer_begins_again(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, direction: str
) -> None:
    transfer(direction, checkpoint="memory")
    connected.fail(OF_A_PART[direction], nth=4, fault=DOWN)

    done = run(dag)

    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] == 0
    assert arrived(direction) == some_bytes(SIZE)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_retry_adds_to_what_is_there(dag: Any, transfer: Any, connected: LocalOSS, direction: str) -> None:
    transfer(direction, retries=5)
    for number in (2, 4, 5):
        connected.fail(OF_A_PART[direction], nth=number, fault=DOWN)

    done = run(dag)

    assert done.instance("transfer") == ("success", 4)
    assert done.xcom("transfer", "report")["tries"] == 4
    assert len(connected.calls(OF_A_PART[direction])) == 6 + 3


def test_a_task_that_fails_for_good_keeps_its_checkpoint_for_whoever_clears_it(
    dag: Any, transfer: Any, connected: LocalOSS
) -> None:
    transfer("upload", retries=0)
    connected.fail("UploadPart", nth=4, fault=DOWN)

    assert run(dag).instance("transfer") == ("failed", 1)

    assert len(checkpoints()) == 1
    assert len(connected.uploads(BUCKET)) == 1


def test_an_execution_timeout_keeps_the_finished_parts(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    transfer("download", execution_timeout=timedelta(seconds=10))  # enough for the retry on a busy machine
    connected.fail("GetObject", nth=4, fault=Fault("stall"))

    if not AIRFLOW_3:  # dag.test of 2.11 does not go on
        from airflow.exceptions import AirflowTaskTimeout

        with pytest.raises(AirflowTaskTimeout):
            run(dag)
        assert last_run(dag).instance("transfer") == ("up_for_retry", 1)
        assert len(checkpoints()) == 1
        assert not (tmp_path / "target").exists()
        return
    done = run(dag)
    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] == 3
    assert arrived("download") == some_bytes(SIZE)


# --- what a task gives back -------------------------------------------------------------------------------------------


def test_an_upload_returns_the_uri_and_a_report(dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path) -> None:
    transfer("upload")

    done = run(dag)

    assert done.xcom("transfer") == f"oss://{BUCKET}/key"
    report = done.xcom("transfer", "report")
    assert isinstance(report.pop("seconds"), float)
    meta_crc = report.pop("crc64")
    assert meta_crc.isdigit()
    assert len(report.pop("etag")) > 30
    assert report == {
        "uri": f"oss://{BUCKET}/key",
        "file": str(tmp_path / "source.bin"),
        "outcome": "transferred",
        "size": SIZE,
        "version_id": None,
        "parts": 6,
        "parts_kept": 0,
        "parts_sent": 6,
        "bytes": SIZE,
        "retries": 0,
        "tries": 1,
    }


def test_a_download_returns_the_path_and_a_report(dag: Any, transfer: Any, tmp_path: Path) -> None:
    transfer("download")

    done = run(dag)

    assert done.xcom("transfer") == str(tmp_path / "target")
    report = done.xcom("transfer", "report")
    assert (report["uri"], report["file"]) == (f"oss://{BUCKET}/key", str(tmp_path / "target"))
    assert (report["size"], report["parts_sent"], report["tries"]) == (SIZE, 6, 1)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_a_retry_after_ones_own_success_moves_nothing_and_says_so(
    dag: Any, transfer: Any, connected: LocalOSS, log: pytest.LogCaptureFixture, direction: str, if_exists: str
) -> None:
    def fail_in_the_first_try(context: Mapping[str, Any], result: Any = None) -> None:
        if context["ti"].try_number == 1:
            raise RuntimeError("the transfer was done, the task was not")

    transfer(direction, if_exists=if_exists, post_execute=fail_in_the_first_try)

    done = run(dag)

    assert done.instance("transfer") == ("success", 2)
    report = done.xcom("transfer", "report")
    assert (report["outcome"], report["parts_sent"], report["bytes"]) == ("already there", 0, 0)
    assert len(connected.calls(OF_A_PART[direction])) == 6
    assert "already: an earlier try had finished" in log.text
    assert checkpoints() == []


# --- what no retry mends ----------------------------------------------------------------------------------------------


def endings(seen: list[BaseException], look: Callable[[], object] = lambda: None) -> dict[str, Any]:
    def ended(context: Any) -> None:
        seen.append(context["exception"])
        look()

    return {"on_failure_callback": ended, "on_retry_callback": ended}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("options", "denied", "cause", "says"),
    [
        ({}, True, "AccessDenied", "grant oss:"),
        ({"bucket_name": "no-such-bucket"}, False, "NoSuchBucket", "check the bucket's name"),
        ({"bucket_name": "Bad_Bucket"}, False, "ArgumentError", "3 to 63"),
        ({"key": "oss://other/key"}, False, "ArgumentError", "leave one of the two out"),
        ({"if_exists": "replace"}, False, "ArgumentError", "choose one of"),
        ({"checkpoint": "redis"}, False, "ArgumentError", "choose one of auto"),
        ({"transfer_config": {"part_size": "1KiB"}}, False, "ArgumentError", "100 KiB"),
        ({"traffic_limit": "1MB"}, False, "ArgumentError", "bits per second"),
        ({"region": "cn-beijing", "oss_conn_id": "of_hangzhou"}, False, "ArgumentError", "is in cn-hangzhou"),
        ({"oss_conn_id": "without_key"}, False, "CredentialsError", "the Access Key ID is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_no_retry_mends_fails_at_the_first_try(
    dag: Any, transfer: Any, connected: LocalOSS, connections: Any,
    direction: str, options: dict[str, Any], denied: bool, cause: str, says: str,
) -> None:  # fmt: skip
    connections.add(
        "of_hangzhou",
        login="nobody",
        password="secret-of-nobody",
        extra={"endpoint": "https://oss-cn-hangzhou.aliyuncs.com"},
    )
    connections.add("without_key", extra={"region": "cn-hangzhou"})
    if denied:
        connected.fail("*", fault=DENIED, times=None)
    seen: list[BaseException] = []
    transfer(direction, **options, **endings(seen))

    assert run(dag).instance("transfer") == ("failed", 1)

    [error] = seen
    assert (type(error).__name__, type(error.__cause__).__name__) == ("AirflowFailException", cause)
    assert says in str(error)


def test_a_download_of_a_missing_key_fails_at_the_first_try(dag: Any, transfer: Any) -> None:
    transfer("download", key="gone")

    assert run(dag).instance("transfer") == ("failed", 1)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_key_from_a_task_that_returned_nothing_fails_at_the_first_try(
    dag: Any, transfer: Any, direction: str
) -> None:
    from tests.airflow.runs import Call

    transfer(direction, key=Call(task_id="nothing", function=lambda _: None, dag=dag).output)

    assert run(dag).instance("transfer") == ("failed", 1)


def test_a_missing_file_is_tried_again_as_the_next_worker_may_have_it(dag: Any, transfer: Any, tmp_path: Path) -> None:
    seen: list[BaseException] = []
    transfer("upload", file=str(tmp_path / "missing"), **endings(seen))

    assert run(dag).instance("transfer") == ("failed", 2)

    assert [type(error).__name__ for error in seen] == ["ArgumentError"] * 2


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_may_pass_is_tried_again_and_is_no_airflow_fail_exception(
    dag: Any, transfer: Any, connected: LocalOSS, direction: str
) -> None:
    seen: list[BaseException] = []
    transfer(direction, **endings(seen))
    connected.fail_after(OF_A_PART[direction], 2, DOWN)

    assert run(dag).instance("transfer") == ("failed", 2)

    assert [type(error).__name__ for error in seen] == ["ServiceError"] * 2
    assert "503" in str(seen[0])


# --- templates --------------------------------------------------------------------------------------------------------


def templates_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return each value as a template that takes it from the run's conf; those in dicts and lists too."""
    return {
        name: {inner: f"{{{{ dag_run.conf['{name}']['{inner}'] }}}}" for inner in value}
        if isinstance(value, dict)
        else [f"{{{{ dag_run.conf['{name}'][{index}] }}}}" for index in range(len(value))]
        if isinstance(value, list)
        else f"{{{{ dag_run.conf['{name}'] }}}}"
        for name, value in values.items()
    }


def test_every_argument_of_an_upload_is_templated(dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path) -> None:
    values = {
        "file": str(a_file(tmp_path, size=SIZE)),
        "key": "a/b c.json",
        "bucket_name": BUCKET,
        "region": connected.region,
        "oss_conn_id": "oss_default",
        "show_progress": "false",
        "checkpoint": "xcom",
        "transfer_config": {"part_size": "100KiB", "multipart_threshold": "1MiB"},
        "if_exists": "fail",
        "skip_as": "skipped",
        "event_if_skipped": "true",
        "on_kill_action": "abort",
        "on_final_failure": "abort",
        "source_changed": "fail",
        "fingerprint": "stat",
        "content_type": "text/x-mine",
        "content_encoding": "gzip",
        "content_disposition": 'attachment; filename="a.json"',
        "content_language": "zh-CN",
        "cache_control": "no-cache",
        "expires": "2030-01-31T12:00:00+00:00",
        "metadata": {"who": "wir äöü"},
        "tags": {"team": "data eng"},
        "storage_class": "IA",
        "acl": "private",
        "server_side_encryption": "KMS",
        "sse_kms_key_id": "9468da86",
        "sse_data_encryption": "SM4",
        "headers": {"x-oss-callback": "e30="},
        "request_payer": "requester",
        "traffic_limit": "8388608",
        "xcom_holder_task_id": "holder",
    }
    assert values.keys() == set(OSSResumableUploadOperator.template_fields)
    transfer("upload", **templates_of(values))

    done = run(dag, **values)

    assert done.state == "success"
    assert done.rendered("transfer") == values
    stored = connected.calls("PutObject")[-1]
    assert stored.key == "a/b c.json"
    assert stored.headers["x-oss-forbid-overwrite"] == "true"
    said = {
        "content-type": "text/x-mine",
        "content-encoding": "gzip",
        "content-disposition": 'attachment; filename="a.json"',
        "content-language": "zh-CN",
        "cache-control": "no-cache",
        "expires": "Thu, 31 Jan 2030 12:00:00 GMT",
        "x-oss-tagging": "team=data%20eng",
        "x-oss-storage-class": "IA",
        "x-oss-object-acl": "private",
        "x-oss-server-side-encryption": "KMS",
        "x-oss-server-side-encryption-key-id": "9468da86",
        "x-oss-server-side-data-encryption": "SM4",
        "x-oss-callback": "e30=",
        "x-oss-request-payer": "requester",
        "x-oss-traffic-limit": "8388608",
    }
    assert {name: stored.headers[name] for name in said} == said
    assert done.xcom("transfer") == f"oss://{BUCKET}/a/b c.json"


def test_every_argument_of_a_download_is_templated(
    dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    values = {
        "key": "key",
        "file": str(tmp_path / "to" / "here"),
        "bucket_name": BUCKET,
        "region": connected.region,
        "oss_conn_id": "oss_default",
        "show_progress": "false",
        "checkpoint": "xcom",
        "transfer_config": {"part_size": "100KiB", "multipart_threshold": "1MiB"},
        "if_exists": "fail",
        "skip_as": "skipped",
        "event_if_skipped": "true",
        "on_kill_action": "abort",
        "on_final_failure": "abort",
        "object_changed": "fail",
        "version_id": "null",
        "create_parents": "true",
        "file_mode": "640",
        "preserve_mtime": "true",
        "byte_range": ["0", str(SIZE)],
        "request_payer": "requester",
        "traffic_limit": "8388608",
        "xcom_holder_task_id": "holder",
    }
    assert values.keys() == set(OSSResumableDownloadOperator.template_fields)
    transfer("download", **templates_of(values))

    done = run(dag, **values)

    assert done.rendered("transfer") == values
    assert done.state == "success"
    assert (tmp_path / "to" / "here").read_bytes() == some_bytes(SIZE)
    assert connected.calls("GetObject")[-1].query["versionId"] == "null"


def test_everything_else_that_an_author_types_is_templated_too() -> None:
    import inspect

    untemplated = {
        operator.__name__: {
            name
            for kind in operator.__mro__[:2]
            for name, parameter in inspect.signature(kind.__init__).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        - set(operator.template_fields)
        for operator in (OSSResumableUploadOperator, OSSResumableDownloadOperator, OSSCopyObjectOperator)
    }
    assert set().union(*untemplated.values()) == set()


def test_a_key_and_a_config_may_come_from_another_task(dag: Any, transfer: Any, connected: LocalOSS) -> None:
    from tests.airflow.runs import Call

    key = Call(task_id="key", function=lambda _: "from/another/task", dag=dag)
    config = Call(task_id="config", function=lambda _: CONFIG, dag=dag)
    transfer("upload", key=key.output, transfer_config=config.output)

    done = run(dag)

    assert done.state == "success"
    assert done.xcom("transfer") == f"oss://{BUCKET}/from/another/task"
    assert done.xcom("transfer", "report")["parts"] == 6


def test_native_templates_keep_their_types(dag: Any, transfer: Any) -> None:
    dag.render_template_as_native_obj = True
    transfer("upload", transfer_config={**CONFIG, "max_concurrency": "{{ 2 }}", "part_retries": "{{ params.retries }}"},
             params={"retries": 3})  # fmt: skip

    done = run(dag)

    assert done.state == "success"
    assert done.rendered("transfer")["transfer_config"] == {**CONFIG, "max_concurrency": 2, "part_retries": 3}


def test_a_config_and_a_store_may_be_objects(dag: Any, transfer: Any, connected: LocalOSS) -> None:
    store = MemoryCheckpointStore()
    transfer("upload", checkpoint=store, transfer_config=TransferConfig(**CONFIG))
    connected.fail("UploadPart", nth=4, fault=DOWN)

    done = run(dag)

    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] == 3  # one process here, so that it survives
    assert store.texts == {}


# --- mapped tasks -----------------------------------------------------------------------------------------------------


def test_mapped_uploads_resume_each_its_own(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    files = [a_file(tmp_path, size=SIZE, seed=seed, name=f"{seed}.bin") for seed in (1, 2, 3)]
    keys = [f"key-{seed}" for seed in (1, 2, 3)]
    with dag:
        OSSResumableUploadOperator.partial(
            task_id="transfer", bucket_name=BUCKET, transfer_config=CONFIG, checkpoint="variable"
        ).expand_kwargs([{"file": str(file), "key": key} for file, key in zip(files, keys, strict=True)])
    for number, key in enumerate(keys, start=2):
        connected.fail("UploadPart", nth=number, fault=DOWN, key=key)

    done = run(dag)

    assert done.state == "success"
    for index, (file, key) in enumerate(zip(files, keys, strict=True)):
        assert done.instance("transfer", index) == ("success", 2)
        assert done.xcom("transfer", "report", index)["parts_kept"] == index + 1
        assert done.xcom("transfer", map_index=index) == f"oss://{BUCKET}/{key}"
        assert connected.object(BUCKET, key) == file.read_bytes()
    assert checkpoints() == []


def test_one_file_to_many_keys_and_one_key_to_many_files(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    source, targets = a_file(tmp_path, size=SIZE), [str(tmp_path / name) for name in ("a", "b")]
    with dag:
        up = OSSResumableUploadOperator.partial(
            task_id="up", file=str(source), bucket_name=BUCKET, transfer_config=CONFIG
        ).expand(key=["1", "2"])
        down = OSSResumableDownloadOperator.partial(task_id="down", bucket_name=BUCKET, transfer_config=CONFIG).expand(
            key=["1", "2"], file=targets[:1]
        )
        up >> down >> OSSResumableDownloadOperator.partial(task_id="uris").expand(
            key=up.output, file=targets[1:]
        )  # fmt: skip

    done = run(dag)

    assert done.state == "success"
    assert connected.objects(BUCKET) == ["1", "2"]
    assert [Path(target).read_bytes() == source.read_bytes() for target in targets] == [True, True]


@pytest.mark.parametrize("home", ["variable", "xcom", "task_state"])
def test_mapped_tasks_do_not_share_a_checkpoint_even_for_one_object(
    dag: Any, connected: LocalOSS, tmp_path: Path, home: str
) -> None:
    from tests.airflow.runs import Call

    with dag:
        OSSResumableUploadOperator.partial(
            task_id="transfer", file=str(a_file(tmp_path, size=SIZE)), key="key", bucket_name=BUCKET,
            transfer_config=CONFIG, checkpoint=a_home(home, tmp_path), retries=0,
        ).expand(metadata=[{"number": "0"}, {"number": "1"}, {"number": "2"}]) >> Call(
            task_id="holder", function=lambda _: None
        )  # fmt: skip
    connected.fail_after("UploadPart", 2, DOWN)

    done = run(dag)

    tasks = [TaskIds(done.dag_id, done.run_id, "transfer", index) for index in range(3)]
    keys = [
        checkpoint_keys("upload", ObjectRef(BUCKET, "key"), str(tmp_path / "source.bin"), task=task) for task in tasks
    ]
    assert {place.split()[1] for place in checkpoints()} == {f"ossresume-{key.present}" for key in keys}
    assert len(connected.uploads(BUCKET)) == 3


# --- the end of a try -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_on_kill_ends_a_try_by_an_exception_and_keeps_its_parts(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, direction: str
) -> None:
    running: list[Any] = []
    seen: list[BaseException] = []
    transfer(direction, pre_execute=lambda context: running.append(context["ti"].task), **endings(seen))
    asked_for = OF_A_PART[direction]

    def kill_at_the_third_part(_: Any) -> None:
        if len(connected.calls(asked_for)) == 3 and len(running) == 1:
            running[0].on_kill()

    connected.after_request = kill_at_the_third_part

    done = run(dag)

    assert [type(error).__name__ for error in seen] == ["TransferStopped"]
    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] >= 2
    assert arrived(direction) == some_bytes(SIZE)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_on_kill_drops_what_is_done_where_it_is_told_to(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, tmp_path: Path, direction: str
) -> None:
    running: list[Any] = []
    left: list[tuple[int, int, int]] = []
    transfer(direction, on_kill_action="abort", pre_execute=lambda context: running.append(context["ti"].task),
             **endings([], lambda: left.append(what_is_left(connected, tmp_path))))  # fmt: skip

    def kill_at_the_third_part(_: Any) -> None:
        if len(connected.calls(OF_A_PART[direction])) == 3 and len(running) == 1:
            running[0].on_kill()

    connected.after_request = kill_at_the_third_part

    done = run(dag)

    assert left == [(0, 0, 0)]
    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] == 0
    assert arrived(direction) == some_bytes(SIZE)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("fault", "tries"), [(DOWN, 2), (DENIED, 1)], ids=["down", "denied"])
def test_the_last_failure_drops_what_is_done_where_it_is_told_to(
    dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path, direction: str, fault: Fault, tries: int
) -> None:
    left: list[tuple[int, int, int]] = []
    transfer(direction, on_final_failure="abort",
             **endings([], lambda: left.append(what_is_left(connected, tmp_path))))  # fmt: skip
    connected.fail_after(OF_A_PART[direction], 3, fault)

    done = run(dag)

    assert done.instance("transfer") == ("failed", tries)
    kept = (0, 1, 1) if direction == "download" else (1, 0, 1)
    assert left == [kept, (0, 0, 0)][2 - tries :]


def what_is_left(oss: LocalOSS, folder: Path) -> tuple[int, int, int]:
    """How many unfinished uploads, part files and checkpoints there are."""
    return len(oss.uploads(BUCKET)), len(list(folder.glob(".*.ossresume-part"))), len(checkpoints())


@pytest.mark.parametrize("argument", ["on_kill_action", "on_final_failure"])
def test_an_end_that_is_none_is_refused(dag: Any, transfer: Any, connected: LocalOSS, argument: str) -> None:
    seen: list[BaseException] = []
    transfer("upload", **{argument: "delete"}, **endings(seen))

    assert run(dag).instance("transfer") == ("failed", 1)
    assert f"{argument}='delete': choose one of 'keep', 'abort'" in str(seen[0])
    assert connected.requests == []


def let_go_of_the_database() -> None:
    """End what a signal has interrupted in a session of Airflow 2.11's: it would lock the database for all others."""
    from airflow import settings

    settings.Session.remove()
    settings.engine.dispose()


def test_sigterm_never_ends_in_a_success(dag: Any, transfer: Any, arrived: Any, connected: LocalOSS) -> None:
    transfer("upload")
    terminated: list[int] = []

    def terminate_at_the_third_part(_: Any) -> None:
        if len(connected.calls("UploadPart")) == 3 and not terminated:
            terminated.append(os.getpid())
            os.kill(os.getpid(), signal.SIGTERM)

    connected.after_request = terminate_at_the_third_part

    if not AIRFLOW_3:  # raises in the task's thread, and dag.test does not go on
        from airflow.exceptions import AirflowTaskTerminated

        with pytest.raises(AirflowTaskTerminated):
            run(dag)
        let_go_of_the_database()
        assert last_run(dag).instance("transfer") == ("up_for_retry", 1)
        assert len(checkpoints()) == 1
        return
    done = run(dag)
    assert done.instance("transfer") == ("success", 2)
    assert done.xcom("transfer", "report")["parts_kept"] >= 2
    assert arrived("upload") == some_bytes(SIZE)


def test_a_superseded_try_leaves_everything_to_its_successor(
    dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from airflow_provider_ossresume.checkpoints.variable import VariableCheckpointStore

    upload_id: list[str] = []

    def let_a_newer_try_begin(context: Mapping[str, Any]) -> None:
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook
        from airflow_provider_ossresume.model.objects import ObjectRef

        ti = context["ti"]
        upload_id.append(OSSResumeHook().get_conn().initiate(ObjectRef(BUCKET, "key")))
        newer = UploadCheckpoint(
            bucket=BUCKET, key="key", upload_id=upload_id[0], size=SIZE, part_size=PART, options="", owner=Owner(2, "b")
        )
        VariableCheckpointStore().save(keys_of(ti, "upload", tmp_path).present, encode(newer))

    seen: list[BaseException] = []
    transfer("upload", checkpoint="variable", pre_execute=let_a_newer_try_begin, **endings(seen))

    assert run(dag).instance("transfer") == ("failed", 1)

    assert [type(error.__cause__).__name__ for error in seen] == ["TrySuperseded"]
    assert len(checkpoints()) == 1
    assert connected.uploads(BUCKET) == [("key", upload_id[0])]
    assert [request.operation for request in connected.requests] == ["InitiateMultipartUpload"]


# --- old checkpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["garbage", '{"ossresume": 99}', "[]", ""])
def test_a_checkpoint_that_cannot_be_read_is_a_fresh_start(
    dag: Any, transfer: Any, arrived: Any, log: pytest.LogCaptureFixture, tmp_path: Path, text: str
) -> None:
    from airflow_provider_ossresume import _airflow

    def spoil(context: Mapping[str, Any]) -> None:
        key = keys_of(context["ti"], "upload", tmp_path).present
        _airflow.set_variable(f"ossresume-{key}", text, description="")

    transfer("upload", checkpoint="variable", pre_execute=spoil)

    done = run(dag)

    assert done.instance("transfer") == ("success", 1)
    assert arrived("upload") == some_bytes(SIZE)
    assert "cannot be used" in log.text
    assert checkpoints() == []


@pytest.mark.parametrize("direction", ["upload", "download"])
@pytest.mark.parametrize("home", HOMES)
def test_a_retry_after_the_upgrade_goes_on_from_what_0_1_has_left(
    dag: Any, transfer: Any, arrived: Any, connected: LocalOSS, tmp_path: Path, direction: str, home: str
) -> None:
    from airflow_provider_ossresume.checkpoints.select import select_store

    left: list[str] = []

    def leave_it_as_0_1_did(context: Mapping[str, Any]) -> None:
        ti = context["ti"]
        if ti.try_number == 1:
            return
        keys = keys_of(ti, direction, tmp_path)
        store = select_store(a_home(home, tmp_path), context=context)
        checkpoint = decode(store.load(keys.present))
        if isinstance(checkpoint, DownloadCheckpoint):
            former = part_file_name("target", keys.former)
            (tmp_path / checkpoint.part_file).rename(tmp_path / former)
            checkpoint = replace(checkpoint, part_file=former)
        store.save(keys.former, encode(checkpoint))
        store.delete(keys.present)
        left.append(keys.former)

    transfer(direction, checkpoint=a_home(home, tmp_path), pre_execute=leave_it_as_0_1_did)
    connected.fail(OF_A_PART[direction], nth=4, fault=DOWN)

    done = run(dag)

    assert len(left) == 1
    assert done.instance("transfer") == ("success", 2)
    assert arrived(direction) == some_bytes(SIZE)
    report = done.xcom("transfer", "report")
    assert (report["parts_kept"], report["parts_sent"]) == (3, 3)
    assert checkpoints() == []
    assert list(tmp_path.glob("checkpoints/*")) == []
    assert list(tmp_path.glob(".*.ossresume-part")) == []


def test_transfers_of_one_object_by_one_task_each_go_on_from_their_own_checkpoint(
    dag: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from airflow_provider_ossresume.errors import ServiceError
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import Call

    connected.put(BUCKET, "key", some_bytes(SIZE))
    source = str(a_file(tmp_path, size=SIZE))
    between: list[list[str]] = []
    middle, end = 3 * PART, SIZE

    def in_turns(_: Mapping[str, Any]) -> Any:
        hook = OSSResumeHook(transfer_config=CONFIG)
        transfers: list[Callable[[], Any]] = [
            lambda: hook.download_file("key", tmp_path / "one", BUCKET),
            lambda: hook.download_file("key", tmp_path / "two", BUCKET),
            lambda: hook.download_file("key", tmp_path / "two", BUCKET, byte_range=(0, middle)),
            lambda: hook.download_file("key", tmp_path / "two", BUCKET, byte_range=("0", str(end - 1))),
            lambda: hook.download_file("key", tmp_path / "two", BUCKET, version_id="null"),
            lambda: hook.upload_file(source, "other", BUCKET),
            lambda: hook.download_file("key", source, BUCKET),
        ]
        for call in transfers:
            with (
                connected.failing("GetObject", after=2, fault=DOWN),
                connected.failing("UploadPart", after=2, fault=DOWN),
                pytest.raises(ServiceError),
            ):
                call()
        between.append(checkpoints())
        return [call().parts_kept for call in transfers]

    with dag:
        Call(task_id="task", function=in_turns)

    done = run(dag)

    assert done.xcom("task") == [2] * 7
    assert len(between[0]) == 7
    assert checkpoints() == []


def test_a_variable_says_whose_checkpoint_it_is(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    from tests.airflow import runs

    connected.put(BUCKET, "key", some_bytes(SIZE))
    with dag:
        OSSResumableDownloadOperator(
            task_id="transfer", key="key", bucket_name=BUCKET, file=str(tmp_path / "target"), version_id="null",
            byte_range=(5, SIZE), transfer_config=CONFIG, checkpoint="variable", retries=0,
        )  # fmt: skip
    connected.fail_after("GetObject", 2, DOWN)

    done = run(dag)

    [(description,)] = runs.rows("SELECT description FROM variable WHERE key LIKE 'ossresume-%'")
    assert description == (
        f"download of oss://{BUCKET}/key version null bytes [5, {SIZE}) to {tmp_path}/target by "
        f"{done.dag_id} {done.run_id} transfer -1"
    )


def test_the_hook_in_a_task_of_ones_own_resumes_too(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import Call

    source = a_file(tmp_path, size=SIZE)

    def there_and_back(_: Mapping[str, Any]) -> Sequence[Any]:
        hook = OSSResumeHook(transfer_config=CONFIG)  # it finds the context by itself
        up = hook.upload_file(source, "key", BUCKET)
        down = hook.download_file("key", tmp_path / "target", BUCKET)
        return [up.outcome, up.parts_sent, down.outcome, down.parts_kept, down.parts_sent]

    with dag:
        Call(task_id="task", function=there_and_back, retries=2)
    connected.fail("UploadPart", nth=4, fault=DOWN)
    connected.fail("GetObject", nth=3, fault=DOWN)

    done = run(dag)

    assert done.instance("task") == ("success", 3)  # try 1 failed in the upload, try 2 in the download
    assert done.xcom("task") == ["already there", 0, "transferred", 2, 4]
    assert len(connected.calls("UploadPart")) == 7
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert checkpoints() == []
