"""Parts, CRCs, sizes, names and checkpoints, for any value there may be."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from random import Random
from urllib.parse import unquote

import anycrc
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import ArgumentError, CheckpointUnreadable
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    DownloadCheckpoint,
    Owner,
    Run,
    UploadCheckpoint,
    decode,
    encode,
)
from airflow_provider_ossresume.model.crc64 import combine, combine_all, crc64
from airflow_provider_ossresume.model.object_names import check_key, check_new_key, parse_oss_url
from airflow_provider_ossresume.model.parts import (
    MAX_OBJECT_SIZE,
    MAX_PART_COUNT,
    MAX_PART_SIZE,
    MIN_PART_SIZE,
    PartPlan,
    determine_part_size,
    format_size,
    parse_size,
)
from airflow_provider_ossresume.oss.endpoint import quote_key

steady = settings(derandomize=True, deadline=None, database=None)  # the same examples everywhere and every time

texts = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
crcs = st.integers(0, 2**64 - 1)

# --- parts ------------------------------------------------------------------------------------------------------------


@steady
@given(size=st.integers(0, 5000), part_size=st.integers(1, 300))
def test_parts_tile_the_object(size: int, part_size: int) -> None:
    """Parts tile the object without gap or overlap: each begins where the one before it ended, none is empty, all but
    the last have one size, and their numbers count from 1.
    """
    plan = PartPlan(size, part_size)
    parts = list(plan)

    assert [part.number for part in parts] == list(range(1, len(plan) + 1))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts)][: len(parts)]
    assert sum(part.size for part in parts) == size
    assert all(part.size == part_size for part in parts[:-1])
    assert all(0 < part.size <= part_size for part in parts)
    assert [plan[index] for index in range(len(plan))] == parts
    assert [plan.numbered(part.number) for part in parts] == parts


@steady
@given(total=st.integers(0, MAX_OBJECT_SIZE), preferred=st.integers(MIN_PART_SIZE, MAX_PART_SIZE))
@example(MAX_OBJECT_SIZE, MIN_PART_SIZE)
def test_every_object_that_oss_holds_can_be_cut(total: int, preferred: int) -> None:
    """Every object that OSS can hold has a part size that OSS takes, never below the preferred one, of which 10,000
    parts suffice; and where the preferred one suffices it is taken.
    """
    size = determine_part_size(total, preferred)

    assert preferred <= size <= MAX_PART_SIZE
    assert len(PartPlan(total, size)) <= MAX_PART_COUNT
    assert (size == preferred) is (preferred * MAX_PART_COUNT >= total)


# --- CRCs -------------------------------------------------------------------------------------------------------------


@steady
@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_the_crcs_of_pieces_join_to_that_of_the_whole(pieces: list[bytes]) -> None:
    """Combining the CRCs of pieces gives the CRC of the whole, which is the oracle's, however it is cut; and going on
    from the former CRC gives the same.
    """
    whole, step_by_step = b"".join(pieces), 0
    for piece in pieces:
        step_by_step = crc64(piece, step_by_step)

    assert combine_all((crc64(piece), len(piece)) for piece in pieces) == crc64(whole) == step_by_step
    assert crc64(whole) == anycrc.Model("CRC64-XZ").calc(whole)


@steady
@given(first=crcs, second=crcs, third=crcs, sizes=st.tuples(st.integers(0, 2**45), st.integers(0, 2**45)))
def test_joining_does_not_depend_on_where_one_begins(
    first: int, second: int, third: int, sizes: tuple[int, int]
) -> None:
    """Joining the first two and then the third is the same as joining the last two first."""
    from_left = combine(combine(first, second, sizes[0]), third, sizes[1])
    from_right = combine(first, combine(second, third, sizes[1]), sum(sizes))

    assert from_left == from_right


# --- sizes ------------------------------------------------------------------------------------------------------------


@steady
@given(size=st.one_of(st.integers(0, 2**60), st.floats(0, 2**60)))
def test_a_size_that_is_shown_can_be_read(size: float) -> None:
    """Reading the text that shows a size gives about that size."""
    assert parse_size("size", format_size(size)) == pytest.approx(size, rel=0.05, abs=0.5)


@steady
@given(value=st.one_of(st.text(max_size=30), st.integers(-(2**100), 2**100), st.floats(), st.none(), st.booleans()))
@example("1" * 18 + "TiB")
@example("٣MiB")
def test_anything_is_a_size_or_is_refused(value: object) -> None:
    """Whatever is given as a size is one in bytes or an ArgumentError, and nothing else happens."""
    try:
        size = parse_size("size", value)  # type: ignore[arg-type]
    except ArgumentError as error:
        assert error.argument == "size"  # noqa: PT017 - a value would do as well
    else:
        assert isinstance(size, int)
        assert size >= 0


# --- names ------------------------------------------------------------------------------------------------------------


@steady
@given(key=names)
def test_any_key_survives_a_url(key: str) -> None:
    """Unquoting a quoted key gives it back, nothing in it can end the path, and no segment is one that a proxy would
    take for "here" or "up" unless it is the whole key.
    """
    quoted = quote_key(key)

    assert unquote(quoted, errors="strict") == key
    assert quoted.isascii()
    assert not set(quoted) & set("?#+ \\\"<>'")
    assert "/" not in quoted or not {"", ".", ".."} & set(quoted.split("/"))


@steady
@given(bucket=st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True), key=texts)
def test_any_url_of_ours_is_read_as_it_was_written(bucket: str, key: str) -> None:
    """Bucket and key of ``oss://bucket/key`` are those that it was made of."""
    assert parse_oss_url(f"oss://{bucket}/{key}") == (bucket, key)


