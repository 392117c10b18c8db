"""OSSCopyObjectOperator inside real tasks: OSS moves the bytes, and a retry asks for the parts that are missing.

What it shares with uploads and downloads is tested with them, in test_operators.py and the files beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import CLEAR_KEEPS_TASK_STATE
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import MIB
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from tests.airflow.test_operators import DENIED, DOWN, HOMES, a_home, checkpoints, endings, run, templates_of
from tests.world import BUCKET, PART, a_client, some_bytes

pytestmark = pytest.mark.usefixtures("database", "connected")

SOURCE, TARGET = f"oss://{BUCKET}/source", f"oss://{BUCKET}/copy"
SIZE = 300 * MIB  # five parts, when OSS has to write the bytes anew for another storage class
BY_PARTS = {"storage_class": "IA"}
CONTENT = some_bytes(3 * PART)
CONFIG = {"max_concurrency": 1, "part_retries": 0}


@pytest.fixture
def copy(dag: Any) -> Callable[..., Any]:
    """Adds a task ``copy`` to the DAG, and one downstream of it."""
    from tests.airflow.runs import Call

    def add(**options: Any) -> Any:
        with dag:
            given = {"source": SOURCE, "target": TARGET, "transfer_config": CONFIG, **options}
            task = OSSCopyObjectOperator(task_id="copy", **given)
            task >> Call(task_id="holder", function=lambda _: None)
        return task

    return add


@pytest.fixture
def small(connected: LocalOSS) -> LocalOSS:
    """The server with a small source."""
    connected.put(BUCKET, "source", CONTENT, x_oss_meta_who="me", x_oss_tagging="team=data")
    return connected


@pytest.fixture
def large(connected: LocalOSS) -> LocalOSS:
    """The server with a source that OSS copies by parts into another storage class."""
    connected.put_zeros(BUCKET, "source", SIZE)
    return connected


@pytest.fixture
def elsewhere(connections: Any) -> Iterator[LocalOSS]:
    """Another account's server in another region, behind the connection ``elsewhere``."""
    with LocalOSS(access_key_id="another", access_key_secret="another-secret", region="cn-beijing") as oss:
        connections.add_text("elsewhere", oss.airflow_connection())
        oss.put(BUCKET, "source", CONTENT, x_oss_meta_who="me", x_oss_tagging="team=data")
        yield oss


def part_numbers(oss: LocalOSS) -> list[int]:
    return [request.part_number or 0 for request in oss.calls("UploadPartCopy")]


def head(oss: LocalOSS, key: str = "copy") -> Any:
    return a_client(oss).head_object(ObjectRef(BUCKET, key))


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", HOMES)
def test_a_retry_copies_only_the_parts_that_are_missing(
    dag: Any, copy: Any, large: LocalOSS, tmp_path: Any, home: str
) -> None:
    folder = tmp_path / "checkpoints"
    copy(checkpoint=a_home(home, tmp_path), **BY_PARTS)
    large.fail("UploadPartCopy", nth=4, fault=DOWN)
    between: list[str] = []
    large.after_request = lambda request: (
        between.extend(checkpoints() + [f"file {file.stem}" for file in folder.glob("*.json")])
        if any(earlier.status == 503 for earlier in large.requests)
        else None
    )

    done = run(dag)

    assert done.instance("copy") == ("success", 2)
    assert part_numbers(large) == [1, 2, 3, 4, 4, 5]
    report = done.xcom("copy", "report")
    assert (report["parts"], report["parts_kept"], report["parts_sent"], report["bytes"]) == (5, 3, 2, 0)
    assert report["crc64"] == str(head(large, "source").crc64) == str(head(large).crc64)
    [place] = {entry.split()[0] for entry in between}
    assert place == {
        "auto": "task_state_store" if CLEAR_KEEPS_TASK_STATE else "variable",
        "task_state": "task_state_store",
    }.get(home, home)
    assert checkpoints() == []
    assert not folder.exists() or list(folder.iterdir()) == []
    assert large.uploads(BUCKET) == []
    assert large.calls("GetObject") == []


