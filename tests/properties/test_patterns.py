"""A listing by the prefix of a pattern misses no key that the pattern matches."""

from __future__ import annotations

import re
import warnings
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.model.patterns import KeyPattern, literal_prefix
from tests.properties.test_values import steady

keys = st.text("ab/.|(^", max_size=6)
wildcards = st.text("ab/.*?[]!^", min_size=1, max_size=8)

literals = st.sampled_from(["a", "b", "/", "ab", "A", r"\.", r"\|", "é"])
others = st.sampled_from(
    [r"\(", r"\d", ".", "[ab]", "[]|]", "[](]", "[^](]", "[(]", r"[\](]", "(a)", "(?:a|b)", "(?P<n>a)", "(?#|)",
     "(?#()", "(?=a)", "^", "$", r"\Z", " ", "#", "(?i:a)", "(?x: a )"]
)  # fmt: skip
quantifiers = st.sampled_from(["", "", "", "", "*", "+", "?", "{0,2}", "{2}", "*?", "{,"])
pieces = st.tuples(st.one_of(literals, literals, others), quantifiers).map("".join)
expressions = st.tuples(
    st.sampled_from(["", "", "", "", "^", r"\A", "(?i)", "(?x)", "(?m)"]),
    st.lists(st.lists(pieces, min_size=1, max_size=3).map("".join), min_size=1, max_size=2).map("|".join),
).map("".join)


def compiled(expression: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets within sets, and of flags in the middle
        try:
            return re.compile(expression)
        except re.error:
            return None


@settings(steady, max_examples=500)
@given(expression=expressions, data=st.data())
def test_whatever_a_regular_expression_matches_begins_with_its_literal_prefix(expression: str, data: Any) -> None:
    """The prefix of an expression is never too long: each text that ``re.match`` accepts begins with it."""
    pattern = compiled(expression)
    assume(pattern is not None)
    prefix = literal_prefix(expression)
    for key in data.draw(st.lists(st.one_of(st.from_regex(pattern), keys), min_size=3, max_size=6)):
        assert key.startswith(prefix) or not pattern.match(key), (expression, prefix)


@steady
@given(wildcard=wildcards, key=keys)
def test_whatever_a_wildcard_matches_begins_with_its_prefix(wildcard: str, key: str) -> None:
    """A wildcard matches what ``fnmatch.fnmatchcase`` says, and nothing that does not begin with its prefix."""
    assume(wildcard[0] != "/")
    pattern = KeyPattern("bucket", wildcard, "wildcard")

    assert pattern.matches(key) == fnmatchcase(key, wildcard)
    assert key.startswith(pattern.prefix) or not pattern.matches(key)
