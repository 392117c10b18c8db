"""What others have written is read, or refused by one kind of error."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.model.untrusted_json import read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": [1, 1.5, null]}', {"a": [1, 1.5, None]}), (b'"\xc3\xa9"', "é"), (r'"\ud83d\ude00"', "\U0001f600")],
)
def test_json_is_read(text: str | bytes, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", b"\xff", "[" * 200_000, "NaN", "-Infinity", "1e999", "9" * 5_000, r'{"a": "\ud800"}', rb'"\uDC00"'],
    ids=["empty", "broken", "no text", "deep", "nan", "infinite", "too large", "too long", "half a pair", "other half"],
)
def test_all_else_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it is the whole promise
        read_json(text)
