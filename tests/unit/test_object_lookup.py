"""One look at OSS for what a sensor waits for: what is found, what is said, and what is asked for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import AccessDenied, NoSuchBucket
from airflow_provider_ossresume.hooks.object_lookup import LookResult, look
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind
from airflow_provider_ossresume.model.waiting import FoundObject, Wanted
from airflow_provider_ossresume.oss.client import OssClient
from tests.properties.test_values import steady
from tests.world import BUCKET, Clock, a_client

NOW = float(int(time.time()))


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def oss(clock: Clock) -> Iterator[LocalOSS]:
    with LocalOSS(buckets=[BUCKET], clock=clock) as server:
        yield server


@pytest.fixture
def put(oss: LocalOSS, clock: Clock) -> Callable[..., None]:
    """Puts objects, of a size and an age."""

    def put(*keys: str, size: int = 0, age: float = 0) -> None:
        clock.now = NOW - age
        for key in keys:
            oss.put(BUCKET, key, bytes(size))
        clock.now = NOW

    return put


def wanted(*texts: str, kind: PatternKind = "key", **options: Any) -> Wanted:
    return Wanted.of([KeyPattern(BUCKET, text, kind) for text in texts], **options)


def look_for(oss: LocalOSS, *texts: str, check: Any = None, **options: Any) -> LookResult:
    return look(the_client(oss), wanted(*texts, **options), check=check)


def the_client(oss: LocalOSS) -> OssClient:
    return a_client(oss, clock=lambda: NOW)  # the suite may take longer than OSS allows a clock to differ


def uris(*keys: str) -> list[str]:
    return [f"oss://{BUCKET}/{key}" for key in keys]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


# --- keys and patterns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "options", "matches"),
    [
        (["in/a.csv"], {}, ["in/a.csv"]),
        (["in/a.csv", "in/b.csv"], {}, ["in/a.csv", "in/b.csv"]),
        (["in/a.csv", "absent"], {}, None),
        (["absent", "in/b.csv", "in/a.csv"], {"require": "any"}, ["in/b.csv"]),
        (["absent", "away"], {"require": "any"}, None),
        (["in/*.csv"], {}, None),
        (["in/*.csv"], {"kind": "wildcard"}, ["in/a.csv", "in/b.csv", "in/deep/c.csv"]),
        (["in/?.csv", "*/b.csv", "in/a.csv"], {"kind": "wildcard"}, ["in/a.csv", "in/b.csv"]),
        (["in/*.parquet", "in/a*"], {"kind": "wildcard"}, None),
        (["in/*.parquet", "in/a*"], {"kind": "wildcard", "require": "any"}, ["in/a.csv"]),
        ([r"in/\w\.csv$"], {"kind": "regex"}, ["in/a.csv", "in/b.csv"]),
        (["in/"], {"kind": "regex"}, ["in/a.csv", "in/b.csv", "in/deep/c.csv"]),
        (["n/"], {"kind": "regex"}, None),
        (["in/*"], {"kind": "wildcard", "max_matches": 2}, ["in/a.csv", "in/b.csv"]),
        (["in/a.csv", "in/b.csv"], {"max_matches": 1}, ["in/a.csv"]),
    ],
)
def test_what_is_found(
    oss: LocalOSS, put: Any, texts: list[str], options: dict[str, Any], matches: list[str] | None
) -> None:
    put("in/a.csv", "in/b.csv", "in/deep/c.csv", "out")

    seen = look_for(oss, *texts, **options)

    assert seen.is_done is (matches is not None)
    assert seen.matches == uris(*(matches or []))


@pytest.mark.parametrize(
    ("texts", "options", "is_done"),
    [
        (["absent", "away"], {}, True),
        (["absent", "a"], {}, False),
        (["absent", "a"], {"require": "any"}, True),
        (["a", "b"], {"require": "any"}, False),
        (["x*"], {"kind": "wildcard"}, True),
        (["a*"], {"kind": "wildcard"}, False),
        (["a*"], {"kind": "wildcard", "min_size": 11}, True),
        (["a*"], {"kind": "wildcard", "min_size": 10}, False),
        (["a"], {"modified_after": at(NOW)}, True),
    ],
)
def test_what_must_not_exist(oss: LocalOSS, put: Any, texts: list[str], options: dict[str, Any], is_done: bool) -> None:
    put("a", "b", size=10)

    seen = look_for(oss, *texts, must_not_exist=True, **options)

    assert (seen.is_done, seen.matches) == (is_done, [])


@pytest.mark.parametrize("fault", ["denied", "no bucket"])
@pytest.mark.parametrize("options", [{}, {"kind": "wildcard"}, {"must_not_exist": True}, {"stable_for": 5}])
def test_only_a_missing_key_is_an_answer(oss: LocalOSS, put: Any, fault: str, options: dict[str, Any]) -> None:
    put("a")
    if fault == "denied":
        oss.fail("HeadObject", fault=Fault("status", status=403, code="AccessDenied"), times=None)
        oss.fail("ListObjectsV2", fault=Fault("status", status=403, code="AccessDenied"), times=None)
    else:
        oss.delete(BUCKET, "a")
        oss._storage.delete_bucket(BUCKET)

    with pytest.raises(AccessDenied if fault == "denied" else NoSuchBucket):
        look_for(oss, "a*" if "kind" in options else "a", **options)


# --- conditions -------------------------------------------------------------------------------------------------------


def test_objects_that_lack_something_do_not_count(oss: LocalOSS, put: Any) -> None:
    put("in/small", "in/large-and-old", size=99, age=60)
    put("in/large", size=100, age=10)
    put("in/old", size=100, age=60)

    seen = look_for(oss, "in/*", kind="wildcard", min_size=100, modified_after=at(NOW - 60))

    assert seen.matches == uris("in/large")


@pytest.mark.parametrize("text", ["in/a", "in/*"])
@pytest.mark.parametrize(("age", "is_done"), [(119, False), (120, True), (600, True)])
def test_an_object_must_have_been_unchanged_for_so_long(
    oss: LocalOSS, put: Any, text: str, age: int, is_done: bool
) -> None:
    put("in/a", age=age)

    seen = look_for(oss, text, kind="wildcard", stable_for=120)

    assert seen.is_done is is_done
    assert is_done or f"oss://{BUCKET}/in/a changed 119 s ago; it must be unchanged for 120 s" in str(seen)


def test_of_many_objects_the_youngest_tells(oss: LocalOSS, put: Any) -> None:
    put("in/a", "in/c", age=600)
    put("in/b", age=10)
    put("in/small", age=1)
    put("elsewhere", age=0)

    assert not look_for(oss, "in/[abc]", kind="wildcard", stable_for=30).is_done
    assert look_for(oss, "in/[abc]", kind="wildcard", stable_for=10).is_done
    assert [request.key for request in oss.calls("HeadObject")] == ["in/b", "in/b"]


def test_the_age_is_taken_by_osss_clock(oss: LocalOSS, clock: Clock, put: Any) -> None:
    put("in/a")
    clock.now += 600  # of this machine's, no time has passed

    assert look_for(oss, "in/a", stable_for=600).is_done


def test_a_youngest_object_that_is_deleted_meanwhile_is_a_change(oss: LocalOSS, put: Any) -> None:
    put("in/a", "in/b", age=600)
    oss.after_request = lambda request: request.operation == "ListObjectsV2" and oss.delete(BUCKET, "in/a")

    seen = look_for(oss, "in/*", kind="wildcard", stable_for=60)

    assert str(seen) == f"oss://{BUCKET}/in/a was deleted during the check"


# --- check_fn ---------------------------------------------------------------------------------------------------------


def test_a_check_gets_what_counts_and_has_the_last_word(oss: LocalOSS, put: Any) -> None:
    put("in/a", "in/b", size=7, age=60)
    put("in/small", size=6, age=60)
    calls: list[list[FoundObject]] = []

    def check(found: list[FoundObject]) -> bool:
        calls.append(found)
        return len(calls) > 1

    first = look_for(oss, "in/*", kind="wildcard", min_size=7, check=check)
    second = look_for(oss, "in/*", kind="wildcard", min_size=7, check=check)

    assert (first.is_done, second.is_done) == (False, True)
    assert str(first).startswith("check_fn returned false for 2 for oss://bucket/in/*, such as oss://bucket/in/a (7")
    assert [(found.bucket, found.key, found.size, found.uri) for found in calls[0]] == [
        (BUCKET, key, 7, f"oss://{BUCKET}/{key}") for key in ("in/a", "in/b")
    ]
    assert {found.last_modified for found in calls[0]} == {at(NOW - 60)}
    assert all(re.fullmatch("[0-9A-F]{32}", found.etag) for found in calls[0])


def test_a_check_sees_one_key_as_it_would_be_listed(oss: LocalOSS, put: Any) -> None:
    put("in/a", size=7)
    calls: list[list[FoundObject]] = []

    look_for(oss, "in/a", check=calls.append)
    look_for(oss, "in/?", kind="wildcard", check=calls.append)

    assert calls[0] == calls[1]


def test_a_check_is_not_asked_about_nothing(oss: LocalOSS, put: Any) -> None:
    put("young")

    def never(_: list[FoundObject]) -> bool:
        raise AssertionError

    assert not look_for(oss, "absent", check=never).is_done
    assert not look_for(oss, "young", stable_for=60, check=never).is_done
    assert not look_for(oss, "young", min_size=1, check=never).is_done


# --- what is asked of OSS ---------------------------------------------------------------------------------------------


def test_one_key_costs_one_request_whatever_is_asked_of_it(oss: LocalOSS, put: Any) -> None:
    put("a", size=5, age=60)

    assert look_for(oss, "a", kind="wildcard", min_size=5, stable_for=60, check=lambda _: True).is_done

    assert [request.operation for request in oss.requests] == ["HeadObject"]


@pytest.mark.parametrize(
    ("text", "kind", "prefix"), [("in/2*", "wildcard", "in/2"), (r"^in/2\d*/", "regex", "in/2"), ("*", "wildcard", "")]
)
def test_a_pattern_is_listed_by_its_prefix(oss: LocalOSS, text: str, kind: PatternKind, prefix: str) -> None:
    look_for(oss, text, kind=kind)

    assert [request.query.get("prefix", "") for request in oss.calls("ListObjectsV2")] == [prefix]


@pytest.mark.parametrize(
    ("options", "pages"),
    [
        ({}, 1),
        ({"max_matches": 1001}, 2),
        ({"max_matches": 5000}, 3),
        ({"must_not_exist": True}, 1),
        ({"check": lambda found: len(found) == 2500}, 3),
        ({"stable_for": 60}, 3),
        ({"require": "any"}, 1),
    ],
)
def test_no_page_more_is_listed_than_the_answer_needs(
    oss: LocalOSS, put: Any, options: dict[str, Any], pages: int
) -> None:
    put(*(f"in/{number:04}" for number in range(2500)), age=60)

    seen = look_for(oss, "in/*", "out/*", kind="wildcard", **{"require": "any", **options})

    assert len([call for call in oss.calls("ListObjectsV2") if call.query["prefix"] == "in/"]) == pages
    assert len(seen.matches) == (0 if "must_not_exist" in options else min(2500, options.get("max_matches", 1000)))


def test_the_first_of_any_ends_the_look(oss: LocalOSS, put: Any) -> None:
    put("b")

    look_for(oss, "a", "b", "c", require="any")

    assert [request.key for request in oss.requests] == ["a", "b"]


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("absent", {}, "oss://bucket/absent does not exist"),
        ("x*", {"kind": "wildcard"}, "oss://bucket/x* matches no key"),
        ("in/a", {"min_size": 13}, "oss://bucket/in/a has 12 bytes, and min_size is 13"),
        ("in/*", {"kind": "wildcard", "min_size": 13}, "oss://bucket/in/a has 12 bytes, and min_size is 13"),
        ("in/a", {}, f"oss://bucket/in/a (12 bytes, last modified {at(NOW - 60)})"),
        (
            "in/*",
            {"kind": "wildcard"},
            f"2 for oss://bucket/in/*, such as oss://bucket/in/a (12 bytes, last modified {at(NOW - 60)})",
        ),
        (
            "in/a",
            {"must_not_exist": True},
            f"oss://bucket/in/a (12 bytes, last modified {at(NOW - 60)}) still exists",
        ),
        ("absent", {"must_not_exist": True}, "oss://bucket/absent does not exist"),
    ],
    # Not what is said, which has the time in it: pytest's workers have to agree on the names.
    ids=["absent", "no match", "too small", "each too small", "there", "several", "not gone", "gone"],
)
def test_a_look_says_what_it_saw(oss: LocalOSS, put: Any, text: str, options: dict[str, Any], says: str) -> None:
    put("in/a", "in/b", size=12, age=60)

    assert str(look_for(oss, text, **options)) == says


def test_of_many_only_those_that_are_waited_for_are_named_and_not_all(oss: LocalOSS, put: Any) -> None:
    put("there")

    said = str(look_for(oss, "there", *(f"absent-{number}" for number in range(12))))

    assert said.startswith("oss://bucket/absent-0 does not exist; ")
    assert said.endswith("oss://bucket/absent-9 does not exist; and 2 more")


# --- for any bucket and any pattern -----------------------------------------------------------------------------------

objects = st.dictionaries(
    st.text("ab/.", min_size=1, max_size=4).filter(lambda key: key[0] != "/"),
    st.tuples(st.integers(0, 3), st.sampled_from([0, 30, 60, 90])),
    max_size=6,
)
patterns = st.one_of(
    st.tuples(st.text("ab/.", min_size=1, max_size=3), st.just("key")),
    st.tuples(st.text("ab/.*?", min_size=1, max_size=4), st.just("wildcard")),
    st.tuples(
        st.sampled_from(["a", "a|b", "(a|b)/", "ab?", r"a\.", "^a/", ".b", "[ab]b*", r"b\Z", "(?i)A", ""]),
        st.just("regex"),
    ),
).filter(lambda pattern: pattern[0] and pattern[0][0] != "/")
conditions = st.fixed_dictionaries(
    {"require": st.sampled_from(["all", "any"]), "must_not_exist": st.booleans()},
    optional={
        "min_size": st.integers(0, 3),
        "modified_after": st.sampled_from([0, 30, 60]).map(lambda age: at(NOW - age)),
        "stable_for": st.sampled_from([1, 60]),
    },
)


def expected(stored: dict[str, tuple[int, int]], pattern: tuple[str, str], asked: dict[str, Any]) -> list[str] | None:
    """What the documentation promises of one pattern, said without prefixes, pages or requests."""
    text, kind = pattern
    means = {
        "key": lambda key: key == text,
        "wildcard": lambda key: fnmatchcase(key, text),
        "regex": lambda key: re.match(text, key) is not None,
    }[kind]
    counted = {
        key: age
        for key, (size, age) in sorted(stored.items())
        if means(key)
        and size >= asked.get("min_size", 0)
        and ("modified_after" not in asked or at(NOW) - timedelta(seconds=age) > asked["modified_after"])
    }
    if asked["must_not_exist"]:
        return None if counted else []
    return list(counted) if counted and min(counted.values()) >= asked.get("stable_for", 0) else None


@steady
@given(stored=objects, asked_for=st.lists(patterns, min_size=1, max_size=3), asked=conditions)
def test_a_look_sees_what_a_walk_through_the_whole_bucket_would(
    server: tuple[LocalOSS, Clock], stored: Any, asked_for: list[tuple[str, Any]], asked: dict[str, Any]
) -> None:
    """Whatever is in the bucket and whatever is asked for: done, and the matches, are as the documentation says."""
    oss, clock = server
    fill(oss, clock, stored)
    if asked["must_not_exist"]:
        asked.pop("stable_for", None)

    seen = look(the_client(oss), Wanted.of([KeyPattern(BUCKET, *pattern) for pattern in asked_for], **asked))

    each = [expected(stored, pattern, asked) for pattern in asked_for]
    met = [matches for matches in each if matches is not None]
    assert seen.is_done is (bool(met) if asked["require"] == "any" else len(met) == len(each))
    counted = (met[:1] if asked["require"] == "any" else met) if seen.is_done else []
    assert seen.matches == uris(*dict.fromkeys(key for matches in counted for key in matches))


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[LocalOSS, Clock]]:
    clock = Clock(NOW)
    with LocalOSS(buckets=[BUCKET], clock=clock) as oss:
        yield oss, clock


def fill(oss: LocalOSS, clock: Clock, stored: dict[str, tuple[int, int]]) -> None:
    """Make the bucket hold just these, as key: (size, age)."""
    for key in oss.objects(BUCKET):
        oss.delete(BUCKET, key)
    for key, (size, age) in stored.items():
        clock.now = NOW - age
        oss.put(BUCKET, key, bytes(size))
    clock.now = NOW