@pytest.mark.parametrize(("action", "kept"), [("keep", 3), ("abort", 0)])
def test_on_kill_keeps_what_is_copied_or_drops_it(dag: Any, copy: Any, large: LocalOSS, action: str, kept: int) -> None:
    running: list[Any] = []
    left: list[tuple[int, int]] = []
    copy(on_kill_action=action, pre_execute=lambda context: running.append(context["ti"].task), **BY_PARTS,
         **endings([], lambda: left.append((len(large.uploads(BUCKET)), len(checkpoints())))))  # fmt: skip

    def kill_at_the_third_part(_: Any) -> None:
        if len(part_numbers(large)) == 3 and len(running) == 1:
            running[0].on_kill()

    large.after_request = kill_at_the_third_part

    done = run(dag)

    assert left == [(1, 1) if kept else (0, 0)]
    assert done.instance("copy") == ("success", 2)
    assert (done.xcom("copy", "report")["parts_kept"] > 0) == (kept > 0)
    assert head(large).size == SIZE


@pytest.mark.parametrize(("fault", "tries"), [(DOWN, 2), (DENIED, 1)], ids=["down", "denied"])
def test_the_last_failure_drops_what_is_copied_where_it_is_told_to(
    dag: Any, copy: Any, large: LocalOSS, fault: Fault, tries: int
) -> None:
    copy(on_final_failure="abort", **BY_PARTS)
    large.fail_after("UploadPartCopy", 3, fault)

    assert run(dag).instance("copy") == ("failed", tries)

    assert (large.uploads(BUCKET), checkpoints()) == ([], [])
    assert large.objects(BUCKET) == ["source"]


def test_a_retry_after_ones_own_success_copies_nothing_and_says_so(dag: Any, copy: Any, large: LocalOSS) -> None:
    def fail_in_the_first_try(context: Mapping[str, Any], result: Any = None) -> None:
        if context["ti"].try_number == 1:
            raise RuntimeError("the copy was made, the task was not")

    copy(if_exists="fail", post_execute=fail_in_the_first_try, **BY_PARTS)

    done = run(dag)

    assert done.instance("copy") == ("success", 2)
    assert done.xcom("copy", "report")["outcome"] == "already there"
    assert part_numbers(large) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("object_changed", "state"), [("restart", "success"), ("fail", "failed")])
def test_a_source_that_changes_under_the_copy_is_never_mixed(
    dag: Any, copy: Any, large: LocalOSS, object_changed: str, state: str
) -> None:
    def rewrite(request: Any) -> None:
        if request.operation == "UploadPartCopy" and request.part_number == 3:
            large.on_request = None
            large.put_zeros(BUCKET, "source", SIZE + MIB)

    large.on_request = rewrite
    copy(object_changed=object_changed, retries=0, **BY_PARTS)

    assert run(dag).instance("copy") == (state, 1)

    assert [head(large, key).size for key in large.objects(BUCKET) if key == "copy"] == (
        [SIZE + MIB] if state == "success" else []
    )


# --- what a task gives back -------------------------------------------------------------------------------------------


def test_a_copy_returns_its_uri_and_a_report(dag: Any, copy: Any, small: LocalOSS) -> None:
    copy()

    done = run(dag)

    assert done.xcom("copy") == TARGET
    report = done.xcom("copy", "report")
    assert isinstance(report.pop("seconds"), float)
    assert report == {
        "uri": TARGET,
        "source": SOURCE,
        "outcome": "transferred",
        "size": len(CONTENT),
        "etag": head(small).etag,
        "crc64": str(head(small).crc64),
        "version_id": None,
        "parts": 1,
        "parts_kept": 0,
        "parts_sent": 1,
        "bytes": 0,
        "retries": 0,
        "tries": 1,
    }
    assert small.object(BUCKET, "copy") == CONTENT


def test_a_version_is_copied_where_it_is_named_and_the_report_tells_the_copys_own(
    dag: Any, copy: Any, connected: LocalOSS
) -> None:
    connected.keep_versions(BUCKET)
    connected.put(BUCKET, "source", CONTENT)
    version = head(connected, "source").version_id
    connected.put(BUCKET, "source", b"newer")
    copy(source_version_id=version)

    done = run(dag)

    assert connected.object(BUCKET, "copy") == CONTENT
    assert done.xcom("copy", "report")["version_id"] == head(connected).version_id != version


