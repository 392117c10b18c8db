"""Which keys a pattern matches, and by which prefix they are listed."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind, literal_prefix


def a_pattern(text: str, kind: PatternKind = "wildcard") -> KeyPattern:
    return KeyPattern("bucket", text, kind)


@pytest.mark.parametrize(
    ("text", "kind", "matching", "others"),
    [
        ("a*.csv", "key", ["a*.csv"], ["ab.csv", "a*.csvx"]),
        ("in/*.csv", "wildcard", ["in/.csv", "in/a.csv", "in/deep/er/a.csv"], ["in/a.CSV", "in/a.csv.gz", "xin/a.csv"]),
        ("d?/[ab][!c]", "wildcard", ["d1/ad", "d//ba"], ["d/ad", "d1/ac", "d1/cd", "d1/adx"]),
        ("a[*]b", "wildcard", ["a*b"], ["axb"]),
        ("a[b", "wildcard", ["a[b"], ["ab"]),
        (r"in/\d+\.csv", "regex", ["in/1.csv", "in/22.csv.gz"], ["in/x.csv", "x/in/1.csv", "in/1_csv"]),
        (r"in/\d+\.csv$", "regex", ["in/1.csv"], ["in/22.csv.gz"]),
        ("(?i)IN/a", "regex", ["in/A"], ["x"]),
        ("日本*", "wildcard", ["日本 語"], ["日"]),
    ],
)
def test_keys_that_match(text: str, kind: PatternKind, matching: list[str], others: list[str]) -> None:
    pattern = a_pattern(text, kind)

    assert [key for key in matching + others if pattern.matches(key)] == matching


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("in/*.csv", "in/"), ("in?", "in"), ("a/[bc]", "a/"), ("*", ""), ("plain.csv", "plain.csv"), ("a\\*", "a\\")],
)
def test_a_wildcard_is_listed_by_what_comes_before_its_first_special_character(text: str, prefix: str) -> None:
    assert a_pattern(text).prefix == prefix


@pytest.mark.parametrize(
    ("expression", "prefix"),
    [
        (r"in/2026/\d+", "in/2026/"),
        (r"^in/a\.b\-c/.*", "in/a.b-c/"),
        (r"\Ain/x$", "in/x"),
        ("in/(a|b)/c", "in/"),
        ("in/[|]x", "in/"),
        (r"in/\|x", "in/|x"),
        ("in/[]|(]x|y", ""),  # the set ends behind (
        ("in/(?#|)x", "in/"),
        ("in/(?#()x|y", ""),
        ("in/x(?i)", ""),  # allowed up to Python 3.10
        ("in/(?x: # (\n)|b", ""),
        ("a|b", ""),
        ("in/(a)|b", ""),
        ("^|b", ""),
        ("ab*", "a"),
        ("ab?", "a"),
        ("ab+", "ab"),
        ("ab{0}", "a"),
        ("ab{,3}c", "a"),
        ("(?i)in/", ""),
        ("in/(?i:x)", ""),
        ("in/(?:x)", "in/"),
        ("in/(?P<n>x)", "in/"),
        (r"\d", ""),
        (r"in\/x", "in/x"),
        (r"日\本", "日本"),
        (".*", ""),
        ("in.x", "in"),
    ],
)
def test_a_regular_expression_is_listed_by_its_literal_prefix(expression: str, prefix: str) -> None:
    assert literal_prefix(expression) == prefix


@pytest.mark.parametrize(
    ("text", "kind", "is_one"),
    [("a*", "key", True), ("a", "wildcard", True), ("a*", "wildcard", False), ("a", "regex", False)],
)
def test_only_a_pattern_needs_a_listing(text: str, kind: PatternKind, is_one: bool) -> None:
    assert a_pattern(text, kind).is_one_key is is_one


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", "key", "the key is empty"),
        ("", "wildcard", "the key is empty"),
        ("", "regex", "the key is empty"),
        ("/a*", "wildcard", "cannot start with '/'"),
        ("^/a", "regex", "cannot start with '/'"),
        (r"\\a", "regex", "cannot start with"),
        ("x" * 1024 + "*", "wildcard", "1 to 1023 bytes"),
        ("a(", "regex", "it is not a regular expression (missing )"),
        ("[b-a]", "regex", "it is not a regular expression (bad character range"),
        ("a{9999999999999}", "regex", "it is not a regular expression"),
    ],
)
def test_a_pattern_that_no_key_can_match_is_refused(text: str, kind: PatternKind, says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        a_pattern(text, kind)

    assert refused.value.argument == "bucket_key"
    assert says in str(refused.value)


def test_a_bucket_that_oss_forbids_is_refused() -> None:
    with pytest.raises(ArgumentError, match="3 to 63"):
        KeyPattern("Bad_Bucket", "a*", "wildcard")


def test_an_expression_may_begin_with_a_backslash_though_no_key_does() -> None:
    assert a_pattern(r"\w+/x", "regex").matches("a/x")
