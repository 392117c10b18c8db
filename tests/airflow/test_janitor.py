"""The janitor's operators inside real tasks, against a server whose clock the test sets."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, encode
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.operators.janitor import (
    OSSAbortMultipartUploadsOperator,
    OSSCheckpointCleanupOperator,
)
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
from tests.world import BUCKET, PART, BytesBody, a_client, a_file

pytestmark = pytest.mark.usefixtures("database")

DAY = 86_400
DENIED = Fault("status", status=403, code="AccessDenied")

needs_listing = pytest.mark.skipif(not _airflow.can_list_variables(), reason="Airflow 3.0 to 3.2 list no Variables")


class Clock:
    """The server's; the worker's goes on as ever."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def oss(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalOSS]:
    with LocalOSS(buckets=(BUCKET,), clock=clock) as server:
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", server.airflow_connection())
        yield server


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    return caplog


@pytest.fixture
def begin(oss: LocalOSS, clock: Clock) -> Callable[..., str]:
    """Begins an upload so many days ago, by the server's clock, sends it one part, and returns its upload ID."""

    def run(key: str, *, days_ago: float = 0, part: bytes = b"x" * PART) -> str:
        clock.ahead -= days_ago * DAY
        client, target = a_client(oss, clock=clock), ObjectRef(BUCKET, key)
        upload_id = client.initiate(target)
        client.upload_part(target, upload_id, 1, BytesBody(part))
        client.close()
        clock.ahead += days_ago * DAY
        return upload_id

    return run


@pytest.fixture
def abort(dag: Any, oss: LocalOSS) -> Callable[..., Any]:
    """Runs the operator as the task ``abort``, in a DAG run of its own; returns the run."""
    from tests.airflow import runs

    def run(*, conf: dict[str, Any] | None = None, **options: Any) -> Any:
        with dag:
            OSSAbortMultipartUploadsOperator(
                **{"task_id": "abort", "bucket_name": BUCKET, "older_than": "7d", "retries": 0, **options}
            )
        oss.clear_requests()
        return runs.run(dag, **(conf or {}))

    return run


def left(oss: LocalOSS) -> set[str]:
    return {key for key, _ in oss.uploads(BUCKET)}


# --- which uploads ----------------------------------------------------------------------------------------------------


def test_stale_uploads_are_aborted_and_young_ones_kept(abort: Any, begin: Any, oss: LocalOSS) -> None:
    begin("old/1", days_ago=30)
    begin("old/2", days_ago=8)
    begin("young", days_ago=6)
    begin("new")

    done = abort(is_dry_run=False)

    assert done.instance("abort") == ("success", 1)
    assert left(oss) == {"young", "new"}
    report = done.xcom("abort")
    assert (report["found"], report["aborted"], report["would_abort"], report["kept_young"]) == (4, 2, 0, 2)
    assert report["prefixes"] == {"old/": 2}
    assert [upload["key"] for upload in report["uploads"]] == ["old/1", "old/2"]
    assert report["bytes"] is None
    assert oss.calls("ListParts") == []


def test_nothing_is_aborted_unless_that_is_asked_for(abort: Any, begin: Any, oss: LocalOSS, log: Any) -> None:
    upload_id = begin("old", days_ago=30)

    report = abort().xcom("abort")

    assert (report["aborted"], report["would_abort"]) == (0, 1)
    assert left(oss) == {"old"}
    assert oss.calls("AbortMultipartUpload") == []
    assert f"Would abort old (upload ID {upload_id}, started 30d ago)" in log.messages
    assert any("1 would be aborted" in line for line in log.messages)
    assert f"1 of the stale uploads are below oss://{BUCKET}/" in log.messages


@pytest.mark.parametrize("days_ahead", [-30, 30])
def test_ages_are_told_by_the_servers_clock_whatever_the_workers_says(
    abort: Any, begin: Any, oss: LocalOSS, clock: Clock, days_ahead: int
) -> None:
    clock.ahead = days_ahead * DAY
    begin("old", days_ago=8)
    begin("young", days_ago=6)

    abort(is_dry_run=False)

    assert left(oss) == {"young"}