@pytest.mark.parametrize(
    ("if_exists", "skip_as", "state", "is_copied"),
    [
        ("overwrite", "success", "success", True),
        ("skip", "success", "success", False),
        ("skip", "skipped", "skipped", False),
        ("skip_if_same", "skipped", "success", True),
        ("fail", "success", "failed", False),
    ],
)
def test_a_target_that_exists_is_treated_as_it_is_asked_for(
    dag: Any, copy: Any, small: LocalOSS, if_exists: str, skip_as: str, state: str, is_copied: bool
) -> None:
    small.put(BUCKET, "copy", b"there")
    copy(if_exists=if_exists, skip_as=skip_as)

    assert run(dag).instance("copy") == (state, 1)

    assert (small.object(BUCKET, "copy") == CONTENT) is is_copied


def test_an_equal_target_is_skipped_where_that_is_asked_for(dag: Any, copy: Any, small: LocalOSS) -> None:
    small.put(BUCKET, "copy", CONTENT, x_oss_meta_who="me", x_oss_tagging="team=data")
    copy(if_exists="skip_if_same", skip_as="skipped")

    assert run(dag).instance("copy") == ("skipped", 1)

    assert small.calls("CopyObject") == []


# --- two connections --------------------------------------------------------------------------------------------------


def test_bytes_of_another_account_stream_through_the_worker_and_a_retry_goes_on(
    dag: Any, copy: Any, connected: LocalOSS, elsewhere: LocalOSS
) -> None:
    copy(source_conn_id="elsewhere", copy_mode="stream",
         transfer_config={**CONFIG, "part_size": PART, "multipart_threshold": PART})  # fmt: skip
    connected.fail("UploadPart", nth=3, fault=DOWN)

    done = run(dag)

    assert done.instance("copy") == ("success", 2)
    assert connected.object(BUCKET, "copy") == CONTENT
    assert head(connected).metadata == {"who": "me"}
    report = done.xcom("copy", "report")
    assert (report["parts_kept"], report["parts_sent"], report["bytes"]) == (2, 1, PART)


@pytest.mark.parametrize("region", ["cn-beijing", "cn-hangzhou"], ids=["another region", "another account"])
def test_what_oss_cannot_copy_by_itself_never_streams_silently(
    dag: Any, copy: Any, connected: LocalOSS, elsewhere: LocalOSS, connections: Any, region: str
) -> None:
    connection = json.loads(elsewhere.airflow_connection())
    connection["extra"]["region"] = region
    connections.add_text("elsewhere", json.dumps(connection))
    if region == "cn-hangzhou":  # its signatures are of its own
        elsewhere.fail("*", fault=DENIED, times=0)
    seen: list[BaseException] = []
    copy(source_conn_id="elsewhere", **endings(seen))

    assert run(dag).instance("copy") == ("failed", 1)

    assert type(seen[0]).__name__ == "AirflowFailException"
    assert connected.objects(BUCKET) == []
    assert connected.calls("PutObject") == connected.calls("UploadPart") == []


# --- what no retry mends ----------------------------------------------------------------------------------------------


def archived(oss: LocalOSS) -> None:
    oss.put(BUCKET, "source", CONTENT, x_oss_storage_class="ColdArchive")


def retained(oss: LocalOSS) -> None:
    oss.put(BUCKET, "copy", b"retained")
    oss.retain(BUCKET, days=1)


def linked(oss: LocalOSS) -> None:
    oss.put(BUCKET, "bytes", CONTENT)
    oss.link(BUCKET, "source", "bytes")


def missing(oss: LocalOSS) -> None:
    oss.delete(BUCKET, "source")


