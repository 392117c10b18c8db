"""Arguments as templates give them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import (
    format_age,
    parse_duration,
    parse_flag,
    parse_mode,
    parse_texts,
    parse_whole_number,
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
        ("2w", timedelta(weeks=2)),
        (" 1d 12h ", timedelta(days=1, hours=12)),
    ],
)
def test_an_age_is_read(value: object, age: timedelta) -> None:
    assert parse_duration("older_than", value) == age


@pytest.mark.parametrize(
    "value",
    [
        0, -1, "0d", "", "  ", None, "None", "seven days", "7 days", "d", "7x", "1M", "1_0", "٧",
        "9" * 400, 10**400, "-7d", "1.5d", True, float("nan"),
        float("inf"), "1e400", "999999999w", timedelta(0), timedelta(days=-1), [7],
    ],
)  # fmt: skip
def test_what_is_no_age_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"older_than=.*a duration above zero"):
        parse_duration("older_than", value)


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
    assert parse_flag("dry_run", value) is truth


@pytest.mark.parametrize("value", ["", None, "None", 0, 1, "0", "no", []])
def test_what_is_no_truth_decides_nothing(value: object) -> None:
    with pytest.raises(ArgumentError, match="give true or false"):
        parse_flag("dry_run", value)


@pytest.mark.parametrize("value", [0, 11, 1.5, "x", None, True])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    assert parse_whole_number("max_keys", "10", most=10) == 10
    with pytest.raises(ArgumentError, match="a whole number from 1 to 10"):
        parse_whole_number("max_keys", value, most=10)


def test_texts_are_one_or_any_iterable_of_them() -> None:
    assert parse_texts("keys", "a") == ["a"]
    assert parse_texts("keys", (each for each in "ab")) == ["a", "b"]
    assert parse_texts("keys", []) == []


@pytest.mark.parametrize("value", [None, 3, ["a", None], [["a"]]])
def test_what_are_no_texts_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="a string, or a list of strings"):
        parse_texts("keys", value)


@pytest.mark.parametrize("value", ["", "  ", ["a", ""]])
def test_an_empty_text_is_refused_as_what_a_template_made_of_nothing(value: object) -> None:
    with pytest.raises(ArgumentError, match="it is empty, perhaps because a template rendered to nothing"):
        parse_texts("keys", value)


@pytest.mark.parametrize(
    "value",
    [
        "['a', 'b']", ' ["a"] ', "[]", "('a', 'b')", ["a", "['b']"], "['a', None]",
        '["a", null]', "[1, 2]", "{'a', 'b'}",
        '{"a": 1}', "LazyXComSequence([2 items])",
    ],
)  # fmt: skip
def test_the_text_of_a_list_is_refused_with_the_way_out(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"turned a list into this string.*XComArg.*render_template_as_native_obj"):
        parse_texts("keys", value)


@pytest.mark.parametrize(
    "value", ["[draft].csv", "[a]", "(old)", "{a}", "oss://b/['a']", "[" * 5000 + "a" + "]" * 5000]
)
def test_a_key_with_brackets_is_a_key(value: str) -> None:
    assert parse_texts("keys", value) == [value]


@pytest.mark.parametrize(
    ("value", "was_text", "mode"),
    [
        (0o640, False, 0o640),
        ("640", False, 0o640),
        ("0640", False, 0o640),
        ("0o640", False, 0o640),
        (" 440 ", False, 0o440),
        (0, False, 0),
        (640, True, 0o640),  # of the text "640"
        (288, True, 0o440),  # of the text "0o440"
    ],
)
def test_a_mode_is_read(value: object, was_text: bool, mode: int) -> None:
    assert parse_mode("file_mode", value, was_text=was_text) == mode


@pytest.mark.parametrize("value", [640, -1, 0o1000, "888", "rw-r--r--", "", None, True, 6.4, "1777"])
def test_what_are_no_permissions_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="give permissions from 0 to 0o777"):
        parse_mode("file_mode", value)


@pytest.mark.parametrize(("value", "readings"), [(440, "0o670 or 0o440"), (416, "0o640 or 0o416")])
def test_a_number_that_a_template_made_is_refused_where_two_modes_could_be_meant(value: int, readings: str) -> None:
    with pytest.raises(ArgumentError, match=f"could mean {readings}; begin the string with a zero"):
        parse_mode("file_mode", value, was_text=True)
