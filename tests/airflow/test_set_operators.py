"""Folders and prefixes inside real tasks: in one task, and planned, mapped over tasks and proven."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, TaskGroup

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.folders import (
    OSSCopyPrefixOperator,
    OSSDownloadPrefixOperator,
    OSSUploadFolderOperator,
)
from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
from airflow_provider_ossresume.operators.sets import (
    OSSFinishTransferOperator,
    OSSPlanTransferOperator,
    OSSTransferBatchOperator,
    oss_transfer_group,
)
from tests.airflow.runs import Call, rows, run
from tests.airflow.test_operators import endings
from tests.world import BUCKET, a_client, some_bytes

pytestmark = pytest.mark.usefixtures("database", "connected")

PREFIX = f"oss://{BUCKET}/raw/"
FILES = {"a.csv": 10, "b/c.parquet": 1000, "b/d/e.parquet": 20, "empty": 0, "ü.txt": 3}
DENIED = Fault("status", status=403, code="AccessDenied")
# What a task finds in place of an argument whose template found nothing.
NOTHING = {
    "folder": [None, "", "None"],
    "prefix": [None, ""],
    "work_folder": ["", "None"],
    "include": [None, "", "None"],
    "files_from": ["", "None"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files in it."""
    root = tmp_path / "source"
    for seed, (name, size) in enumerate(FILES.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(some_bytes(size, seed=seed))
    return root


@pytest.fixture
def failures(dag: Any) -> Said:
    """What the errors say that end tries of the DAG's tasks."""
    seen: list[BaseException] = []
    dag.default_args.update(endings(seen))
    return Said(seen)


class Said:
    """The texts of errors."""

    def __init__(self, errors: list[BaseException]) -> None:
        self._errors = errors

    def __contains__(self, text: str) -> bool:
        return any(text in str(error) for error in self._errors)


def contents(root: Path) -> dict[str, bytes]:
    """The files below a folder by their names, those of a work folder aside."""
    found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".ossresume/")}


def objects(oss: LocalOSS, prefix: str = "raw/") -> dict[str, bytes]:
    return {key.removeprefix(prefix): oss.object(BUCKET, key) for key in oss.objects(BUCKET) if key.startswith(prefix)}


def puts(oss: LocalOSS, prefix: str = "raw/") -> list[str]:
    return [call.key for call in oss.calls("PutObject") if call.key.startswith(prefix) and call.status == 200]


def change_after_the_plan(oss: LocalOSS, file: Path) -> None:
    """Write to a file when the first plan has been sealed."""
    changes = iter([b"changed since"])

    def change(request: Request) -> None:
        if request.operation == "PutObject" and str(request.key).endswith("/plan.json"):
            for data in changes:
                file.write_bytes(data)

    oss.after_request = change


# --- one task ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_uploaded_and_the_report_has_the_numbers(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX)

    done = run(dag)

    assert done.instance("publish") == ("success", 1)
    assert objects(connected) == contents(folder)
    assert done.xcom("publish") == PREFIX
    report = done.xcom("publish", "report")
    assert (report["outcome"], report["files"], report["moved"], report["failed"]) == ("proven", 5, 5, 0)
    assert (report["size"], report["tries"]) == (sum(FILES.values()), 1)


def test_a_retry_sends_only_what_is_missing(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX)
    connected.fail("PutObject", key="raw/b/c.parquet", nth=1, times=8, fault=Fault("status", status=500))

    done = run(dag)

    assert done.instance("publish") == ("success", 2)
    assert sorted(puts(connected)) == sorted(f"raw/{name}" for name in FILES)
    assert objects(connected) == contents(folder)


def test_a_file_that_is_refused_fails_the_task_and_is_named_and_the_others_are_there(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX)
    connected.fail("PutObject", key="raw/a.csv", times=None, fault=DENIED)

    done = run(dag)

    assert done.instance("publish") == ("failed", 1)  # no retry mends a permission
    report = done.xcom("publish", "report")
    assert (report["outcome"], report["moved"], report["failed"], report["tries"]) == ("not proven", 4, 1, 1)
    assert list(report["failures"]) == ["a.csv"]
    assert objects(connected) == {name: data for name, data in contents(folder).items() if name != "a.csv"}
    assert "1 of 5 files of plan" in failures
    assert "a.csv: AccessDenied" in failures


