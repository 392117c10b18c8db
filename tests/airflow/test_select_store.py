"""Which home a checkpoint gets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints import select
from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.errors import ArgumentError

Selecting = Callable[[str], Any]


class StoreOfAUser(MemoryCheckpointStore):
    """A store that somebody else wrote."""


class NoStore:
    """Has none of the methods."""


class NeedsAnArgument(MemoryCheckpointStore):
    def __init__(self, url: str) -> None:
        super().__init__()


@pytest.fixture
def in_a_task(dag: Any) -> Selecting:
    """Selects inside a running task, and returns the store's class name and what it says of itself."""
    from tests.airflow.runs import Call, call_in_a_task

    def select_there(choice: str) -> tuple[str, str]:
        def in_the_task(context: Mapping[str, Any]) -> tuple[str, str]:
            store = select_store(choice, context=context)
            return type(store).__name__, str(store)

        return call_in_a_task(dag, in_the_task, then=Call(task_id="holder", function=print, dag=dag))

    return select_there


def has_task_state() -> bool:
    from airflow import __version__

    return tuple(map(int, __version__.split(".")[:2])) >= (3, 3)


# --- outside a task ---------------------------------------------------------------------------------------------------


def test_auto_is_a_file_under_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    store = select_store("auto", context=None)

    assert isinstance(store, FileCheckpointStore)
    assert store.folder == tmp_path / ".ossresume"
    assert not store.folder.exists()  # made at the first save


def test_file_is_the_users_home_or_the_folder_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    folders = {
        "file": tmp_path / ".ossresume",
        "file:": tmp_path / ".ossresume",
        "file:/a b/c": Path("/a b/c"),
        "file:x:y": tmp_path / "x:y",
    }

    assert {choice: select_store(choice, context=None).folder for choice in folders} == folders


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert str(select_store("file:~/checkpoints", context=None)) == f"file {tmp_path / 'checkpoints'}"


def test_memory_is_a_new_one_each_time() -> None:
    assert isinstance(select_store("memory", context=None), MemoryCheckpointStore)
    assert select_store("memory", context=None) is not select_store("memory", context=None)


@pytest.mark.parametrize("choice", ["variable", "xcom", "task_state"])
def test_airflows_own_need_a_running_task(choice: str) -> None:
    with pytest.raises(ArgumentError, match=f"checkpoint='{choice}'.*no running task.*file or memory"):
        select_store(choice, context=None)


def test_a_class_path_gives_an_instance() -> None:
    store = select_store(f"{__name__}.StoreOfAUser", context=None)

    assert type(store) is sys.modules[__name__].StoreOfAUser


def test_an_instance_is_taken_as_it_is() -> None:
    store = StoreOfAUser()

    assert select_store(store, context=None) is store


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("redis", r"choose one of auto, task_state, variable, xcom, file, memory, file:FOLDER, or a class path"),
        ("", "choose one of auto"),
        ("Variable", "choose one of auto"),
        ("no.such.module.Store", "cannot be imported.*No module named 'no'"),
        (f"{select.__name__}.NoSuchStore", "cannot be imported.*NoSuchStore"),
        (".Store", "cannot be imported"),
        (f"{__name__}.NoStore", "has the methods load, save and delete"),
        (None, "has the methods load, save and delete"),
        (NoStore(), "has the methods load, save and delete"),
        ({"memory": True}, "has the methods load, save and delete"),
    ],
)
def test_what_is_no_store_is_refused_with_the_choices(choice: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as error:
        select_store(choice, context=None)

    assert error.value.argument == "checkpoint"
    assert str(error.value).startswith("checkpoint=")


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


# --- inside one -------------------------------------------------------------------------------------------------------


def test_auto_in_a_task_is_its_task_state_or_a_variable_where_airflow_has_none(in_a_task: Selecting) -> None:
    name, said = in_a_task("auto")

    if has_task_state():
        assert (name, said) == ("TaskStateCheckpointStore", "task state store")
    else:
        assert (name, said) == ("VariableCheckpointStore", "Variable")


def test_task_state_in_a_task(in_a_task: Selecting) -> None:
    if has_task_state():
        assert in_a_task("task_state") == ("TaskStateCheckpointStore", "task state store")
    else:
        with pytest.raises(ArgumentError, match=r"checkpoint='task_state'.*comes with Airflow 3\.3; use variable"):
            in_a_task("task_state")


@pytest.mark.parametrize(
    ("choice", "is_one", "says"),
    [
        ("variable", "VariableCheckpointStore", "Variable"),
        ("xcom", "XComCheckpointStore", "XCom of task 'holder'"),
        ("file:/a/folder", "FileCheckpointStore", "file /a/folder"),
        ("memory", "MemoryCheckpointStore", "memory"),
        (f"{__name__}.StoreOfAUser", "StoreOfAUser", "memory"),
    ],
)
def test_every_other_choice_in_a_task(in_a_task: Selecting, choice: str, is_one: str, says: str) -> None:
    assert in_a_task(choice) == (is_one, says)
