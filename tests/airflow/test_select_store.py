"""Which home a checkpoint gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints import select
from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.get_provider_info import get_provider_info

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


def release() -> tuple[int, ...]:
    from airflow import __version__

    return tuple(map(int, __version__.split(".")[:2]))


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
        "file:/a b/c": Path("/a b/c"),
        "file:x:y": tmp_path / "x:y",
    }

    assert {choice: select_store(choice, context=None).folder for choice in folders} == folders


@pytest.mark.parametrize("choice", ["file:", "file: "])
def test_a_folder_that_a_template_did_not_find_is_not_the_users_home(choice: str) -> None:
    with pytest.raises(ArgumentError, match="name a folder after file:"):
        select_store(choice, context=None)


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


def test_an_instance_is_taken_as_it_is() -> None:
    store = StoreOfAUser()

    assert select_store(store, context=None) is store


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("redis", r"choose one of auto, task_state, variable, xcom, file, memory, configured, or file:FOLDER"),
        ("", "choose one of auto"),
        ("Variable", "choose one of auto"),
        ("None", "choose one of auto"),
        (None, "has the methods load, save and delete"),
        (NoStore(), "has the methods load, save and delete"),
        ({"memory": True}, "has the methods load, save and delete"),
        (MemoryCheckpointStore, "an instance of a class that has the methods load, save and delete"),
        ("configured", r"\[ossresume\] checkpoint_store in Airflow's configuration is empty"),
        ("file:~nobodyhere/x", "no home folder is known"),
        ("file:a\0b", "NUL"),
    ],
)
def test_what_is_no_store_is_refused_with_the_choices(choice: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as error:
        select_store(choice, context=None)

    assert error.value.argument == "checkpoint"
    assert str(error.value).startswith("checkpoint=")


# --- a class of an admin's own ----------------------------------------------------------------------------------------

CALLS: list[str] = []


def wipe() -> MemoryCheckpointStore:
    CALLS.append("called")
    return MemoryCheckpointStore()


class WipesInstead:
    def __init__(self) -> None:
        CALLS.append("made")


class Inherits(StoreOfAUser):
    load = None  # type: ignore[assignment]

    def __init__(self) -> None:
        CALLS.append("made")


class Fails(MemoryCheckpointStore):
    def __init__(self) -> None:
        raise OSError("its server is down")


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what Airflow's configuration names."""
    return lambda path: monkeypatch.setenv("AIRFLOW__OSSRESUME__CHECKPOINT_STORE", path)


@pytest.mark.parametrize("choice", ["configured", "auto"])
def test_a_configured_class_is_used_when_it_is_asked_for_and_by_default(
    configured: Callable[[str], None], choice: str
) -> None:
    configured(f"{__name__}.StoreOfAUser")

    assert type(select_store(choice, context=None)) is sys.modules[__name__].StoreOfAUser
    assert isinstance(select_store("memory", context=None), MemoryCheckpointStore)


@pytest.mark.parametrize("path", ["wipe", "StoreOfAUser", "Inherits"])
def test_a_text_names_no_code(path: str) -> None:
    CALLS.clear()

    with pytest.raises(ArgumentError, match=r"a string cannot name a class.*\[ossresume\] checkpoint_store") as error:
        select_store(f"{__name__}.{path}", context=None)

    assert error.value.argument == "checkpoint"
    assert CALLS == []


def test_a_text_does_not_even_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_by_nobody.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ArgumentError):
        select_store("imported_by_nobody.Store", context=None)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"{__name__}.wipe", "name a class that has the methods load, save and delete"),
        (f"{__name__}.WipesInstead", "name a class that has the methods"),
        (f"{__name__}.Inherits", "name a class that has the methods"),
        ("os.path", "name a class that has the methods"),
        ("sys.exit", "name a class that has the methods"),
        (f"{__name__}.Fails", "cannot be created without arguments: its server is down"),
        (f"{__name__}.NeedsAnArgument", "cannot be created without arguments:.*'url'"),
        ("no.such.module.Store", "cannot be imported: No module named 'no'"),
        (f"{__name__}.NoSuchStore", "cannot be imported:.*NoSuchStore"),
        (".Store", "cannot be imported"),
        ("Store", "cannot be imported"),
        ("..relative.Store", "cannot be imported"),
    ],
)
def test_what_is_configured_must_be_a_class_with_the_methods_before_it_is_called(
    configured: Callable[[str], None], path: str, says: str
) -> None:
    CALLS.clear()
    configured(path)

    with pytest.raises(ArgumentError, match=says) as error:
        select_store("configured", context=None)

    assert error.value.argument == "[ossresume] checkpoint_store"
    assert CALLS == []


@pytest.mark.parametrize("choice", [f"{__name__}.wipe", f"{__name__}.StoreOfAUser", "configured", "memory"])
def test_the_janitor_takes_no_class(configured: Callable[[str], None], choice: str) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    CALLS.clear()
    configured(f"{__name__}.StoreOfAUser")

    with pytest.raises(ArgumentError, match=r"^checkpoint="):
        OSSResumeHook().clean_checkpoints(choice, older_than=timedelta(days=7), context=None)

    assert CALLS == []


def test_airflow_lists_the_option() -> None:
    option = get_provider_info()["config"]["ossresume"]["options"]["checkpoint_store"]

    assert (option["default"], option["type"]) == ("", "string")


# --- a worker without a home ------------------------------------------------------------------------------------------


def test_auto_goes_on_without_a_checkpoint_where_there_is_no_home(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    select._warn_once.cache_clear()  # another test may have been warned
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # a user that /etc/passwd does not name

    assert isinstance(select_store("auto", context=None), MemoryCheckpointStore)
    assert "No checkpoint is kept, so a retry starts from the beginning" in caplog.text
    assert "set HOME" in caplog.text
    with pytest.raises(ArgumentError, match=r"^checkpoint='file'.*set HOME"):
        select_store("file", context=None)


# --- inside one -------------------------------------------------------------------------------------------------------


def test_auto_in_a_task_is_its_task_state_where_a_clear_keeps_it_and_else_a_variable(in_a_task: Selecting) -> None:
    name, said = in_a_task("auto")

    if release() == (3, 3):
        assert (name, said) == ("TaskStateCheckpointStore", "task state store")
    else:
        assert (name, said) == ("VariableCheckpointStore", "Variable")


def test_task_state_in_a_task(in_a_task: Selecting) -> None:
    if release() >= (3, 3):
        assert in_a_task("task_state") == ("TaskStateCheckpointStore", "task state store")
    else:
        with pytest.raises(ArgumentError, match=r"checkpoint='task_state'.*needs Airflow 3\.3; use variable"):
            in_a_task("task_state")


@pytest.mark.parametrize(
    ("choice", "is_one", "says"),
    [
        ("variable", "VariableCheckpointStore", "Variable"),
        ("xcom", "XComCheckpointStore", "XCom of task 'holder'"),
        ("file:/a/folder", "FileCheckpointStore", "file /a/folder"),
        ("memory", "MemoryCheckpointStore", "memory"),
    ],
)
def test_every_other_choice_in_a_task(in_a_task: Selecting, choice: str, is_one: str, says: str) -> None:
    assert in_a_task(choice) == (is_one, says)