def test_a_prefix_is_downloaded_and_a_second_run_fetches_nothing(
    dag: Any, connected: LocalOSS, folder: Path, tmp_path: Path
) -> None:
    for name, data in contents(folder).items():
        connected.put(BUCKET, f"raw/{name}", data)
    target = tmp_path / "target"
    with dag:
        OSSDownloadPrefixOperator(task_id="fetch", prefix=PREFIX, folder=str(target))

    first = run(dag)
    fetched = len(connected.calls("GetObject"))
    second = run(dag)

    assert (first.instance("fetch"), second.instance("fetch")) == (("success", 1), ("success", 1))
    assert contents(target) == contents(folder)
    assert fetched == 5
    assert len(connected.calls("GetObject")) == fetched
    assert second.xcom("fetch", "report")["there"] == 5
    assert second.xcom("fetch") == str(target)


def test_a_prefix_is_copied_by_oss(dag: Any, connected: LocalOSS, folder: Path) -> None:
    for name, data in contents(folder).items():
        connected.put(BUCKET, f"raw/{name}", data)
    with dag:
        OSSCopyPrefixOperator(task_id="copy", source=PREFIX, target=f"oss://{BUCKET}/copies")

    done = run(dag)

    assert done.instance("copy") == ("success", 1)
    assert objects(connected, "copies/") == contents(folder)
    assert connected.calls("GetObject") == [] or all(
        call.key.startswith(".ossresume/") for call in connected.calls("GetObject")
    )


def test_a_dry_run_moves_nothing_and_says_what_it_would(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX, is_dry_run="{{ 1 == 1 }}")

    done = run(dag)

    assert done.instance("publish") == ("success", 1)
    assert objects(connected) == {}
    report = done.xcom("publish", "report")
    assert (report["outcome"], report["files"], report["moved"]) == ("dry run", 5, 0)
    assert report["first_names"] == {"put": list(FILES), "delete": []}


def test_what_an_object_is_to_have_is_given_to_each(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        OSSUploadFolderOperator(
            task_id="publish",
            folder=str(folder),
            prefix=PREFIX,
            storage_class="IA",
            metadata={"run": "{{ dag.dag_id }}"},
        )

    assert run(dag).instance("publish") == ("success", 1)

    from airflow_provider_ossresume.model.objects import ObjectRef
    from tests.world import a_client

    meta = a_client(connected).head_object(ObjectRef(BUCKET, "raw/b/c.parquet"))
    assert meta.metadata["run"] == dag.dag_id
    assert meta.headers["x-oss-storage-class"] == "IA"


@pytest.mark.parametrize(
    ("argument", "nothing"), [(argument, nothing) for argument, many in NOTHING.items() for nothing in many]
)
def test_a_template_that_finds_nothing_moves_nothing(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said, argument: str, nothing: str | None
) -> None:
    given = {"folder": str(folder), "prefix": PREFIX, argument: nothing}
    with dag:
        OSSUploadFolderOperator(task_id="publish", **given)

    done = run(dag)

    assert done.instance("publish") == ("failed", 1)
    assert f"{argument}={nothing!r}: " in failures
    assert objects(connected, "") == {}


OPTIONS = (
    "min_size", "max_size", "newer_than", "older_than", "files_from", "backup_prefix", "work_folder", "region",
    "oss_conn_id", "bucket_name",
)  # fmt: skip


@pytest.mark.parametrize("argument", OPTIONS)
def test_a_native_template_that_finds_nothing_drops_no_limit(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said, argument: str
) -> None:
    dag.render_template_as_native_obj = True
    given: dict[str, Any] = {argument: "{{ dag_run.conf.get('nothing') }}"}
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX, **given)

    done = run(dag)

    assert done.instance("publish") == ("failed", 1)
    assert f"{argument}=None: " in failures
    assert objects(connected, "") == {}


@pytest.mark.parametrize(("globs", "moved"), [(["*.csv"], ["a.csv"]), ([], None)])
def test_globs_of_another_task_are_not_all_files_when_there_are_none(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said, globs: list[str], moved: list[str] | None
) -> None:
    with dag:
        chosen = Call(task_id="choose", function=lambda _: globs)
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX, include=chosen.output)

    done = run(dag)

    if moved is None:
        assert done.instance("publish") == ("failed", 1)
        assert "include=[]: " in failures
        assert objects(connected, "") == {}
    else:
        assert list(objects(connected)) == moved


def test_the_whole_disk_is_refused(dag: Any, connected: LocalOSS, failures: Said) -> None:
    with dag:
        OSSDownloadPrefixOperator(task_id="fetch", prefix=PREFIX, folder="//")

    assert run(dag).instance("fetch") == ("failed", 1)
    assert "folder='//': this is the root of the file system" in failures


