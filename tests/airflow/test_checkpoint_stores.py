"""Every home of checkpoints keeps the same promises; those of Airflow keep them inside a running task."""

from __future__ import annotations

import json
import math
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
from airflow_provider_ossresume.model.checkpoint import checkpoint_key, decode
from tests.airflow.store_contract import PROMISES, Promise, key_of, outcomes

IN_AIRFLOW = ("variable", "xcom", "task_state")

InTask = Callable[[str, Callable[[CheckpointStore, Mapping[str, Any]], Any]], Any]


@pytest.fixture
def in_task(dag: Any) -> InTask:
    """Calls a function inside a running task, with the store of that name and the task's context."""
    from tests.airflow.runs import Call, run

    def call(home: str, function: Callable[[CheckpointStore, Mapping[str, Any]], Any]) -> Any:
        answers: list[Any] = []

        def in_the_task(context: Mapping[str, Any]) -> None:
            if home == "task_state" and "task_state_store" not in context:
                answers.append(pytest.skip.Exception("the task state store comes with Airflow 3.3"))
                return
            answers.append(function(select_store(home, context=context, description="a test"), context))

        with dag:
            Call(task_id="task", function=in_the_task) >> Call(task_id="holder", function=lambda _: None)
        assert run(dag).state == "success"
        if isinstance(answers[-1], BaseException):
            raise answers[-1]
        return answers[-1]

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
