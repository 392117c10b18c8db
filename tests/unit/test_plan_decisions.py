"""What a plan does about each name."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import Fact
from airflow_provider_ossresume.model.plan_decisions import decide, is_unchanged, still_holds
from airflow_provider_ossresume.model.set_options import SetOptions

HERE = Entry("a", 5, "f:1:1:1")
THERE, LONGER = Entry("a", 5, "o:E"), Entry("a", 6, "o:E")
FACT = Fact("a", 5, "f:1:1:1", "o:E", 1)


@pytest.mark.parametrize(
    ("compare", "absent", "longer", "equal", "proven"),
    [
        ("crc64", "put", "put", "compare", "same"),
        ("size_mtime", "put", "put", "compare", "same"),
        ("size", "put", "put", "same", "same"),
        ("missing", "put", "same", "same", "same"),
        ("always", "put", "put", "put", "put"),
    ],
)
def test_each_way_to_compare(compare: Any, absent: str, longer: str, equal: str, proven: str) -> None:
    options = SetOptions(compare=compare)

    assert decide(HERE, None, options, is_proven=False) == absent
    assert decide(HERE, LONGER, options, is_proven=False) == longer
    assert decide(HERE, THERE, options, is_proven=False) == equal
    assert decide(HERE, THERE, options, is_proven=True) == proven


@pytest.mark.parametrize(
    ("name", "options", "decision"),
    [
        ("a", {}, "keep"),
        ("a", {"mode": "mirror"}, "delete"),
        ("a/", {"mode": "mirror"}, "keep"),
        ("a/", {"mode": "mirror", "empty_folders": "marker"}, "delete"),
    ],
)
def test_what_only_the_target_has(name: str, options: dict[str, Any], decision: str) -> None:
    assert decide(None, Entry(name, 0, "o:E"), SetOptions(**options), is_proven=False) == decision


@pytest.mark.parametrize(
    ("fact", "does"),
    [
        (FACT, True),
        (Fact("a", 5, "f:1:1:1", "o:E", None), False),  # it was taken for the same by its mtime
        (Fact("a", 6, "f:1:1:1", "o:E", 1), False),
        (Fact("a", 5, "f:1:2:1", "o:E", 1), False),  # the ctime is the one time stamp that nobody can set back
        (Fact("a", 5, "f:1:1:1", "o:F", 1), False),
        (Fact("a", 5, "f:1:1:1", "o:E:version", 1), True),  # a listing tells no versions
    ],
)
def test_a_fact_holds_while_neither_side_has_changed(fact: Fact, does: bool) -> None:
    assert still_holds(fact, HERE, THERE, SetOptions()) == does


def test_a_fact_of_a_link_never_holds() -> None:
    link = Entry("a", 5, "o:E", kind="Symlink")

    assert not still_holds(Fact("a", 5, "o:E", "o:E", 1), link, THERE, SetOptions())
    assert not still_holds(Fact("a", 5, "f:1:1:1", "o:E", 1), HERE, link, SetOptions())


def test_a_mirror_leaves_links_of_the_target() -> None:
    link = Entry("a", 5, "o:E", kind="Symlink")

    assert decide(None, link, SetOptions(mode="mirror"), is_proven=False) == "keep"


@pytest.mark.parametrize(("compare", "decision"), [("crc64", "same"), ("size_mtime", "same"), ("always", "put")])
def test_markers_of_folders_have_nothing_to_compare(compare: Any, decision: str) -> None:
    options = SetOptions(compare=compare, empty_folders="marker")

    assert decide(Entry("a/", 0, "f:1:1:1"), Entry("a/", 0, "o:E"), options, is_proven=False) == decision


def test_two_versions_are_two_contents() -> None:
    assert not is_unchanged("o:E:1", "o:E:2")