def test_a_file_that_changes_after_the_plan_is_taken_by_the_retry(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX)
    change_after_the_plan(connected, folder / "a.csv")

    done = run(dag)

    assert done.instance("publish") == ("success", 2)
    assert "a.csv: source_changed" in failures
    assert objects(connected) == contents(folder)


def test_a_file_that_changes_after_the_plan_may_be_left_to_the_next_run(
    dag: Any, connected: LocalOSS, folder: Path
) -> None:
    with dag:
        OSSUploadFolderOperator(
            task_id="publish", folder=str(folder), prefix=PREFIX, allow_skipped="{{ 'source_' ~ 'changed' }}"
        )
    change_after_the_plan(connected, folder / "a.csv")

    done = run(dag)

    assert done.instance("publish") == ("success", 1)
    assert done.xcom("publish", "report")["skipped"] == {"source_changed": 1}


def test_a_callback_of_a_failure_finds_the_report_of_its_own_try(dag: Any, connected: LocalOSS, folder: Path) -> None:
    found: list[Any] = []

    def look(context: Any) -> None:
        found.append(context["ti"].xcom_pull(task_ids="publish", key="report"))

    with dag:
        OSSUploadFolderOperator(
            task_id="publish", folder=str(folder), prefix=PREFIX, on_retry_callback=look, on_failure_callback=look
        )
    connected.fail("PutObject", key="raw/a.csv", nth=1, times=8, fault=Fault("status", status=500))
    connected.fail("PutObject", key="raw/a.csv", nth=9, times=None, fault=DENIED)

    assert run(dag).instance("publish") == ("failed", 2)
    assert [(report["moved"], report["failed"], report["tries"]) for report in found] == [(4, 1, 1), (0, 1, 2)]


def test_a_failure_pushes_no_report_where_no_xcoms_are_wanted(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder=str(folder), prefix=PREFIX, do_xcom_push=False)
    connected.fail("PutObject", key="raw/a.csv", times=None, fault=DENIED)

    done = run(dag)

    assert done.instance("publish") == ("failed", 1)
    assert done.xcom("publish", "report") is None


def test_a_relative_folder_is_refused(dag: Any, connected: LocalOSS, failures: Said) -> None:
    with dag:
        OSSUploadFolderOperator(task_id="publish", folder="export", prefix=PREFIX)

    assert run(dag).instance("publish") == ("failed", 1)
    assert "folder='export': give an absolute path" in failures


# --- many tasks -------------------------------------------------------------------------------------------------------


def test_a_group_plans_moves_and_proves(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_files=2)

    done = run(dag)

    assert done.state == "success"
    assert objects(connected) == contents(folder)
    batches = done.xcom("move.plan")
    assert len(batches) == 3
    assert all(len(uri) <= 130 for uri in batches)
    assert done.xcom("move.plan", "report")["put"] == 5
    assert sum(done.xcom("move.batch", "report", index)["done"] for index in range(3)) == 5
    assert done.xcom("move.finish", "report")["outcome"] == "proven"


def test_a_group_moves_what_the_list_of_another_task_names(
    dag: Any, connected: LocalOSS, folder: Path, tmp_path: Path
) -> None:
    listing = tmp_path / "names.txt"
    listing.write_text("b/d/e.parquet\na.csv\nabsent\n")
    with dag:
        choose = Call(task_id="choose", function=lambda _: str(listing))
        move = oss_transfer_group("move", source=str(folder), target=PREFIX, files_from=choose.output)
        choose >> move

    done = run(dag)

    assert done.state == "success"
    assert list(objects(connected)) == ["a.csv", "b/d/e.parquet"]
    assert done.xcom("move.finish", "report")["left_out"] == {"vanished": 1}


def test_a_batch_that_fails_leaves_the_others_and_its_retry_does_the_rest(
    dag: Any, connected: LocalOSS, folder: Path
) -> None:
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_files=2)
    connected.fail("PutObject", key="raw/b/c.parquet", nth=1, times=8, fault=Fault("status", status=500))

    done = run(dag)

    assert done.state == "success"
    assert sorted(puts(connected)) == sorted(f"raw/{name}" for name in FILES)
    tries = sorted(done.instance("move.batch", index)[1] for index in range(3))
    assert tries == [1, 1, 2]


