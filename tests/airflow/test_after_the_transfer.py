"""What comes after the bytes: telling Airflow of them fails no task, and a task may return what the hook returns."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import AirflowSkipException
from airflow_provider_ossresume.errors import ArgumentError, TransferStopped, TrySuperseded
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.hooks.reporting import report_to_airflow
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from tests.world import BUCKET, PART, a_file, some_bytes

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
SIZE = 3 * PART + 17
DIRECTIONS = ("upload", "download", "copy")
GBK = os.fsdecode("报表.csv".encode("gbk"))


@pytest.fixture
def transfer(dag: Any, connected: LocalOSS, tmp_path: Path) -> Callable[..., Any]:
    """Adds the task ``transfer`` to the DAG, with a file or an object to move."""

    def add(direction: str = "upload", **options: Any) -> Any:
        given = {"task_id": "transfer", "key": "key", "bucket_name": BUCKET, "transfer_config": CONFIG, **options}
        if direction == "upload":
            return OSSResumableUploadOperator(**{"file": str(a_file(tmp_path, size=SIZE)), "dag": dag, **given})
        if direction == "download":
            connected.put(BUCKET, "key", some_bytes(SIZE))
            return OSSResumableDownloadOperator(**{"file": str(tmp_path / "target"), "dag": dag, **given})
        connected.put(BUCKET, "source", some_bytes(SIZE))
        target, source = given.pop("key"), f"oss://{BUCKET}/source"
        return OSSCopyObjectOperator(**{"source": source, "target": target, "copy_mode": "stream", "dag": dag, **given})

    return add


def run(dag: Any, **conf: Any) -> Any:
    from tests.airflow import runs

    return runs.run(dag, **conf)


def told(dag: Any) -> set[str]:
    """Return the keys of what the task has in XComs and in the task state store."""
    from tests.airflow import runs

    return {
        key
        for table, column in runs.present_stores()
        if table != "variable"
        for (key,) in runs.rows(f"SELECT {column} FROM {table} WHERE dag_id = :dag_id", dag_id=dag.dag_id)
    }


# --- what fails there -------------------------------------------------------------------------------------------------


def break_xcoms(context: Mapping[str, Any], error: BaseException | None = None) -> None:
    """Let each XCom fail that a task pushes by itself; what it returns is pushed another way."""
    ti = context["ti"]
    push = ti.xcom_push

    def broken(key: str, value: Any, **kwargs: Any) -> None:
        if key == "return_value":
            push(key=key, value=value, **kwargs)
            return
        raise error or OSError("the XCom backend's object store is down")

    object.__setattr__(ti, "xcom_push", broken)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_xcom_backend_that_is_down_fails_no_transfer(
    dag: Any, transfer: Any, of_alibaba: LocalOSS, caplog: pytest.LogCaptureFixture, direction: str
) -> None:
    transfer(direction, pre_execute=break_xcoms)

    with caplog.at_level(logging.WARNING, logger="airflow_provider_ossresume"):
        done = run(dag)

    assert done.instance("transfer") == ("success", 1)
    assert done.xcom("transfer")
    warnings = [line for line in caplog.messages if "the XCom backend's object store is down" in line]
    assert [line for line in warnings if "Could not report the XCom report" in line] == warnings[-1:]
    assert [line for line in warnings if "Could not report the links to the OSS console" in line] == warnings[:1]
    assert len(warnings) <= 3  # where there is no task state store, the progress is an XCom too: one warning


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), TransferStopped("stop"), TrySuperseded("newer")])
def test_what_ends_a_task_is_not_held_back(error: BaseException) -> None:
    def ends() -> None:
        raise error

    with pytest.raises(type(error)):
        report_to_airflow("anything", ends)


def test_an_error_without_words_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError

    assert not report_to_airflow("the XCom report", fails)
    assert "ValueError()" in caplog.text


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_task_that_pushes_no_xcoms_has_none_of_ours(
    dag: Any, transfer: Any, of_alibaba: LocalOSS, direction: str
) -> None:
    transfer(direction, do_xcom_push=False)

    assert run(dag).instance("transfer") == ("success", 1)

    assert {key for key in told(dag) if not key.startswith("_link_")} == set()  # Airflow 3 pushes the links itself


def test_a_python_task_that_pushes_no_xcoms_has_no_progress_entry(
    dag: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from airflow.providers.common.compat.sdk import task

    source = a_file(tmp_path, size=SIZE)
    with dag:

        @task(do_xcom_push=False)
        def work() -> None:
            OSSResumeHook(transfer_config=CONFIG).upload_file(source, "key", BUCKET, show_progress=True)

        work()

    assert run(dag).state == "success"
    assert told(dag) == set()


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_file_whose_name_is_not_utf_8_is_moved_and_the_task_succeeds(
    dag: Any, connected: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture, direction: str
) -> None:
    from airflow.providers.common.compat.sdk import task

    file = tmp_path / GBK
    if direction == "upload":
        file.write_bytes(some_bytes(SIZE))
    else:
        connected.put(BUCKET, "key", some_bytes(SIZE))
    with dag:

        @task
        def work() -> Any:
            hook = OSSResumeHook(transfer_config=CONFIG)
            if direction == "upload":
                return hook.upload_file(file, "key", BUCKET, show_progress=True)
            return hook.download_file("key", file, BUCKET, show_progress=True)

        work()

    with caplog.at_level(logging.WARNING, logger="airflow_provider_ossresume"):
        done = run(dag)

    assert done.instance("work") == ("success", 1)
    assert connected.object(BUCKET, "key") == file.read_bytes() == some_bytes(SIZE)
    assert done.xcom("work")["file"] == f"{tmp_path}/\\xb1\\xa8\\xb1\\xed.csv"
    assert "Could not report" not in caplog.text


def test_a_download_returns_a_name_that_is_not_utf_8_in_a_form_that_can_be_pushed(
    connected: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connected.put(BUCKET, "key", some_bytes(SIZE))
    task = OSSResumableDownloadOperator(task_id="t", file=str(tmp_path / GBK), key="key", bucket_name=BUCKET)

    assert task.execute({}) == f"{tmp_path}/\\xb1\\xa8\\xb1\\xed.csv"

    assert (tmp_path / GBK).read_bytes() == some_bytes(SIZE)
    assert "is not UTF-8" in caplog.text


def test_a_user_without_a_home_folder_can_upload_outside_a_task(
    connected: LocalOSS, tmp_path: Path, no_home: None
) -> None:
    done = OSSResumeHook(transfer_config=CONFIG).upload_file(a_file(tmp_path, size=SIZE), "key", BUCKET)

    assert done.outcome == "transferred"


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(_: object) -> Any:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


# --- what a task returns ----------------------------------------------------------------------------------------------


def test_what_the_hook_returns_can_be_returned_and_used_in_the_next_task(
    dag: Any, connected: LocalOSS, tmp_path: Path
) -> None:
    from airflow.providers.common.compat.sdk import task

    source = a_file(tmp_path, size=SIZE)
    connected.put(BUCKET, "listed", b"x")
    got: list[Any] = []
    with dag:

        @task
        def work() -> Any:
            hook = OSSResumeHook(transfer_config=CONFIG)
            up = hook.upload_file(source, "key", BUCKET, metadata={"who": "me"})
            down = hook.download_file("key", tmp_path / "copy", BUCKET)
            unfinished = hook.get_conn().initiate(hook.target("unfinished", BUCKET))
            return [
                up, down, hook.head_object("key", BUCKET), hook.list_multipart_uploads(BUCKET),
                hook.list_keys(BUCKET), unfinished,
            ]  # fmt: skip

        @task
        def use(all_of_it: Any) -> None:
            got.extend(all_of_it)

        use(work())

    assert run(dag).state == "success"

    up, down, meta, uploads, keys, unfinished = got
    assert (type(up), up["size"], up["outcome"], up["uri"]) == (dict, SIZE, "transferred", f"oss://{BUCKET}/key")
    assert (type(down), down["file"]) == (dict, str(tmp_path / "copy"))
    assert up["crc64"] == down["crc64"] == meta["crc64"]
    assert (type(meta), meta["size"], meta["metadata"]) == (dict, SIZE, {"who": "me"})
    assert meta["last_modified"].startswith("20")
    assert [(type(each), each["key"], each["upload_id"]) for each in uploads] == [(dict, "unfinished", unfinished)]
    assert [key.rpartition("/")[2] for key in keys] == ["key", "listed"]


def test_in_python_a_result_is_what_it_was(connected: LocalOSS, tmp_path: Path) -> None:
    import copy
    import pickle

    hook = OSSResumeHook(transfer_config=CONFIG)
    result = hook.upload_file(a_file(tmp_path, size=SIZE), "key", BUCKET, checkpoint="memory")
    meta = hook.head_object("key", BUCKET)

    for record in (result, meta):
        assert (record.size, record["size"]) == (SIZE, SIZE)
        assert json.loads(json.dumps(record)) == record.report() == dict(record)
        assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record
    assert result.crc64 == meta.crc64 == int(result["crc64"])
    assert "4 parts" in str(result)
    assert result.target.uri == result["uri"]


# --- a transfer that is skipped ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("skip_as", "state"),
    [("success", "success"), ("skipped", "skipped"), ("{{ dag_run.conf['as'] }}", "skipped")],
)
def test_a_skipped_transfer_ends_as_it_is_asked_to(
    dag: Any, transfer: Any, connected: LocalOSS, tmp_path: Path, direction: str, skip_as: str, state: str
) -> None:
    (tmp_path / "target").write_bytes(b"here")
    connected.put(BUCKET, "key", b"there")
    transfer(direction, if_exists="skip", skip_as=skip_as)

    done = run(dag, **{"as": "skipped"})

    assert done.instance("transfer") == (state, 1)
    assert done.xcom("transfer", "report")["outcome"] == "skipped"
    assert (done.xcom("transfer") is None) == (state == "skipped")
    assert (tmp_path / "target").read_bytes() == b"here"


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_transfer_that_is_done_never_ends_as_skipped(dag: Any, transfer: Any, direction: str) -> None:
    transfer(direction, if_exists="skip_if_same", skip_as="skipped")

    assert run(dag).instance("transfer") == ("success", 1)


def test_another_end_of_a_skipped_transfer_is_refused(connected: LocalOSS, transfer: Any) -> None:
    with pytest.raises(Exception, match="choose one of 'success', 'skipped'"):
        transfer(skip_as="failed").execute({})

    assert connected.requests == []


# --- in a unit test ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_operator_runs_in_a_users_unit_test(
    connected: LocalOSS, tmp_path: Path, transfer: Any, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    from tests.airflow.test_assets import Asset

    monkeypatch.setenv("HOME", str(tmp_path))
    task = transfer(direction, outlets=[Asset(uri=f"oss://{BUCKET}/key")], on_final_failure="abort")

    returned = task.execute({})

    is_download = direction == "download"
    assert returned == (str(tmp_path / "target") if is_download else f"oss://{BUCKET}/key")
    moved = (tmp_path / "target").read_bytes() if is_download else connected.object(BUCKET, "key")
    assert moved == some_bytes(SIZE)


def test_in_a_unit_test_a_skip_is_an_airflow_skip_exception(connected: LocalOSS, transfer: Any) -> None:
    connected.put(BUCKET, "key", b"there")

    with pytest.raises(AirflowSkipException):
        transfer(if_exists="skip", skip_as="skipped").execute({})


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_tilde_stands_for_the_home_folder(
    connected: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    hook = OSSResumeHook()
    if direction == "upload":
        a_file(tmp_path, size=SIZE, name="a.csv")
        assert hook.upload_file("~/a.csv", "key", BUCKET).path == str(tmp_path / "a.csv")
    else:
        connected.put(BUCKET, "key", some_bytes(SIZE))
        assert hook.download_file("key", "~/copies/a.csv", BUCKET).path == str(tmp_path / "copies" / "a.csv")
        assert (tmp_path / "copies" / "a.csv").read_bytes() == some_bytes(SIZE)

    assert os.listdir(tmp_path / "cwd") == []


@pytest.mark.parametrize("file", ["~/a.csv", "~nobody-here/a.csv", "~lock.csv"])
def test_a_home_folder_that_nobody_knows_is_refused(connected: LocalOSS, no_home: None, file: str) -> None:
    with pytest.raises(ArgumentError, match="has no home folder for ~") as caught:
        OSSResumeHook().download_file("key", file, BUCKET, checkpoint="memory")

    assert f"./{file}" in str(caught.value)
    assert connected.requests == []


@pytest.mark.parametrize("file", ["", "  ", None, 7, b"a", ["a"]])
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_what_is_no_path_is_refused(connected: LocalOSS, direction: str, file: Any) -> None:
    hook = OSSResumeHook()
    call = (
        (lambda: hook.upload_file(file, "key", BUCKET))
        if direction == "upload"
        else (lambda: hook.download_file("key", file, BUCKET))
    )

    with pytest.raises(ArgumentError, match=r"^file="):
        call()

    assert connected.requests == []


@pytest.mark.parametrize("key", ["exports/", "a\nb", f"oss://{BUCKET}/exports/"])
def test_a_new_key_that_consoles_or_xml_cannot_show_is_refused(connected: LocalOSS, tmp_path: Path, key: str) -> None:
    bucket = None if key.startswith("oss:") else BUCKET

    with pytest.raises(ArgumentError, match=r"add the object.s name|cannot be sent in XML"):
        OSSResumeHook().upload_file(a_file(tmp_path), key, bucket)

    assert connected.requests == []


@pytest.mark.parametrize("key", ["exports/", "a\nb", "a\r\nb\t", "a\x1bb"])
def test_such_a_key_can_be_looked_at_fetched_and_deleted_when_it_exists(
    connected: LocalOSS, tmp_path: Path, key: str
) -> None:
    connected.put(BUCKET, key, some_bytes(SIZE))
    hook = OSSResumeHook(transfer_config=CONFIG)

    assert hook.head_object(key, BUCKET).size == SIZE
    assert hook.download_file(key, tmp_path / "copy", BUCKET, checkpoint="memory").size == SIZE
    assert (tmp_path / "copy").read_bytes() == some_bytes(SIZE)
    hook.delete_objects([key], BUCKET)
    assert connected.objects(BUCKET) == []


# --- what a native template makes of a text ---------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [True, "True", "{{ dag_run.conf['yes'] }}", "{{ true }}"])
def test_flags_are_read_by_one_rule_with_native_templates_too(
    dag: Any, transfer: Any, tmp_path: Path, flag: Any
) -> None:
    dag.render_template_as_native_obj = True
    transfer("download", file=str(tmp_path / "new" / "target"), create_parents=flag, preserve_mtime=flag,
             show_progress=flag, event_if_skipped=flag)  # fmt: skip

    assert run(dag, yes="true").state == "success"

    assert (tmp_path / "new" / "target").read_bytes() == some_bytes(SIZE)


@pytest.mark.parametrize("flag", ["", "no", "{{ none }}", "{{ 1 }}", "{{ dag_run.conf.get('absent', '') }}"])
@pytest.mark.parametrize("name", ["create_parents", "preserve_mtime", "show_progress", "event_if_skipped"])
@pytest.mark.parametrize("is_native", [True, False])
def test_a_flag_that_is_neither_true_nor_false_is_refused(
    dag: Any, transfer: Any, connected: LocalOSS, is_native: bool, name: str, flag: str
) -> None:
    dag.render_template_as_native_obj = is_native
    transfer("download", retries=0, **{name: flag})

    assert run(dag).state == "failed"
    assert connected.requests == []


def test_flags_of_mapped_tasks_are_read_by_the_same_rule(dag: Any, connected: LocalOSS, tmp_path: Path) -> None:
    connected.put(BUCKET, "key", some_bytes(SIZE))
    given = [{"create_parents": "True"}, {"create_parents": "false"}, {"create_parents": False}]
    with dag:
        OSSResumableDownloadOperator.partial(
            task_id="transfer", key="key", bucket_name=BUCKET, retries=0, show_progress="{{ dag_run.conf['show'] }}"
        ).expand_kwargs([{"file": str(tmp_path / str(n) / "target"), **each} for n, each in enumerate(given)])

    done = run(dag, show="False")

    assert [done.instance("transfer", index)[0] for index in range(3)] == ["success", "failed", "failed"]
    assert "ossresume-progress" not in told(dag)


@pytest.mark.parametrize(
    ("mode", "permissions"),
    [
        ("440", 0o440),
        ("0o440", 0o440),
        ("0440", 0o440),
        ("{{ '0440' }}", 0o440),
        ("{{ dag_run.conf['mode'] }}", 0o444),
        ("{{ '0o600' }}", 0o600),
        (0o640, 0o640),
    ],
)
@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_file_mode_is_the_one_that_was_written_with_native_templates_too(
    dag: Any, connected: LocalOSS, tmp_path: Path, is_mapped: bool, is_native: bool, mode: Any, permissions: int
) -> None:
    dag.render_template_as_native_obj = is_native
    connected.put(BUCKET, "key", b"x")
    given = {"key": "key", "bucket_name": BUCKET, "retries": 0}
    with dag:
        if is_mapped:
            OSSResumableDownloadOperator.partial(task_id="transfer", **given).expand_kwargs(
                [{"file": str(tmp_path / "target"), "file_mode": mode}]
            )
        else:
            OSSResumableDownloadOperator(task_id="transfer", file=str(tmp_path / "target"), file_mode=mode, **given)

    assert run(dag, mode="0444").state == "success"

    assert (tmp_path / "target").stat().st_mode & 0o777 == permissions


@pytest.mark.parametrize("mode", ["{{ '440' }}", "{{ '0o670' }}"])
def test_a_file_mode_that_a_native_template_left_two_meanings_is_refused(
    dag: Any, transfer: Any, connected: LocalOSS, mode: str
) -> None:
    dag.render_template_as_native_obj = True
    transfer("download", file_mode=mode, retries=0)

    assert run(dag).state == "failed"
    assert connected.requests == []


def test_metadata_that_a_native_template_turned_into_numbers_is_refused_by_name(
    dag: Any, transfer: Any, connected: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    dag.render_template_as_native_obj = True
    transfer(metadata={"version": "{{ params.version }}"}, params={"version": "1.50"}, retries=0)

    assert run(dag).state == "failed"

    assert connected.requests == []


def test_metadata_stays_a_text_by_the_filters_that_the_error_names(
    dag: Any, transfer: Any, connected: LocalOSS
) -> None:
    dag.render_template_as_native_obj = True
    transfer(
        metadata={
            "version": "{{ params.version | string | tojson }}",
            "rows": "{{ params.rows | string | tojson }}",
            "odd": "{{ params.odd | string | tojson }}",
        },
        tags={"flag": "{{ params.flag | string | tojson }}"},
        params={"version": "1.50", "rows": 17, "flag": "True", "odd": 'it\'s <"a">'},
    )

    assert run(dag).state == "success"

    assert OSSResumeHook().head_object("key", BUCKET).metadata == {
        "version": "1.50", "rows": "17", "odd": "it's <\"a\">",
    }  # fmt: skip
