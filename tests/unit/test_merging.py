"""Source and target side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import LocalFileError, PlanRefused, SetError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.plan.merge_scans import merge, scan_both
from airflow_provider_ossresume.sets.ports import ScanItem
from tests.world import BUCKET, a_client


def entries(*names: str) -> list[ScanItem]:
    return [Entry(name, 1, "o:E") for name in names]


def shown(found: ScanItem | None) -> str | None:
    return found if found is None else f"!{found.name}" if isinstance(found, LeftOut) else found.name


def merged(sources: list[ScanItem], targets: list[ScanItem]) -> list[tuple[str | None, str | None]]:
    return [(shown(source), shown(target)) for source, target in merge(sources, targets)]


def test_each_name_comes_once_with_what_both_have() -> None:
    assert merged(entries("a", "b", "d"), entries("b", "c", "d", "e")) == [
        ("a", None), ("b", "b"), (None, "c"), ("d", "d"), (None, "e"),
    ]  # fmt: skip


def test_either_may_be_empty() -> None:
    assert merged([], []) == []
    assert merged(entries("a"), []) == [("a", None)]
    assert merged([], entries("a")) == [(None, "a")]


def test_the_order_is_that_of_bytes_and_not_of_folders() -> None:
    assert merged(entries("a-b", "a/x"), entries("a/x")) == [("a-b", None), ("a/x", "a/x")]
    assert merged(entries("\uffff", "\U00010000"), []) == [("\uffff", None), ("\U00010000", None)]


def test_a_target_beside_a_source_that_was_left_out_comes_with_it() -> None:
    assert merged([LeftOut.of("a", "filtered")], entries("a", "b")) == [("!a", "a"), (None, "b")]


def test_what_the_target_has_in_a_folder_that_is_empty_in_the_source_is_in_it_alone() -> None:
    assert merged([LeftOut.of("d/", "empty_folder"), *entries("e")], entries("d/x", "e")) == [
        ("!d/", None), (None, "d/x"), ("e", "e"),
    ]  # fmt: skip


@pytest.mark.parametrize("link", ["d", "d/"])
def test_nothing_below_a_folder_that_was_not_looked_into_is_known_to_be_in_the_target_alone(link: str) -> None:
    sources = sorted([LeftOut.of(link, "symlink"), *entries("d-1")], key=lambda found: found.place)
    targets = entries("d-1", "d-2", "d/x", "d/y/z", "d0")

    assert [pair for pair in merged(sources, targets) if pair[1]] == [
        ("d-1", "d-1"), (None, "d-2"), (None, "!d/x"), (None, "!d/y/z"), (None, "d0"),
    ]  # fmt: skip


def test_what_an_entry_hides_stays_an_entry() -> None:
    assert merged(entries("a"), entries("a/b")) == [("a", None), (None, "a/b")]


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a"), ("a/x", "a-b"), ("\U00010000", "\uffff")])
def test_a_scan_that_is_not_in_order_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(SetError, match="the scan of the source is out of order"):
        merged(entries(*names), [])
    with pytest.raises(SetError, match="the scan of the target is out of order"):
        merged([], entries(*names))


def test_a_scan_that_fails_ends_both() -> None:
    def failing() -> Iterator[ScanItem]:
        yield from entries("b")
        raise SetError("the listing broke off")

    pairs = merge(failing(), entries("a", "c"))

    assert next(pairs) == (None, Entry("a", 1, "o:E"))
    with pytest.raises(SetError, match="broke off"):
        list(pairs)


# --- a folder and a prefix --------------------------------------------------------------------------------------------


def both(oss: LocalOSS, folder: Path, *, upload: bool = True, **options: Any) -> list[tuple[str | None, str | None]]:
    ends = LocalFolder(folder), OssPrefix(a_client(oss), PrefixRef(BUCKET, "p"))
    source, target = ends if upload else reversed(ends)
    pairs = scan_both(source, target, SetOptions(**options), work_uri=f"oss://{BUCKET}/p/work/", watch=lambda: None)
    return [(shown(source), shown(target)) for source, target in pairs]


def test_a_folder_and_a_prefix_are_compared_by_names(oss: LocalOSS, tmp_path: Path) -> None:
    for name in ("a/x", "a-b", "same"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for key in ("p/same", "p/a/y", "p/work/plan.json", "p/.ossresume/x", "px"):
        oss.put(BUCKET, key, b"")

    assert both(oss, tmp_path) == [("a-b", None), ("a/x", None), (None, "a/y"), ("same", "same")]
    assert both(oss, tmp_path, upload=False) == [(None, "a-b"), (None, "a/x"), ("a/y", None), ("same", "same")]


def test_what_a_filter_hides_is_not_in_the_target_alone(oss: LocalOSS, tmp_path: Path) -> None:
    """Whatever has hidden it: a glob, its folder's exclusion, its size, or a link in its source's place."""
    (tmp_path / "a.csv").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "logs").mkdir()
    for key in ("p/b.csv", "p/b.txt", "p/link/x", "p/logs/x.csv", "p/a.csv"):
        oss.put(BUCKET, key, b"1")
    oss.put(BUCKET, "p/large.csv", bytes(100))
    options: dict[str, Any] = {
        "include": ["**/*.csv"], "exclude": ["logs/**"], "max_size": 99, "symlinks": "skip", "mode": "mirror",
    }  # fmt: skip

    assert both(oss, tmp_path, **options) == [
        ("a.csv", "a.csv"), (None, "b.csv"), (None, "!b.txt"), (None, "!large.csv"), ("!link/", None),
        (None, "!link/x"), ("!logs/", None), (None, "!logs/x.csv"),
    ]  # fmt: skip


def test_names_are_judged_by_the_rules_of_the_target(oss: LocalOSS, tmp_path: Path) -> None:
    (tmp_path / "line\nbreak").touch()
    for key in ("p/../x", "p/f", "p/f/x"):
        oss.put(BUCKET, key, b"1")

    with pytest.raises(PlanRefused) as upload:
        both(oss, tmp_path)
    with pytest.raises(PlanRefused) as download:
        both(oss, tmp_path, upload=False)

    assert list(upload.value.found) == ["line\\nbreak"]
    assert list(download.value.found) == ["../x", "f/x"]


def test_a_target_that_cannot_be_scanned_is_no_empty_one(oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "p/a", b"")
    (tmp_path / "b").touch()
    (tmp_path / "d").mkdir()
    ends = OssPrefix(a_client(oss), PrefixRef(BUCKET, "p")), LocalFolder(tmp_path)
    pairs = scan_both(*ends, SetOptions(), work_uri="", watch=lambda: None)
    assert shown(next(pairs)[0]) == "a"
    (tmp_path / "d").rmdir()
    (tmp_path / "d").touch()

    with pytest.raises(LocalFileError, match="was replaced"):
        list(pairs)