def test_the_finish_fails_when_a_batch_is_out_of_retries_and_deletes_nothing(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    connected.put(BUCKET, "raw/old", b"old")
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_files=2, mode="mirror", max_delete_share=1)
    connected.fail("PutObject", key="raw/b/c.parquet", times=None, fault=DENIED)

    done = run(dag)

    assert done.state == "failed"
    assert done.instance("move.finish")[0] == "failed"
    assert "b/c.parquet: AccessDenied" in failures
    report = done.xcom("move.finish", "report")
    assert (report["outcome"], report["moved"], report["failed"], report["kept"]) == ("not proven", 4, 1, 1)
    batches = [done.xcom("move.batch", "report", index) for index in range(3)]
    assert sorted((batch["done"], batch["failed"]) for batch in batches) == [(1, 0), (1, 1), (2, 0)]
    assert objects(connected)["old"] == b"old"


def test_a_mirror_deletes_what_the_source_does_not_have_when_all_is_proven(
    dag: Any, connected: LocalOSS, folder: Path
) -> None:
    connected.put(BUCKET, "raw/old", b"old")
    connected.put(BUCKET, "rawer", b"of somebody else")
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, mode="mirror", max_delete_share=1)

    done = run(dag)

    assert done.state == "success"
    assert objects(connected) == contents(folder)
    assert connected.object(BUCKET, "rawer") == b"of somebody else"
    assert done.xcom("move.finish", "report")["deleted"] == 1


def test_a_mirror_copies_to_the_backup_prefix_what_it_deletes(dag: Any, connected: LocalOSS, folder: Path) -> None:
    connected.put(BUCKET, "raw/old", b"old")
    with dag:
        oss_transfer_group(
            "move", source=str(folder), target=PREFIX, mode="mirror", max_delete_share=1,
            backup_prefix=f"oss://{BUCKET}/deleted/{{{{ dag.dag_id }}}}/",
        )  # fmt: skip

    done = run(dag)

    assert done.state == "success"
    assert objects(connected) == contents(folder)
    assert objects(connected, f"deleted/{dag.dag_id}/") == {"old": b"old"}


def test_a_mirror_that_would_delete_too_much_moves_nothing(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    for number in range(10):
        connected.put(BUCKET, f"raw/old{number}", b"old")
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, mode="mirror", max_delete=9)

    done = run(dag)

    assert done.state == "failed"
    assert done.instance("move.plan") == ("failed", 1)
    assert puts(connected) == []
    assert len(objects(connected)) == 10
    assert "max_delete=9" in failures


@pytest.mark.parametrize("recheck", ["ledger", "{{ 'li' ~ 'st' }}"], ids=["ledger", "list"])
def test_a_finish_that_lists_the_target_notices_what_others_have_deleted(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said, recheck: Any
) -> None:
    with dag:
        plan = OSSPlanTransferOperator(task_id="plan", source=str(folder), target=PREFIX)
        batch = OSSTransferBatchOperator.partial(task_id="batch").expand(batch=plan.output)
        delete = Call(task_id="delete", function=lambda _: a_client(connected).delete_objects(BUCKET, ["raw/a.csv"]))
        finish = OSSFinishTransferOperator(task_id="finish", plan=plan.plan_uri, recheck=recheck)
        plan >> batch >> delete >> finish

    done = run(dag)

    assert done.instance("delete") == ("success", 1)
    assert done.instance("finish") == (("success", 1) if recheck == "ledger" else ("failed", 1))
    assert ("a.csv: target_gone" in failures) == (recheck != "ledger")


def test_when_nothing_is_to_be_moved_the_batches_are_skipped_and_the_finish_says_so(
    dag: Any, connected: LocalOSS, folder: Path
) -> None:
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX)
    run(dag)
    sent = len(puts(connected))

    done = run(dag)

    assert done.state == "success"
    assert len(puts(connected)) == sent
    assert done.instance("move.finish") == ("success", 1)
    assert done.xcom("move.finish", "report")["there"] == 5


def test_a_finish_whose_plan_failed_says_so(dag: Any, connected: LocalOSS, tmp_path: Path, failures: Said) -> None:
    with dag:
        oss_transfer_group("move", source=str(tmp_path / "absent"), target=PREFIX)

    done = run(dag)

    assert done.instance("move.finish")[0] == "failed"
    assert "the plan task pushed no plan" in failures