@steady
@given(key=st.text(max_size=30))
def test_a_key_is_taken_as_it_is_or_refused(key: str) -> None:
    """Whatever is given as a key comes back unchanged and can be sent, or is an ArgumentError."""
    try:
        checked = check_key(key)
    except ArgumentError:
        return
    assert checked == key
    assert 1 <= len(key.encode()) <= 1023


@steady
@given(key=st.text(max_size=30))
def test_a_key_that_is_made_holds_no_control_character(key: str) -> None:
    """Whatever is given as the key of a new object comes back unchanged and can be sent in XML, or is refused."""
    try:
        checked = check_new_key(key)
    except ArgumentError:
        return
    assert checked == key
    assert key.isprintable() or not any(character < " " for character in key)


# --- checkpoints ------------------------------------------------------------------------------------------------------


@st.composite
def owners(draw: st.DrawFn) -> Owner:
    return Owner(draw(st.integers(0, 10**6)), draw(names))


@st.composite
def uploads(draw: st.DrawFn) -> UploadCheckpoint:
    return UploadCheckpoint(
        draw(names), draw(names), draw(names), draw(st.integers(0, MAX_OBJECT_SIZE)), draw(st.integers(1, 2**33)),
        draw(texts), draw(owners()),
    )  # fmt: skip


@st.composite
def downloads(draw: st.DrawFn) -> DownloadCheckpoint:
    part_file = draw(names.filter(lambda name: "/" not in name and name not in (".", "..")))
    part_size = draw(st.integers(1, 2**33))
    size = draw(st.integers(0, min(MAX_OBJECT_SIZE, 10_000 * part_size)))
    checkpoint = DownloadCheckpoint(
        draw(names), draw(names), draw(st.none() | names), draw(names), size, draw(st.none() | crcs), part_size,
        part_file, draw(owners()),
    )  # fmt: skip
    count = len(checkpoint.plan)
    ends = sorted(draw(st.sets(st.integers(1, count), max_size=12))) if count else []
    runs = [Run(first, last, draw(crcs)) for first, last in zip(ends[::2], ends[1::2], strict=False)]
    return replace(checkpoint, runs=tuple(runs))


checkpoints = st.one_of(uploads(), downloads())


@steady
@given(checkpoint=checkpoints)
def test_a_checkpoint_survives(checkpoint: Checkpoint) -> None:
    """A checkpoint survives being encoded and decoded, also by a store that keeps JSON values in place of text."""
    text = encode(checkpoint)

    assert decode(text) == checkpoint
    assert decode(json.dumps(json.loads(text))) == checkpoint
    assert decode(text.encode().decode()) == checkpoint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def altered(draw: st.DrawFn) -> str:
    """A checkpoint's text with a field replaced, dropped or added, or some characters cut out."""
    text = encode(draw(checkpoints))
    if draw(st.booleans()):
        start, stop = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        return text[:start] + draw(texts) + text[stop:]
    content = json.loads(text)
    name = draw(st.sampled_from(sorted(content)) | texts)
    if draw(st.booleans()):
        content[name] = draw(json_values)
    else:
        content.pop(name, None)
    return json.dumps(content)


@settings(steady, max_examples=400)
@given(value=st.one_of(altered(), texts, json_values, json_values.map(json.dumps), st.binary(max_size=50)))
def test_anything_is_a_checkpoint_or_unreadable(value: object) -> None:
    """Any text or value decodes to a checkpoint or raises CheckpointUnreadable, nothing else; and what was read can be
    written and read again.
    """
    try:
        checkpoint = decode(value)
    except CheckpointUnreadable as error:
        assert str(error)  # noqa: PT017 - a value would do as well
    else:
        assert decode(encode(checkpoint)) == checkpoint


@steady
@given(
    content=st.binary(min_size=1, max_size=200),
    part_size=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
    count=st.integers(0, 30),
)
def test_finished_parts_in_any_order_make_the_same_runs(
    content: bytes, part_size: int, order: Random, count: int
) -> None:
    """Finished parts in any order make the same runs; the runs cover exactly the finished parts, no two of them touch,
    and the CRC of each is that of its bytes.
    """
    empty = DownloadCheckpoint("b", "k", None, "e", len(content), None, part_size, "p", Owner(1, "i"))
    numbers = list(range(1, len(empty.plan) + 1))
    order.shuffle(numbers)
    finished = numbers[:count]
    assume(finished)

    results = []
    for arrival in (finished, sorted(finished), sorted(finished, reverse=True)):
        checkpoint = empty
        for number in arrival:
            part = empty.plan[number - 1]
            checkpoint = checkpoint.with_part(part, crc64(content[part.start : part.stop]))
        results.append(checkpoint.runs)

    runs = results[0]
    assert results == [runs] * 3
    assert [number for run in runs for number in range(run.first, run.last + 1)] == sorted(finished)
    assert all(left.last + 1 < right.first for left, right in pairwise(runs))
    for run in runs:
        start, stop = empty.plan[run.first - 1].start, empty.plan[run.last - 1].stop
        assert run.crc64 == crc64(content[start:stop])
