"""Which names globs mean."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.globs import Globs


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("a", ["a"], ["A", "aa", "b/a", "a/b", ""]),
        ("*", ["a", "a.b", ""], ["a/b", "/"]),
        ("*.csv", [".csv", "a.csv"], ["a/b.csv", "a.csv.gz", "a.csv\n"]),
        ("a?c", ["abc", "aéc", "a\nc"], ["ac", "a/c", "abbc"]),
        ("[ab]x", ["ax", "bx"], ["cx", "x", "abx"]),
        ("[!ab]x", ["cx", "]x"], ["ax", "bx", "/x", "x"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-"]),
        ("[]a]", ["]", "a"], ["[", "b"]),
        ("[!]a]", ["b", "["], ["]", "a", "/"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[.-0]", [".", "0"], ["/"]),
        ("[a&&b~~|]", ["a", "&", "~", "|"], ["c"]),
        ("[\\d]", ["\\", "d"], ["5"]),
        ("[a", ["[a"], ["a"]),
        ("[]", ["[]"], ["", "a", "]"]),
        ("[!]", ["[!]"], ["!", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[+--]", ["+", ",", "-"], ["."]),
        ("a.b+(c)$", ["a.b+(c)$"], ["axb+(c)$", "a.bb(c)"]),
        ("**", ["a", "a/b/c", ""], []),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/ax", "x/a"]),
        ("x/**", ["x/a", "x/a/b"], ["x", "ax/b", "a/x/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "x/a/b"]),
        ("**/*.parquet", ["a.parquet", "d/a.parquet"], ["a.parquet/b"]),
        ("a**b", ["ab", "a/x/b"], ["a/x"]),
        ("é", ["é"], ["e\u0301", "É"]),
        ("*.x", ["a\udcb1.x"], []),
    ],
)
def test_a_glob_matches_whole_names(glob: str, matching: list[str], others: list[str]) -> None:
    globs = Globs(include=[glob])

    assert [name for name in matching if not globs.matches(name)] == []
    assert [name for name in others if globs.matches(name)] == []


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ArgumentError, match="the range c-a ends before it begins"):
        Globs(["x[c-a]"])


def test_without_globs_every_name_is_meant() -> None:
    assert Globs().matches("a/b")
    assert not Globs().excludes_folder("a")


def test_any_glob_includes_and_any_excludes() -> None:
    globs = Globs(["*.csv", "x/**"], ["**/_*", "x/y/**"])

    assert [globs.matches(name) for name in ("a.csv", "x/b", "c.txt", "_a.csv", "x/_b", "x/y/c")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


def test_a_folder_needs_not_be_looked_into_when_all_below_it_is_excluded() -> None:
    globs = Globs(exclude=["_tmp/**", "**/.git/**", "a/*", "b"])

    assert [globs.excludes_folder(name) for name in ("_tmp", ".git", "x/.git")] == [True] * 3
    assert [globs.excludes_folder(name) for name in ("tmp", "x/_tmp", "a", "b", "_tmp/x")] == [False] * 5
    assert Globs(exclude=["**"]).excludes_folder("a") is False  # its files are left out one by one


@pytest.mark.parametrize("argument", ["include", "exclude"])
@pytest.mark.parametrize("glob", ["/a", "a/", "a//b", "/"])
def test_a_glob_that_no_name_can_match_is_refused(argument: str, glob: str) -> None:
    with pytest.raises(ArgumentError, match=argument):
        Globs(**{argument: [glob]})