def test_the_three_tasks_can_be_written_out(dag: Any, connected: LocalOSS, folder: Path) -> None:
    with dag:
        plan = OSSPlanTransferOperator(task_id="plan", source=str(folder), target=PREFIX, batch_files=3)
        batch = OSSTransferBatchOperator.partial(task_id="batch", retries=5).expand(batch=plan.output)
        finish = OSSFinishTransferOperator(task_id="finish", plan=plan.plan_uri)
        plan >> batch >> finish

    done = run(dag)

    assert done.state == "success"
    assert objects(connected) == contents(folder)


def test_a_file_that_vanishes_after_the_plan_is_named_and_may_be_allowed(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    with dag:
        plan = OSSPlanTransferOperator(task_id="plan", source=str(folder), target=PREFIX)
        lose = Call(task_id="lose", function=lambda _: os.unlink(folder / "a.csv"))
        batch = OSSTransferBatchOperator.partial(task_id="batch").expand(batch=plan.output)
        strict = OSSFinishTransferOperator(task_id="strict", plan=plan.plan_uri, retries=0)
        lenient = OSSFinishTransferOperator(task_id="lenient", plan=plan.plan_uri, allow_skipped="vanished")
        plan >> lose >> batch >> strict >> lenient

    done = run(dag)

    assert done.instance("strict")[0] == "failed"
    assert "a.csv: vanished" in failures
    assert done.instance("lenient")[0] == "success"
    assert done.xcom("lenient", "report")["skipped"] == {"vanished": 1}


def test_no_more_batches_are_made_than_airflow_maps(
    dag: Any, connected: LocalOSS, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_files=1)

    done = run(dag)

    assert done.state == "success"
    assert len(done.xcom("move.plan")) == 2
    assert objects(connected) == contents(folder)


def test_groups_in_groups_and_beside_each_other_have_their_own_plans_and_labels(
    dag: Any, connected: LocalOSS, folder: Path, tmp_path: Path
) -> None:
    with dag, TaskGroup("outer"):
        with TaskGroup("inner"):
            up = oss_transfer_group("up", source=str(folder), target=PREFIX, batch_files=2)
        down = oss_transfer_group("down", source=PREFIX, target=str(tmp_path / "fetched"))
        up >> down

    done = run(dag)

    assert done.state == "success"
    assert contents(tmp_path / "fetched") == contents(folder)
    assert done.xcom("outer.inner.up.finish") == PREFIX
    assert done.xcom("outer.down.finish") == str(tmp_path / "fetched")
    select = (
        "SELECT rendered_map_index FROM task_instance WHERE dag_id = :dag_id AND task_id = :task_id ORDER BY map_index"
    )
    labels = [label for (label,) in rows(select, dag_id=dag.dag_id, task_id="outer.inner.up.batch")]
    assert labels == ["0: 2 files, 10 B", "1: 2 files, 1003 B", "2: 1 file, 20 B"]


@pytest.mark.parametrize("default", [{"trigger_rule": "all_success"}, {"do_xcom_push": False}])
def test_defaults_of_a_dag_keep_no_mirror_from_deleting(
    dag: Any, connected: LocalOSS, folder: Path, default: dict[str, Any]
) -> None:
    dag.default_args.update(default)
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, mode="mirror", max_delete_share=1)
    run(dag)
    connected.put(BUCKET, "raw/old", b"old")

    done = run(dag)  # nothing is to be moved, so the batches are skipped

    assert done.state == "success"
    assert done.instance("move.finish") == ("success", 1)
    assert objects(connected) == contents(folder)


def test_the_connection_of_a_dags_defaults_is_that_of_all_three_tasks(
    dag: Any, connected: LocalOSS, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OSS_LAKE", connected.airflow_connection())
    monkeypatch.delenv("AIRFLOW_CONN_OSS_DEFAULT")
    dag.default_args["oss_conn_id"] = "oss_lake"
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX)

    done = run(dag)

    assert done.state == "success"
    assert objects(connected) == contents(folder)


def test_an_argument_that_would_reach_the_plan_alone_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no argument 'retries'; .*default_args"):
        oss_transfer_group("move", source="/data", target=PREFIX, retries=3)


def test_each_task_of_a_group_may_have_arguments_of_its_own(dag: Any) -> None:
    with dag:
        oss_transfer_group(
            "move",
            source="/data",
            target=PREFIX,
            pool="oss",
            outlets=[Asset(uri=PREFIX)],
            default_args={"retries": 4},
            plan_args={"queue": "near"},
            batch_args={"retries": 5},
            finish_args={"priority_weight": 7},
        )

    plan, batch, finish = (dag.get_task(f"move.{name}") for name in ("plan", "batch", "finish"))
    assert (plan.queue, plan.outlets, plan.retries) == ("near", [], 4)
    assert (batch.pool, batch.retries) == ("oss", 5)
    assert (finish.priority_weight, len(finish.outlets), finish.retries) == (7, 1, 4)