def test_an_upload_that_is_named_is_kept(abort: Any, begin: Any, oss: LocalOSS) -> None:
    kept = [begin("a", days_ago=9), begin("b", days_ago=9)]
    begin("b", days_ago=10)  # another upload to the same key

    report = abort(is_dry_run=False, keep_upload_ids=kept).xcom("abort")

    assert sorted(upload_id for _, upload_id in oss.uploads(BUCKET)) == sorted(kept)
    assert (report["aborted"], report["kept_named"]) == (1, 2)


def test_only_what_begins_with_the_prefix_is_looked_at(abort: Any, begin: Any, oss: LocalOSS) -> None:
    for key in ("exports/1", "exports-2", "imports/3"):
        begin(key, days_ago=9)

    report = abort(is_dry_run=False, prefix=f"oss://{BUCKET}/exports/", bucket_name=None).xcom("abort")

    assert left(oss) == {"exports-2", "imports/3"}
    assert (report["uri"], report["found"]) == (f"oss://{BUCKET}/exports/", 1)


def test_every_page_of_the_listing_is_worked_on(abort: Any, oss: LocalOSS, clock: Clock) -> None:
    clock.ahead -= 9 * DAY
    client = a_client(oss, clock=clock)
    for number in range(1_001):
        client.initiate(ObjectRef(BUCKET, f"k{number:04}"))
    clock.ahead += 9 * DAY

    report = abort(is_dry_run=False).xcom("abort")

    assert (report["aborted"], len(report["uploads"])) == (1_001, 100)
    assert left(oss) == set()


def test_bytes_are_counted_when_that_is_asked_for(abort: Any, begin: Any, oss: LocalOSS) -> None:
    begin("a", days_ago=9)
    begin("b", days_ago=9, part=b"y" * (PART + 1))
    begin("young")

    report = abort(count_bytes=True).xcom("abort")

    assert report["bytes"] == 2 * PART + 1
    assert len(oss.calls("ListParts")) == 2


def test_every_argument_may_be_a_template(abort: Any, begin: Any, oss: LocalOSS) -> None:
    kept = begin("in/kept", days_ago=9)
    begin("in/old", days_ago=9)

    done = abort(
        conf={"age": "1w", "bucket": BUCKET, "prefix": "in/", "keep": kept, "dry": False},
        older_than="{{ dag_run.conf.age }}",
        bucket_name="{{ dag_run.conf.bucket }}",
        prefix="{{ dag_run.conf.prefix }}",
        keep_upload_ids=["{{ dag_run.conf.keep }}"],
        is_dry_run="{{ dag_run.conf.dry }}",
    )

    assert done.xcom("abort")["aborted"] == 1
    assert left(oss) == {"in/kept"}
    assert done.rendered("abort")["is_dry_run"] == "False"


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_abort_that_fails_stops_no_other_and_is_named_at_the_end(
    abort: Any, begin: Any, oss: LocalOSS, log: Any
) -> None:
    for key in ("a", "b", "c"):
        begin(key, days_ago=9)
    oss.fail("AbortMultipartUpload", fault=DENIED, key="b")

    seen: list[BaseException] = []
    done = abort(is_dry_run=False, retries=2, **endings(seen))

    assert done.instance("abort") == ("failed", 1)  # a permission is mended by no retry
    assert left(oss) == {"b"}
    [error] = seen
    assert "1 of 3 uploads were not aborted" in str(error)
    assert f"oss://{BUCKET}/b answered 403" in str(error)
    assert "grant oss:AbortMultipartUpload" in str(error)
    assert any(line.startswith("Could not abort b (") for line in log.messages)


def endings(seen: list[BaseException]) -> dict[str, Any]:
    return {
        "on_failure_callback": lambda context: seen.append(context["exception"]),
        "on_retry_callback": lambda context: seen.append(context["exception"]),
    }


