"""Names, orders and texts of sets of files, for any value there may be."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import ManifestUnreadable, OSSResumeError
from airflow_provider_ossresume.model.entries import Entry, LeftOut, file_identity, is_touched_only, printable
from airflow_provider_ossresume.model.globs import Globs
from airflow_provider_ossresume.model.manifest import BatchHeader, Fact, LedgerRow, PlanHeader, Row, Victim
from airflow_provider_ossresume.model.object_names import check_new_key
from airflow_provider_ossresume.model.set_names import is_own, why_no_key, why_no_path
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.name_rules import PathNameRules
from airflow_provider_ossresume.sets.plan.merge_scans import merge
from tests.properties.test_values import steady

texts = st.text(st.characters(codec="utf-8"), max_size=20)
sizes = st.integers(0, 2**63)
numbers = st.integers(1, 2**40)
crcs = st.none() | st.integers(0, 2**64 - 1)
near = st.text("a-./0", min_size=1, max_size=6)  # characters on both sides of the slash
unicode_names = st.text("aé\uffff\U00010000/\u0301-", min_size=1, max_size=6)
some_names = st.sets(near | unicode_names, max_size=15)

# --- texts ------------------------------------------------------------------------------------------------------------


@steady
@given(
    value=st.one_of(
        st.builds(Row, numbers, texts, sizes, texts, st.none() | texts),
        st.builds(Victim, texts, sizes, texts),
        st.builds(Fact, texts, sizes, texts, texts, crcs),
        st.builds(
            LedgerRow, numbers, st.sampled_from(["done", "same", "skipped", "failed"]), texts, texts, crcs, sizes,
            sizes, texts, texts, st.booleans(),
        ),
    )
)  # fmt: skip
def test_any_row_is_one_line_that_is_read_as_it_was(value: Any) -> None:
    """A row, a victim, a fact and a row of a ledger come back equal from their line, which has no line break."""
    line = value.line()

    assert "\n" not in line
    assert type(value).of(line.encode().decode()) == value


@steady
@given(text=texts | st.text('{}[]":,0n1rop', max_size=20))
def test_any_text_is_a_row_or_unreadable(text: str) -> None:
    """Whatever a line holds, reading it gives a value or ManifestUnreadable, and nothing else."""
    for kind in (Row, Victim, Fact, LedgerRow, PlanHeader):
        with suppress(ManifestUnreadable):
            kind.of(text)


@steady
@given(
    header=st.builds(
        PlanHeader, plan_id=texts, provider=texts, source=texts, target=texts, mode=st.sampled_from(["copy", "mirror"]),
        compare=st.sampled_from(["crc64", "size"]),
        batches=st.lists(st.builds(BatchHeader, numbers, texts, numbers, sizes), max_size=3).map(tuple),
        options=st.just(SetOptions(exclude=("x",)).as_json()), found=st.dictionaries(texts, sizes, max_size=3),
        actions=st.dictionaries(texts, sizes, max_size=3), left_out=st.dictionaries(texts, st.integers(0, 2**31)),
        is_dry_run=st.booleans(), made_at=texts,
    )
)  # fmt: skip
def test_any_plan_is_read_as_it_was(header: PlanHeader) -> None:
    """``plan.json`` gives back the header that was written."""
    assert PlanHeader.of(header.text()) == header


@steady
@given(raw=st.binary(min_size=1, max_size=20))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    """What is shown of a name is valid UTF-8 on one line, and what is left out keeps the name's bytes."""
    name = raw.decode("utf-8", "surrogateescape")

    assert printable(raw) == printable(name)
    assert printable(name).isprintable()
    assert printable(name).encode()
    assert LeftOut.of(name, "bad_name").place == raw