@pytest.mark.parametrize(
    ("prepare", "options", "cause", "says"),
    [
        (archived, {}, "ObjectArchived", "restore"),
        (archived, {"copy_mode": "stream"}, "ObjectArchived", "restore"),
        (retained, {}, "ObjectImmutable", "retention"),
        (retained, {"copy_mode": "stream"}, "ObjectImmutable", "retention"),
        (linked, {}, "NotCopyable", "set copy_mode='stream'"),
        (missing, {}, "NoSuchKey", SOURCE),
        (None, {"target": SOURCE}, "NotCopyable", "is source and target, and nothing would change"),
        (None, {"copy_mode": "through"}, "ArgumentError", "choose one of 'server', 'stream'"),
        (None, {"object_changed": ""}, "ArgumentError", "choose one of 'restart', 'fail'"),
        (None, {"metadata_directive": "move"}, "ArgumentError", "choose one of 'copy', 'replace'"),
        (None, {"metadata": {"a": "b"}}, "ArgumentError", "set metadata_directive='replace' as well"),
        (None, {"tags": {"a": "b"}}, "ArgumentError", "set tagging_directive='replace' as well"),
        (None, {"headers": {"x-oss-copy-source": "/b/k"}}, "ArgumentError", "leave it out"),
        (None, {"source": f"oss://{BUCKET}/"}, "ArgumentError", "source_key="),
        (None, {"source_bucket_name": "other"}, "ArgumentError", "source_bucket_name='other'"),
        (None, {"bucket_name": "other"}, "ArgumentError", "leave one of the two out"),
        (None, {"source_conn_id": ""}, "ArgumentError", "source_conn_id='': it is empty"),
        (None, {"source_version_id": ""}, "ArgumentError", "source_version_id=''"),
        (None, {"source_conn_id": "no_such_connection"}, "ConnectionNotFound", "no_such_connection"),
        (None, {"target": f"oss://{BUCKET}/folder/"}, "ArgumentError", "folder/"),
    ],
)  # fmt: skip
def test_what_no_retry_mends_fails_at_the_first_try(
    dag: Any, copy: Any, small: LocalOSS, prepare: Any, options: dict[str, Any], cause: str, says: str
) -> None:
    if prepare:
        prepare(small)
    seen: list[BaseException] = []
    copy(**options, **endings(seen))

    assert run(dag).instance("copy") == ("failed", 1)

    [error] = seen
    assert (type(error).__name__, type(error.__cause__).__name__) == ("AirflowFailException", cause)
    assert says in str(error)
    assert small.calls("InitiateMultipartUpload") == []


def test_a_source_that_is_being_restored_is_tried_again(dag: Any, copy: Any, small: LocalOSS) -> None:
    archived(small)
    small.restore(BUCKET, "source", ongoing=True)
    copy(pre_execute=lambda context: small.restore(BUCKET, "source") if context["ti"].try_number == 2 else None)

    assert run(dag).instance("copy") == ("success", 2)


@pytest.mark.parametrize(
    "field", ["source_bucket_name", "bucket_name", "source_version_id", "source_conn_id", "oss_conn_id", "region"]
)
def test_a_name_that_a_native_template_made_none_is_not_left_out(
    dag: Any, copy: Any, small: LocalOSS, field: str
) -> None:
    dag.render_template_as_native_obj = True
    seen: list[BaseException] = []
    copy(**{field: "{{ none }}"}, **endings(seen))

    assert run(dag).instance("copy") == ("failed", 1)

    assert f"{field}=None: its template or XCom is None" in str(seen[0])
    assert small.objects(BUCKET) == ["source"]


@pytest.mark.parametrize("field", ["source", "target", "copy_mode", "if_exists", "object_changed"])
def test_what_a_copy_needs_is_refused_by_name_when_a_native_template_made_it_none(
    dag: Any, copy: Any, small: LocalOSS, field: str
) -> None:
    dag.render_template_as_native_obj = True
    seen: list[BaseException] = []
    copy(**{field: "{{ none }}"}, **endings(seen))

    assert run(dag).instance("copy") == ("failed", 1)

    assert type(seen[0].__cause__).__name__ == "ArgumentError"
    assert "None" in str(seen[0])


def test_what_is_left_to_oss_may_be_none_or_empty(dag: Any, copy: Any, small: LocalOSS) -> None:
    dag.render_template_as_native_obj = True
    options = ("metadata_directive", "tagging_directive", "content_type", "storage_class", "acl", "tags", "metadata")
    copy(**dict.fromkeys(options[:4], "{{ none }}"), **dict.fromkeys(options[4:], "{{ '' }}"))

    assert run(dag).instance("copy") == ("success", 1)

    assert head(small).metadata == {"who": "me"}


# --- templates and mapping --------------------------------------------------------------------------------------------


