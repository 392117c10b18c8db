"""Every home of checkpoints keeps the same promises; those of Airflow keep them inside a running task."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.checkpoints.select import CheckpointStore, select_store
from airflow_provider_ossresume.errors import CheckpointUnreadable, StoreUnavailable
from airflow_provider_ossresume.model.checkpoint import Owner, checkpoint_key, decode
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from tests.airflow.store_contract import PROMISES, Promise, key_of, outcomes

IN_AIRFLOW = ("variable", "xcom", "task_state")

InStore = Callable[[CheckpointStore, Mapping[str, Any]], Any]
InTask = Callable[[str, InStore], Any]


@pytest.fixture
def in_task(dag: Any) -> InTask:
    """Calls a function inside a running task, with the store of that name and the task's context."""
    from tests.airflow.runs import Call, call_in_a_task

    def call(home: str, function: InStore) -> Any:
        def in_the_task(context: Mapping[str, Any]) -> Any:
            if home == "task_state" and "task_state_store" not in context:
                pytest.skip("the task state store comes with Airflow 3.3")
            return function(select_store(home, context=context, xcom_holder_task_id="holder"), context)

        return call_in_a_task(dag, in_the_task, then=Call(task_id="holder", function=lambda _: None, dag=dag))

    return call


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_memory_keeps_its_promises(promise: Promise) -> None:
    promise(MemoryCheckpointStore())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_folder_keeps_its_promises(promise: Promise, tmp_path: Path) -> None:
    promise(FileCheckpointStore(tmp_path / "made" / "when needed"))


@pytest.fixture(scope="module")
def kept() -> dict[str, Mapping[str, str]]:
    """What one task found out about each store, for the tests that ask promise by promise."""
    return {}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("home", IN_AIRFLOW)
def test_airflow_keeps_its_promises(
    home: str, promise: Promise, in_task: InTask, kept: dict[str, Mapping[str, str]]
) -> None:
    if home not in kept:
        kept[home] = in_task(home, lambda store, _: outcomes(store))

    assert kept[home][promise.__name__] == ""


def test_a_key_is_forty_hex_digits_and_its_own() -> None:
    keys = [
        checkpoint_key("upload", "oss://bucket/key", "dag", "run", "task", -1),
        checkpoint_key("download", "oss://bucket/key", "dag", "run", "task", -1),
        checkpoint_key("upload", "oss://bucket/key?x=1", "dag", "run", "task", -1),
        checkpoint_key("upload", "oss://bucket/日本語 😀", "dag", "run", "task", -1),
        checkpoint_key("upload", "oss://bucket/key", "other", "run", "task", -1),
        checkpoint_key("upload", "oss://bucket/key", "dag", "other", "task", -1),
        checkpoint_key("upload", "oss://bucket/key", "dag", "run", "other", -1),
        checkpoint_key("upload", "oss://bucket/key", "dag", "run", "task", 0),
        checkpoint_key("upload", "oss://bucket/key", "dag", "run", "task", 1),
        checkpoint_key("upload", "oss://bucket/key", "dag", "run", "task", 11),
        checkpoint_key("upload", "oss://bucket/key", "da", "grun", "task", -1),
    ]
    assert all(re.fullmatch("[0-9a-f]{40}", key) for key in keys)
    assert len(set(keys)) == len(keys)


# --- garbage ----------------------------------------------------------------------------------------------------------

TEXTS = (
    "",
    "garbage",
    "{",
    "null",
    "[1, 2]",
    "7",
    '{"ossresume": 99}',
    '{"ossresume": 1, "kind": "upload"}',
    "\x01" * 9,
)
VALUES = ("garbage", "", 7, 2.5, True, [1, None], {"ossresume": 99}, {"a": {"b": []}}, '{"ossresume": 1}')


def refusal(store: CheckpointStore, key: str) -> str:
    """Return the text that the store gives back, after making sure that nobody takes it for a checkpoint."""
    text = store.load(key)
    assert isinstance(text, str)
    with pytest.raises(CheckpointUnreadable):
        decode(text)
    return text


@pytest.mark.parametrize("content", [text.encode() for text in TEXTS] + [b"\xff\xfe\x00", b'{"a": "\xed\xa0\x80"}'])
def test_a_file_that_is_no_checkpoint_is_refused_as_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"{key_of('garbage')}.json").write_bytes(content)

    refusal(FileCheckpointStore(tmp_path), key_of("garbage"))


def test_a_variable_that_is_no_checkpoint_is_refused_as_one(in_task: InTask) -> None:
    from airflow_provider_ossresume import _airflow

    def put_and_load(store: CheckpointStore, _: Mapping[str, Any]) -> list[str]:
        texts = []
        for text in TEXTS:
            _airflow.set_variable(f"ossresume-{key_of('garbage')}", text, description="by hand")
            texts.append(refusal(store, key_of("garbage")))
        return texts

    assert in_task("variable", put_and_load) == list(TEXTS)


