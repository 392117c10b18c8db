"""Which names files of a set may have: as keys, and as paths."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_ossresume.model.entries import Entry, LeftOut, printable
from airflow_provider_ossresume.model.object_names import MAX_KEY_BYTES
from airflow_provider_ossresume.model.set_names import (
    Ancestors,
    composed,
    folded,
    folder_prefix,
    is_own,
    why_no_key,
    why_no_path,
    why_too_deep,
)
from airflow_provider_ossresume.sets.locations.name_rules import KeyNameRules, PathNameRules

NFC, NFD = "caf\u00e9", "cafe\u0301"


def an_entry(name: str, size: int = 1) -> Entry:
    return Entry(name, size, "o:E")


def refused(names: list[str], *, folds: bool = False) -> list[str]:
    rules = PathNameRules(folds=folds)
    return [name for name in sorted(names, key=str.encode) if rules.why_refused(an_entry(name, not name.endswith("/")))]


# --- prefixes, and what is ours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "folder"), [("a", "a/"), ("a/", "a/"), ("a/b", "a/b/"), ("", "")])
def test_a_prefix_is_that_of_a_folder(prefix: str, folder: str) -> None:
    assert folder_prefix(prefix) == folder


@pytest.mark.parametrize("name", [".ossresume/x", "a/.ossresume/b/c"])
def test_what_lies_in_a_folder_of_ours_is_no_part_of_a_set(name: str) -> None:
    assert is_own(name)


@pytest.mark.parametrize("name", [".ossresume", "a/.ossresume", "x.ossresume/y", ".ossresume-part/y"])
def test_what_is_only_called_like_it_is(name: str) -> None:
    assert not is_own(name)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_has_at_most_1023_bytes_with_its_prefix() -> None:
    prefix, name = "p/", "é" * 510 + "x"

    assert len((prefix + name).encode()) == MAX_KEY_BYTES
    assert why_no_key(prefix, name) == ""
    assert "1023 bytes" in why_no_key(prefix, f"{name}x")


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\x00b", "a\x7fb", "\ufffe", "a\udcffb"],
    ids=["line break", "NUL", "DEL", "no character", "not UTF-8"],
)
def test_no_object_is_made_of_a_name_that_xml_cannot_carry(name: str) -> None:
    assert why_no_key("p/", name)


def test_a_name_that_begins_with_a_backslash_is_a_key_below_a_prefix_only() -> None:
    assert why_no_key("p/", "\\x") == ""
    assert why_no_key("", "\\x")


def test_a_folders_marker_is_a_key() -> None:
    assert why_no_key("p/", "empty/") == ""
    assert why_no_key("", f"{'a' * 1022}/") == ""
    assert why_no_key("", f"{'a' * 1023}/")


def test_nothing_below_a_folder_whose_name_is_too_long_is_a_key() -> None:
    assert why_too_deep(f"{'d/' * 511}/") == ""
    assert why_too_deep("d/" * 512)


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "..", "a/..", ".", "./x", "a/./b", "/x", "//x", "a//b", "a//", "/", "", "a\0b"],
)
def test_no_file_is_made_of_a_key_that_leads_elsewhere(name: str) -> None:
    assert why_no_path(name)


@pytest.mark.parametrize("name", ["a", "a/b", "...", "..a/b..", " ", "~", "-rf", "a\nb", "a\\..\\b", "C:x", "d/"])
def test_odd_names_that_stay_in_the_folder_are_good(name: str) -> None:
    assert why_no_path(name) == ""


def test_a_files_name_has_at_most_255_bytes() -> None:
    assert why_no_path(f"a/{'é' * 127}x/b") == ""
    assert "255 bytes" in why_no_path(f"a/{'é' * 128}/b")


def test_a_name_cannot_be_a_file_and_a_folder() -> None:
    assert refused(["a", "a!", "a-b", "a/b", "a/c/d", "a0", "ab/c"]) == ["a/b", "a/c/d"]
    assert refused(["a", "a/"]) == ["a/"]
    assert refused(["x/a", "x/a/b", "a/b"]) == ["x/a/b"]


def test_a_key_that_is_no_path_does_not_take_the_place_of_others() -> None:
    assert refused(["a//b", "a/b"]) == ["a//b"]


def test_upper_and_lower_case_collide_where_the_folder_takes_them_for_one() -> None:
    names = ["A", "a", "B/x", "b/y", "c/X", "c/x", "d", "é", NFD, NFC]

    assert refused(names) == []
    assert refused(names, folds=True) == ["a", "b/y", "c/x", NFC]


def test_the_same_folder_again_collides_with_nothing() -> None:
    assert refused(["a/x", "a-b", "a/b/y", "a/c", "b/a", "a/z/z"], folds=True) == []


# --- Unicode ----------------------------------------------------------------------------------------------------------


def test_two_forms_of_one_name_are_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    for rules in (KeyNameRules("p/"), PathNameRules(folds=False)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            whys = [rules.why_refused(an_entry(f"{name}{end}")) for end in "12" for name in (NFD, NFC)]
        assert whys == [""] * 4
        [record] = caplog.records
        assert "cafe\\u03011" in record.getMessage()
        assert "caf\\xe91" in record.getMessage()


@pytest.mark.parametrize("name", ["plain", "数据", "日本", "Ж"])
def test_a_name_with_one_form_needs_not_be_remembered(name: str) -> None:
    assert composed(name) is None


def test_both_forms_of_a_name_are_composed_to_one() -> None:
    assert composed(NFC) == composed(NFD) == NFC
    assert folded(NFC.upper()) == folded(NFD) == folded(NFC)
    assert folded("Straße") == folded("STRASSE")


# --- what lies below what ---------------------------------------------------------------------------------------------


def test_what_lies_below_a_name_is_told_whatever_comes_in_between() -> None:
    above: Ancestors[str] = Ancestors()
    for place in (b"a", b"a-1", b"a-1/"):
        above.add(place, place.decode())

    assert above.of(b"a-1/x") == "a-1"
    assert above.of(b"a.x") is None
    assert above.of(b"a/x/y") == "a"
    assert above.of(b"a0") is None
    assert above.of(b"b/x") is None


# --- how they are shown and ordered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b/é", "a b/é"), ("a\nb", "a\\nb"), ("a\udcb1b", "a\\xb1b"), (b"a\xb1b", "a\\xb1b"), ("\u202ex", "\\u202ex")],
)
def test_any_name_can_be_shown(name: str | bytes, shown: str) -> None:
    assert printable(name) == shown


def test_what_is_left_out_keeps_its_place() -> None:
    left_out = LeftOut.of("a\udcb1b\n", "bad_name")

    assert (left_out.name, left_out.place) == ("a\\xb1b\\n", b"a\xb1b\n")
    assert LeftOut("shown", "filtered").place == b"shown"
