"""Checkpoints: what they keep, how they are written, and that nothing else is ever read as one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_ossresume.errors import CheckpointUnreadable
from airflow_provider_ossresume.model.checkpoint import (
    MAX_CHECKPOINT_SIZE,
    Checkpoint,
    DownloadCheckpoint,
    Owner,
    Run,
    UploadCheckpoint,
    checkpoint_key,
    decode,
    encode,
    options_digest,
)
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE, PartPlan
from tests.world import some_bytes

OWNER = Owner(2, "worker-1 pid 17")
UPLOAD = UploadCheckpoint("bucket", "a/键 b", "UPLOADID", 25, 10, "0123456789abcdef", OWNER)
DOWNLOAD = DownloadCheckpoint(
    "bucket", "a/键 b", None, "ETAG", 45, 2**64 - 1, 10, ".file.part", OWNER, (Run(1, 2, 0), Run(4, 5, 2**64 - 1))
)
ANY_OTHER = [None, True, 1, -1, 1.5, "", "x", [], ["x"], {}, {"x": 1}]


# --- text and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "checkpoint",
    [
        UPLOAD,
        replace(UPLOAD, size=0, options=""),
        replace(UPLOAD, size=MAX_OBJECT_SIZE, part_size=1),
        DOWNLOAD,
        replace(DOWNLOAD, runs=()),
        replace(DOWNLOAD, crc64=None, version_id="CAEQ"),
        replace(DOWNLOAD, crc64=0),
        replace(DOWNLOAD, runs=(Run(1, 5, 1),)),
        replace(DOWNLOAD, part_file="...", key='"\\<&>\u2028'),
        replace(DOWNLOAD, size=0, runs=()),
    ],
)
def test_a_checkpoint_survives_being_written_and_read(checkpoint: Checkpoint) -> None:
    assert decode(encode(checkpoint)) == checkpoint


@pytest.mark.parametrize("checkpoint", [UPLOAD, DOWNLOAD])
def test_it_is_one_line_of_json_that_people_can_read(checkpoint: Checkpoint) -> None:
    text = encode(checkpoint)

    content = json.loads(text)
    assert "\n" not in text
    assert (content["ossresume"], content["kind"], content["bucket"]) == (1, checkpoint.kind, "bucket")
    assert '"a/键 b"' in text
    assert content["owner"] == {"try_number": 2, "identity": "worker-1 pid 17"}


def test_runs_are_short_and_keep_all_64_bits() -> None:
    assert json.loads(encode(DOWNLOAD))["runs"] == [[1, 2, "0" * 16], [4, 5, "f" * 16]]


def test_a_file_name_that_is_no_utf_8_makes_text_that_any_store_can_keep() -> None:
    checkpoint = replace(DOWNLOAD, part_file=".\udcff.part")

    assert decode(encode(checkpoint).encode().decode()) == checkpoint


def test_fields_of_a_later_patch_release_are_ignored() -> None:
    assert decode(changed(UPLOAD, something_new=[1])) == UPLOAD


# --- what is none -----------------------------------------------------------------------------------------------------


NO_CHECKPOINTS = [
    None, 1, b"{}", [], {}, "", " ", "{", "nul", "null", "1", '"x"', "[1]", "{}", "\x00", "\ud800", "NaN", "[" * 9999,
    "9" * 5000, '{"ossresume": ' + "9" * 5000 + "}", " " * (MAX_CHECKPOINT_SIZE + 1),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_CHECKPOINTS, ids=lambda value: repr(value)[:20])
def test_anything_else_is_no_checkpoint(value: object) -> None:
    with pytest.raises(CheckpointUnreadable):
        decode(value)


def test_a_text_of_64_kib_may_be_a_checkpoint_and_a_longer_one_not() -> None:
    assert decode(encode(UPLOAD).ljust(65_536)) == UPLOAD
    with pytest.raises(CheckpointUnreadable, match="at most 65536 characters"):
        decode(encode(UPLOAD).ljust(65_537))


@pytest.mark.parametrize("version", [0, 2, 99, -1, 1.5, "1", None, [1], {}])
def test_another_format_version_is_named(version: object) -> None:
    with pytest.raises(CheckpointUnreadable, match=r"format .*, and this version reads 1"):
        decode(changed(UPLOAD, ossresume=version))


@pytest.mark.parametrize("kind", [*ANY_OTHER, "Upload", "copy"])
def test_another_kind_is_named(kind: object) -> None:
    with pytest.raises(CheckpointUnreadable, match="unknown kind"):
        decode(changed(UPLOAD, kind=kind))


# For each field what it takes; of ANY_OTHER everything else is refused.
UPLOAD_FIELDS: dict[str, list[object]] = {
    "bucket": ["x"],
    "key": ["x"],
    "upload_id": ["x"],
    "size": [1],
    "part_size": [1],
    "options": ["", "x"],
    "owner": [],
}
DOWNLOAD_FIELDS: dict[str, list[object]] = {
    "bucket": ["x"],
    "key": ["x"],
    "version_id": [None, "x"],
    "etag": ["x"],
    "size": [],  # 1 byte has one part, the runs name five
    "crc64": [None, 1],
    "part_size": [1],
    "part_file": ["x"],
    "owner": [],
    "runs": [[]],
}
MISFITS = [
    pytest.param(checkpoint, name, value, id=f"{checkpoint.kind} {name} {value!r}")
    for checkpoint, fields in ((UPLOAD, UPLOAD_FIELDS), (DOWNLOAD, DOWNLOAD_FIELDS))
    for name, allowed in fields.items()
    for value in ANY_OTHER
    if not any(value is fine or (type(value) is type(fine) and value == fine) for fine in allowed)
]


@pytest.mark.parametrize(("checkpoint", "name", "value"), MISFITS)
def test_a_field_that_does_not_fit_is_refused(checkpoint: Checkpoint, name: str, value: object) -> None:
    with pytest.raises(CheckpointUnreadable):
        decode(changed(checkpoint, **{name: value}))


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [(UPLOAD, name) for name in UPLOAD_FIELDS]
    + [(DOWNLOAD, name) for name in DOWNLOAD_FIELDS if name not in ("version_id", "crc64")],
)
def test_a_field_that_is_missing_is_refused(checkpoint: Checkpoint, name: str) -> None:
    content = json.loads(encode(checkpoint))
    del content[name]

    with pytest.raises(CheckpointUnreadable):
        decode(json.dumps(content))


@pytest.mark.parametrize(
    "fields",
    [
        {"size": MAX_OBJECT_SIZE + 1},
        {"part_size": 0},
        {"crc64": 2**64},
        {"owner": {"try_number": -1, "identity": "x"}},
        {"owner": {"try_number": 1, "identity": ""}},
        {"owner": {"try_number": 1}},
    ],
    ids=str,
)
def test_a_number_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CheckpointUnreadable, match=r"size|crc64|try_number|identity"):
        decode(changed(DOWNLOAD, **fields))


@pytest.mark.parametrize("name", [".", "..", "a/b", "/etc/passwd", "../x", "a/"])
def test_a_part_file_is_never_outside_its_folder(name: str) -> None:
    with pytest.raises(CheckpointUnreadable, match="not a plain file name"):
        decode(changed(DOWNLOAD, part_file=name))


@pytest.mark.parametrize(
    "runs",
    [
        [[0, 1, "0"]],
        [[2, 1, "0"]],
        [[1, 6, "0"]],
        [[1, 2, "0"], [2, 3, "0"]],
        [[3, 4, "0"], [1, 1, "0"]],
        [[1, 1, "0"], [1, 1, "0"]],
        [[1, 1]],
        [[1, 1, "0", 4]],
        [[1, 1, 0]],
        [["1", 1, "0"]],
        [[1.0, 1, "0"]],
        [[1, 1, "xyz"]],
        [[1, 1, ""]],
        [{"first": 1, "last": 1, "crc64": "0"}],
        ["abc"],
        [None],
    ],
    ids=str,
)
def test_runs_that_cannot_be_are_refused(runs: list[object]) -> None:
    with pytest.raises(CheckpointUnreadable, match="run"):
        decode(changed(DOWNLOAD, runs=runs))


@pytest.mark.parametrize(
    ("checkpoint", "fields"),
    [
        (UPLOAD, {"ossresume": True}),
        (UPLOAD, {"ossresume": 1.0}),
        (DOWNLOAD, {"runs": [[True, True, "0" * 16]]}),
        (DOWNLOAD, {"runs": [[1, 1, "-1"]]}),
        (DOWNLOAD, {"runs": [[1, 1, " 0x1f "]]}),
        (DOWNLOAD, {"runs": [[1, 1, "f" * 17]]}),
        (DOWNLOAD, {"runs": [[1, 1, "1_0"]]}),
    ],
)
def test_what_is_never_written_is_never_read(checkpoint: Checkpoint, fields: dict[str, Any]) -> None:
    with pytest.raises(CheckpointUnreadable):
        decode(changed(checkpoint, **fields))


# --- finished parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "runs"),
    [
        ([], []),
        ([3], [(3, 3)]),
        ([1, 2, 3], [(1, 3)]),
        ([3, 2, 1], [(1, 3)]),
        ([1, 3], [(1, 1), (3, 3)]),
        ([1, 3, 2], [(1, 3)]),
        ([5, 1, 3], [(1, 1), (3, 3), (5, 5)]),
        ([5, 1, 3, 4], [(1, 1), (3, 5)]),
        ([5, 1, 3, 4, 2], [(1, 5)]),
        ([2, 4, 3], [(2, 4)]),
    ],
)
def test_neighbouring_parts_join_to_runs_with_the_crc_of_all_their_bytes(
    order: list[int], runs: list[tuple[int, int]]
) -> None:
    content = some_bytes(45)
    plan = PartPlan(45, 10)
    checkpoint = replace(DOWNLOAD, runs=())

    for number in order:
        part = plan[number - 1]
        checkpoint = checkpoint.with_part(part, crc64(content[part.start : part.stop]))

    expected = [Run(first, last, crc64(content[10 * (first - 1) : min(10 * last, 45)])) for first, last in runs]
    assert list(checkpoint.runs) == expected
    assert decode(encode(checkpoint)) == checkpoint


def test_a_checkpoint_with_a_part_is_a_new_value() -> None:
    DOWNLOAD.with_part(DOWNLOAD.plan[2], 7)

    assert DOWNLOAD.runs == (Run(1, 2, 0), Run(4, 5, 2**64 - 1))


@pytest.mark.parametrize("checkpoint", [UPLOAD, DOWNLOAD])
def test_a_checkpoint_knows_its_plan(checkpoint: Checkpoint) -> None:
    assert checkpoint.plan == PartPlan(checkpoint.size, checkpoint.part_size)


# --- owners -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "is_superseded"),
    [
        (Owner(1, "a"), Owner(1, "a"), False),
        (Owner(1, "a"), Owner(2, "b"), True),
        (Owner(2, "a"), Owner(1, "b"), False),
        (Owner(1, "a"), Owner(1, "b"), True),  # the one that wrote last
        (Owner(0, "a"), Owner(0, "b"), True),
        (Owner(1, "a"), Owner(2, "a"), False),
    ],
)
def test_a_later_try_supersedes_an_earlier_one(ours: Owner, theirs: Owner, is_superseded: bool) -> None:
    assert ours.is_superseded_by(theirs) is is_superseded


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_checkpoints_key_is_forty_hex_digits_whatever_the_object_is_called() -> None:
    key = checkpoint_key("upload", "oss://bucket/ü/../ %\n", "dag", "run", 3)

    assert len(key) == 40
    assert set(key) <= set("0123456789abcdef")


def test_names_and_digests_stay_the_same_from_release_to_release() -> None:
    # Others would lose every transfer that is under way while a worker is upgraded.
    assert checkpoint_key("upload", "oss://b/k", "dag", 1) == "5b9d70d4f88afb7ffc25297f743e68a69a7f72f5"
    assert options_digest({"a": "b"}) == "cccb00f1aa26751e"
    assert decode(
        '{"ossresume": 1, "kind": "upload", "bucket": "b", "key": "k", "upload_id": "u", "size": 3, "part_size": 2, '
        '"options": "", "owner": {"try_number": 1, "identity": "i"}}'
    ) == UploadCheckpoint("b", "k", "u", 3, 2, "", Owner(1, "i"))
    assert decode(
        '{"ossresume": 1, "kind": "download", "bucket": "b", "key": "k", "version_id": null, "etag": "e", "size": 3, '
        '"crc64": 9, "part_size": 2, "part_file": "p", "owner": {"try_number": 1, "identity": "i"}, '
        '"runs": [[1, 2, "00000000000000ff"]]}'
    ) == DownloadCheckpoint("b", "k", None, "e", 3, 9, 2, "p", Owner(1, "i"), (Run(1, 2, 255),))


def test_different_transfers_have_different_keys() -> None:
    keys = [
        checkpoint_key("upload", "oss://b/k"),
        checkpoint_key("download", "oss://b/k"),
        checkpoint_key("upload", "oss://b/l"),
        checkpoint_key("upload", "oss://b/k", "x"),
        checkpoint_key("upload", "oss://b/k", "x", "y"),
        checkpoint_key("upload", "oss://b/k", "xy"),
        checkpoint_key("upload", "oss://b/k", 'x", "y'),
    ]

    assert len(set(keys)) == len(keys)


def test_options_have_one_digest_whatever_their_order_and_the_case_of_their_names() -> None:
    digest = options_digest({"Content-Type": "text/plain", "x-oss-meta-a": "1"})

    assert len(digest) == 16
    assert options_digest({"x-oss-META-a": "1", "content-type": "text/plain"}) == digest
    assert options_digest({"Content-Type": "text/plain", "x-oss-meta-a": "2"}) != digest
    assert options_digest({"Content-Type": "TEXT/plain", "x-oss-meta-a": "1"}) != digest
    assert options_digest({}) != digest


# --- helpers ----------------------------------------------------------------------------------------------------------


def changed(checkpoint: Checkpoint, **fields: object) -> str:
    """The checkpoint's text with other fields."""
    return json.dumps({**json.loads(encode(checkpoint)), **fields})
