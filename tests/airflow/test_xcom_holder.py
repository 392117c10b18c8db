"""On whose row the store ``xcom`` keeps its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError, NoXComHolder, OSSResumeError


@pytest.fixture
def task(dag: Any) -> Callable[..., Any]:
    """Makes a task of the DAG; with ``copies`` a mapped one."""
    from tests.airflow.runs import Call

    def make(task_id: str, *, copies: int = 0, **options: Any) -> Any:
        with dag:
            if copies:
                return Call.partial(task_id=task_id, **options).expand(function=[print] * copies)
            return Call(task_id=task_id, function=print, **options)

    return make


def holder_of(task: Any, *, named: str | None = None) -> str:
    from airflow_provider_ossresume.checkpoints.xcom import find_holder

    return find_holder(task, named=named)


def test_a_downstream_task_comes_first_as_airflow_empties_its_row_after_our_success(task: Any) -> None:
    task("above") >> (transfer := task("transfer")) >> task("below")

    assert holder_of(transfer) == "below"


def test_a_direct_downstream_task_comes_before_one_further_down(task: Any) -> None:
    (transfer := task("transfer")) >> task("z_next") >> task("a_later")

    assert holder_of(transfer) == "z_next"


def test_of_several_it_is_always_the_same_one(task: Any) -> None:
    (transfer := task("transfer")) >> [task("c"), task("a"), task("b")]

    assert holder_of(transfer) == "a"


def test_an_upstream_task_comes_next(task: Any) -> None:
    task("a_first") >> task("b_before") >> (transfer := task("transfer"))

    assert holder_of(transfer) == "b_before"


@pytest.mark.parametrize("rule", ["all_done", "one_success", "none_failed", "all_failed", "one_failed"])
def test_a_downstream_task_that_may_start_before_our_success_is_no_holder(task: Any, rule: str) -> None:
    task("above") >> (transfer := task("transfer")) >> task("below", trigger_rule=rule)

    assert holder_of(transfer) == "above"


def test_a_task_that_may_start_before_our_success_is_no_holder_however_far_down(task: Any) -> None:
    """``middle`` waits for any one of its two, so that ``last`` may start, and lose its XComs, before our success."""
    task("above") >> (transfer := task("transfer"))
    transfer >> (middle := task("middle", trigger_rule="one_success")) >> task("last")
    task("quick") >> middle

    assert holder_of(transfer) == "above"


def test_a_mapped_task_is_no_holder(task: Any) -> None:
    task("above") >> (transfer := task("transfer")) >> task("below", copies=2)

    assert holder_of(transfer) == "above"


def test_a_task_in_a_mapped_group_is_no_holder(task: Any, dag: Any) -> None:
    from airflow.providers.common.compat.sdk import task_group

    with dag:
        transfer = task("transfer")

        @task_group
        def group(number: int) -> None:
            task("inside")

        transfer >> group.expand(number=[1, 2]) >> task("last")

    assert holder_of(transfer) == "last"


def test_a_mapped_task_has_a_holder_too(task: Any) -> None:
    task("above") >> (transfer := task("transfer", copies=2)) >> task("below")

    assert holder_of(transfer) == "below"


def test_none_at_all_is_an_error_with_advice(task: Any) -> None:
    task("unrelated")

    with pytest.raises(NoXComHolder) as error:
        holder_of(task("transfer"))

    for advice in ("'transfer'", "checkpoint='variable'", "EmptyOperator", "xcom_holder_task_id"):
        assert advice in str(error.value)


def test_mapped_ones_alone_are_an_error_with_advice(task: Any) -> None:
    task("above", copies=1) >> (transfer := task("transfer")) >> task("below", copies=2)

    with pytest.raises(NoXComHolder, match="checkpoint='variable'"):
        holder_of(transfer)


@pytest.mark.parametrize("name", ["below", "above", "unrelated"])
def test_a_named_task_is_the_holder_wherever_it_stands(task: Any, name: str) -> None:
    task("above") >> (transfer := task("transfer")) >> task("below")
    task("unrelated")

    assert holder_of(transfer, named=name) == name


def test_a_named_task_that_does_not_exist_is_an_error_that_tells_the_others(task: Any) -> None:
    task("above") >> (transfer := task("transfer"))

    with pytest.raises(ArgumentError, match=r"xcom_holder_task_id='belwo'.*above") as error:
        holder_of(transfer, named="belwo")

    assert error.value.argument == "xcom_holder_task_id"


def test_the_task_itself_is_no_holder(task: Any) -> None:
    with pytest.raises(ArgumentError, match=r"xcom_holder_task_id='transfer'.*there is none"):
        holder_of(task("transfer"), named="transfer")


def test_a_named_mapped_task_is_an_error(task: Any) -> None:
    (transfer := task("transfer")) >> task("below", copies=2)

    with pytest.raises(ArgumentError, match=r"xcom_holder_task_id='below'.*unmapped"):
        holder_of(transfer, named="below")


@pytest.mark.parametrize(
    ("named", "error"), [(None, NoXComHolder), ("nobody", ArgumentError), ("transfer", ArgumentError)]
)
def test_an_operator_without_a_holder_fails_before_any_byte_moves_and_is_not_retried(
    dag: Any, connected: Any, tmp_path: Any, named: str | None, error: type[OSSResumeError]
) -> None:
    from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
    from tests.airflow.runs import run
    from tests.world import a_file

    seen: list[BaseException] = []

    def see(context: Mapping[str, Any]) -> None:
        seen.append(context["exception"])

    with dag:
        OSSResumableUploadOperator(
            task_id="transfer",
            file=str(a_file(tmp_path)),
            key="oss://bucket/key",
            checkpoint="xcom",
            xcom_holder_task_id=named,
            on_failure_callback=see,
        )

    assert run(dag).instance("transfer") == ("failed", 1)
    assert connected.requests == []
    assert type(seen[0]).__name__ == "AirflowFailException"
    assert type(seen[0].__cause__) is error