@steady
@given(first=st.tuples(sizes, sizes, sizes), second=st.tuples(sizes, sizes, sizes))
@example((1, 2, 3), (1, 2, 9))
def test_a_file_is_touched_only_when_nothing_but_its_ctime_differs(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    """Two identities are of a file that was only touched if inode and mtime are the same."""
    then, now = (file_identity(inode=inode, mtime_ns=mtime, ctime_ns=ctime) for inode, mtime, ctime in (first, second))

    assert is_touched_only(then, now) == (first[:2] == second[:2])


# --- orders -----------------------------------------------------------------------------------------------------------


def is_possible(names: set[str]) -> set[str]:
    """Those of the names that can be files of one folder at the same time."""
    files: set[str] = set()
    for name in sorted(names, key=str.encode):
        folders = {name[:at] for at, character in enumerate(name) if character == "/"}
        if not why_no_path(name) and not name.endswith("/") and not is_own(name) and not folders & files:
            files.add(name)
    return files


@settings(steady, max_examples=60)
@given(names=some_names)
@example({"a/x", "a-b", "a.b", "a0", "a/-", "a-/x"})
def test_a_folder_is_scanned_in_the_order_of_the_bytes_of_whole_names(names: set[str]) -> None:
    """Whatever files a folder has, a scan yields exactly them, and in the order in which OSS lists their keys."""
    files = is_possible(names)
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        found = [each.name for each in LocalFolder(folder).scan(SetOptions(), is_source=True, watch=lambda: None)]

    assert found == sorted(files, key=str.encode)


@steady
@given(names=some_names)
def test_names_that_are_let_through_can_all_be_files_of_one_folder(names: set[str]) -> None:
    """Of any keys, those that the rules let through are those that can be files at once, the first of two winning."""
    rules = PathNameRules(folds=False)
    ordered = [Entry(name, 1, "o:E") for name in sorted(names, key=str.encode) if not name.endswith("/")]

    good = {entry.name for entry in ordered if not rules.why_refused(entry)}

    assert good == is_possible({entry.name for entry in ordered} - {name for name in names if is_own(name)})


@steady
@given(sources=some_names, targets=some_names)
def test_merging_pairs_each_name_of_either_side_once_and_in_order(sources: set[str], targets: set[str]) -> None:
    """Each name of source or target comes once, in the order of bytes, with what both have under it."""
    left, right = ([Entry(name, 1, "o:E") for name in sorted(names, key=str.encode)] for names in (sources, targets))

    pairs = list(merge(left, right))

    names = [str((source or target).name) for source, target in pairs if source or target]
    assert names == sorted(sources | targets, key=str.encode)
    assert {source.name for source, _ in pairs if source} == sources
    assert {target.name for _, target in pairs if target} == targets
    assert all(source is None or target is None or source.name == target.name for source, target in pairs)


@steady
@given(sources=some_names, targets=some_names, data=st.data())
def test_nothing_at_or_below_what_was_left_out_is_in_the_target_alone(
    sources: set[str], targets: set[str], data: Any
) -> None:
    """A target is said to be in the target alone only if no source has its name, nor was left out above it."""
    hidden = data.draw(st.sets(st.sampled_from(sorted(sources)))) if sources else set()
    left = [
        LeftOut.of(name, "symlink") if name in hidden else Entry(name, 1, "o:E")
        for name in sorted(sources, key=str.encode)
    ]
    right = [Entry(name, 1, "o:E") for name in sorted(targets, key=str.encode)]

    alone = {target.name for source, target in merge(left, right) if source is None and isinstance(target, Entry)}

    folders = {each if each.endswith("/") else f"{each}/" for each in hidden}
    covered = {name for name in targets if any(name.startswith(each) and name != each for each in folders)}
    covered |= {name for name in targets if name.endswith("/") and name[:-1] in hidden}
    assert alone == targets - sources - covered


# --- names ------------------------------------------------------------------------------------------------------------


@steady
@given(name=st.text("a./\0\\~é", max_size=8))
def test_no_name_that_is_let_through_leads_out_of_its_folder(name: str) -> None:
    """A name without an objection, joined to a folder, is below the folder, and has no other way of being written."""
    if why_no_path(name):
        return
    joined = os.path.join("/top/folder", name)

    assert os.path.normpath(joined) == joined.removesuffix("/")
    assert joined.startswith("/top/folder/")


@steady
@given(prefix=st.sampled_from(["", "p/", "é" * 500 + "/"]), name=st.text(min_size=1, max_size=30))
def test_each_name_that_is_let_through_makes_a_key(prefix: str, name: str) -> None:
    """A name without an objection is a key that OSS takes below the prefix."""
    if not why_no_key(prefix, name) and not name.endswith("/"):
        assert check_new_key(prefix + name)


@steady
@given(glob=st.text("a/*?[]!^-\\.", min_size=1, max_size=8), name=st.text("ab/.-]^", max_size=8))
def test_any_glob_can_be_asked_and_one_star_stops_at_a_slash(glob: str, name: str) -> None:
    """Each glob is refused by name or matches; and what has more slashes than a glob without ``**`` never does."""
    try:
        matches = Globs([glob]).matches(name)
    except OSSResumeError:
        return
    if "**" not in glob and name.count("/") > glob.count("/"):
        assert not matches
    assert Globs(exclude=[glob]).matches(name) is not matches


@steady
@given(folder=st.text("ab/", min_size=1, max_size=5), name=st.text("ab/", min_size=1, max_size=5))
def test_nothing_is_meant_below_a_folder_that_is_not_looked_into(folder: str, name: str) -> None:
    """Whatever lies below a folder of which the globs say that it is excluded, they exclude by its name too."""
    for globs in (Globs(exclude=["**/a/**"]), Globs(exclude=["a/b/**", "b*/**"])):
        assert not (globs.excludes_folder(folder) and globs.matches(f"{folder}/{name}"))