def test_a_failure_that_may_pass_is_retried_and_only_the_rest_is_done_again(
    abort: Any, begin: Any, oss: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    for key in ("a", "b"):
        begin(key, days_ago=9)
    impatient = OSSResumeHook(transfer_config={"part_retries": 0})
    monkeypatch.setattr(OSSAbortMultipartUploadsOperator, "hook", impatient)
    oss.fail("AbortMultipartUpload", fault=Fault("status", status=503), key="a")

    done = abort(is_dry_run=False, retries=1)

    assert done.instance("abort") == ("success", 2)
    assert done.xcom("abort")["aborted"] == 1
    assert left(oss) == set()


def test_an_upload_that_ends_meanwhile_counts_as_gone(abort: Any, begin: Any, oss: LocalOSS) -> None:
    upload_id = begin("a", days_ago=9)
    begin("b", days_ago=9)

    def end_it(request: Request) -> None:
        if request.operation == "ListMultipartUploads" and ("a", upload_id) in oss.uploads(BUCKET):
            oss.abort(BUCKET, "a", upload_id)

    oss.after_request = end_it
    done = abort(is_dry_run=False)

    assert done.instance("abort") == ("success", 1)
    report = done.xcom("abort")
    assert (report["aborted"], report["gone"], report["failed"]) == (1, 1, 0)


def test_an_upload_that_ends_while_its_parts_are_counted_counts_as_gone(abort: Any, begin: Any, oss: LocalOSS) -> None:
    begin("a", days_ago=9)
    oss.fail("ListParts", fault=Fault("status", status=404, code="NoSuchUpload"))

    assert abort(count_bytes=True).xcom("abort")["gone"] == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"older_than": "soon"}, "older_than='soon'"),
        ({"older_than": "{{ '' }}"}, "older_than=''"),
        ({"older_than": 0}, "older_than=0"),
        ({"is_dry_run": "{{ none }}"}, "is_dry_run='None'"),
        ({"keep_upload_ids": [None]}, "keep_upload_ids"),
        ({"prefix": "/exports"}, "prefix='/exports'"),
        ({"bucket_name": "No"}, "bucket_name='No'"),
    ],
)
def test_a_wrong_argument_fails_at_once_and_nothing_is_sent(
    abort: Any, begin: Any, oss: LocalOSS, options: dict[str, Any], named: str
) -> None:
    begin("old", days_ago=9)

    seen: list[BaseException] = []
    done = abort(**{"is_dry_run": False, "retries": 3, **options, **endings(seen)})

    assert done.instance("abort") == ("failed", 1)
    assert str(seen[0]).startswith(named)
    assert oss.requests == []


def test_a_missing_permission_fails_at_once_and_is_named(abort: Any, oss: LocalOSS) -> None:
    oss.fail("ListMultipartUploads", fault=DENIED)
    seen: list[BaseException] = []

    assert abort(retries=3, **endings(seen)).instance("abort") == ("failed", 1)

    assert "grant oss:ListMultipartUploads" in str(seen[0])


def test_a_task_that_is_stopped_ends_as_no_success(abort: Any, begin: Any, oss: LocalOSS) -> None:
    for key in ("a", "b", "c"):
        begin(key, days_ago=9)
    running: list[Any] = []
    seen: list[BaseException] = []

    def stop(request: Request) -> None:
        if request.operation == "AbortMultipartUpload":
            running[0].on_kill()

    oss.on_request = stop
    done = abort(is_dry_run=False, pre_execute=lambda context: running.append(context["ti"].task), **endings(seen))

    assert done.instance("abort") == ("failed", 1)
    assert [type(error).__name__ for error in seen] == ["TransferStopped"]
    assert left(oss) == {"b", "c"}


def test_an_uploads_report_is_plain_json(abort: Any, begin: Any) -> None:
    begin("old", days_ago=9)
    report = abort().xcom("abort")
    assert json.loads(json.dumps(report)) == report


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def clean(dag: Any, oss: LocalOSS) -> Callable[..., Any]:
    """Runs the operator as the task ``clean``."""
    from tests.airflow import runs

    def run(**options: Any) -> Any:
        with dag:
            OSSCheckpointCleanupOperator(**{"task_id": "clean", "older_than": "30d", "retries": 0, **options})
        return runs.run(dag)

    return run


