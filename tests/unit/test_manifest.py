"""What plans, rows and ledgers are as text; tests/properties/test_sets.py takes any values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import FORMAT, BatchHeader, Fact, LedgerRow, PlanHeader, Row, Victim

ROW = Row(7, "a/é", 2**63, "f:1:2:3", "o:E")
HEADER = PlanHeader(
    plan_id="P", provider="1.0", source="file:///a/", target="oss://b/p/", mode="mirror", compare="crc64",
    batches=(BatchHeader(0, "00000-abc", 3, 2**60),), options={"exclude": ["x"]}, found={"source_bytes": 2**60},
    actions={"put": 3}, left_out={"symlink": 2}, is_dry_run=True, made_at="2026-11-29T00:00:00Z",
)  # fmt: skip


def changed(text: str, **values: Any) -> str:
    return json.dumps({**json.loads(text), **values})


def without(text: str, name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key != name})


def test_a_row_is_one_line_of_json_with_large_numbers_as_text() -> None:
    assert ROW.line() == ('{"n":7,"op":"put","name":"a/é","size":"9223372036854775808","id":"f:1:2:3","was":"o:E"}')
    assert Row.of(ROW.line()) == ROW


def test_a_plan_is_read_as_it_was_written() -> None:
    assert PlanHeader.of(HEADER.text()) == HEADER
    assert json.loads(HEADER.text())["format"] == FORMAT


@pytest.mark.parametrize(
    "value",
    [ROW, Victim("a", 1, "o:E"), Fact("a", 1, "f:1:2:3", "o:E", 2**64 - 1), LedgerRow(1, "failed", reason="x")],
    ids=lambda value: type(value).__name__,
)
class TestLine:
    def test_fields_that_are_not_known_are_ignored(self, value: Any) -> None:
        assert type(value).of(changed(value.line(), from_the_future=[1])) == value

    def test_what_is_no_such_line_is_unreadable(self, value: Any) -> None:
        odd = changed(value.line(), size="x"), changed(value.line(), size=float("inf"))
        for text in ("", "{", "[]", "null", "1", '"x"', "{}", "\0", "[" * 200_000, *odd):
            with pytest.raises(ManifestUnreadable):
                type(value).of(text)

    def test_no_field_may_be_missing(self, value: Any) -> None:
        for name in json.loads(value.line()):
            with pytest.raises(ManifestUnreadable):
                type(value).of(without(value.line(), name))


def test_an_operation_or_a_result_of_a_newer_provider_is_refused() -> None:
    with pytest.raises(ManifestUnreadable, match="'part' is not known; use a newer version of the provider"):
        Row.of(changed(ROW.line(), op="part"))
    with pytest.raises(ManifestUnreadable, match="'half' is not known; use a newer version of the provider"):
        LedgerRow.of(changed(LedgerRow(1, "done").line(), r="half"))


@pytest.mark.parametrize("number", [FORMAT + 1, "1", None])
def test_a_plan_of_a_newer_format_is_refused(number: Any) -> None:
    with pytest.raises(ManifestUnreadable, match="use a newer version"):
        PlanHeader.of(changed(HEADER.text(), format=number))


@pytest.mark.parametrize(
    "values",
    [{"batches": 1}, {"batches": [{}]}, {"found": [1]}, {"options": 1}, {"left_out": {"symlink": "x"}}],
    ids=str,
)
def test_what_is_no_plan_is_unreadable(values: dict[str, Any]) -> None:
    with pytest.raises(ManifestUnreadable):
        PlanHeader.of(changed(HEADER.text(), **values))
    with pytest.raises(ManifestUnreadable):
        PlanHeader.of("{}")


@pytest.mark.parametrize(
    ("result", "is_proven"), [("done", True), ("same", True), ("skipped", False), ("failed", False)]
)
def test_only_what_is_done_or_the_same_is_proven(result: Any, is_proven: bool) -> None:
    assert LedgerRow(1, result).is_proven is is_proven