def test_every_argument_is_templated(dag: Any, copy: Any, small: LocalOSS, connections: Any) -> None:
    connections.add_text("reads", small.airflow_connection())
    values = {
        "source": "source",
        "target": "a/b c.json",
        "source_bucket_name": BUCKET,
        "bucket_name": BUCKET,
        "source_version_id": "null",
        "copy_mode": "server",
        "source_conn_id": "reads",
        "region": small.region,
        "oss_conn_id": "oss_default",
        "show_progress": "false",
        "checkpoint": "xcom",
        "transfer_config": {"part_size": "64MiB", "max_concurrency": "2"},
        "if_exists": "fail",
        "skip_as": "skipped",
        "event_if_skipped": "true",
        "on_kill_action": "abort",
        "on_final_failure": "abort",
        "object_changed": "fail",
        "metadata_directive": "replace",
        "tagging_directive": "replace",
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
        "headers": {"x-oss-future": "1"},
        "request_payer": "requester",
        "traffic_limit": "8388608",
        "xcom_holder_task_id": "holder",
    }
    assert values.keys() == set(OSSCopyObjectOperator.template_fields)
    copy(**templates_of(values))

    done = run(dag, **values)

    assert done.state == "success"
    assert done.rendered("copy") == values
    [made] = small.calls("CopyObject")
    assert made.key == "a/b c.json"
    said = {
        "x-oss-copy-source": f"/{BUCKET}/source?versionId=null",
        "x-oss-forbid-overwrite": "true",
        "x-oss-metadata-directive": "REPLACE",
        "x-oss-tagging-directive": "REPLACE",
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
        "x-oss-future": "1",
        "x-oss-request-payer": "requester",
        "x-oss-traffic-limit": "8388608",
    }
    assert {name: made.headers[name] for name in said} == said


def test_what_a_task_returned_is_copied(dag: Any, connected: LocalOSS, tmp_path: Any) -> None:
    from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator

    source = tmp_path / "file"
    source.write_bytes(CONTENT)
    with dag:
        upload = OSSResumableUploadOperator(task_id="upload", file=str(source), key=SOURCE)
        OSSCopyObjectOperator(task_id="copy", source=upload.output, target=TARGET)

    assert run(dag).instance("copy") == ("success", 1)

    assert connected.object(BUCKET, "copy") == CONTENT


def test_mapped_copies_resume_each_its_own(dag: Any, connected: LocalOSS) -> None:
    keys = ["1", "2", "3"]
    for key in keys:
        connected.put_zeros(BUCKET, key, SIZE)
    with dag:
        OSSCopyObjectOperator.partial(
            task_id="copy", bucket_name=BUCKET, source_bucket_name=BUCKET, transfer_config=CONFIG,
            checkpoint="variable", **BY_PARTS,
        ).expand_kwargs([{"source": key, "target": f"copies/{key}"} for key in keys])  # fmt: skip
    for number, key in enumerate(keys, start=2):
        connected.fail("UploadPartCopy", nth=number, fault=DOWN, key=f"copies/{key}")

    done = run(dag)

    assert done.state == "success"
    for index, key in enumerate(keys):
        assert done.instance("copy", index) == ("success", 2)
        assert done.xcom("copy", "report", index)["parts_kept"] == index + 1
        assert head(connected, f"copies/{key}").size == SIZE
    assert checkpoints() == []


def test_copies_of_two_sources_to_one_target_by_one_task_do_not_share_a_checkpoint(
    dag: Any, connected: LocalOSS
) -> None:
    from airflow_provider_ossresume.errors import ServiceError
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import Call

    for key in ("1", "2"):
        connected.put_zeros(BUCKET, key, SIZE)
    between: list[list[str]] = []

    def in_turns(_: Mapping[str, Any]) -> Any:
        hook = OSSResumeHook(transfer_config=CONFIG)
        for key in ("1", "2"):
            with connected.failing("UploadPartCopy", after=2, fault=DOWN), pytest.raises(ServiceError):
                hook.copy_object(key, TARGET, source_bucket_name=BUCKET, storage_class="IA")
        between.append(checkpoints())
        results = [hook.copy_object(k, TARGET, source_bucket_name=BUCKET, storage_class="IA") for k in ("1", "2")]
        return [result.parts_kept for result in results]

    with dag:
        Call(task_id="task", function=in_turns)

    assert run(dag).xcom("task") == [2, 2]
    assert len(between[0]) == 2
    assert checkpoints() == []


def test_a_variable_says_whose_checkpoint_it_is(dag: Any, copy: Any, large: LocalOSS) -> None:
    from tests.airflow import runs

    copy(checkpoint="variable", retries=0, **BY_PARTS)
    large.fail_after("UploadPartCopy", 2, DOWN)

    done = run(dag)

    [(description,)] = runs.rows("SELECT description FROM variable WHERE key LIKE 'ossresume-%'")
    assert description == f"copy to {TARGET} from {SOURCE} by {done.dag_id} {done.run_id} copy -1"