def test_an_xcom_that_is_no_checkpoint_is_refused_as_one(in_task: InTask) -> None:
    from airflow_provider_ossresume import _airflow

    def put_and_load(store: CheckpointStore, context: Mapping[str, Any]) -> list[str]:
        ti = context["ti"]
        row = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": "holder", "map_index": -1}
        texts = []
        for value in VALUES:
            _airflow.set_xcom(f"ossresume-{key_of('garbage')}", value, row)
            texts.append(refusal(store, key_of("garbage")))
        return texts

    texts = in_task("xcom", put_and_load)
    assert json.loads(texts[VALUES.index(7)]) == 7
    assert json.loads(texts[VALUES.index("garbage")]) == "garbage"


@pytest.mark.parametrize(
    "value", [datetime(2024, 1, 1, tzinfo=timezone.utc), [datetime(2024, 1, 1, tzinfo=timezone.utc)], {1, 2}]
)
def test_an_xcom_that_json_does_not_know_is_refused_as_no_checkpoint(in_task: InTask, value: Any) -> None:
    """XComs hold more than JSON: a datetime comes back as one."""
    from airflow_provider_ossresume import _airflow

    def put_and_load(store: CheckpointStore, context: Mapping[str, Any]) -> str:
        ti = context["ti"]
        row = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": "holder", "map_index": -1}
        _airflow.set_xcom(f"ossresume-{key_of('garbage')}", value, row)
        return refusal(store, key_of("garbage"))

    in_task("xcom", put_and_load)


def test_a_task_state_that_is_no_checkpoint_is_refused_as_one(in_task: InTask) -> None:
    def put_and_load(store: CheckpointStore, context: Mapping[str, Any]) -> list[str]:
        texts = []
        for value in VALUES:
            context["task_state_store"].set(f"ossresume-{key_of('garbage')}", value)
            texts.append(refusal(store, key_of("garbage")))
        return texts

    assert json.loads(in_task("task_state", put_and_load)[0]) == "garbage"


# --- what is particular -----------------------------------------------------------------------------------------------


def test_a_variable_has_a_hash_for_a_name_and_says_what_it_belongs_to(dag: Any) -> None:
    from tests.airflow import runs

    def save(context: Mapping[str, Any]) -> None:
        store = select_store("variable", context=context, description="upload of oss://bucket/a b?c#d by dag run task")
        store.save(key_of("named"), "{}")

    runs.call_in_a_task(dag, save)

    stored = runs.rows("SELECT key, description FROM variable WHERE key LIKE 'ossresume-%'")
    assert stored == [(f"ossresume-{key_of('named')}", "upload of oss://bucket/a b?c#d by dag run task")]


def test_an_xcom_lies_on_the_row_of_the_holder_and_leaves_its_other_xcoms_alone(in_task: InTask, dag: Any) -> None:
    from airflow_provider_ossresume import _airflow
    from tests.airflow import runs

    def save_and_delete(store: CheckpointStore, context: Mapping[str, Any]) -> list[Any]:
        ti = context["ti"]
        row = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": "holder", "map_index": -1}
        _airflow.set_xcom("of_the_author", {"is": "kept"}, row)
        store.save(key_of("held"), "{}")
        held = runs.rows("SELECT task_id, key FROM xcom WHERE dag_id = :dag_id ORDER BY key", dag_id=dag.dag_id)
        store.delete(key_of("held"))
        return [held, _airflow.get_xcom("of_the_author", row)]

    held, others = in_task("xcom", save_and_delete)
    assert held == [("holder", "of_the_author"), ("holder", f"ossresume-{key_of('held')}")]
    assert others == {"is": "kept"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("variable", "Variable ossresume-{key}"),
        ("task_state", "task state ossresume-{key}"),
        ("xcom", "XCom ossresume-{key} of task 'holder'"),
    ],
)
def test_a_log_line_names_what_a_person_finds_in_the_ui(in_task: InTask, kind: str, said: str) -> None:
    key = key_of("named")

    def line_of(store: CheckpointStore, _: Mapping[str, Any]) -> list[str]:
        return [str(Checkpointer(store, key, owner=Owner(1, "us"), interval=0))]

    assert in_task(kind, line_of) == [said.format(key=key)]


def test_a_file_is_for_its_owner_only_and_whole(tmp_path: Path) -> None:
    store = FileCheckpointStore(tmp_path / "folder")

    store.save(key_of("file"), "{}")

    [file] = (tmp_path / "folder").iterdir()  # no temporary file is left
    assert file.name == f"{key_of('file')}.json"
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_is_a_store_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = FileCheckpointStore(tmp_path / "file")

    for call in (
        lambda: store.save(key_of("x"), "{}"),
        lambda: store.load(key_of("x")),
        lambda: store.delete(key_of("x")),
    ):
        with pytest.raises(StoreUnavailable, match=str(tmp_path / "file")):
            call()
