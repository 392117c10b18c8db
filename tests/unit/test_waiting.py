"""What a DAG author may ask a sensor for, and which objects count."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.patterns import KeyPattern
from airflow_provider_ossresume.model.waiting import FoundObject, Wanted

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
KEY = KeyPattern("bucket", "key")
CSV = KeyPattern("bucket", "in/*.csv", "wildcard")


def an_object(size: int = 100, modified: datetime | None = NOON) -> FoundObject:
    return FoundObject("bucket", "key", size, "E", modified)


@pytest.mark.parametrize(
    ("given", "field", "meant"),
    [
        ({"require": "any"}, "any_key", True),
        ({"require": "all"}, "any_key", False),
        ({"min_size": "64MiB"}, "min_size", 64 * 2**20),
        ({"min_size": "100"}, "min_size", 100),
        ({"min_size": None}, "min_size", 0),
        ({"stable_for": "90"}, "stable_for", 90),
        ({"stable_for": 0.5}, "stable_for", 0.5),
        ({"stable_for": timedelta(minutes=2)}, "stable_for", 120),
        ({"stable_for": "5m"}, "stable_for", 300),
        ({"max_matches": "7"}, "max_matches", 7),
        ({"max_matches": "5.0"}, "max_matches", 5),
        ({"must_not_exist": "False"}, "must_not_exist", False),
        ({"must_not_exist": " true "}, "must_not_exist", True),
        ({"count_folder_markers": "True"}, "count_folder_markers", True),
        ({"modified_after": NOON}, "modified_after", NOON),
        ({"modified_after": "2026-01-31T12:00:00Z"}, "modified_after", NOON),
        ({"modified_after": "2026-01-31 13:00:00+01:00"}, "modified_after", NOON),
        ({"modified_after": "2026-01-31T12:00:00"}, "modified_after", NOON),
        ({"modified_after": "2026-01-31"}, "modified_after", NOON.replace(hour=0)),
        ({"modified_after": "20260131"}, "modified_after", NOON.replace(hour=0)),  # ds_nodash
        ({"modified_after": "20260131T120000"}, "modified_after", NOON),  # ts_nodash
        ({"modified_after": "20260131T130000+0100"}, "modified_after", NOON),  # ts_nodash_with_tz
        ({"modified_after": datetime(2026, 1, 31, 12)}, "modified_after", NOON),
    ],
)
def test_values_are_taken_as_templates_give_them(given: dict[str, Any], field: str, meant: object) -> None:
    assert getattr(Wanted.of([KEY], **given), field) == meant


@pytest.mark.parametrize(
    ("given", "argument", "says"),
    [
        ({"require": "some"}, "require", "choose all or any"),
        ({"min_size": "big"}, "min_size", "give bytes"),
        ({"min_size": -1}, "min_size", "give bytes"),
        ({"min_size": True}, "min_size", "give bytes"),
        ({"modified_after": "yesterday"}, "modified_after", "give a datetime"),
        ({"modified_after": "None"}, "modified_after", "give a datetime"),
        ({"modified_after": 7}, "modified_after", "give a datetime"),
        ({"stable_for": 0}, "stable_for", "give a duration above zero"),
        ({"stable_for": "soon"}, "stable_for", "give a duration above zero"),
        ({"stable_for": float("nan")}, "stable_for", "give a duration above zero"),
        ({"stable_for": float("inf")}, "stable_for", "give a duration above zero"),
        ({"stable_for": timedelta(0)}, "stable_for", "give a duration above zero"),
        ({"max_matches": 0}, "max_matches", "from 1 to 100000"),
        ({"max_matches": 1.5}, "max_matches", "from 1 to 100000"),
        ({"max_matches": 100_001}, "max_matches", "from 1 to 100000"),
        ({"max_matches": None}, "max_matches", "from 1 to 100000"),
        ({"must_not_exist": True, "stable_for": 5}, "stable_for", "leave one of the two out"),
        ({"must_not_exist": "no"}, "must_not_exist", "give true or false"),
        ({"must_not_exist": ""}, "must_not_exist", "give true or false"),
        ({"count_folder_markers": None}, "count_folder_markers", "give true or false"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(given: dict[str, Any], argument: str, says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        Wanted.of([KEY], **given)

    assert refused.value.argument == argument
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("given", "found", "lacks"),
    [
        ({}, an_object(0, None), None),
        ({"min_size": 100}, an_object(100), None),
        ({"min_size": 101}, an_object(100), "oss://bucket/key has 100 bytes, and min_size is 101"),
        ({"modified_after": NOON - timedelta(seconds=1)}, an_object(), None),
        (
            {"modified_after": NOON},
            an_object(),
            "oss://bucket/key was last modified 2026-01-31 12:00:00+00:00, "
            "which is not after 2026-01-31 12:00:00+00:00",
        ),
        (
            {"modified_after": NOON},
            an_object(modified=None),
            "oss://bucket/key was last modified at an unknown time, which is not after 2026-01-31 12:00:00+00:00",
        ),
    ],
)
def test_an_object_counts_or_lacks_something(given: dict[str, Any], found: FoundObject, lacks: str | None) -> None:
    assert Wanted.of([KEY], **given).lacks(found) == lacks


MARKER = FoundObject("bucket", "in/", 0, "E", NOON)


@pytest.mark.parametrize(
    ("found", "by_pattern", "options", "counts"),
    [
        (MARKER, True, {}, False),
        (MARKER, True, {"must_not_exist": True}, False),
        (MARKER, True, {"count_folder_markers": True}, True),
        (MARKER, False, {}, True),  # who names its key means it
        (replace(MARKER, size=1), True, {}, True),
        (replace(MARKER, key="in"), True, {}, True),
    ],
)
def test_a_folder_marker_counts_when_it_is_named_or_asked_for(
    found: FoundObject, by_pattern: bool, options: dict[str, Any], counts: bool
) -> None:
    lacks = Wanted.of([CSV], **options).lacks(found, by_pattern=by_pattern)

    assert (lacks is None) == counts
    assert lacks is None or "only marks a folder" in lacks


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, "oss://bucket/key"),
        ({"must_not_exist": True}, "the absence of oss://bucket/key"),
        ({"patterns": [KEY, CSV]}, "all of oss://bucket/key, oss://bucket/in/*.csv"),
        ({"patterns": [KEY, CSV], "require": "any"}, "any of oss://bucket/key, oss://bucket/in/*.csv"),
        ({"min_size": 5, "stable_for": 9}, "oss://bucket/key, of at least 5 bytes, unchanged for 9 s"),
        ({"modified_after": NOON}, "oss://bucket/key, modified after 2026-01-31 12:00:00+00:00"),
        ({"patterns": [KEY] * 12}, "all of " + "oss://bucket/key, " * 9 + "oss://bucket/key and 2 more"),
    ],
)  # fmt: skip
def test_what_is_wanted_can_be_read_in_the_log(given: dict[str, Any], shown: str) -> None:
    assert str(Wanted.of(**{"patterns": [KEY], **given})) == shown


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted.of([KEY]),
        Wanted.of([CSV, KeyPattern("other", r"a\d", "regex")], require="any", min_size=7, stable_for=1.5),
        Wanted.of([KEY], max_matches=3),
        Wanted.of([KEY], must_not_exist=True, modified_after="2026-01-31T13:00:00+01:00"),
    ],
)  # fmt: skip
def test_what_is_wanted_survives_the_trip_to_the_triggerer(wanted: Wanted) -> None:
    assert Wanted.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted


def test_what_another_version_has_stored_can_be_read() -> None:
    newer = {**Wanted.of([KEY], min_size=7).to_json(), "sort_by": "age", "patterns": [["bucket", "key", "key", "more"]]}

    assert Wanted.from_json(newer) == Wanted.of([KEY], min_size=7)
    assert Wanted.from_json({"patterns": [["bucket", "key", "key"]]}) == Wanted.of([KEY])
