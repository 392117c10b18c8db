"""Arguments as templates give them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import (
    format_age,
    parse_age,
    parse_texts,
    parse_truth,
    parse_whole,
)


@pytest.mark.parametrize(
    ("value", "age"),
    [
        (timedelta(days=7), timedelta(days=7)),
        (90, timedelta(seconds=90)),
        (0.5, timedelta(seconds=0.5)),
        ("90", timedelta(seconds=90)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("36h", timedelta(hours=36)),
        ("7d", timedelta(days=7)),
        ("2W", timedelta(weeks=2)),
        (" 1d 12h ", timedelta(days=1, hours=12)),
    ],
)
def test_an_age_is_read(value: object, age: timedelta) -> None:
    assert parse_age("older_than", value) == age


@pytest.mark.parametrize(
    "value",
    [
        0, -1, "0d", "", "  ", None, "None", "seven days", "7 days", "d", "7x", "-7d", "1.5d", True, float("nan"),
        float("inf"), "1e400", "999999999w", timedelta(0), timedelta(days=-1), [7],
    ],
)  # fmt: skip
def test_what_is_no_age_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"older_than=.*an age above zero"):
        parse_age("older_than", value)


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=1, seconds=5), "1h"),
        (timedelta(days=1, hours=12, minutes=3), "1d12h"),
        (timedelta(days=400), "400d"),
    ],
)
def test_an_age_is_shown_in_its_two_largest_units(age: timedelta, shown: str) -> None:
    assert format_age(age) == shown


@pytest.mark.parametrize(("value", "truth"), [(True, True), ("True", True), ("false", False), (" FALSE ", False)])
def test_a_truth_is_read(value: object, truth: bool) -> None:
    assert parse_truth("dry_run", value) is truth


@pytest.mark.parametrize("value", ["", None, "None", 0, 1, "0", "no", []])
def test_what_is_no_truth_decides_nothing(value: object) -> None:
    with pytest.raises(ArgumentError, match="give true or false"):
        parse_truth("dry_run", value)


@pytest.mark.parametrize("value", [0, 11, 1.5, "x", None, True])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    assert parse_whole("max_keys", "10", most=10) == 10
    with pytest.raises(ArgumentError, match="a whole number from 1 to 10"):
        parse_whole("max_keys", value, most=10)


def test_texts_are_one_or_any_iterable_of_them() -> None:
    assert parse_texts("keys", "a") == ["a"]
    assert parse_texts("keys", (each for each in "ab")) == ["a", "b"]
    assert parse_texts("keys", []) == []


@pytest.mark.parametrize("value", [None, 3, ["a", None], ["a", ""], "", [["a"]]])
def test_what_are_no_texts_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="a text, or a list of texts"):
        parse_texts("keys", value)