@pytest.fixture(params=["variable", "file"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return Home(tmp_path / "checkpoints" if request.param == "file" else None)


class Home:
    """A store, filled by hand: Variables in Airflow's database, or files in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.choice = f"file:{folder}" if folder else "variable"
        self._folder = folder

    def add(self, key: str, text: str) -> str:
        """Return its name, as a person finds it."""
        if self._folder:
            self._folder.mkdir(exist_ok=True)
            (self._folder / f"{key}.json").write_text(text)
            return key
        from airflow.models import Variable

        Variable.set(f"ossresume-{key}", text, description="a test")  # noqa: AIR311  not in a task
        return f"ossresume-{key}"

    def keys(self) -> set[str]:
        if self._folder:
            return {file.stem for file in self._folder.glob("*.json")}
        from tests.airflow import runs

        return {place.removeprefix("variable ossresume-") for place in runs.checkpoints()}


def a_checkpoint(*, days_ago: float, key: str = "key", upload_id: str = "ID") -> str:
    owner = Owner(1, "the_dag the_run the_task -1 on worker pid 1 abcd")
    checkpoint = UploadCheckpoint(BUCKET, key, upload_id, 5 * PART, PART, "0", owner)
    return encode(checkpoint, saved_at=time.time() - days_ago * DAY)


OLD, YOUNG, OTHER = (letter * 40 for letter in "abc")


@needs_listing
def test_old_checkpoints_are_deleted_and_young_ones_kept(clean: Any, home: Home) -> None:
    home.add(OLD, a_checkpoint(days_ago=31))
    home.add(YOUNG, a_checkpoint(days_ago=29))

    done = clean(checkpoint=home.choice, is_dry_run=False)

    assert done.instance("clean") == ("success", 1)
    assert home.keys() == {YOUNG}
    report = done.xcom("clean")
    assert (report["found"], report["deleted"], report["kept_young"]) == (2, 1, 1)
    [deleted] = report["checkpoints"]
    assert OLD in deleted["place"]
    assert deleted["uri"] == f"oss://{BUCKET}/key"
    assert deleted["owner"].startswith("the_dag the_run the_task")


@needs_listing
def test_no_checkpoint_is_deleted_unless_that_is_asked_for(clean: Any, home: Home, log: Any) -> None:
    home.add(OLD, a_checkpoint(days_ago=31))

    report = clean(checkpoint=home.choice).xcom("clean")

    assert (report["deleted"], report["would_delete"]) == (0, 1)
    assert home.keys() == {OLD}
    assert any(line.startswith("Would delete") and "the_dag the_run the_task" in line for line in log.messages)


@needs_listing
def test_what_is_no_checkpoint_of_ours_is_left_alone(clean: Any, home: Home) -> None:
    home.add(OLD, "not ours")
    home.add(YOUNG, a_checkpoint(days_ago=99).replace('"ossresume": 1', '"ossresume": 2'))
    home.add(OTHER, a_checkpoint(days_ago=99).replace("saved_at", "saved"))
    home.add("of-somebody", a_checkpoint(days_ago=99))

    report = clean(checkpoint=home.choice, is_dry_run=False).xcom("clean")

    assert home.keys() == {OLD, YOUNG, OTHER, "of-somebody"}
    assert (report["found"], report["kept_unreadable"], report["kept_undated"]) == (3, 2, 1)


def test_only_checkpoints_that_are_named_are_looked_at(clean: Any, home: Home) -> None:
    named = home.add(OLD, a_checkpoint(days_ago=31))
    home.add(OTHER, a_checkpoint(days_ago=31))

    report = clean(checkpoint=home.choice, names=[named, "d" * 40], is_dry_run=False).xcom("clean")

    assert home.keys() == {OTHER}
    assert (report["deleted"], report["vanished"]) == (1, 1)


@needs_listing
def test_checkpoints_of_uploads_that_are_gone_are_deleted_whatever_their_age(
    clean: Any, home: Home, begin: Any, oss: LocalOSS
) -> None:
    home.add(YOUNG, a_checkpoint(days_ago=0, upload_id=begin("key")))
    home.add(OTHER, a_checkpoint(days_ago=0, upload_id="0" * 32))

    report = clean(checkpoint=home.choice, gone_uploads=True, is_dry_run=False).xcom("clean")

    assert home.keys() == {YOUNG}
    assert (report["deleted"], report["kept_young"]) == (1, 1)
    assert len(oss.calls("ListParts")) == 2


@needs_listing
def test_a_checkpoint_that_cannot_be_judged_is_kept_and_named_at_the_end(clean: Any, home: Home, oss: LocalOSS) -> None:
    home.add(OLD, a_checkpoint(days_ago=31))
    home.add(YOUNG, a_checkpoint(days_ago=1))
    oss.fail("ListParts", fault=DENIED)
    seen: list[BaseException] = []

    done = clean(checkpoint=home.choice, gone_uploads=True, is_dry_run=False, retries=2, **endings(seen))

    assert done.instance("clean") == ("failed", 1)
    assert home.keys() == {YOUNG}
    assert "1 checkpoints were not cleaned" in str(seen[0])
    assert "grant oss:ListParts" in str(seen[0])


@needs_listing
def test_oss_is_asked_for_nothing_where_only_ages_count(clean: Any, home: Home, oss: LocalOSS) -> None:
    home.add(OLD, a_checkpoint(days_ago=31))

    clean(checkpoint=home.choice, is_dry_run=False, oss_conn_id="no_such_connection")

    assert home.keys() == set()
    assert oss.requests == []


@needs_listing
def test_what_a_real_transfer_leaves_behind_tells_whose_it_is(dag: Any, oss: LocalOSS, tmp_path: Path) -> None:
    from tests.airflow import runs

    oss.fail("UploadPart", nth=3, fault=Fault("status", status=503))
    with dag:
        upload = OSSResumableUploadOperator(
            task_id="upload",
            file=str(a_file(tmp_path)),
            key=f"oss://{BUCKET}/exports/key",
            checkpoint="variable",
            transfer_config={"part_size": PART, "multipart_threshold": PART, "part_retries": 0},
            retries=0,
        )
        young = OSSCheckpointCleanupOperator(
            task_id="young", older_than="1h", trigger_rule="all_done", is_dry_run=False
        )
        gone = OSSCheckpointCleanupOperator(
            task_id="gone",
            older_than="1h",
            gone_uploads=True,
            is_dry_run=False,
            pre_execute=lambda context: [oss.abort(BUCKET, key, upload_id) for key, upload_id in oss.uploads(BUCKET)],
        )
        upload >> young >> gone

    done = runs.run(dag)

    assert done.instance("upload")[0] == "failed"
    assert done.xcom("young")["kept_young"] == 1
    [deleted] = done.xcom("gone")["checkpoints"]
    assert deleted["uri"] == f"oss://{BUCKET}/exports/key"
    assert deleted["owner"].startswith(f"{dag.dag_id} {done.run_id} upload -1 on ")
    assert runs.checkpoints() == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"checkpoint": "task_state"}, "checkpoint='task_state': a task can only see its own"),
        ({"checkpoint": "xcom"}, "checkpoint='xcom': a task can only find an XCom by"),
        ({"checkpoint": "memory"}, "checkpoint='memory'"),
        ({"checkpoint": "auto"}, "checkpoint='auto': name the store"),
        ({"checkpoint": "redis"}, "checkpoint='redis'"),
        ({"names": ["my_variable"]}, "names='my_variable': give the name of a checkpoint: ossresume- and 40 hex"),
        ({"names": [f"other-{OLD}"]}, "names='other-"),
        ({"older_than": "x"}, "older_than='x'"),
        ({"is_dry_run": ""}, "is_dry_run=''"),
    ],
)
def test_a_wrong_argument_of_the_cleanup_fails_at_once(clean: Any, options: dict[str, Any], named: str) -> None:
    home = Home(None)
    home.add(OLD, a_checkpoint(days_ago=99))
    seen: list[BaseException] = []

    done = clean(**{"is_dry_run": False, "retries": 3, **options, **endings(seen)})

    assert done.instance("clean") == ("failed", 1)
    assert str(seen[0]).startswith(named)
    assert home.keys() == {OLD}


def test_where_no_task_can_list_variables_the_error_says_what_to_do(
    clean: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_airflow, "variable_names", lambda prefix: None)  # as on Airflow 3.0 to 3.2
    seen: list[BaseException] = []

    assert clean(retries=2, **endings(seen)).instance("clean") == ("failed", 1)

    assert "`airflow variables list`" in str(seen[0])
    assert "names=[…]" in str(seen[0])