def test_a_finish_does_not_wait_for_retries_that_can_prove_nothing(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_files=2, batch_args={"retries": 0})
    connected.fail("PutObject", key="raw/b/c.parquet", times=8, fault=Fault("status", status=500))

    done = run(dag)

    assert done.instance("move.finish") == ("failed", 1)
    assert "Clear the failed batches" in failures


def test_a_batch_that_is_stopped_goes_on_where_it_was(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    for number in range(40):
        (folder / f"more{number:02}").write_bytes(some_bytes(1000, seed=number))
    running: list[Any] = []
    mark = {"pre_execute": lambda context: running.append(context["ti"].task)}
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, batch_args=mark)

    stops = iter([True])

    def stop_at_the_tenth(_: Any) -> None:
        if len(puts(connected)) >= 10 and next(stops, False):
            running[0].on_kill()

    connected.after_request = stop_at_the_tenth

    done = run(dag)

    assert done.instance("move.batch", 0) == ("success", 2)
    assert "Airflow is stopping this task" in failures
    assert len(puts(connected)) == len(contents(folder))  # each was sent once
    report = done.xcom("move.batch", "report", 0)
    assert report["proven_before"] + report["same"] >= 10


def test_the_hook_knows_all_options_by_their_names(connected: LocalOSS, folder: Path) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    with pytest.raises(ArgumentError, match=r"^inculde=\['x'\]: unknown option; the options are acl, .* include, "):
        OSSResumeHook().upload_folder(folder, PREFIX, inculde=["x"])
    verdict = OSSResumeHook().upload_folder(folder, PREFIX, include=["*.csv"], is_dry_run=True)
    assert verdict["first_names"] == {"put": ["a.csv"], "delete": []}


def test_a_reason_that_no_file_is_skipped_for_is_refused(
    dag: Any, connected: LocalOSS, folder: Path, failures: Said
) -> None:
    with dag:
        oss_transfer_group("move", source=str(folder), target=PREFIX, allow_skipped="vanishd")

    assert run(dag).instance("move.finish") == ("failed", 1)
    assert "allow_skipped='vanishd': choose one of 'vanished', 'source_changed'" in failures


def test_defaults_of_a_dag_reach_what_each_object_is_to_have(dag: Any) -> None:
    dag.default_args.update(storage_class="IA", acl="private", mode="mirror", bucket_name=BUCKET)
    with dag:
        folder = OSSUploadFolderOperator(task_id="folder", folder="/data", prefix=PREFIX, acl="default")
        plan = OSSPlanTransferOperator(task_id="plan", source="/data", target=PREFIX)
        folders = OSSUploadFolderOperator.partial(task_id="folders", prefix=PREFIX).expand(folder=["/data"])
        file = OSSResumableUploadOperator(task_id="file", file="/data/a", key="a")
        copy = OSSCopyObjectOperator(task_id="copy", source="a", target="b", storage_class="copy")

    mapped = folders.unmap({"folder": "/data"})
    assert (folder.storage_class, folder.acl, folder.mode) == ("IA", "default", "mirror")
    assert (plan.storage_class, plan.acl, plan.mode) == ("IA", "private", "mirror")
    assert (mapped.storage_class, mapped.acl, mapped.mode) == ("IA", "private", "mirror")
    assert (file.storage_class, file.acl, file.bucket_name) == ("IA", "private", BUCKET)
    assert (copy.storage_class, copy.acl, copy.bucket_name) == ("copy", "private", BUCKET)


def test_all_that_an_author_types_is_templated() -> None:
    import inspect

    for operator in (
        OSSUploadFolderOperator,
        OSSDownloadPrefixOperator,
        OSSCopyPrefixOperator,
        OSSPlanTransferOperator,
        OSSTransferBatchOperator,
        OSSFinishTransferOperator,
    ):
        typed = {
            name
            for kind in operator.__mro__
            if kind.__module__.startswith("airflow_provider_ossresume") and "__init__" in vars(kind)
            for name, parameter in inspect.signature(kind.__init__).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        assert typed - {"map_index_template"} == set(operator.template_fields), operator
